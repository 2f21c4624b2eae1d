// A payment of version 1 as the official npm client sends it, for crates/payments/vectors/legacy.json: node x402_legacy.mjs asked.json
import { readFileSync } from "node:fs";
import { privateKeyToAccount } from "viem/accounts";
import { x402Client, x402HTTPClient } from "@x402/core/client";
import { ExactEvmSchemeV1 } from "@x402/evm/v1";

const signer = privateKeyToAccount("0x" + "07".repeat(32));
const version = (name) => JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, `file://${process.cwd()}/`))).version;
const http = new x402HTTPClient(new x402Client().registerV1("base", new ExactEvmSchemeV1(signer)));
const asked = http.getPaymentRequiredResponse(() => null, JSON.parse(readFileSync(process.argv[2])));
const made = Math.floor(Date.now() / 1000);
const [[name, header]] = Object.entries(http.encodePaymentSignatureHeader(await http.createPaymentPayload(asked)));
console.log(JSON.stringify({ client: `@x402/evm ${version("@x402/evm")}`, made, payer: signer.address, name, header }));
