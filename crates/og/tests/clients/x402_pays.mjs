// npm's @x402/fetch, unmodified, pays a devnet without gas: node x402_pays.mjs <gateway> <base rpc> <secret>
import assert from "node:assert";
import { createPublicClient, http, parseAbi } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { wrapFetchWithPayment, x402Client, x402HTTPClient, decodePaymentResponseHeader } from "@x402/fetch";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { ExactEvmSchemeV1 } from "@x402/evm/v1";
import { BatchSettlementEvmScheme } from "@x402/evm/batch-settlement/client";

const [gateway, rpc, secret] = process.argv.slice(2);
const account = privateKeyToAccount(secret);
const chain = createPublicClient({ transport: http(rpc) });
const usdc = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913";
const abi = parseAbi(["function balanceOf(address) view returns (uint256)"]);
const holds = () => chain.readContract({ address: usdc, abi, functionName: "balanceOf", args: [account.address] });
const url = `${gateway}/v1/chat/completions`;
const ask = (pay, question, stream = false) =>
  pay(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "demo-chat", max_tokens: 16, stream, messages: [{ role: "user", content: question }] }),
  });

// exact by EIP-3009, with the client's own limits on what it spends
const exact = wrapFetchWithPayment(fetch, new x402Client().register("eip155:8453", new ExactEvmScheme(account)));
const before = await holds();
const answer = await ask(exact, "What is a receipt?");
assert.equal(answer.status, 200, await answer.clone().text());
const charged = BigInt((await answer.json()).og.payment.charged);
assert(charged > 0n && before - (await holds()) === charged, "what was charged has left, and nothing else");
const settled = decodePaymentResponseHeader(answer.headers.get("PAYMENT-RESPONSE"));
assert(settled.success && settled.transaction.startsWith("0x"));

// version 1, by the client's own parts: what it reads in the body, signs, and sends under another name
const old = new x402HTTPClient(new x402Client().registerV1("base", new ExactEvmSchemeV1(account)));
const asked = old.getPaymentRequiredResponse(() => null, await (await ask(fetch, "What is old?")).json());
assert.deepEqual([asked.x402Version, asked.accepts.map(terms => terms.scheme)], [1, ["exact"]], "it knows no other scheme");
const payment = old.encodePaymentSignatureHeader(await old.createPaymentPayload(asked));
assert.deepEqual(Object.keys(payment), ["X-PAYMENT"]);
const served = await ask((input, init) => fetch(input, { ...init, headers: { ...init.headers, ...payment } }), "What is old?");
assert.equal(served.status, 200, await served.clone().text());
assert.equal((await served.json()).og.payment.scheme, "exact");

// a channel of its own: a deposit, vouchers, a stream in between, and what is left comes back
const scheme = new BatchSettlementEvmScheme(account, { salt: `0x${"5a".repeat(32)}` });
const pay = wrapFetchWithPayment(fetch, new x402Client().register("eip155:8453", scheme));
for (const turn of [0, 1, 2]) {
  const answer = await ask(pay, `What is a purse? ${turn}`, turn === 1);
  const text = await answer.text();
  assert.equal(answer.status, 200, text);
  assert(text.includes('"payment":{"scheme":"batch-settlement"'), text);
}
const refund = await scheme.refund(url);
assert(refund.success && refund.transaction.startsWith("0x"), JSON.stringify(refund));
assert.equal(await chain.getTransactionCount({ address: account.address }), 0, "the payer sent no transaction");
console.log("x402 pays: ok");
