// npm's @x402/axios, unmodified, pays a devnet: node x402_axios.mjs <gateway> <base rpc> <secret>
import assert from "node:assert";
import axios from "axios";
import { createPublicClient, http, parseAbi } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { wrapAxiosWithPayment, wrapAxiosWithPaymentFromConfig, decodePaymentResponseHeader } from "@x402/axios";
import { x402Client, x402HTTPClient } from "@x402/core/client";
import { decodePaymentSignatureHeader } from "@x402/core/http";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { UptoEvmScheme } from "@x402/evm/upto/client";
import { BatchSettlementEvmScheme } from "@x402/evm/batch-settlement/client";

const [gateway, rpc, secret] = process.argv.slice(2);
const account = privateKeyToAccount(secret);
const chain = createPublicClient({ transport: http(rpc) });
const usdc = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913";
const abi = parseAbi(["function balanceOf(address) view returns (uint256)"]);
const holds = () => chain.readContract({ address: usdc, abi, functionName: "balanceOf", args: [account.address] });
const body = question => ({ model: "demo-chat", max_tokens: 16, messages: [{ role: "user", content: question }] });
const api = wrapAxiosWithPaymentFromConfig(axios.create({ baseURL: gateway }), {
  schemes: [{ network: "eip155:8453", client: new ExactEvmScheme(account) }],
});

const coins = await chain.getBalance({ address: account.address });
const sends = await chain.getTransactionCount({ address: account.address });
for (const question of ["What is a receipt?", "What is an epoch?"]) {
  const before = await holds();
  const answer = await api.post("/v1/chat/completions", body(question));
  assert.equal(answer.status, 200);
  const { charged, scheme } = answer.data.og.payment;
  assert.equal(scheme, "exact");
  assert(BigInt(charged) > 0n && before - (await holds()) === BigInt(charged), "what was charged has left");
  const settled = decodePaymentResponseHeader(answer.headers["payment-response"]);
  assert(settled.success && settled.transaction.startsWith("0x"));
}
// a token that needs an approval, which nobody gave: it is signed with the payment, and the gateway hands both on
const opg = "0xFbC2051AE2265686a469421b2C5A2D5462FbF5eB";
const permit2 = "0x000000000022D473030F116dDEE9F6B43aC78BA3";
const allowance = parseAbi(["function allowance(address, address) view returns (uint256)"]);
const allowed = () => chain.readContract({ address: opg, abi: allowance, functionName: "allowance", args: [account.address, permit2] });
assert.equal(await allowed(), 0n);
const sponsored = wrapAxiosWithPaymentFromConfig(axios.create({ baseURL: gateway }), {
  schemes: [{ network: "eip155:8453", client: new ExactEvmScheme(account, { rpcUrl: rpc }) }],
  paymentRequirementsSelector: (_, accepts) => accepts.find(terms => terms.scheme === "exact" && terms.asset === opg),
});
for (const question of ["What is gas?", "Who pays for it?"]) {
  const answer = await sponsored.post("/v1/chat/completions", body(question));
  assert.equal(answer.data.og.payment.asset, opg);
  assert(decodePaymentResponseHeader(answer.headers["payment-response"]).success);
}
assert.equal(await allowed(), 0n, "an approval of just what was paid");

// a channel: its wrapper tells schemes nothing of what came of a payment, so its caller does, by the client's own interface
const client = new x402Client().register("eip155:8453", new BatchSettlementEvmScheme(account, { salt: `0x${"3c".repeat(32)}` }));
const channel = wrapAxiosWithPayment(axios.create({ baseURL: gateway }), client);
const sent = [];
for (const turn of [0, 1, 2]) {
  const answer = await channel.post("/v1/chat/completions", body(`What is a purse? ${turn}`));
  assert.equal(answer.data.og.payment.scheme, "batch-settlement");
  const payment = decodePaymentSignatureHeader(answer.config.headers.get("PAYMENT-SIGNATURE"));
  await new x402HTTPClient(client).processPaymentResult(payment, name => answer.headers[name.toLowerCase()], answer.status);
  sent.push(payment.payload.type);
}
assert.deepEqual(sent, ["deposit", "voucher", "voucher"]);

// a session, whose cap is approved by a signature too, and which the next call draws on
const upto = wrapAxiosWithPaymentFromConfig(axios.create({ baseURL: gateway }), {
  schemes: [{ network: "eip155:8453", client: new UptoEvmScheme(account, { rpcUrl: rpc }) }],
});
const opened = await upto.post("/v1/chat/completions", body("What is a session?"));
assert.deepEqual([opened.data.og.payment.scheme, opened.data.og.payment.asset], ["upto", opg]);
const drawn = await axios.post(`${gateway}/v1/chat/completions`, body("And again?"), { headers: { "X-Upto-Session": opened.headers["x-upto-session"] } });
assert(BigInt(drawn.data.og.payment.charged) > 0n);
assert.equal(await chain.getTransactionCount({ address: account.address }), sends, "the payer sent no transaction");
assert.equal(await chain.getBalance({ address: account.address }), coins, "the payer spent no gas");

// an error of ours stays an error: nothing is paid for a model that is not there
await assert.rejects(api.post("/v1/chat/completions", { ...body("?"), model: "nobody" }), error => error.response.status === 404);
console.log("x402 axios: ok");
