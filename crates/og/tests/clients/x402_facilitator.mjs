// npm's @x402/express, unmodified, takes payments through our facilitator, and @x402/fetch pays it:
// node x402_facilitator.mjs <facilitator> <rpc> <payer's secret> <receiver's secret> <receiver's token>
// The chain is Base, or a ledger, whose own coin is its one token.
import assert from "node:assert";
import express from "express";
import { createPublicClient, createWalletClient, defineChain, http, parseAbi } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { base } from "viem/chains";
import { HTTPFacilitatorClient } from "@x402/core/server";
import { paymentMiddleware, setSettlementOverrides, x402ResourceServer } from "@x402/express";
import { ExactEvmScheme as ExactServer } from "@x402/evm/exact/server";
import { UptoEvmScheme as UptoServer } from "@x402/evm/upto/server";
import { BatchSettlementEvmScheme as BatchServer } from "@x402/evm/batch-settlement/server";
import { wrapFetchWithPayment, x402Client, decodePaymentResponseHeader } from "@x402/fetch";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { UptoEvmScheme } from "@x402/evm/upto/client";
import { BatchSettlementEvmScheme } from "@x402/evm/batch-settlement/client";

const [url, rpc, payerSecret, receiverSecret, token] = process.argv.slice(2);
const [payer, receiver] = [privateKeyToAccount(payerSecret), privateKeyToAccount(receiverSecret)];
const id = await createPublicClient({ transport: http(rpc) }).getChainId();
const [network, isBase] = [`eip155:${id}`, id === base.id];
const place = isBase ? base : defineChain({ id, name: "ledger", nativeCurrency: { name: "OpenGradient", symbol: "OPG", decimals: 18 }, rpcUrls: { default: { http: [rpc] } } });
const coin = "0x0000000000000000000000000000000000000A00";
const [usdc, opg] = isBase ? ["0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "0xFbC2051AE2265686a469421b2C5A2D5462FbF5eB"] : [coin, coin];
const abi = parseAbi(["function balanceOf(address) view returns (uint256)", "function approve(address,uint256) returns (bool)"]);
const chain = createPublicClient({ chain: place, transport: http(rpc) });
const holds = (asset, who) => chain.readContract({ address: asset, abi, functionName: "balanceOf", args: [who] });
const wallet = createWalletClient({ account: payer, chain: place, transport: http(rpc) });
const approved = await wallet.writeContract({ address: opg, abi, functionName: "approve", args: ["0x000000000022D473030F116dDEE9F6B43aC78BA3", 2n ** 256n - 1n] });
await chain.waitForTransactionReceipt({ hash: approved });

// the receiver's server
const bearer = { Authorization: `Bearer ${token}` };
const server = async headers => {
  const facilitator = new HTTPFacilitatorClient({ url, createAuthHeaders: async () => ({ verify: headers, settle: headers, supported: {} }) });
  const batch = new BatchServer(receiver.address, { receiverAuthorizerSigner: receiver });
  const resources = new x402ResourceServer(facilitator)
    .register(network, new ExactServer()).register(network, new UptoServer()).register(network, batch);
  const price = (asset, amount, extra) => ({ asset, amount, extra });
  const dollars = isBase ? { name: "USD Coin", version: "2" } : { name: "OpenGradient", version: "1" };
  const permit2 = { name: "OpenGradient", version: "1", assetTransferMethod: "permit2" };
  const way = (scheme, priced) => ({ accepts: [{ scheme, price: priced, network, payTo: receiver.address, maxTimeoutSeconds: 300 }] });
  const app = express();
  app.use(paymentMiddleware({
    "GET /dollars": way("exact", price(usdc, "1000", dollars)),
    "GET /permit": way("exact", price(opg, "2000", permit2)),
    "GET /upto": way("upto", price(opg, "5000", permit2)),
    "GET /channel": way("batch-settlement", price(usdc, "100", dollars)),
  }, resources));
  let served = 0;
  app.get("/upto", (_, answer) => {
    setSettlementOverrides(answer, { amount: "3000" });
    answer.json({ served: ++served });
  });
  for (const path of ["/dollars", "/permit", "/channel"]) app.get(path, (_, answer) => answer.json({ served: ++served }));
  const listening = await new Promise(resolve => { const it = app.listen(0, "127.0.0.1", () => resolve(it)); });
  return { address: `http://127.0.0.1:${listening.address().port}`, facilitator, batch, close: () => listening.close() };
};
const shop = await server(bearer);

const client = new x402Client().register(network, new ExactEvmScheme(payer)).register(network, new UptoEvmScheme(payer));
const pay = wrapFetchWithPayment(fetch, client.setSpendControls ? client.setSpendControls(false) ?? client : client);
for (const [path, asset, charged] of [["/dollars", usdc, 1000n], ["/permit", opg, 2000n], ["/upto", opg, 3000n]]) {
  const [paid, got] = [await holds(asset, payer.address), await holds(asset, receiver.address)];
  const answer = await pay(shop.address + path);
  assert.equal(answer.status, 200, `${path}: ${await answer.clone().text()} ${answer.headers.get("PAYMENT-REQUIRED")}`);
  const settled = decodePaymentResponseHeader(answer.headers.get("PAYMENT-RESPONSE"));
  assert(settled.success && settled.transaction.startsWith("0x"), path);
  assert.equal(paid - (await holds(asset, payer.address)), charged, path);
  assert.equal((await holds(asset, receiver.address)) - got, charged, path);
}

// a channel: a deposit, vouchers, what is left back to its payer, the rest claimed and swept
const scheme = new BatchSettlementEvmScheme(payer, { salt: `0x${"77".repeat(32)}` });
const channel = wrapFetchWithPayment(fetch, new x402Client().setSpendControls(false).register(network, scheme));
const before = await holds(usdc, receiver.address);
for (let turn = 0; turn < 3; turn++) {
  const answer = await channel(shop.address + "/channel");
  assert.equal(answer.status, 200, `${await answer.clone().text()} ${answer.headers.get("PAYMENT-REQUIRED")}`);
}
const manager = shop.batch.createChannelManager(shop.facilitator, network, usdc);
const claimed = await manager.claim();
assert.equal(claimed.length, 1, JSON.stringify(claimed));
await manager.settle();
assert.equal((await holds(usdc, receiver.address)) - before, 300n, "three vouchers were claimed and swept");
assert.equal((await channel(shop.address + "/channel")).status, 200);
const refund = await scheme.refund(shop.address + "/channel");
assert(refund.success && refund.transaction.startsWith("0x"), JSON.stringify(refund));

// whoever is not the receiver settles no part of a cap
const stranger = await server({});
const refused = await pay(stranger.address + "/upto");
assert.notEqual(refused.status, 200, "an upto payment without the receiver's token is not settled");
[shop, stranger].forEach(one => one.close());
console.log("x402 facilitator: ok");
process.exit(0);
