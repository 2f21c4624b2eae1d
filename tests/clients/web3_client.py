"""web3.py, unmodified: deploy, call, estimate, send, wait, logs, filters, subscriptions, batches, errors.

Arguments: URL, key, folder of Meter.json.
"""

import asyncio
import json
import sys
from pathlib import Path

from web3 import AsyncWeb3, Web3
from web3.exceptions import ContractCustomError, ContractLogicError, Web3RPCError
from web3.middleware import SignAndSendRawMiddlewareBuilder
from web3.providers import WebSocketProvider

url, key, folder = sys.argv[1:4]
artefact = json.loads(Path(folder, "Meter.json").read_text())

w3 = Web3(Web3.HTTPProvider(url))
account = w3.eth.account.from_key(key)
w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(account), layer=0)
w3.eth.default_account = account.address
assert w3.is_connected()
assert w3.net.version == str(w3.eth.chain_id)


def sent(hash):
    receipt = w3.eth.wait_for_transaction_receipt(hash, poll_latency=0.05)
    assert receipt.status == 1, receipt
    return receipt


made = sent(w3.eth.contract(abi=artefact["abi"], bytecode=artefact["bytecode"]).constructor(5).transact())
meter = w3.eth.contract(address=made.contractAddress, abi=artefact["abi"])
assert meter.functions.count().call() == 5

filter = meter.events.Counted.create_filter(from_block="latest")
heads = w3.eth.filter("latest")
gas = meter.functions.add(7, "seven").estimate_gas()
assert 21_000 < gas < 100_000, gas
receipt = sent(meter.functions.add(7, "seven").transact())
assert [entry.args.note for entry in filter.get_new_entries()] == ["seven"]
assert receipt.blockHash in heads.get_new_entries()
assert meter.events.Counted().process_receipt(receipt)[0].args.at == 12
assert len(meter.events.Counted.get_logs(from_block=0)) == 1
assert w3.eth.uninstall_filter(filter.filter_id)

custom = next(entry for entry in artefact["abi"] if entry.get("name") == "TooMuch")
try:
    meter.functions.add(101, "x").call()
    raise AssertionError("no revert")
except ContractCustomError as error:
    assert error.data.startswith("0x") and custom, error
try:
    meter.functions.fail("because").call()
    raise AssertionError("no revert")
except ContractLogicError as error:
    assert "because" in str(error), error

raw = account.sign_transaction(
    {"to": account.address, "value": 0, "gas": 21_000, "nonce": 0, "gasPrice": w3.eth.gas_price, "chainId": w3.eth.chain_id}
)
try:
    w3.eth.send_raw_transaction(raw.raw_transaction)
    raise AssertionError("an old nonce was taken")
except Web3RPCError as error:
    assert "nonce too low" in str(error), error

with w3.batch_requests() as batch:
    batch.add(w3.eth.get_block("finalized"))
    batch.add(meter.functions.count())
    block, count = batch.execute()
assert receipt.blockNumber <= block.number <= w3.eth.block_number and count == 12
assert w3.eth.get_block(receipt.blockNumber, full_transactions=True).transactions[receipt.transactionIndex]["from"] == account.address
assert w3.eth.fee_history(2, "latest", [50]).oldestBlock >= 0
assert w3.eth.get_transaction_count(account.address, "pending") == w3.eth.get_transaction_count(account.address)


async def pushed():
    async with AsyncWeb3(WebSocketProvider(url.replace("http", "ws"))) as w3s:
        heads = await w3s.eth.subscribe("newHeads")
        logs = await w3s.eth.subscribe("logs", {"address": meter.address})
        await asyncio.to_thread(lambda: sent(meter.functions.add(1, "pushed").transact()))
        # A chain may make blocks all the time, and tells of each.
        numbers, logged = set(), None
        async for message in w3s.socket.process_subscriptions():
            if message["subscription"] == heads:
                numbers.add(message["result"]["number"])
            else:
                logged = message["result"]["blockNumber"]
            if logged in numbers:
                break
        assert await w3s.eth.unsubscribe(heads)


asyncio.run(asyncio.wait_for(pushed(), 30))
print("web3.py: ok")
