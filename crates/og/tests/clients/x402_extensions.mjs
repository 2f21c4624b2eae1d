// npm's @x402/fetch and @x402/extensions, unmodified: payers with tokens and no gas, and what a gateway signs:
// node x402_extensions.mjs <gateway> <base rpc> <secret>
import assert from "node:assert";
import { createPublicClient, createWalletClient, http, maxUint256, parseAbi } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { base } from "viem/chains";
import { decodePaymentRequiredHeader } from "@x402/core/http";
import { decodePaymentResponseHeader, wrapFetchWithPayment, x402Client } from "@x402/fetch";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { UptoEvmScheme } from "@x402/evm/upto/client";
import { BatchSettlementEvmScheme } from "@x402/evm/batch-settlement/client";
import {
  extractOffersFromPaymentRequired, extractReceiptFromResponse, verifyOfferSignatureEIP712, verifyReceiptMatchesOffer,
  verifyReceiptSignatureEIP712,
} from "@x402/extensions/offer-receipt";

const [gateway, rpc, secret] = process.argv.slice(2);
const network = "eip155:8453";
const [opg, permit2] = ["0xFbC2051AE2265686a469421b2C5A2D5462FbF5eB", "0x000000000022D473030F116dDEE9F6B43aC78BA3"];
const account = privateKeyToAccount(secret);
const chain = createPublicClient({ chain: base, transport: http(rpc) });
const wallet = createWalletClient({ account, chain: base, transport: http(rpc) });
const abi = parseAbi(["function transfer(address,uint256) returns (bool)", "function allowance(address,address) view returns (uint256)"]);
const allowed = who => chain.readContract({ address: opg, abi, functionName: "allowance", args: [who.address, permit2] });
const url = `${gateway}/v1/chat/completions`;
const asking = question => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ model: "demo-chat", max_tokens: 16, messages: [{ role: "user", content: question }] }),
});
const inOpg = (_, accepts) => accepts.find(offer => offer.asset.toLowerCase() === opg.toLowerCase());
const pays = (scheme, ask = fetch) => wrapFetchWithPayment(ask, new x402Client(inOpg).setSpendControls(false).register(network, scheme));
const answered = async answer => assert.equal(answer.status, 200, await answer.clone().text());

// somebody with ten OPG, no coins for gas, and nothing approved
const shy = async () => {
  const payer = privateKeyToAccount(generatePrivateKey());
  const hash = await wallet.writeContract({ address: opg, abi, functionName: "transfer", args: [payer.address, 10n ** 19n] });
  await chain.waitForTransactionReceipt({ hash });
  assert.equal(await chain.getBalance({ address: payer.address }), 0n);
  assert.equal(await allowed(payer), 0n);
  return payer;
};

// what is offered is signed, and so is that it was paid
const required = (await fetch(url, asking("What is an offer?"))).headers.get("PAYMENT-REQUIRED");
assert(required.length <= 6 * 1024, `${required.length} bytes are more than some proxies take`);
const asked = decodePaymentRequiredHeader(required);
assert.equal(asked.accepts.length, 5);
const offers = extractOffersFromPaymentRequired(asked);
assert.equal(offers.length, asked.accepts.length);
const settles = asked.accepts.find(offer => offer.scheme === "upto").extra.facilitatorAddress;
for (const offer of offers) assert.equal((await verifyOfferSignatureEIP712(offer)).signer, settles);
const exact = wrapFetchWithPayment(fetch, new x402Client().register(network, new ExactEvmScheme(account)));
const paid = await exact(url, asking("What is an offer?"));
await answered(paid);
const receipt = extractReceiptFromResponse(paid);
assert.equal((await verifyReceiptSignatureEIP712(receipt)).signer, settles);
assert(verifyReceiptMatchesOffer(receipt, offers[0].payload, [account.address]));

// a deposit into a channel, whose approval its payer signs by EIP-2612
const depositor = await shy();
const channel = pays(new BatchSettlementEvmScheme(depositor, { rpcUrl: rpc, salt: `0x${"6b".repeat(32)}` }));
for (const turn of [0, 1]) await answered(await channel(url, asking(`What is a deposit? ${turn}`)));
assert.equal(await chain.getBalance({ address: depositor.address }), 0n, "it needed no gas");

// sessions and payments by Permit2, of somebody who approved nothing: our 402 as it is, and the client's own approval (EIP-2612)
for (const scheme of [UptoEvmScheme, ExactEvmScheme]) {
  const payer = await shy();
  const answer = await pays(new scheme(payer, { rpcUrl: rpc }))(url, asking("What is a permit?"));
  await answered(answer);
  const { scheme: said, asset, charged } = (await answer.json()).og.payment;
  assert.deepEqual([said, asset], [scheme === UptoEvmScheme ? "upto" : "exact", opg]);
  assert(BigInt(charged) > 0n && decodePaymentResponseHeader(answer.headers.get("PAYMENT-RESPONSE")).success);
  if (scheme === UptoEvmScheme) {
    const again = asking("And of a session?");
    again.headers["X-Upto-Session"] = answer.headers.get("X-Upto-Session");
    await answered(await fetch(url, again));
  }
  assert.equal(await chain.getBalance({ address: payer.address }), 0n, "it was lent no gas");
  assert.equal(await chain.getTransactionCount({ address: payer.address }), 0, "and needed none");
}

// the payer's own approval, for which it is lent the gas: of a token that takes none by signature. Ours all do, so that the client is
// told of one that does not; nothing else of our 402 is changed
const without = async (input, init) => {
  const answer = await fetch(input, init);
  const required = answer.headers.get("PAYMENT-REQUIRED");
  if (!required) return answer;
  const asked = JSON.parse(Buffer.from(required, "base64"));
  delete asked.extensions.eip2612GasSponsoring;
  const headers = new Headers(answer.headers);
  headers.set("PAYMENT-REQUIRED", Buffer.from(JSON.stringify(asked)).toString("base64"));
  return new Response(await answer.text(), { status: answer.status, headers });
};
for (const scheme of [UptoEvmScheme, ExactEvmScheme]) {
  const borrower = await shy();
  await answered(await pays(new scheme(borrower, { rpcUrl: rpc }), without)(url, asking("What is a loan?")));
  assert.equal(await allowed(borrower) > 10n ** 30n, true, `${maxUint256} was approved`);
  assert.equal(await chain.getTransactionCount({ address: borrower.address }), 1);
}
console.log("x402 extensions: ok");
process.exit(0);
