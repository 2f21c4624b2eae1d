"""What Jinja in Python, set up as chat templates expect it, makes of templates and conversations.

    python3 reference.py FOLDER > REFERENCE.json

FOLDER holds templates (*.jinja). The output holds the variables of each case as JSON, and for each template the text of
each case, or null where the template refuses it. Needs jinja2 alone.
"""

import datetime
import json
import pathlib
import sys

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

TIME_MS = 1_732_147_200_000

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather of a place & its \"mood\" <now>.",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": "Where; e.g. 'Zürich'"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
                "days": {"type": "integer", "minimum": 1, "maximum": 14},
                "scale": {"type": "number", "default": 1.0},
            },
            "required": ["place"],
        },
    },
}
SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Searches.",
        "parameters": {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "What to look for"},
                "filters": {"type": "array", "items": {"type": "string"}, "description": "Only these"},
                "strict": {"type": "boolean", "description": "All words"},
            },
            "required": ["query", "strict"],
        },
    },
}


def say(role, content, **more):
    return {"role": role, "content": content, **more}


def call(identity, name, arguments):
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def conversations():
    user = say("user", "What's the weather in Zürich?\n")
    system = say("system", "You are terse.")
    arguments = {"place": "Zürich", "days": 2, "scale": 0.5, "strict": True, "filters": ["a", "b"], "none": None}
    asked = say("assistant", "", tool_calls=[call("call00001", "get_weather", arguments)])
    told = say("tool", '{"temperature": 21.5, "sky": "clear"}', tool_call_id="call00001", name="get_weather")
    both = say(
        "assistant",
        "Let me look.",
        tool_calls=[call("call00002", "get_weather", {"place": "Bern"}), call("call00003", "search", {"query": "snow"})],
    )
    plain = say("assistant", "", tool_calls=[call("call00004", "search", '{"query": "ice"}')])
    found = say("tool", "Nothing.", tool_call_id="call00003", name="search")
    cold = say("tool", "cold", tool_call_id="call00002", name="get_weather")
    return [
        [user],
        [system, user],
        [user, say("assistant", "  Sunny. "), say("user", "And tomorrow?")],
        [system, user, say("assistant", "Sunny."), say("user", "Sure?"), say("assistant", "Yes.")],
        [user, asked, told],
        [system, user, asked, told, say("assistant", "21.5 degrees."), say("user", "Thanks <b>& bye</b> [ok]")],
        [user, both, cold, found, say("assistant", "Cold."), say("user", "Oh.")],
        [user, plain, say("tool", "ice", tool_call_id="call00004", name="search")],
        [user, say("assistant", "<think>\nhm\n</think>\n\nRain."), say("user", "Why?")],
        [user, say("assistant", "Rain.", reasoning_content="Clouds."), say("user", "Why?")],
        [say("user", "{{ not_a_variable }} {% if %} \\n 'quoted' \"text\" 日本語 🦀")],
    ]


def cases():
    base = {"bos_token": "<s>", "eos_token": "</s>", "documents": None}
    for messages in conversations():
        for tools in (None, [WEATHER, SEARCH]):
            for add in (True, False):
                yield {"messages": messages, "tools": tools, "add_generation_prompt": add, **base}
    first = conversations()[1]
    for name in ("enable_thinking", "thinking"):
        for value in (True, False):
            yield {"messages": first, "tools": None, "add_generation_prompt": True, name: value, **base}
    yield {"messages": [], "tools": None, "add_generation_prompt": True, **base}


class Generation(jinja2.ext.Extension):
    """Blocks that only tell which tokens the model wrote."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_same"), [], [], body).set_lineno(line)

    def _same(self, caller):
        return caller()


def environment():
    def refuse(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(
            value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
        )

    def strftime_now(form):
        return datetime.datetime.fromtimestamp(TIME_MS / 1000, datetime.timezone.utc).strftime(form)

    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = refuse
    made.globals["strftime_now"] = strftime_now
    return made


def main():
    made = environment()
    variables = [json.dumps(case, ensure_ascii=False) for case in cases()]
    templates = {}
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.jinja")):
        results = []
        try:
            template = made.from_string(path.read_text(encoding="utf-8"))
        except jinja2.exceptions.TemplateSyntaxError as cause:
            print(f"{path.name}: no template: {cause}", file=sys.stderr)
            continue
        for case in variables:
            try:
                results.append(template.render(**json.loads(case)))
            except Exception:  # whatever a template fails with, it gives no text
                results.append(None)
        templates[path.name] = results
    json.dump({"time_ms": TIME_MS, "variables": variables, "templates": templates}, sys.stdout, ensure_ascii=False)


if __name__ == "__main__":
    main()
