// x402's official client and facilitator, unmodified, against the contracts of a devnet's Base: what the client signs, the official
// facilitator settles; what is forged, the chain itself refuses.
// usage: node x402_client.mjs <rpc url> <payer's key> <facilitator's key>
import { toFacilitatorEvmSigner, toClientEvmSigner } from "@x402/evm";
import { ExactEvmScheme as ExactClient } from "@x402/evm/exact/client";
import { ExactEvmScheme as ExactFacilitator } from "@x402/evm/exact/facilitator";
import { UptoEvmScheme as UptoClient } from "@x402/evm/upto/client";
import { UptoEvmScheme as UptoFacilitator } from "@x402/evm/upto/facilitator";
import { BatchSettlementEvmScheme as BatchClient, signVoucher } from "@x402/evm/batch-settlement/client";
import { BatchSettlementEvmScheme as BatchFacilitator } from "@x402/evm/batch-settlement/facilitator";
import { createPublicClient, createWalletClient, erc20Abi, http, maxUint256, publicActions } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { base } from "viem/chains";

const [url, payerKey, facilitatorKey] = process.argv.slice(2);
const payer = privateKeyToAccount(payerKey);
const facilitator = privateKeyToAccount(facilitatorKey);
const transport = http(url);
const chain = { ...base, rpcUrls: { default: { http: [url] } } };
const reader = createPublicClient({ chain, transport, pollingInterval: 50 });
const wallet = (account) => createWalletClient({ account, chain, transport, pollingInterval: 50 }).extend(publicActions);
const sender = wallet(facilitator);

const NETWORK = "eip155:8453";
const OPG = "0xFbC2051AE2265686a469421b2C5A2D5462FbF5eB";
const USDC = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913";
const PERMIT2 = "0x000000000022D473030F116dDEE9F6B43aC78BA3";
const PAYEE = "0x9900000000000000000000000000000000000099";

const clientSigner = toClientEvmSigner(payer, reader);
const facilitatorSigner = toFacilitatorEvmSigner({
  address: facilitator.address,
  readContract: (call) => sender.readContract(call),
  verifyTypedData: (call) => reader.verifyTypedData(call),
  writeContract: (call) => sender.writeContract(call),
  sendTransaction: (call) => sender.sendTransaction(call),
  waitForTransactionReceipt: (call) => reader.waitForTransactionReceipt(call),
  getCode: (call) => reader.getCode(call),
});

function must(holds, what) {
  if (!holds) throw new Error(what);
}

const holding = (token, owner) => reader.readContract({ address: token, abi: erc20Abi, functionName: "balanceOf", args: [owner] });

function requirements(scheme, asset, amount, extra) {
  const [name, version] = asset === OPG ? ["OpenGradient", "1"] : ["USD Coin", "2"];
  return {
    scheme, network: NETWORK, asset, amount: String(amount), payTo: PAYEE, maxTimeoutSeconds: 3600,
    extra: { name, version, ...extra },
  };
}

const resource = { url: "http://127.0.0.1/v1/chat/completions", description: "", mimeType: "application/json" };
const context = { getExtension: () => undefined };

async function signed(client, wanted) {
  const made = await client.createPaymentPayload(2, wanted, { extensions: {} });
  return { ...made, x402Version: 2, resource, accepted: wanted };
}

async function pays(what, client, service, wanted, settled = wanted) {
  const payload = await signed(client, wanted);
  const verdict = await service.verify(payload, wanted, context);
  must(verdict.isValid, `${what}: ${JSON.stringify(verdict)}`);
  const before = await holding(wanted.asset, PAYEE);
  const outcome = await service.settle(payload, settled, context);
  must(outcome.success, `${what}: ${JSON.stringify(outcome)}`);
  const after = await holding(wanted.asset, PAYEE);
  must(after - before === BigInt(settled.amount), `${what}: ${after - before} arrived`);
  // The same again, and one that was changed after it was signed.
  const again = await service.settle(payload, settled, context).catch((error) => ({ success: false, errorReason: error.message }));
  must(!again.success || again.transaction === outcome.transaction, `${what}: settled twice`);
  must((await holding(wanted.asset, PAYEE)) === after, `${what}: paid twice`);
  const forged = structuredClone(await signed(client, wanted));
  const terms = forged.payload.authorization ?? forged.payload.permit2Authorization.permitted;
  const key = "value" in terms ? "value" : "amount";
  terms[key] = String(BigInt(terms[key]) + 1n);
  const refused = await service.verify(forged, { ...wanted, amount: terms[key] }, context);
  must(!refused.isValid, `${what}: a forged payment was found valid`);
}

async function exact() {
  const service = new ExactFacilitator(facilitatorSigner, { simulateInSettle: true });
  const client = new ExactClient(clientSigner, { rpcUrl: url });
  await pays("exact by EIP-3009 in dollars", client, service, requirements("exact", USDC, 12_345));
  await pays("exact by EIP-3009 in OPG", client, service, requirements("exact", OPG, 10n ** 17n));
  const permit2 = { assetTransferMethod: "permit2" };
  await pays("exact by Permit2", client, service, requirements("exact", OPG, 10n ** 16n, permit2));
}

async function upto() {
  const service = new UptoFacilitator(facilitatorSigner);
  const client = new UptoClient(clientSigner, { rpcUrl: url });
  const wanted = requirements("upto", OPG, 10n ** 17n, { assetTransferMethod: "permit2", facilitatorAddress: facilitator.address });
  await pays("upto", client, service, wanted, { ...wanted, amount: "4242" });
}

async function channel() {
  const service = new BatchFacilitator(facilitatorSigner, facilitator);
  const client = new BatchClient(clientSigner, { depositPolicy: { depositMultiplier: 5 }, salt: `0x${"07".repeat(32)}` });
  const extra = { receiverAuthorizer: facilitator.address, withdrawDelay: 900 };
  const wanted = requirements("batch-settlement", USDC, 1_000, extra);
  const payload = await signed(client, wanted);
  must(payload.payload.type === "deposit", `channel: ${payload.payload.type} where a deposit was due`);
  const verdict = await service.verify(payload, wanted, context);
  must(verdict.isValid, `deposit: ${JSON.stringify(verdict)}`);
  const opened = await service.settle(payload, wanted, context);
  must(opened.success, `deposit: ${JSON.stringify(opened)}`);
  const config = payload.payload.channelConfig;
  const id = payload.payload.voucher.channelId;

  const voucher = await signVoucher(clientSigner, id, "3000", NETWORK);
  const settle = (action) => service.settle({ ...payload, payload: action }, wanted, context);
  const claims = [{ voucher: { channel: config, maxClaimableAmount: "3000" }, signature: voucher.signature, totalClaimed: "2500" }];
  const claimed = await settle({ type: "claim", claims });
  must(claimed.success, `claim: ${JSON.stringify(claimed)}`);
  const forged = [{ ...claims[0], voucher: { channel: config, maxClaimableAmount: "3001" }, totalClaimed: "3001" }];
  const refused = await settle({ type: "claim", claims: forged });
  must(!refused.success, "a claim over its voucher was settled");

  const before = await holding(USDC, PAYEE);
  const swept = await settle({ type: "settle", receiver: PAYEE, token: USDC });
  must(swept.success && (await holding(USDC, PAYEE)) - before === 2_500n, `settle: ${JSON.stringify(swept)}`);

  const own = await holding(USDC, payer.address);
  const zero = await signVoucher(clientSigner, id, "2500", NETWORK);
  const rest = await settle({
    type: "refund", channelConfig: config, voucher: zero, amount: "1000", refundNonce: "0",
    claims: [{ voucher: { channel: config, maxClaimableAmount: "2500" }, signature: zero.signature, totalClaimed: "2500" }],
  });
  must(rest.success && (await holding(USDC, payer.address)) - own === 1_000n, `refund: ${JSON.stringify(rest)}`);
}

must((await reader.getChainId()) === 8453, "not Base");
await wallet(payer).writeContract({ address: OPG, abi: erc20Abi, functionName: "approve", args: [PERMIT2, maxUint256] });
await exact();
await upto();
await channel();
console.log("x402: ok");
process.exit(0);
