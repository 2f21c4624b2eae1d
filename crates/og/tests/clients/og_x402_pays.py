"""OpenGradient's fork of x402, unmodified, pays a devnet as its SDK does, without gas: python og_x402_pays.py <gateway> <base rpc> <secret>

Nothing is approved before: its signer, which has an RPC, signs the approval with the session (EIP-2612).
"""

import asyncio
import json
import sys

from eth_account import Account
from web3 import Web3
from x402 import x402Client
from x402.http.clients.httpx import x402HttpxClient
from x402.mechanisms.evm.exact.register import register_exact_evm_client
from x402.mechanisms.evm.signers import EthAccountSignerWithRPC
from x402.mechanisms.evm.upto.register import register_upto_evm_client

gateway, rpc, secret = sys.argv[1:4]
account = Account.from_key(secret)
chain = Web3(Web3.HTTPProvider(rpc))
OPG = "0xFbC2051AE2265686a469421b2C5A2D5462FbF5eB"
NETWORK = "eip155:8453"


def body(question, stream=False):
    return {"model": "demo-chat", "max_tokens": 16, "stream": stream, "messages": [{"role": "user", "content": question}]}


def only_opg(version, offers):
    return [offer for offer in offers if offer.scheme == "upto" and offer.asset.lower() == OPG.lower()]


async def main():
    client = x402Client()
    signer = EthAccountSignerWithRPC(account, rpc)
    register_exact_evm_client(client, signer, networks=NETWORK, policies=[only_opg])
    register_upto_evm_client(client, signer, networks=NETWORK, policies=[only_opg])
    asked = []

    async with x402HttpxClient(client, timeout=60) as api:
        api._transport._transport = Counting(api._transport._transport, asked)
        headers = {"X-SETTLEMENT-TYPE": "private", "Authorization": "Bearer 0x" + "12345678" * 8}
        spent = 0
        for question in ["What is a receipt?", "What is a term?", "What is an epoch?"]:
            answer = await api.post(f"{gateway}/v1/chat/completions", json=body(question), headers=headers)
            assert answer.status_code == 200, answer.text
            paid = answer.json()["og"]["payment"]
            assert paid["scheme"] == "upto" and int(paid["charged"]) > 0, paid
            spent += int(paid["charged"])
        # One challenge and one payment; every later call draws on the session.
        assert asked == ["none", "signature", "session", "session"], asked
        async with api.stream("POST", f"{gateway}/v1/chat/completions", json=body("And a purse?", True), headers=headers) as answer:
            assert answer.status_code == 200
            lines = [line async for line in answer.aiter_lines()]
        assert "data: [DONE]" in lines, lines
        last = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
        assert any(event.get("og", {}).get("payment") for event in last), last[-1]


def kind(request):
    for name, word in [("x-upto-session", "session"), ("payment-signature", "signature")]:
        if name in request.headers:
            return word
    return "none"


class Counting:
    """What the client sends, in order."""

    def __init__(self, inner, asked):
        self._inner, self._asked = inner, asked

    async def handle_async_request(self, request):
        self._asked.append(kind(request))
        return await self._inner.handle_async_request(request)

    async def aclose(self):
        await self._inner.aclose()


asyncio.run(main())
assert chain.eth.get_transaction_count(account.address) == 0, "the payer sent no transaction"
print("og-x402 pays: ok")
