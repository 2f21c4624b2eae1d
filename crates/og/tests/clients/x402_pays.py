"""PyPI's x402, unmodified, pays a devnet without gas: python x402_pays.py <gateway> <base rpc> <secret>

By every scheme; of tokens that Permit2 moves, the approval is signed with the payment (EIP-2612) by the client's own signer with an RPC.
"""

import base64
import json
import sys

import requests
from eth_account import Account
from web3 import Web3
from x402 import x402ClientSync
from x402.http.clients.requests import x402_requests
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme
from x402.mechanisms.evm.exact import ExactEvmScheme
from x402.mechanisms.evm.signers import EthAccountSigner, EthAccountSignerWithRPC
from x402.mechanisms.evm.upto import UptoEvmScheme

gateway, rpc, secret = sys.argv[1:4]
account = Account.from_key(secret)
web3 = Web3(Web3.HTTPProvider(rpc))
URL = f"{gateway}/v1/chat/completions"
USDC = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"
OPG = "0xFbC2051AE2265686a469421b2C5A2D5462FbF5eB"
ERC20 = [
    {"type": "function", "name": "balanceOf", "inputs": [{"name": "a", "type": "address"}],
     "outputs": [{"type": "uint256"}], "stateMutability": "view"},
]


def holds(token):
    return web3.eth.contract(address=token, abi=ERC20).functions.balanceOf(account.address).call()


def body(question, stream=False):
    return {"model": "demo-chat", "max_tokens": 16, "stream": stream,
            "messages": [{"role": "user", "content": question}]}


def session(scheme, wanted):
    client = x402ClientSync()
    client.set_spend_controls(False)
    client.register("eip155:8453", scheme)
    client.register_policy(lambda version, offers: [offer for offer in offers if offer.asset.lower() == wanted.lower()])
    return x402_requests(client)


def response_of(answer):
    return json.loads(base64.b64decode(answer.headers["PAYMENT-RESPONSE"]))


unpaid = requests.post(URL, json=body("What is a receipt?"))
assert unpaid.status_code == 402 and "PAYMENT-REQUIRED" in unpaid.headers, unpaid.text
signer, reader = EthAccountSigner(account), EthAccountSignerWithRPC(account, rpc)
coins = web3.eth.get_balance(account.address)

# exact by EIP-3009
before = holds(USDC)
answer = session(ExactEvmScheme(signer), USDC).post(URL, json=body("What is a receipt?"))
assert answer.status_code == 200, answer.text
paid = answer.json()["og"]["payment"]
assert paid["scheme"] == "exact" and int(paid["charged"]) == int(paid["max"]) > 0, paid
settled = response_of(answer)
assert settled["success"] and settled["transaction"].startswith("0x"), settled
assert before - holds(USDC) == int(paid["charged"]), "what was charged has left, and nothing else"

# exact by Permit2, which may move nothing yet: a client that cannot ask the chain is refused, another signs that it may
refused = session(ExactEvmScheme(signer), OPG).post(URL, json=body("Who are you?"))
assert refused.status_code == 412, refused.status_code
before = holds(OPG)
answer = session(ExactEvmScheme(reader), OPG).post(URL, json=body("Who are you?"))
assert answer.status_code == 200, answer.text
assert before - holds(OPG) == int(answer.json()["og"]["payment"]["charged"]) > 0

# upto: a session that the next call draws on
answer = session(UptoEvmScheme(reader), OPG).post(URL, json=body("What is an epoch?"))
assert answer.status_code == 200, answer.text
paid = answer.json()["og"]["payment"]
assert paid["scheme"] == "upto" and 0 < int(paid["charged"]) <= int(paid["max"])
token = answer.headers["X-Upto-Session"]
again = requests.post(URL, json=body("And a term?"), headers={"X-Upto-Session": token})
assert again.status_code == 200, again.text
forged = requests.post(URL, json=body("And a term?"), headers={"X-Upto-Session": token[:-1] + ("0" if token[-1] != "0" else "1")})
assert forged.status_code == 402, forged.status_code

# a channel: a deposit, then vouchers; a stream in between
channel = session(BatchSettlementEvmScheme(signer), USDC)
charged = 0
for turn in range(3):
    answer = channel.post(URL, json=body(f"What is a purse? {turn}"))
    assert answer.status_code == 200, answer.text
    charged += int(answer.json()["og"]["payment"]["charged"])
streamed = channel.post(URL, json=body("Tell me of auditors.", stream=True))
assert streamed.status_code == 200 and "[DONE]" in streamed.text, streamed.text
last = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: {")]
charged += sum(int(event["og"]["payment"]["charged"]) for event in last if event.get("og", {}).get("payment"))
answer = channel.post(URL, json=body("And of gateways."))
assert answer.status_code == 200, answer.text
charged += int(answer.json()["og"]["payment"]["charged"])
state = response_of(answer)["extra"]["channelState"]
assert int(state["chargedCumulativeAmount"]) >= charged > 0, (state, charged)
assert web3.eth.get_transaction_count(account.address) == 0, "the payer sent no transaction"
assert web3.eth.get_balance(account.address) == coins, "and was lent nothing"
print("x402 pays: ok")
