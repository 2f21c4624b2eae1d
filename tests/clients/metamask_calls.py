"""What MetaMask asks of a chain, in its order: adding the network, showing accounts and tokens, sending, waiting. Each answer must
have the fields without which the wallet shows nothing, or shows something else.

Arguments: URL, key, folder of Meter.json, and, where there is one, the address of a token.
"""

import json
import sys
import time
import urllib.request

from eth_account import Account

url, key = sys.argv[1:3]
token = sys.argv[4] if len(sys.argv) > 4 else None
account = Account.from_key(key)
me = account.address.lower()
nobody = "0x00000000000000000000000000000000000000ff"
# The wallet numbers its requests so that no two are alike, and takes an answer by its number only.
serial = 4_211_790_000


def answer(method, *params):
    global serial
    serial += 1
    body = json.dumps({"id": serial, "jsonrpc": "2.0", "method": method, "params": list(params)}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.status == 200, (method, response.status)
        said = json.load(response)
    assert said["jsonrpc"] == "2.0" and said["id"] == serial, (method, said)
    return said


def ask(method, *params):
    said = answer(method, *params)
    assert "error" not in said and "result" in said, (method, said)
    return said["result"]


def refused(method, *params):
    said = answer(method, *params)
    assert "result" not in said, (method, said)
    return said["error"]


def quantity(text):
    """A number as the wallet reads it: no leading zeros."""
    assert isinstance(text, str) and text == hex(int(text, 16)), text
    return int(text, 16)


def data(text, length=None):
    assert isinstance(text, str) and text.startswith("0x") and len(text) % 2 == 0, text
    raw = bytes.fromhex(text[2:])
    assert length is None or len(raw) == length, (text, length)
    return raw


# Adding the network: the id that is typed in must be the one that is answered, in hexadecimal here and in decimal there.
chain = quantity(ask("eth_chainId"))
assert ask("net_version") == str(chain)
assert isinstance(ask("web3_clientVersion"), str)
assert ask("eth_accounts") == [], "accounts are the wallet's, not the node's"
assert ask("eth_syncing") is False

# Following blocks. Where the newest one has a base fee, the wallet sends by EIP-1559.
height = quantity(ask("eth_blockNumber"))
latest = ask("eth_getBlockByNumber", "latest", False)
assert quantity(latest["number"]) >= height
for field in ("number", "timestamp", "gasLimit", "gasUsed", "baseFeePerGas"):
    quantity(latest[field])
for field in ("hash", "parentHash"):
    data(latest[field], 32)
data(latest["miner"], 20)
assert all(len(data(hash)) == 32 for hash in latest["transactions"])

# Showing an account, and whether who is paid is a contract.
assert quantity(ask("eth_getBalance", me, "latest")) > 0
assert quantity(ask("eth_getBalance", nobody, "latest")) == 0
assert ask("eth_getCode", nobody, "latest") == "0x"

# Showing a token: its words, and what it is not.
if token:
    def call(selector, rest=""):
        return ask("eth_call", {"to": token, "data": selector + rest}, "latest")

    assert len(data(ask("eth_getCode", token, "latest"))) > 0
    word = data(call("0x95d89b41"))
    assert word[32:64] != bytes(32) and len(word) == 96, "symbol() is text"
    assert 0 < int.from_bytes(data(call("0x313ce567"), 32)) <= 18, "decimals()"
    held = data(call("0x70a08231", me[2:].rjust(64, "0")), 32)
    assert int.from_bytes(held) > 0, "balanceOf(address)"
    error = refused("eth_call", {"to": token, "data": "0x01ffc9a7" + "80ac58cd".ljust(64, "0")}, "latest")
    assert error["code"] in (3, -32000) and isinstance(error["message"], str), error

# Fees: three guesses from five blocks, and the price for chains without them.
history = ask("eth_feeHistory", "0x5", "latest", [10, 20, 30])
blocks = len(history["gasUsedRatio"])
quantity(history["oldestBlock"])
assert 1 <= blocks <= 5 and len(history["baseFeePerGas"]) == blocks + 1 and len(history["reward"]) == blocks
assert all(len(rewards) == 3 and all(quantity(reward) >= 0 for reward in rewards) for rewards in history["reward"])
assert all(0 <= ratio <= 1 for ratio in history["gasUsedRatio"])
next_fee = quantity(history["baseFeePerGas"][-1])
price = quantity(ask("eth_gasPrice"))
tip = quantity(ask("eth_maxPriorityFeePerGas"))
assert price >= tip

# Sending. The nonce counts what waits.
nonce = quantity(ask("eth_getTransactionCount", me, "pending"))
assert quantity(ask("eth_getTransactionCount", me, "latest")) <= nonce
gas = quantity(ask("eth_estimateGas", {"from": me, "to": nobody, "value": "0x1"}))
assert gas >= 21_000
fees = {"maxFeePerGas": 2 * next_fee + tip, "maxPriorityFeePerGas": tip}
transaction = {"type": 2, "chainId": chain, "nonce": nonce, "to": account.address, "value": 1, "data": b"", "gas": gas + 21_000}
signed = account.sign_transaction({**transaction, **fees})
hash = ask("eth_sendRawTransaction", "0x" + bytes(signed.raw_transaction).hex())
assert data(hash, 32) == bytes(signed.hash)
assert quantity(ask("eth_getTransactionCount", me, "pending")) == nonce + 1
seen = ask("eth_getTransactionByHash", hash)
assert seen["hash"] == hash and seen["from"] == me and quantity(seen["nonce"]) == nonce

# Waiting: nothing is null, not an error, and what is there says how it went.
assert ask("eth_getTransactionReceipt", "0x" + "ab" * 32) is None
deadline = time.monotonic() + 30
while (receipt := ask("eth_getTransactionReceipt", hash)) is None:
    assert time.monotonic() < deadline, "no receipt"
    time.sleep(0.05)
assert receipt["status"] == "0x1" and receipt["transactionHash"] == hash, receipt
for field in ("blockNumber", "transactionIndex", "gasUsed", "cumulativeGasUsed", "effectiveGasPrice", "type"):
    quantity(receipt[field])
assert receipt["logs"] == [] and receipt["contractAddress"] is None
data(receipt["logsBloom"], 256)
assert receipt["from"] == me and receipt["to"] == me
# When it was, and what it cost.
block = ask("eth_getBlockByHash", receipt["blockHash"], False)
assert block["number"] == receipt["blockNumber"] and hash in block["transactions"]
assert quantity(block["timestamp"]) > 0 and quantity(block["baseFeePerGas"]) >= 0
assert quantity(ask("eth_getTransactionCount", me, "latest")) == nonce + 1

# A speed-up that comes too late, and what no chain has: words that the wallet knows, and no broken answer.
late = account.sign_transaction({**transaction, **fees, "value": 2})
assert "nonce too low" in refused("eth_sendRawTransaction", "0x" + bytes(late.raw_transaction).hex())["message"]
assert refused("eth_decrypt", "0x", me)["code"] == -32601
print("metamask: ok")
