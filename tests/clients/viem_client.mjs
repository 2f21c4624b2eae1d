// viem, unmodified: deploy, call, estimate, send, wait, logs, filters, subscriptions, batches, errors, EIP-7702.
// Arguments: URL, key, folder of Meter.json.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { BaseError, ContractFunctionRevertedError, createPublicClient, createWalletClient, defineChain, http, webSocket } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";

const [url, key, folder] = process.argv.slice(2);
const { abi, bytecode } = JSON.parse(readFileSync(`${folder}/Meter.json`, "utf8"));
const account = privateKeyToAccount(key);

const bare = createPublicClient({ transport: http(url) });
const id = await bare.getChainId();
const chain = defineChain({ id, name: "devnet", nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 }, rpcUrls: { default: { http: [url] } } });
const client = createPublicClient({ chain, transport: http(url, { batch: true }), pollingInterval: 50, cacheTime: 0 });
const wallet = createWalletClient({ account, chain, transport: http(url) });

const deployed = await client.waitForTransactionReceipt({ hash: await wallet.deployContract({ abi, bytecode, args: [5n] }) });
const address = deployed.contractAddress;
assert.equal(deployed.status, "success");
const meter = { address, abi };
assert.equal(await client.readContract({ ...meter, functionName: "count" }), 5n);

// From a block of its own: where blocks go on by themselves, the newest one is soon another.
const filter = await client.createContractEventFilter({ ...meter, eventName: "Counted", fromBlock: deployed.blockNumber });
const blocks = await client.createBlockFilter();
const waiting = await client.createPendingTransactionFilter();
const { request } = await client.simulateContract({ ...meter, account, functionName: "add", args: [7n, "seven"] });
const hash = await wallet.writeContract(request);
const receipt = await client.waitForTransactionReceipt({ hash });
assert.equal(receipt.logs.length, 1);
assert.deepEqual((await client.getFilterChanges({ filter })).map((log) => log.args.note), ["seven"]);
assert.deepEqual((await client.getFilterLogs({ filter })).length, 1);
assert.ok((await client.getFilterChanges({ filter: blocks })).includes(receipt.blockHash));
assert.ok((await client.getFilterChanges({ filter: waiting })).includes(hash));
assert.equal(await client.uninstallFilter({ filter }), true);
const logs = await client.getContractEvents({ ...meter, eventName: "Counted", fromBlock: 0n });
assert.equal(logs[0].args.at, 12n);

const failed = await client.simulateContract({ ...meter, account, functionName: "add", args: [101n, "x"] }).catch((error) => error);
assert.ok(failed instanceof BaseError);
const cause = failed.walk((error) => error instanceof ContractFunctionRevertedError);
assert.equal(cause.data.errorName, "TooMuch");
assert.deepEqual(cause.data.args, [101n, 100n]);
const gas = await client.estimateContractGas({ ...meter, account, functionName: "add", args: [1n, "x"] });
assert.ok(gas > 21_000n && gas < 100_000n, `gas ${gas}`);
const fees = await client.estimateFeesPerGas();
assert.ok(fees.maxFeePerGas > 0n);
assert.equal((await client.getFeeHistory({ blockCount: 3, rewardPercentiles: [50] })).reward.length, 3);
const [block, balance, code] = await Promise.all([client.getBlock({ includeTransactions: true, blockHash: receipt.blockHash }), client.getBalance({ address: account.address }), client.getCode({ address })]);
assert.equal(block.transactions[receipt.transactionIndex].hash, hash);
assert.ok(balance > 0n && code.length > 2);
assert.equal(await client.getStorageAt({ address, slot: "0x0" }), `0x${"0".repeat(63)}c`);

// EIP-7702: an account that never had a coin acts as the contract, for a set-up paid by another.
const other = privateKeyToAccount(generatePrivateKey());
const authorization = await wallet.signAuthorization({ account: other, contractAddress: address });
const set = await client.waitForTransactionReceipt({ hash: await wallet.sendTransaction({ to: other.address, authorizationList: [authorization] }).catch(async (error) => {
  // The contract has no receive function: name one of its own.
  const { encodeFunctionData } = await import("viem");
  return wallet.sendTransaction({ to: other.address, data: encodeFunctionData({ abi, functionName: "pay" }), authorizationList: [authorization] });
}) });
assert.equal(set.status, "success");
assert.equal(set.type, "eip7702");
assert.equal(await client.getCode({ address: other.address }), `0xef0100${address.slice(2).toLowerCase()}`);
assert.equal(await client.readContract({ address: other.address, abi, functionName: "count" }), 0n);

const pushing = createPublicClient({ chain, transport: webSocket(url.replace("http", "ws"), { reconnect: false }) });
const heard = new Promise((resolve, reject) => pushing.watchContractEvent({ ...meter, eventName: "Counted", onLogs: (logs) => resolve(logs[0].args.note), onError: reject }));
const head = new Promise((resolve, reject) => pushing.watchBlocks({ onBlock: resolve, onError: reject }));
await new Promise((resolve) => setTimeout(resolve, 300));
await client.waitForTransactionReceipt({ hash: await wallet.writeContract({ ...meter, functionName: "add", args: [1n, "pushed"] }) });
assert.equal(await heard, "pushed");
assert.ok((await head).number > receipt.blockNumber);
console.log("viem: ok");
process.exit(0);
