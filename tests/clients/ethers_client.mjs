// ethers, unmodified: deploy, call, estimate, send, wait, logs, filters, subscriptions, batches, errors, access lists, traces.
// Arguments: URL, key, folder of Meter.json.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { ethers } from "ethers";

const [url, key, folder] = process.argv.slice(2);
const { abi, bytecode } = JSON.parse(readFileSync(`${folder}/Meter.json`, "utf8"));

const provider = new ethers.JsonRpcProvider(url, undefined, { polling: true, pollingInterval: 50, cacheTimeout: -1 });
const wallet = new ethers.Wallet(key, provider);
const chain = (await provider.getNetwork()).chainId;

const deployed = await new ethers.ContractFactory(abi, bytecode, wallet).deploy(5n);
const meter = await deployed.waitForDeployment();
const address = await meter.getAddress();
assert.equal(await meter.count(), 5n);
assert.notEqual(await provider.getCode(address), "0x");

const heard = new Promise((resolve) => meter.once("Counted", (by, at, note) => resolve([by, at, note])));
await new Promise((resolve) => setTimeout(resolve, 200));
const gas = await meter.add.estimateGas(7n, "seven");
assert.ok(gas > 21_000n && gas < 100_000n, `gas ${gas}`);
const receipt = await (await meter.add(7n, "seven")).wait();
assert.equal(receipt.status, 1);
assert.equal(receipt.logs.length, 1);
assert.deepEqual(await heard, [wallet.address, 12n, "seven"]);

const found = await meter.queryFilter(meter.filters.Counted(wallet.address), 0, "latest");
assert.deepEqual(found.map((log) => log.args.note), ["seven"]);
const block = await provider.getBlock(receipt.blockNumber, true);
assert.equal(block.prefetchedTransactions[receipt.index].hash, receipt.hash);
const transaction = await provider.getTransaction(receipt.hash);
assert.equal(transaction.chainId, chain);
assert.equal(transaction.from, wallet.address);

const reverted = await meter.add.staticCall(101n, "x").catch((error) => error);
assert.equal(reverted.code, "CALL_EXCEPTION");
assert.equal(reverted.revert.name, "TooMuch");
assert.deepEqual([...reverted.revert.args], [101n, 100n]);
assert.equal((await meter.fail.staticCall("because").catch((error) => error)).reason, "because");
assert.equal((await meter.add.estimateGas(101n, "x").catch((error) => error)).code, "CALL_EXCEPTION");
const failed = await (await meter.add(101n, "x", { gasLimit: 100_000n })).wait().catch((error) => error);
assert.equal(failed.receipt.status, 0);

// A batch: all at once go in one body.
const many = await Promise.all([provider.getBlockNumber(), provider.getBalance(address), provider.getTransactionCount(wallet), meter.count()]);
assert.equal(many[3], 12n);

// Thirty transactions in a row, without waiting for each.
const first = await wallet.getNonce();
const sent = await Promise.all(Array.from({ length: 30 }, (_, i) => wallet.sendTransaction({ to: address, data: meter.interface.encodeFunctionData("pay"), value: 1n, nonce: first + i, gasLimit: 100_000n })));
await Promise.all(sent.map((one) => one.wait()));
assert.equal(await meter.paid(wallet), 30n);
const low = await wallet.sendTransaction({ to: address, nonce: 0, gasLimit: 100_000n }).catch((error) => error);
assert.equal(low.code, "NONCE_EXPIRED", String(low));

const listed = await provider.send("eth_createAccessList", [{ from: wallet.address, to: address, data: meter.interface.encodeFunctionData("count") }, "latest"]);
assert.equal(listed.accessList[0].storageKeys.length, 1);
const cheap = await (await meter.add(1n, "listed", { accessList: listed.accessList })).wait();
assert.equal((await cheap.getTransaction()).type, 2);
assert.equal((await (await wallet.sendTransaction({ to: wallet.address, type: 0 })).wait()).type, 0);
assert.equal((await (await wallet.sendTransaction({ to: wallet.address, type: 1, accessList: [] })).wait()).type, 1);

const trace = await provider.send("debug_traceTransaction", [receipt.hash, { tracer: "callTracer", tracerConfig: { withLog: true } }]);
assert.equal(trace.type, "CALL");
assert.equal(trace.logs.length, 1);
const steps = await provider.send("debug_traceCall", [{ to: address, data: meter.interface.encodeFunctionData("count") }, "latest", {}]);
assert.ok(steps.structLogs.length > 10);
const fees = await provider.send("eth_feeHistory", ["0x5", "latest", [10, 50]]);
assert.equal(fees.baseFeePerGas.length, 6);
assert.equal(fees.reward[0].length, 2);

const socket = new ethers.WebSocketProvider(url.replace("http", "ws"));
const head = new Promise((resolve) => socket.once("block", resolve));
const pushed = new Promise((resolve) => meter.connect(socket).once("Counted", (by, at, note) => resolve(note)));
await socket.send("eth_chainId", []);
await new Promise((resolve) => setTimeout(resolve, 200));
const next = await (await meter.add(1n, "pushed")).wait();
// A chain may make blocks all the time, and tells of each.
assert.ok((await head) <= next.blockNumber);
assert.equal(await pushed, "pushed");
await socket.destroy();
provider.destroy();
console.log("ethers: ok");
