"""The official OpenAI client asks an imported model: an answer, the same in pieces, embeddings. Prints the receipts' ids."""
import json
import sys

import openai

gateway, model = sys.argv[1:]
client = openai.OpenAI(base_url=f"{gateway}/v1", api_key="none", max_retries=0)
question = {"model": model, "messages": [{"role": "user", "content": "What is a receipt?"}], "temperature": 0}

whole = client.chat.completions.create(**question)
text = whole.choices[0].message.content
assert "a signed record of one inference" in text and whole.choices[0].finish_reason == "stop", whole
chunks = [chunk for chunk in client.chat.completions.create(**question, stream=True) if chunk.choices]
pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
assert "".join(pieces) == text and len(pieces) > 3, pieces

texts = ["A receipt is signed.", "The sensor reads 40 degrees.", "A receipt is signed."]
many = client.embeddings.create(model=model, input=texts)
vectors = [each.embedding for each in many.data]
assert [each.index for each in many.data] == [0, 1, 2] and many.usage.prompt_tokens > 3, many
assert all(len(vector) == 256 and abs(sum(x * x for x in vector) - 1) < 1e-4 for vector in vectors), vectors
assert vectors[0] == vectors[2] and vectors[0] != vectors[1], "a text lies where it lies"
# Without a word of the format, the client asks for base64; as numbers they are the same.
one = client.embeddings.create(model=model, input=texts[1], encoding_format="float").data[0].embedding
assert all(abs(x - y) < 1e-6 for x, y in zip(one, vectors[1], strict=True)), one

print(json.dumps([whole.og["receipt_id"], many.og["receipt_id"]]))
