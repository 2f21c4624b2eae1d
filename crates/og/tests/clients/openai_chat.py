"""The official OpenAI client against a gateway, with nothing changed but its base_url."""
import sys

import openai

gateway = sys.argv[1]
client = openai.OpenAI(base_url=f"{gateway}/v1", api_key="none", max_retries=0)
question = [{"role": "user", "content": "What is a receipt?"}]

assert "demo-chat" in [model.id for model in client.models.list()]

whole = client.chat.completions.create(model="demo-chat", messages=question, temperature=0)
text = whole.choices[0].message.content
assert text and whole.choices[0].finish_reason in ("stop", "length"), whole
assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
assert len(whole.og["receipt_id"]) == 64, whole

pieces, receipt = [], None
stream = client.chat.completions.create(
    model="demo-chat", messages=question, temperature=0, stream=True, stream_options={"include_usage": True}
)
for chunk in stream:
    if chunk.choices and chunk.choices[0].delta.content:
        pieces.append(chunk.choices[0].delta.content)
    if getattr(chunk, "og", None):
        receipt = chunk.og["receipt_id"]
assert "".join(pieces) == text, (pieces, text)
assert len(pieces) > 3, "the answer was not streamed"
assert receipt and receipt != whole.og["receipt_id"]

sampled = [
    client.chat.completions.create(model="demo-chat", messages=question, temperature=1.5, seed=7, max_tokens=12)
    for _ in range(2)
]
assert sampled[0].choices[0].message.content == sampled[1].choices[0].message.content, "one seed, two answers"


def refused(error, **changes):
    try:
        client.chat.completions.create(**{"model": "demo-chat", "messages": question, **changes})
    except error as refusal:
        return refusal
    raise AssertionError(f"{changes} was taken")


assert refused(openai.NotFoundError, model="nobody").code == "model_not_found"
assert refused(openai.BadRequestError, messages=[]).param == "messages"
assert refused(openai.BadRequestError, temperature=9).param == "temperature"
assert refused(openai.BadRequestError, n=0).param == "n"
both = client.chat.completions.create(model="demo-chat", messages=question, temperature=0, n=2, max_tokens=4)
assert len(both.choices) == 2 and len({each["receipt_id"] for each in both.og}) == 2, both
too_long = [{"role": "user", "content": "word " * 3000}]
assert refused(openai.BadRequestError, messages=too_long).code == "context_length_exceeded"
print("the official client is content")
