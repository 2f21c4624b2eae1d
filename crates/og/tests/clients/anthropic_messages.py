"""The official Anthropic client against a gateway, with nothing changed but its base_url."""
import json
import sys

import anthropic

client = anthropic.Anthropic(base_url=sys.argv[1], api_key="none", max_retries=0)
MODEL = "demo-chat"
# The client has no word for it any more, and passes on what it is given.
GREEDY = {"extra_body": {"temperature": 0}}
question = [{"role": "user", "content": "What is a receipt?"}]
tools = [
    {
        "name": "weather",
        "description": "The weather in a city.",
        "input_schema": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Oslo", "Paris"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
    {"name": "clock", "input_schema": {"type": "object", "properties": {}, "additionalProperties": False}},
]


def ask(**changes):
    return client.messages.create(**{"model": MODEL, "messages": question, "max_tokens": 64, **GREEDY, **changes})


def refused(error, call, **arguments):
    try:
        call(**arguments)
    except error as refusal:
        return refusal
    raise AssertionError(f"{arguments} was taken")


def whole_and_streamed():
    whole = ask()
    assert whole.type == "message" and whole.role == "assistant" and whole.stop_reason == "end_turn", whole
    text = whole.content[0].text
    assert text and len(whole.og["receipt_id"]) == 64, whole
    with client.messages.stream(model=MODEL, messages=question, max_tokens=64, **GREEDY) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert "".join(pieces) == text and len(pieces) > 3, (pieces, text)
    assert final.usage.output_tokens == whole.usage.output_tokens and final.stop_reason == "end_turn", final
    assert final.usage.input_tokens == whole.usage.input_tokens, (final.usage, whole.usage)
    kinds = [event.type for event in ask(stream=True)]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"], kinds
    cut = ask(max_tokens=3)
    assert cut.stop_reason == "max_tokens" and cut.usage.output_tokens == 3, cut
    word = text.split()[2]
    stopped = ask(stop_sequences=[word])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", word), stopped
    assert stopped.content[0].text == text[: text.index(word)], stopped
    told = ask(system="You answer in one word.", messages=[
        {"role": "user", "content": [{"type": "text", "text": "Hello."}]},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "What is an epoch?"},
    ])
    assert told.content[0].text, told


def calls_of_tools():
    named = ask(tools=tools, tool_choice={"type": "tool", "name": "weather"})
    assert named.stop_reason == "tool_use", named
    call = named.content[0]
    assert call.type == "tool_use" and call.name == "weather" and call.input["city"] in ("Oslo", "Paris"), call
    one = ask(tools=tools, tool_choice={"type": "any", "disable_parallel_tool_use": True})
    assert [block.type for block in one.content] == ["tool_use"], one
    with client.messages.stream(model=MODEL, messages=question, max_tokens=64, tools=tools, **GREEDY,
                                tool_choice={"type": "tool", "name": "weather"}) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    assert final.content[0].input == call.input and "input_json" in kinds, (kinds, final)
    free = ask(tools=tools)
    assert free.stop_reason in ("end_turn", "tool_use", "max_tokens"), free
    none = ask(tools=tools, tool_choice={"type": "none"})
    assert all(block.type == "text" for block in none.content), none
    answered = ask(tools=tools, messages=[
        *question,
        {"role": "assistant", "content": [call.to_dict()]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]},
    ])
    assert answered.usage.input_tokens > free.usage.input_tokens, answered


def structured_answers():
    schema = {"type": "object", "properties": {"held": {"type": "boolean"}}, "required": ["held"],
              "additionalProperties": False}
    whole = ask(output_config={"format": {"type": "json_schema", "schema": schema}})
    assert isinstance(json.loads(whole.content[0].text)["held"], bool), whole
    strict = ask(tools=[{**tools[0], "strict": True}])
    for call in (block for block in strict.content if block.type == "tool_use"):
        assert call.input["city"] in ("Oslo", "Paris"), strict


def counted_tokens():
    plain = client.messages.count_tokens(model=MODEL, messages=question)
    assert plain.input_tokens == ask(max_tokens=1).usage.input_tokens
    with_tools = client.messages.count_tokens(model=MODEL, messages=question, tools=tools, system="Be brief.")
    answered = ask(max_tokens=1, tools=tools, system="Be brief.")
    assert with_tools.input_tokens == answered.usage.input_tokens > plain.input_tokens, (with_tools, answered.usage)


def errors():
    unknown = refused(anthropic.NotFoundError, ask, model="nobody")
    assert unknown.body["type"] == "error" and unknown.body["error"]["type"] == "not_found_error", unknown.body
    wrong = refused(anthropic.BadRequestError, ask, max_tokens=0)
    assert wrong.body["error"]["type"] == "invalid_request_error" and "max_tokens" in str(wrong), wrong
    refused(anthropic.BadRequestError, ask, messages=[{"role": "user", "content": "word " * 3000}])
    refused(anthropic.BadRequestError, ask, messages=[])
    refused(anthropic.BadRequestError, ask, thinking={"type": "enabled", "budget_tokens": 1024})
    picture = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
    assert "text" in str(refused(anthropic.BadRequestError, ask, messages=[{"role": "user", "content": [picture]}]))
    # Larger than any body may be, which has an exception of its own.
    large = [{"role": "user", "content": "a" * (1 << 21)}]
    assert refused(anthropic.APIStatusError, ask, messages=large).status_code == 413


whole_and_streamed()
calls_of_tools()
structured_answers()
counted_tokens()
errors()
print("the official client is content")
