// npm's @x402/fetch, unmodified, pays on another chain than Base, in its one token, which takes EIP-3009:
// node x402_elsewhere.mjs <gateway> <rpc> <secret> <token>
import assert from "node:assert";
import { createPublicClient, getAddress, http, parseAbi } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { decodePaymentRequiredHeader } from "@x402/core/http";
import { wrapFetchWithPayment, x402Client, decodePaymentResponseHeader } from "@x402/fetch";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { UptoEvmScheme } from "@x402/evm/upto/client";
import { BatchSettlementEvmScheme } from "@x402/evm/batch-settlement/client";

const [gateway, rpc, secret, address] = process.argv.slice(2);
const token = getAddress(address);
const account = privateKeyToAccount(secret);
const chain = createPublicClient({ transport: http(rpc) });
const network = `eip155:${await chain.getChainId()}`;
const abi = parseAbi(["function balanceOf(address) view returns (uint256)"]);
const holds = () => chain.readContract({ address: token, abi, functionName: "balanceOf", args: [account.address] });
const sends = () => chain.getTransactionCount({ address: account.address });
const url = `${gateway}/v1/chat/completions`;
const ask = (pay, question) =>
  pay(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "demo-chat", max_tokens: 16, messages: [{ role: "user", content: question }] }),
  });
const pays = scheme => wrapFetchWithPayment(fetch, new x402Client().setSpendControls(false).register(network, scheme));
const answered = async (answer, scheme) => {
  assert.equal(answer.status, 200, await answer.clone().text());
  const paid = (await answer.json()).og.payment;
  assert.deepEqual([paid.scheme, paid.network, paid.asset], [scheme, network, token]);
  assert(BigInt(paid.charged) > 0n);
  return BigInt(paid.charged);
};

const asked = decodePaymentRequiredHeader((await ask(fetch, "What is a coin?")).headers.get("PAYMENT-REQUIRED"));
const ways = asked.accepts.map(terms => [terms.network, terms.asset, terms.scheme, terms.extra.assetTransferMethod]);
const expected = [["exact", undefined], ["batch-settlement", undefined], ["upto", "permit2"]];
assert.deepEqual(ways, expected.map(way => [network, token, ...way]));
const sent = await sends();

// a session, whose approval its client signs by EIP-2612; first, because its approval is for no more than itself, and what waits for its
// blocks counts as promised
await answered(await ask(pays(new UptoEvmScheme(account, { rpcUrl: rpc })), "What is a session?"), "upto");

// exact by EIP-3009: nothing is approved, and its client asks nobody
const before = await holds();
const answer = await ask(pays(new ExactEvmScheme(account)), "What is a coin?");
const settled = decodePaymentResponseHeader(answer.headers.get("PAYMENT-RESPONSE"));
assert(settled.success && settled.transaction.startsWith("0x"));
const charged = await answered(answer, "exact");
assert.equal(before - (await holds()), charged, "what was charged has left, and nothing else");

// a channel: a deposit by EIP-3009, a voucher, and what is left comes back
const scheme = new BatchSettlementEvmScheme(account, { salt: `0x${"2d".repeat(32)}` });
const channel = pays(scheme);
for (const turn of [0, 1]) await answered(await ask(channel, `What is a deposit? ${turn}`), "batch-settlement");
const refund = await scheme.refund(url);
assert(refund.success && refund.transaction.startsWith("0x"), JSON.stringify(refund));

assert.equal(await sends(), sent, "the payer sent no transaction");
console.log("x402 elsewhere: ok");
process.exit(0);
