// Payments as the official npm clients send them, for crates/payments/vectors: node x402_vectors.mjs offers.json
import { readFileSync } from "node:fs";
import { privateKeyToAccount } from "viem/accounts";
import { x402Client, x402HTTPClient } from "@x402/core/client";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { UptoEvmScheme } from "@x402/evm/upto/client";
import { BatchSettlementEvmScheme } from "@x402/evm/batch-settlement/client";

const signer = privateKeyToAccount("0x" + "07".repeat(32));
const version = (name) => JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, `file://${process.cwd()}/`))).version;
const told = [];
for (const [name, offer] of Object.entries(JSON.parse(readFileSync(process.argv[2])))) {
  const client = new x402Client();
  client.setSpendControls?.(false);
  client.register("eip155:*", new ExactEvmScheme(signer));
  client.register("eip155:*", new UptoEvmScheme(signer));
  client.register("eip155:*", new BatchSettlementEvmScheme(signer));
  const http = new x402HTTPClient(client);
  for (let turn = 0; turn < (name.startsWith("batch") ? 2 : 1); turn += 1) {
    const payload = await client.createPaymentPayload(offer);
    const headers = http.encodePaymentSignatureHeader(payload);
    told.push({ client: `@x402/evm ${version("@x402/evm")}`, offer: name, turn, payer: signer.address, header: Object.values(headers)[0] });
    if (turn === 0 && name.startsWith("batch")) {
      const settle = { success: true, transaction: "", network: offer.accepts[0].network, extra: { chargedAmount: "900" } };
      const encoded = Buffer.from(JSON.stringify(settle)).toString("base64");
      const response = new Response("", { headers: { "PAYMENT-RESPONSE": encoded } });
      await http.processPaymentResult?.(payload, (header) => response.headers.get(header), 200);
    }
  }
}
console.log(JSON.stringify(told, null, 1));
