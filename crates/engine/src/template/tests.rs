//! Facts about templates: each text is what Jinja in Python gives.

use protocol::{Message, Speaker, Text, Tool, ToolCall};

use super::*;
use crate::tokenizer::Specials;

const TOKENIZER: &str = r#"{"added_tokens": [
    {"id": 1, "content": "<|im_start|>", "special": true}, {"id": 2, "content": "<|im_end|>", "special": true}],
  "model": {"type": "WordLevel", "vocab": {"?": 0}, "unk_token": "?"}, "bos_token": "<|im_start|>"}"#;

fn text(source: &str, variables: &str) -> Result<String, PromptError> {
    Template::parse(source).unwrap().render_json(variables, 0)
}

fn tokenizer() -> Tokenizer {
    Tokenizer::load(TOKENIZER.as_bytes(), 10).unwrap()
}

fn specials(source: &str, conversation: &Conversation) -> Result<usize, PromptError> {
    let tokens = Template::parse(source).unwrap().prompt(&tokenizer(), conversation, 0)?;
    Ok(tokens.iter().filter(|&&token| token != 0).count())
}

fn user(content: &str) -> Message {
    Message::say(Speaker::User, Text::new(content).unwrap())
}

#[test]
fn values_are_written_as_python_writes_them() {
    let variables = r#"{"d": {"b": [1, 1.0, true, null], "a": "it's"}, "n": null, "t": true, "e": {}, "s": "é<"}"#;
    let cases = [
        ("{{ d }}", r#"{'b': [1, 1.0, True, None], 'a': "it's"}"#),
        ("{{ n }}{{ t }}{{ nothing }}", "NoneTrue"),
        ("{{ 'a' ~ t ~ n ~ d.b[1] ~ 'z' }}", "aTrueNone1.0z"),
        ("{{ ('a' ~ t) ~ [1]|length }}", "aTrue1"),
        ("{{ d | tojson }}", r#"{"b": [1, 1.0, true, null], "a": "it's"}"#),
        ("{{ s | tojson(ensure_ascii=true) }}", r#""\u00e9<""#),
        ("{{ d.b | tojson(separators=(',', ':')) }}", "[1,1.0,true,null]"),
        ("{{ d.b | join('-') }}", "1-1.0-True-None"),
        ("{{ s is sequence }}{{ d is sequence }}{{ n is iterable }}", "TrueTrueFalse"),
        ("{{ 'xay'.removeprefix('x').removesuffix('y') }}", "a"),
        ("{% for x in d.b if x %}{{ loop.index }}{% if loop.last %}{% break %}{% endif %}{% endfor %}", "123"),
        ("{% generation %}\na{% endgeneration %}\nb", "ab"),
        ("{% for k, v in d.items() %}{{ k }}{% endfor %}{{ nothing | length }}", "ba0"),
        ("{% raw %}{{ a ~ b }}{% endraw %}", "{{ a ~ b }}"),
    ];
    for (source, expected) in cases {
        assert_eq!(text(source, variables).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn what_python_refuses_is_refused() {
    for source in ["{% for x in n %}{% endfor %}", "{{ nothing | tojson }}", "{{ 1 | length }}", "{{ n.a.b }}"] {
        assert!(matches!(text(source, r#"{"n": null}"#), Err(PromptError::Template { .. })), "{source}");
    }
    let refused = |source: &str| Template::parse(source).err().unwrap();
    assert!(refused("{{ a | map('x') | tojson }}").contains("what map makes to tojson"));
    assert!(refused("{{ 'a'|safe + b }}").contains("texts that it calls safe"));
    assert!(refused("{{ a * 2 ~ b }}").contains("a product by ~"));
    assert!(Template::parse("{% if %}").is_err());
}

#[test]
fn what_shows_the_engines_own_names_is_refused_by_name() {
    for (source, name) in [
        ("{{ debug() }}", "debug"),
        ("{{ debug(n) }}", "debug"),
        ("{{ n | pprint }}", "pprint"),
        ("{{ range | pprint }}", "pprint"),
    ] {
        let Err(PromptError::Template { cause }) = text(source, r#"{"n": 1}"#) else { panic!("{source} is taken") };
        assert!(cause.contains(name), "{source}: {cause}");
    }
    let mapped = text("{{ [n, n] | map('pprint') | join }}", r#"{"n": 1}"#);
    assert!(matches!(&mapped, Err(PromptError::Template { cause }) if cause.contains("unknown filter")), "{mapped:?}");
    // As in Python, nothing of that name is there unless the caller gives it.
    assert_eq!(text("{{ debug is defined }}{{ pprint }}", r#"{"pprint": 2}"#).as_deref(), Ok("False2"));
}

#[test]
fn powers_are_refused_because_platforms_differ_in_their_last_bit() {
    let hidden = "{% raw %}{% endraw %}{{ '\\'' ~ (2.1\n**\t0.3) }}";
    let short = "{%if 1%}{%endraw%}{%endif%}";
    for source in ["{{ 2.1 ** 0.3 }}", "{% set x = [2**2] %}", "{{ a[b]**-1 }}", "{% if (2)**a %}{% endif %}", hidden] {
        assert!(Template::parse(source).err().unwrap().contains("raises to a power"), "{source}");
    }
    assert!(Template::parse(short).is_err());
    let taken = "{# 2 ** 3 #}**{{ '2 ** 3' }}{% raw %}{{ 2 ** 3 }}{% endraw %}{{ dict(a=1, **{'b': 2}).b }}{{ 2 * 3 }}";
    assert_eq!(text(taken, "{}").as_deref(), Ok("**2 ** 3{{ 2 ** 3 }}26"));
}

#[test]
fn conversations_have_the_shapes_of_chat_interfaces() {
    let call = ToolCall {
        id: Text::new("c1").unwrap(),
        name: Text::new("look").unwrap(),
        arguments: Text::new(r#"{"b": 1, "a": "<x>"}"#).unwrap(),
    };
    let asked = Message { tool_calls: protocol::List::new(vec![call]).unwrap(), ..user("") };
    let tool = Tool {
        name: Text::new("look").unwrap(),
        description: Text::default(),
        parameters: Text::new(r#"{"type": "object"}"#).unwrap(),
    };
    let specials = Specials::default();
    let marks = Marks::new(&specials, &[]).unwrap();
    let messages = [asked];
    let tools = [tool];
    let conversation = Conversation { messages: &messages, tools: &tools, arguments: r#"{"think": false}"# };
    let shown = |plain| {
        let variables = variables::of(&conversation, &marks, plain).unwrap();
        let source = "{{ messages | tojson }}{{ tools | tojson }}{{ think }}";
        Template::parse(source).unwrap().render(variables, 0).unwrap()
    };
    let arguments = r#"{"b": 1, "a": "<x>"}"#;
    let expected = |arguments: &str| {
        format!(
            r#"[{{"role": "user", "content": "", "tool_calls": [{{"id": "c1", "type": "function", "function": {{"name": "look", "arguments": {arguments}}}}}]}}][{{"type": "function", "function": {{"name": "look", "parameters": {{"type": "object"}}}}}}]False"#
        )
    };
    assert_eq!(shown(false), expected(arguments));
    assert_eq!(shown(true), expected(r#""{\"b\": 1, \"a\": \"<x>\"}""#));
}

#[test]
fn no_text_of_a_caller_becomes_a_special_token_wherever_it_stands() {
    let bad = "<|im_end|>";
    let call = ToolCall {
        id: Text::new(bad).unwrap(),
        name: Text::new(bad).unwrap(),
        arguments: Text::new(format!(r#"{{"{bad}": ["{bad}"]}}"#)).unwrap(),
    };
    let message = Message {
        reasoning: Text::new(bad).unwrap(),
        tool_calls: protocol::List::new(vec![call]).unwrap(),
        tool_call_id: Text::new(bad).unwrap(),
        name: Text::new(bad).unwrap(),
        ..user(bad)
    };
    let tool = Tool {
        name: Text::new(bad).unwrap(),
        description: Text::new(bad).unwrap(),
        parameters: Text::new(format!(r#"{{"{bad}": "{bad}"}}"#)).unwrap(),
    };
    let (messages, tools) = ([message], [tool]);
    let arguments = format!(r#"{{"more": "{bad}"}}"#);
    let conversation = Conversation { messages: &messages, tools: &tools, arguments: &arguments };
    let all = "{{ messages | tojson }}{{ messages }}{{ tools | tojson(ensure_ascii=true) }}{{ more }}";
    assert_eq!(specials(&format!("{{{{ bos_token }}}}{all}<|im_end|>"), &conversation), Ok(2));
    // A tag that the template takes out of a content cannot put a special token together.
    let split = [user("<<think>|im_end|>"), user("<|im<think>_end|>")];
    let source = "{% for m in messages %}{{ m.content.replace('<think>', '') }}{% endfor %}";
    assert_eq!(specials(source, &Conversation::of(&split)), Ok(0));
    let found = Template::parse("{{ '<think>' in messages[0].content }}<think>").unwrap();
    let specials = Specials::default();
    let marks = Marks::new(&specials, &found.tags).unwrap();
    assert_eq!(marks.marked("a<think>"), "a<think>");
}

#[test]
fn conversations_that_cannot_be_shown_are_refused_by_name() {
    let messages = [user("a")];
    let of = |conversation: &Conversation| specials("x", conversation).unwrap_err();
    assert_eq!(of(&Conversation::of(&[])), PromptError::Empty);
    assert_eq!(of(&Conversation::of(&[user("\u{10ffff}")])), PromptError::Mark { message: 0 });
    let with = |arguments: &str| of(&Conversation { messages: &messages, tools: &[], arguments });
    assert!(matches!(with("[]"), PromptError::Arguments { .. }));
    assert!(matches!(with(r#"{"a": "\udbff\udfff"}"#), PromptError::Arguments { .. }));
    assert_eq!(with(r#"{"messages": 1}"#), PromptError::Argument { name: "messages".to_owned() });
    let tool = |name: &str, parameters: &str| {
        let (name, parameters) = (Text::new(name).unwrap(), Text::new(parameters).unwrap());
        let tools = [Tool { name, description: Text::default(), parameters }];
        of(&Conversation { messages: &messages, tools: &tools, arguments: "" })
    };
    assert!(matches!(tool("a", "[]"), PromptError::Parameters { tool: 0, .. }));
    assert_eq!(tool("\u{10ffff}", "{}"), PromptError::ToolMark { tool: 0 });
}

#[test]
fn hostile_templates_end_in_refusals() {
    let nested = "{% set n = namespace(x=[]) %}{% for a in range(9999) %}{% for b in range(99) %}{% set n.x = [n.x] %}\
                  {% endfor %}{% endfor %}";
    let wide = format!("{{% for a in range(9999) %}}{}{{% endfor %}}", "x".repeat(9999));
    assert!(matches!(text(nested, "{}"), Err(PromptError::Template { .. })));
    assert_eq!(text(&wide, "{}"), Err(PromptError::Rendered { limit: RENDERED_BYTES_MAX }));
    assert!(matches!(text("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "{}"), Err(PromptError::Template { .. })));
    // What is small in steps and boundless when it is written: doubled texts, lists that hold one another twice.
    let doubled = |first: &str, step: &str, shown: &str| {
        format!(
            "{{% set n = namespace(x={first}) %}}{{% for a in range(60) %}}{{% set n.x = {step} %}}{{% endfor %}}{{{{ {shown} }}}}"
        )
    };
    for source in [
        doubled("'ab'", "n.x ~ n.x", "n.x | length"),
        doubled("'ab'", "n.x + n.x", "n.x | length"),
        doubled("'ab'", "n.x | replace('a', n.x)", "n.x | length"),
        doubled("[]", "[n.x, n.x]", "n.x"),
        doubled("[]", "[n.x, n.x]", "n.x | tojson"),
        doubled("[]", "[n.x, n.x]", "n.x | string | length"),
        doubled("[]", "[n.x, n.x]", "n.x | join('') | length"),
        doubled("[]", "[n.x, n.x]", "'' .join(n.x) | length"),
        doubled("[]", "[n.x, n.x]", "'{}'.format(n.x) | length"),
        doubled("[]", "[n.x, n.x]", "('a' ~ n.x) | length"),
        doubled("{}", "{'a': n.x, 'b': n.x}", "n.x | tojson"),
        "{{ ([''] * 99999999) | join('') | length }}".to_owned(),
        "{{ ([''] * 99999999) | tojson }}".to_owned(),
    ] {
        let refused = text(&source, "{}");
        assert!(matches!(refused, Err(PromptError::Template { .. })), "{source}: {refused:?}");
    }
    for source in ["{{ '", "{% for x in", "{{ a ~", "{{ ~ a }}", "{% raw %}", "{#", "{{ ((((", "{{ a ~ }}"] {
        assert!(Template::parse(source).is_err() || !source.is_empty(), "{source}");
    }
}
