//! Calls are taken out of texts, however these are cut, and nothing else is.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use protocol::ToolCall;

use super::*;
use crate::limits::CALLS_BYTES_MAX;

struct Case {
    family: &'static Family,
    text: &'static str,
    shown: &'static str,
    calls: &'static [(&'static str, &'static str)],
}

const CASES: &[Case] = &[
    Case {
        family: &hermes::FAMILY,
        text: "Let me look.\n<tool_call>\n{\"name\": \"find\", \"arguments\": {\"q\": \"a<b\"}}\n</tool_call>\n<tool_call>{\"name\":\"now\"}</tool_call>",
        shown: "Let me look.\n",
        calls: &[("find", r#"{"q":"a<b"}"#), ("now", "{}")],
    },
    Case { family: &hermes::FAMILY, text: "a <tool> b", shown: "a <tool> b", calls: &[] },
    Case {
        family: &hermes::FAMILY,
        text: "x<tool_call>{broken</tool_call> y",
        shown: "x<tool_call>{broken</tool_call> y",
        calls: &[],
    },
    Case { family: &hermes::FAMILY, text: "x<tool_call>{\"name\"", shown: "x<tool_call>{\"name\"", calls: &[] },
    Case {
        family: &mistral::FAMILY,
        text: r#"[TOOL_CALLS] [{"name": "find", "arguments": {"q": 1}}, {"name": "now", "arguments": {}}]"#,
        shown: "",
        calls: &[("find", r#"{"q":1}"#), ("now", "{}")],
    },
    Case {
        family: &mistral::FAMILY,
        text: r#"[{"name": "find", "arguments": {"q": 1}}]"#,
        shown: "",
        calls: &[("find", r#"{"q":1}"#)],
    },
    Case {
        family: &mistral::FAMILY,
        text: r#"[TOOL_CALLS]find[ARGS]{"q": 1}[TOOL_CALLS]now[ARGS]{}"#,
        shown: "",
        calls: &[("find", r#"{"q": 1}"#), ("now", "{}")],
    },
    Case {
        family: &mistral::FAMILY,
        text: r#"So: [TOOL_CALLS]find[CALL_ID]a1b2c3d4e[ARGS]{"q": 1}"#,
        shown: "So: ",
        calls: &[("find", r#"{"q": 1}"#)],
    },
    Case { family: &mistral::FAMILY, text: "[1] is a note", shown: "[1] is a note", calls: &[] },
    Case {
        family: &llama::FAMILY,
        text: r#"{"name": "find", "parameters": {"q": "a;b"}}; {"name": "now", "parameters": {}}"#,
        shown: "",
        calls: &[("find", r#"{"q":"a;b"}"#), ("now", "{}")],
    },
    Case {
        family: &llama::FAMILY,
        text: r#"<|python_tag|>{"name": "now", "parameters": {}}"#,
        shown: "",
        calls: &[("now", "{}")],
    },
    Case {
        family: &llama::FAMILY,
        text: r#"{"name": "say", "parameters": {"q": "\";{"}};"#,
        shown: "",
        calls: &[("say", r#"{"q":"\";{"}"#)],
    },
    Case { family: &llama::FAMILY, text: r#"{"answer": 1}"#, shown: r#"{"answer": 1}"#, calls: &[] },
    Case {
        family: &deepseek::FAMILY,
        text: "Wait.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>find\n```json\n{\"q\":1}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        shown: "Wait.",
        calls: &[("find", r#"{"q":1}"#)],
    },
    Case {
        family: &deepseek::FAMILY,
        text: "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>find<｜tool▁sep｜>{\"q\": 1}<｜tool▁call▁end｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        shown: "",
        calls: &[("find", r#"{"q": 1}"#), ("now", "{}")],
    },
    Case {
        family: &generic::FAMILY,
        text: "```json\n{\"name\": \"find\", \"arguments\": \"{}\"}\n```",
        shown: "",
        calls: &[("find", "{}")],
    },
    Case { family: &generic::FAMILY, text: "plain words", shown: "plain words", calls: &[] },
];

fn read(family: &'static Family, pieces: &[&str]) -> (String, Vec<ToolCall>) {
    let mut reader = CallReader::new(family, "0123456789abcdef");
    let (mut shown, mut calls) = (String::new(), Vec::new());
    pieces.iter().for_each(|piece| reader.push(piece, &mut shown, &mut calls));
    reader.finish(&mut shown, &mut calls);
    (shown, calls)
}

/// The same where a vocabulary has the family's marks as tokens without text.
fn read_marked(family: &'static Family, text: &str) -> (String, Vec<ToolCall>) {
    let mut reader = CallReader::new(family, "0123456789abcdef");
    let (mut shown, mut calls, mut rest) = (String::new(), Vec::new(), text);
    while !rest.is_empty() {
        let next = family.marks().iter().filter_map(|mark| Some((rest.find(mark)?, *mark))).min();
        let (at, mark) = next.unwrap_or((rest.len(), ""));
        rest[..at].chars().for_each(|letter| reader.push(&letter.to_string(), &mut shown, &mut calls));
        if !mark.is_empty() {
            reader.mark(mark, &mut shown, &mut calls);
        }
        rest = &rest[at + mark.len()..];
    }
    reader.finish(&mut shown, &mut calls);
    (shown, calls)
}

#[test]
fn every_family_reads_its_own_calls_and_leaves_the_rest_as_text() {
    for case in CASES {
        let (shown, calls) = read(case.family, &[case.text]);
        let calls: Vec<_> = calls.iter().map(|call| (&call.name[..], &call.arguments[..])).collect();
        assert_eq!((shown.as_str(), calls.as_slice()), (case.shown, case.calls), "{}", case.text);
    }
}

#[test]
fn marks_that_are_tokens_without_text_mark_up_calls_as_well_and_are_never_shown() {
    for case in CASES {
        let (shown, calls) = read_marked(case.family, case.text);
        let calls: Vec<_> = calls.iter().map(|call| (&call.name[..], &call.arguments[..])).collect();
        let without =
            |text: &str| case.family.marks().iter().fold(text.to_owned(), |text, mark| text.replace(mark, ""));
        assert_eq!((shown, calls.as_slice()), (without(case.shown), case.calls), "{}", case.text);
    }
}

#[test]
fn a_call_that_no_message_could_carry_stays_text() {
    let long = "n".repeat(protocol::request::NAME_BYTES_MAX + 1);
    let many = vec![r#"{"name":"now"}"#; protocol::request::TOOL_CALLS_MAX + 1].join(",");
    for text in [format!(r#"{{"name":"{long}"}}"#), format!("[{many}]")] {
        assert_eq!(read(&generic::FAMILY, &[&text]), (text.clone(), Vec::new()));
    }
}

#[test]
fn calls_that_never_end_are_shown_as_text_in_a_time_that_grows_with_them() {
    let (opening, piece) = ("<tool_call>", "</tool_cal".repeat(40));
    let began_at = Instant::now();
    for family in [&hermes::FAMILY, &llama::FAMILY] {
        let opening = if family.name == "llama" { "{" } else { opening };
        let mut reader = CallReader::new(family, "seed");
        let (mut shown, mut calls, mut said) = (String::new(), Vec::new(), opening.to_owned());
        reader.push(opening, &mut shown, &mut calls);
        while said.len() <= 2 * CALLS_BYTES_MAX {
            reader.push(&piece, &mut shown, &mut calls);
            said.push_str(&piece);
            assert!(said.len() - shown.len() <= CALLS_BYTES_MAX + opening.len() + piece.len());
        }
        reader.finish(&mut shown, &mut calls);
        assert!(calls.is_empty() && shown == said, "{}", family.name);
    }
    // Two letters a piece: looking through all that is held for each of them takes a minute and more.
    let mut reader = CallReader::new(&hermes::FAMILY, "seed");
    let (mut shown, mut calls) = (String::new(), Vec::new());
    reader.push(opening, &mut shown, &mut calls);
    (0..CALLS_BYTES_MAX / 2).for_each(|_| reader.push("</", &mut shown, &mut calls));
    // As many semicolons in a text.
    let call = format!(r#"{{"name":"say","parameters":{{"q":"{}"}}}}"#, ";".repeat(200_000));
    assert_eq!(read(&llama::FAMILY, &[&call]).1.len(), 1);
    assert!(began_at.elapsed() < Duration::from_secs(20), "{:?}", began_at.elapsed());
}

#[test]
fn each_call_has_an_id_of_its_own_in_the_form_that_its_template_takes() {
    let (_, calls) = read(&mistral::FAMILY, &[CASES[4].text]);
    assert_eq!(calls.iter().map(|call| &call.id[..]).collect::<Vec<_>>(), ["012345000", "012345001"]);
    let (_, calls) = read(&hermes::FAMILY, &[CASES[0].text]);
    assert_eq!(
        calls.iter().map(|call| &call.id[..]).collect::<Vec<_>>(),
        ["call_0123456789abcdef0", "call_0123456789abcdef1"]
    );
}

#[test]
fn a_template_belongs_to_the_family_whose_marks_it_writes() {
    let cases = [
        ("... <tool_call> ...", "hermes"),
        ("... [TOOL_CALLS] ...", "mistral"),
        ("... <|python_tag|> ...", "llama"),
        ("... <｜tool▁calls▁begin｜> ...", "deepseek"),
        ("{{ messages }}", "generic"),
    ];
    for (template, name) in cases {
        assert_eq!(Family::of(template).name, name);
    }
}

#[test]
fn an_answer_is_bound_to_calls_only_where_the_choice_says_so() {
    let tool = |name: &str| Tool {
        name: Text::new(name).unwrap(),
        description: Text::default(),
        parameters: Text::new(r#"{"type":"object","properties":{"q":{"type":"integer"}}}"#).unwrap(),
    };
    let calling = |choice, parallel| {
        let tools = vec![tool("find"), tool("now")];
        Calling { tools, choice, parallel, ..Calling::default() }
    };
    let schema = Constraint::JsonSchema(Text::new(r#"{"type":"array"}"#).unwrap());
    let grammar = |choice, parallel, answer| hermes::FAMILY.grammar(&calling(choice, parallel), answer).unwrap();
    assert_eq!(grammar(Choice::Auto, true, None), None);
    let both = grammar(Choice::Auto, true, Some(&schema)).unwrap();
    let begins = r#"start: answer | calls
answer: %json {"type":"array","x-guidance":{"whitespace_pattern":"[ \\n\\r\\t]{0,8}"}}
"#;
    assert!(both.starts_with(begins), "{both}");
    assert!(both.trim_end().ends_with(r#""x-guidance":{"whitespace_pattern":" ?"}}"#), "calls end: {both}");
    let required = grammar(Choice::Required, true, None).unwrap();
    assert!(
        required.contains("(one \"\\n\"?)+") && required.contains("\"find\"") && required.contains("\"now\""),
        "{required}"
    );
    let named = grammar(Choice::Named("now".to_owned()), true, None).unwrap();
    assert!(!named.contains("\"find\"") && !named.contains(")+"), "{named}");
    let regex = Constraint::Regex(Text::new("a+").unwrap());
    assert!(hermes::FAMILY.grammar(&calling(Choice::Auto, true), Some(&regex)).is_err());
}

#[test]
fn one_strict_tool_binds_answers_that_need_not_call_and_only_its_own_arguments() {
    let tool = |name: &str| Tool {
        name: Text::new(name).unwrap(),
        description: Text::default(),
        parameters: Text::new(r#"{"type":"object","properties":{"q":{"type":"integer"}}}"#).unwrap(),
    };
    let strict = std::collections::BTreeSet::from(["find".to_owned()]);
    let calling = Calling { tools: vec![tool("find"), tool("now")], strict, choice: Choice::Auto, parallel: true };
    let grammar = |family: &Family| family.grammar(&calling, None).unwrap().unwrap();
    let text = grammar(&hermes::FAMILY);
    let begins = "start: (WORDS | MARK)* calls?\nWORDS: /[^<]+/\nMARK: /[<][^<]*/ & ~/<tool_call>(?s:.*)/\ncalls: ";
    assert!(text.starts_with(begins), "{text}");
    assert_eq!(text.matches("\"integer\"").count(), 1, "the other tool takes any object: {text}");
    let text = grammar(&mistral::FAMILY);
    let begins =
        "start: calls | WORDS?\nWORDS: /(?s:.+)/ & ~/\\s*\\[\\{(?s:.*)/ & ~/(?s:.*)\\[TOOL_CALLS\\](?s:.*)/\ncalls: ";
    assert!(text.starts_with(begins), "{text}");
}

proptest! {
    #[test]
    fn calls_are_read_the_same_however_the_text_is_cut(
        case in 0..CASES.len(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let case = &CASES[case];
        let letters: Vec<usize> = case.text.char_indices().map(|(at, _)| at).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| letters[cut.index(letters.len())]).collect();
        cuts.extend([0, case.text.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&str> = cuts.windows(2).map(|cut| &case.text[cut[0]..cut[1]]).collect();
        prop_assert_eq!(read(case.family, &pieces), read(case.family, &[case.text]));
    }
}
