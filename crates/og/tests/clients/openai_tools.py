"""The official OpenAI client: tools, structured answers, scores, stop texts, completions, embeddings and responses."""
import json
import sys
from typing import Literal

import openai
from pydantic import BaseModel

client = openai.OpenAI(base_url=f"{sys.argv[1]}/v1", api_key="none", max_retries=0)
MODEL = "demo-chat"
question = [{"role": "user", "content": "What is the weather in Oslo?"}]


class Weather(BaseModel):
    """The weather in a city."""

    city: Literal["Oslo", "Paris"]
    celsius: bool


class Verdict(BaseModel):
    held: bool
    level: Literal["signed", "audited"]


weather = openai.pydantic_function_tool(Weather, name="weather")
assert weather["function"]["strict"] is True
# Without parameters, which means that there are none.
clock = {"type": "function", "function": {"name": "clock"}}
tools = [weather, clock]


def chat(**changes):
    return client.chat.completions.create(**{"model": MODEL, "messages": question, "temperature": 0, **changes})


def refused(error, call, **arguments):
    try:
        call(**arguments)
    except error as refusal:
        return refusal
    raise AssertionError(f"{arguments} was taken")


def check_call(call):
    assert call.type == "function" and call.id.startswith("call_"), call
    if call.function.name == "weather":
        Weather.model_validate_json(call.function.arguments)
    else:
        assert call.function.name == "clock" and json.loads(call.function.arguments) == {}, call


def choices_of_tools():
    required = chat(tools=tools, tool_choice="required")
    assert required.choices[0].finish_reason == "tool_calls", required
    assert required.choices[0].message.content is None, required
    for call in required.choices[0].message.tool_calls:
        check_call(call)
    one = chat(tools=tools, tool_choice="required", parallel_tool_calls=False)
    assert len(one.choices[0].message.tool_calls) == 1, one
    named = chat(tools=tools, tool_choice={"type": "function", "function": {"name": "clock"}})
    assert [call.function.name for call in named.choices[0].message.tool_calls] == ["clock"], named
    free = chat(tools=tools, tool_choice="auto")
    for call in free.choices[0].message.tool_calls or []:
        check_call(call)
    assert free.choices[0].message.content or free.choices[0].message.tool_calls, free
    none = chat(tools=tools, tool_choice="none")
    assert none.choices[0].message.tool_calls is None, none
    wrong = {"type": "function", "function": {"name": "nobody"}}
    assert refused(openai.BadRequestError, chat, tools=tools, tool_choice=wrong).param == "tool_choice.function.name"
    call = named.choices[0].message
    history = [*question, call.to_dict(), {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": "noon"}]
    told = chat(messages=history, tools=tools, max_tokens=8)
    assert told.choices[0].message.content is not None and told.usage.prompt_tokens > named.usage.prompt_tokens


def streamed_calls():
    parts, finish = {}, None
    for chunk in chat(tools=tools, tool_choice="required", stream=True):
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or []:
                whole = parts.setdefault(call.index, {"name": "", "arguments": "", "id": ""})
                whole["id"] += call.id or ""
                whole["name"] += call.function.name or ""
                whole["arguments"] += call.function.arguments or ""
    assert finish == "tool_calls" and sorted(parts) == list(range(len(parts))), (finish, parts)
    whole = chat(tools=tools, tool_choice="required").choices[0].message.tool_calls
    told = [(part["name"], part["arguments"]) for part in parts.values()]
    assert told == [(call.function.name, call.function.arguments) for call in whole], (told, whole)
    # The client's own accumulator reads the same events.
    with client.chat.completions.stream(model=MODEL, messages=question, temperature=0, tools=[weather],
                                        tool_choice="required") as stream:
        kinds = {event.type for event in stream}
        parsed = stream.get_final_completion().choices[0].message.tool_calls[0].function.parsed_arguments
    assert "tool_calls.function.arguments.done" in kinds and isinstance(parsed, Weather), (kinds, parsed)


def structured_answers():
    parsed = client.chat.completions.parse(model=MODEL, messages=question, temperature=0, response_format=Verdict)
    assert isinstance(parsed.choices[0].message.parsed, Verdict), parsed
    loose = chat(response_format={"type": "json_object"}, max_tokens=200, seed=3, temperature=0.7)
    assert loose.choices[0].finish_reason == "length" or isinstance(json.loads(loose.choices[0].message.content), dict)
    schema = {"name": "broken", "strict": True, "schema": {"type": "strange"}}
    broken = {"type": "json_schema", "json_schema": schema}
    assert refused(openai.BadRequestError, chat, response_format=broken).code == "invalid_value"
    with client.chat.completions.stream(model=MODEL, messages=question, temperature=0, response_format=Verdict) as stream:
        for _ in stream:
            pass
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Verdict)


def scores_and_stops():
    told = [{"role": "user", "content": "What is a receipt?"}]
    scored = chat(messages=told, logprobs=True, top_logprobs=3, max_tokens=5)
    tokens = scored.choices[0].logprobs.content
    assert len(tokens) == scored.usage.completion_tokens == 5, scored
    assert "".join(token.token for token in tokens) == scored.choices[0].message.content
    for token in tokens:
        assert token.logprob <= 0 and len(token.top_logprobs) == 3 and bytes(token.bytes).decode() == token.token
        assert token.top_logprobs[0].logprob == token.logprob, "greedy takes the likeliest"
    plain = chat(messages=told, max_tokens=30).choices[0].message.content
    word = plain.split()[2]
    stopped = chat(messages=told, max_tokens=30, stop=[word, "\0"])
    assert stopped.choices[0].message.content == plain[: plain.index(word)], (plain, stopped)
    assert stopped.choices[0].finish_reason == "stop"
    # Far from all that it was trained on, and hot.
    odd = [{"role": "user", "content": "Sing of seven seas and silver."}]
    two = chat(messages=odd, n=2, temperature=2, seed=11, max_tokens=30)
    again = chat(messages=odd, n=2, temperature=2, seed=11, max_tokens=30)
    texts = [choice.message.content for choice in two.choices]
    assert texts == [choice.message.content for choice in again.choices] and texts[0] != texts[1], texts


def completions():
    whole = client.completions.create(model=MODEL, prompt="A receipt", max_tokens=6, temperature=0)
    assert whole.choices[0].text and whole.usage.completion_tokens <= 6, whole
    echoed = client.completions.create(model=MODEL, prompt="A receipt", max_tokens=0, echo=True, logprobs=1)
    scores = echoed.choices[0].logprobs
    assert "".join(scores.tokens) == "A receipt" == echoed.choices[0].text, echoed
    assert scores.token_logprobs[0] is None and all(score <= 0 for score in scores.token_logprobs[1:]), scores
    pieces = [chunk.choices[0].text for chunk in client.completions.create(
        model=MODEL, prompt="A receipt", max_tokens=6, temperature=0, stream=True) if chunk.choices]
    assert "".join(pieces) == whole.choices[0].text, (pieces, whole)
    many = client.completions.create(model=MODEL, prompt=["A receipt", "An epoch"], n=2, max_tokens=2)
    assert [choice.index for choice in many.choices] == [0, 1, 2, 3], many


def embeddings():
    # The demo model makes none, and says so in the words of a refusal that nobody sends again.
    refusal = refused(openai.BadRequestError, client.embeddings.create, model=MODEL, input=["one text", "another"])
    assert "embeddings" in str(refusal) and refusal.response.headers["x-should-retry"] == "false", refusal
    assert refused(openai.BadRequestError, client.embeddings.create, model=MODEL, input=[]).param == "input"


def models():
    card = client.models.retrieve(MODEL)
    assert card.id == MODEL and card.object == "model" and len(card.root) == 64, card
    assert client.models.retrieve(card.root).id == MODEL
    assert refused(openai.NotFoundError, client.models.retrieve, model="nobody").code == "model_not_found"


def responses():
    told = "What is a receipt?"
    whole = client.responses.create(model=MODEL, input=told, temperature=0)
    assert whole.status == "completed" and whole.output_text, whole
    assert whole.output_text == chat(messages=[{"role": "user", "content": told}]).choices[0].message.content
    with client.responses.stream(model=MODEL, input=told, temperature=0) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert final.output_text == whole.output_text and kinds[0] == "response.created", kinds
    assert kinds[-1] == "response.completed" and kinds.count("response.output_text.delta") > 3, kinds
    parsed = client.responses.parse(model=MODEL, input=told, temperature=0, text_format=Verdict)
    assert isinstance(parsed.output_parsed, Verdict), parsed
    tool = openai.pydantic_function_tool(Weather, name="weather")["function"]
    tool = {"type": "function", "name": "weather", "parameters": tool["parameters"], "strict": True}
    called = client.responses.create(model=MODEL, input=told, temperature=0, tools=[tool], tool_choice="required",
                                     parallel_tool_calls=False)
    call = called.output[0]
    assert call.type == "function_call" and Weather.model_validate_json(call.arguments), called
    counted = client.responses.input_tokens.count(model=MODEL, input=told, tools=[tool], tool_choice="required")
    assert counted.input_tokens == called.usage.input_tokens, (counted, called.usage)
    answered = [{"role": "user", "content": told}, call.to_dict(),
                {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]
    assert client.responses.create(model=MODEL, input=answered, max_output_tokens=4).status == "incomplete"
    gone = refused(openai.BadRequestError, client.responses.create, model=MODEL, input=told, previous_response_id="r")
    assert gone.param == "previous_response_id", gone


choices_of_tools()
streamed_calls()
structured_answers()
scores_and_stops()
completions()
embeddings()
models()
responses()
print("the official client is content")
