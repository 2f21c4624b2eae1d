// What paying by a channel costs: node channel.mjs <paid gateway> <free gateway, or -> <base rpc> <secret> <calls>
// Prints one line of JSON: gas of the channel's settlements and of one `exact`, and how soon the first byte came, paid and unpaid, and
// the 402 before a payment.
import { createPublicClient, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { wrapFetchWithPayment, x402Client, decodePaymentResponseHeader } from "@x402/fetch";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { BatchSettlementEvmScheme } from "@x402/evm/batch-settlement/client";

const [paid, free, rpc, secret, count] = process.argv.slice(2);
const account = privateKeyToAccount(secret);
const chain = createPublicClient({ transport: http(rpc) });
const settlement = "0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003".toLowerCase();
const body = question => JSON.stringify({
  model: "demo-chat", max_tokens: 8, stream: true, temperature: 0, messages: [{ role: "user", content: question }],
});
const request = question => ({ method: "POST", headers: { "content-type": "application/json" }, body: body(question) });

// from the request's departure to the first byte of its answer's body; the rest is read to its end
const timed = times => async (input, init) => {
  const asked = new Request(input, init);
  const isTimed = asked.headers.has("payment-signature") || !times.onlyPaid;
  const began = performance.now();
  const answer = await fetch(asked);
  if (answer.status === 402) times.asked?.push(performance.now() - began);
  if (!isTimed || answer.status !== 200) return answer;
  const reader = answer.body.getReader();
  let piece = await reader.read();
  times.push(performance.now() - began);
  while (!piece.done) piece = await reader.read();
  return new Response("", { status: 200, headers: answer.headers });
};
const part = (times, share) => times.length ? times.sort((a, b) => a - b)[Math.floor(times.length * share)] : null;
const [median, p99] = [0.5, 0.99].map(share => times => part(times, share));

const exact = wrapFetchWithPayment(fetch, new x402Client().register("eip155:8453", new ExactEvmScheme(account)));
const answer = await exact(`${paid}/v1/chat/completions`, { ...request("What is a receipt?"), body: body("What is a receipt?").replace("true", "false") });
if (answer.status !== 200) throw new Error(await answer.text());
const hash = decodePaymentResponseHeader(answer.headers.get("PAYMENT-RESPONSE")).transaction;
const exactGas = Number((await chain.getTransactionReceipt({ hash })).gasUsed);
const first = await chain.getBlockNumber();

const salt = `0x${[...crypto.getRandomValues(new Uint8Array(32))].map(byte => byte.toString(16).padStart(2, "0")).join("")}`;
// A gateway's announced least deposit goes before the client's `depositPolicy`; its `depositStrategy` has the last word.
const depositStrategy = ({ requestAmount }) => BigInt(requestAmount) * BigInt(Number(count) + 1);
const scheme = new BatchSettlementEvmScheme(account, { salt, depositStrategy });
const paidTimes = Object.assign([], { onlyPaid: true, asked: [] });
const pay = wrapFetchWithPayment(timed(paidTimes), new x402Client().register("eip155:8453", scheme));
const freeTimes = [];
const ask = timed(freeTimes);
for (let turn = 0; turn < Number(count); turn++) {
  const answer = await pay(`${paid}/v1/chat/completions`, request(`What is a purse? ${turn}`));
  if (answer.status !== 200) throw new Error(`${answer.status}: ${await answer.text()}`);
  if (free !== "-") await ask(`${free}/v1/chat/completions`, request(`What is a purse? ${turn}`));
}
// the first paid call waits for its deposit's block
paidTimes.shift();

// the clerk claims when the channel was idle; then all that went to the contract is added up
let last = -1, gas = 0, transactions = 0;
for (const deadline = Date.now() + 60_000; Date.now() < deadline;) {
  await new Promise(resolve => setTimeout(resolve, 3_000));
  [gas, transactions] = [0, 0];
  const newest = await chain.getBlockNumber();
  for (let number = first + 1n; number <= newest; number++) {
    const block = await chain.getBlock({ blockNumber: number, includeTransactions: true });
    for (const sent of block.transactions.filter(sent => sent.to?.toLowerCase() === settlement)) {
      gas += Number((await chain.getTransactionReceipt({ hash: sent.hash })).gasUsed);
      transactions++;
    }
  }
  if (transactions >= 3 && transactions === last) break;
  last = transactions;
}
if (transactions < 3) throw new Error(`deposit, claim and sweep were expected, ${transactions} transactions were found`);
console.log(JSON.stringify({ exactGas, channelGas: gas, transactions, calls: Number(count), paidMs: median(paidTimes), paidMsP99: p99(paidTimes), freeMs: median(freeTimes), freeMsP99: p99(freeTimes), askedMs: median(paidTimes.asked) }));
process.exit(0);
