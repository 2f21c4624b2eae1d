"""OpenGradient's SDK, unmodified, pays a devnet: python opengradient_sdk.py <gateway> <base rpc> <secret>

Where Base is, it takes from BASE_MAINNET_RPC; where it asks, from `LLM.from_url`, which is its own way for self-hosted servers. Who has
coins approves Permit2 first, as its documentation says; who has none pays all the same.
"""

import asyncio
import os
import sys

gateway, rpc, secret = sys.argv[1:4]
# The package reads it as it is imported.
os.environ["BASE_MAINNET_RPC"] = rpc

import opengradient as og  # noqa: E402
from web3 import Web3  # noqa: E402

MODEL = "local/demo-chat"
chain = Web3(Web3.HTTPProvider(rpc))


def said(question):
    return [{"role": "user", "content": question}]


async def main():
    llm = og.LLM.from_url(private_key=secret, llm_server_url=gateway)
    payer = llm._wallet_account.address
    if chain.eth.get_balance(payer) > 0:
        approved = llm.ensure_opg_approval(min_allowance=1.0)
        assert approved.tx_hash and approved.allowance_after >= 10**18, approved
        assert llm.ensure_opg_approval(min_allowance=1.0).tx_hash is None, "once is enough"
    sent = chain.eth.get_transaction_count(payer)

    for mode in (og.x402SettlementMode.BATCH_HASHED, og.x402SettlementMode.PRIVATE):
        answer = await llm.chat(model=MODEL, messages=said("What is a receipt?"), max_tokens=16, x402_settlement_mode=mode)
        assert answer.chat_output["content"] and answer.finish_reason, answer
        assert answer.usage["completion_tokens"] > 0, answer.usage
    stopped = await llm.chat(model=MODEL, messages=said("What is an epoch?"), max_tokens=16, stop_sequence=["e"], temperature=0.5)
    assert "e" not in stopped.chat_output["content"], stopped
    shaped = await llm.chat(model=MODEL, messages=said("Say yes."), max_tokens=32,
                            response_format=og.ResponseFormat(type="json_object"))
    assert shaped.chat_output["content"].lstrip().startswith("{"), shaped

    completed = await llm.completion(model=MODEL, prompt="A receipt is", max_tokens=8)
    assert completed.completion_output, completed

    chunks = [chunk async for chunk in await llm.chat(model=MODEL, messages=said("What is a term?"), max_tokens=16, stream=True)]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text and chunks[-1].is_final and chunks[-1].choices[0].finish_reason, chunks
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
    called = [chunk async for chunk in await llm.chat(model=MODEL, messages=said("Look."), max_tokens=16, tools=tools, stream=True)]
    assert len(called) == 1 and called[0].is_final, called
    try:
        await llm.chat(model="local/no-such-model", messages=said("Who?"))
    except RuntimeError as error:
        assert "no-such-model" in str(error), error
    else:
        raise AssertionError("an unknown model was answered")
    await llm.close()
    assert chain.eth.get_transaction_count(payer) == sent, "no call needs a transaction of the payer's"


asyncio.run(main())
print("opengradient pays: ok")
