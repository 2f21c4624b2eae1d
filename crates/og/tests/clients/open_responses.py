"""The acceptance cases of Open Responses over HTTP: each answer and event read by the types made from its specification.

The demo model calls no tool on its own, so the cases of tools say that one is required.
"""
import json
import sys
import urllib.error
import urllib.request

import openresponses_types as types
from pydantic import ValidationError

MODEL = "demo-chat"
EVENTS = {
    "response.created": types.ResponseCreatedStreamingEvent,
    "response.in_progress": types.ResponseInProgressStreamingEvent,
    "response.completed": types.ResponseCompletedStreamingEvent,
    "response.incomplete": types.ResponseIncompleteStreamingEvent,
    "response.output_item.added": types.ResponseOutputItemAddedStreamingEvent,
    "response.output_item.done": types.ResponseOutputItemDoneStreamingEvent,
    "response.content_part.added": types.ResponseContentPartAddedStreamingEvent,
    "response.content_part.done": types.ResponseContentPartDoneStreamingEvent,
    "response.output_text.delta": types.ResponseOutputTextDeltaStreamingEvent,
    "response.output_text.done": types.ResponseOutputTextDoneStreamingEvent,
    "response.function_call_arguments.delta": types.ResponseFunctionCallArgumentsDeltaStreamingEvent,
    "response.function_call_arguments.done": types.ResponseFunctionCallArgumentsDoneStreamingEvent,
    "error": types.ErrorStreamingEvent,
}


def post(body):
    request = urllib.request.Request(
        f"{sys.argv[1]}/v1/responses", json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": "Bearer none"},
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def say(role, content):
    return {"type": "message", "role": role, "content": content}


def whole(items, **changes):
    status, _, text = post({"model": MODEL, "input": items, "temperature": 0, **changes})
    assert status == 200, text
    told = json.loads(text)
    # Clients want the schema echoed; the specification's type allows nothing but null there.
    told["text"]["format"].pop("schema", None)
    told["text"]["format"].setdefault("schema", None)
    response = types.ResponseResource.model_validate(told)
    assert response.output, "a response without output"
    return response


def streamed(items, **changes):
    """All events, each read by its own type, and the response of the last."""
    status, headers, text = post({"model": MODEL, "input": items, "temperature": 0, "stream": True, **changes})
    assert status == 200 and headers["Content-Type"].startswith("text/event-stream"), text
    events = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        if fields["data"] == "[DONE]":
            continue
        event = json.loads(fields["data"])
        assert fields["event"] == event["type"], block
        EVENTS[event["type"]].model_validate(event)
        events.append(event)
    assert text.rstrip().endswith("data: [DONE]")
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events, types.ResponseResource.model_validate(events[-1]["response"])


WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather for a location",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string", "enum": ["San Francisco, CA", "Oslo"]}},
        "required": ["location"],
        "additionalProperties": False,
    },
}
# As the specification has it, all three optional fields left out.
CLOCK = {"type": "function", "name": "clock"}


def basic():
    assert whole([say("user", "What is a receipt?")]).status == "completed"
    assert whole("What is a receipt?").status == "completed"


def streaming():
    events, response = streamed([say("user", "What is a receipt?")])
    assert response.status == "completed", response
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert text == response.output[0].content[0].text == whole("What is a receipt?").output[0].content[0].text
    kinds = [event["type"] for event in events]
    order = ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"]
    assert kinds[:4] == order and kinds[-4:] == [
        "response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed",
    ], kinds


def system_prompt():
    told = [say("system", "You are a pirate. Always respond in pirate speak."), say("user", "Say hello.")]
    assert whole(told).status == "completed"
    assert whole("Say hello.", instructions="You are a pirate.").instructions == "You are a pirate."


def calls(response):
    return [item for item in response.output if item.type == "function_call"]


def tool_calling():
    asked = [say("user", "What's the weather like in San Francisco?")]
    response = whole(asked, tools=[WEATHER, CLOCK], tool_choice="required")
    assert calls(response) and response.status == "completed", response
    echoed = [tool.root.name for tool in response.tools]
    assert echoed == ["get_weather", "clock"], echoed
    events, response = streamed(asked, tools=[WEATHER], tool_choice={"type": "function", "name": "get_weather"})
    call = calls(response)[0]
    assert json.loads(call.arguments)["location"] in ("San Francisco, CA", "Oslo"), call
    kinds = [event["type"] for event in events]
    added = [event for event in events if event["type"] == "response.output_item.added"]
    done = [event for event in events if event["type"] == "response.output_item.done"]
    assert added[0]["item"]["type"] == done[0]["item"]["type"] == "function_call", (added, done)
    deltas = [event for event in events if event["type"] == "response.function_call_arguments.delta"]
    assert "".join(event["delta"] for event in deltas) == call.arguments, deltas
    assert "response.function_call_arguments.done" in kinds, kinds
    back = [*asked, {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments},
            {"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees"}]
    assert whole(back, tools=[WEATHER]).output[0].type == "message"


def multi_turn():
    told = [
        say("user", "My name is Alice."),
        say("assistant", "Hello Alice! Nice to meet you. How can I help you today?"),
        say("user", "What is my name?"),
    ]
    assert whole(told).status == "completed"
    parts = [say("user", [{"type": "input_text", "text": "My name is Alice."}]),
             say("assistant", [{"type": "output_text", "text": "Hello Alice!"}]), say("user", "What is my name?")]
    assert whole(parts).status == "completed"


def what_is_echoed():
    response = whole("Hello.", max_output_tokens=1, reasoning={"effort": "low"}, metadata={"a": "b"}, top_p=0.5)
    assert response.status == "incomplete" and response.incomplete_details.reason == "max_output_tokens", response
    assert response.reasoning.effort == "low" and response.metadata == {"a": "b"} and response.top_p == 0.5, response
    schema = {"type": "object", "properties": {"held": {"type": "boolean"}}, "required": ["held"],
              "additionalProperties": False}
    wish = {"format": {"type": "json_schema", "name": "verdict", "schema": schema, "strict": True}}
    response = whole("Does it hold?", text=wish)
    assert isinstance(json.loads(response.output[0].content[0].text)["held"], bool), response
    events, _ = streamed("Hello.", include=["message.output_text.logprobs"], top_logprobs=2, max_output_tokens=4)
    scored = [event for event in events if event["type"] == "response.output_text.delta" and event["logprobs"]]
    assert scored and len(scored[0]["logprobs"][0]["top_logprobs"]) == 2, events


def what_is_refused():
    picture = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    for body, param in [
        ({"input": [say("user", [{"type": "input_text", "text": "What is it?"}, picture])]}, "input[0].content[1].type"),
        ({"input": "hi", "previous_response_id": "resp_1"}, "previous_response_id"),
        ({"input": "hi", "store": True}, "store"),
        ({"input": "hi", "background": True}, "background"),
        ({"input": []}, "input"),
        ({"input": "hi", "tools": [{"type": "web_search"}]}, "tools[0].type"),
    ]:
        status, _, text = post({"model": MODEL, **body})
        error = json.loads(text)["error"]
        assert (status, error["param"]) == (400, param), text
        types.Error1.model_validate(error)


for case in [basic, streaming, system_prompt, tool_calling, multi_turn, what_is_echoed, what_is_refused]:
    try:
        case()
    except ValidationError as error:
        sys.exit(f"{case.__name__}: not as the specification has it: {error}")
print("every acceptance case holds")
