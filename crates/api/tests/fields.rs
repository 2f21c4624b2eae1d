//! Every row of the table of fields in the specification is what happens, in every dialect.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use api::{ApiError, Call, Code};
use serde_json::{Map, Value};

const PAGE: &str = include_str!("../../../specs/interfaces.md");
const HEADER: &str = "| field | example | chat | completions | responses | messages | embeddings |";
/// Endpoints in the order of the columns, and the shortest body that each takes.
const DIALECTS: [(&str, &str); 5] = [
    ("/v1/chat/completions", r#"{"model":"tiny","messages":[{"role":"user","content":"hi"}]}"#),
    ("/v1/completions", r#"{"model":"tiny","prompt":"hi"}"#),
    ("/v1/responses", r#"{"model":"tiny","input":"hi"}"#),
    ("/v1/messages", r#"{"model":"tiny","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#),
    ("/v1/embeddings", r#"{"model":"tiny","input":"hi"}"#),
];

struct Row {
    field: &'static str,
    /// The field, and what it needs beside it.
    example: Map<String, Value>,
    cells: Vec<&'static str>,
}

fn rows() -> Vec<Row> {
    let (_, table) = PAGE.split_once(HEADER).unwrap();
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let read = |line: &'static str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [field, example, cells @ ..] = &cells[..] else { panic!("{line}") };
        let code = |cell: &'static str| cell.strip_prefix('`').unwrap().strip_suffix('`').unwrap();
        let example = serde_json::from_str(&format!("{{{}}}", code(example))).expect(line);
        Row { field: code(field), example, cells: cells.to_vec() }
    };
    lines.map(read).collect()
}

fn read(path: &str, body: &str, fields: &Map<String, Value>) -> Result<Call, ApiError> {
    let mut body: Map<String, Value> = serde_json::from_str(body).unwrap();
    body.extend(fields.clone());
    support::read(path, Value::Object(body).to_string().as_bytes())
}

/// What the field makes of a body, in the words of the table.
fn fate(row: &Row, path: &str, body: &str) -> &'static str {
    let mut without = row.example.clone();
    assert!(without.remove(row.field).is_some(), "{}", row.field);
    let plain = read(path, body, &without).unwrap();
    match read(path, body, &row.example) {
        // Who tells the answer is not shown.
        Ok(call) if format!("{call:?}") == format!("{plain:?}") => "ignored",
        Ok(_) => "honoured",
        Err(error) => {
            let param = error.param.clone().unwrap_or_default();
            let inside = param.strip_prefix(row.field).unwrap_or_else(|| panic!("{path} {}: {error}", row.field));
            assert!(inside.is_empty() || inside.starts_with(['.', '[']), "{path} {}: {param}", row.field);
            assert!(
                matches!(error.code, Code::UnsupportedParameter | Code::UnsupportedValue),
                "{path} {}: {error}",
                row.field
            );
            "refused"
        }
    }
}

#[test]
fn every_field_of_the_table_is_honoured_ignored_or_refused_as_it_says() {
    let rows = rows();
    assert!(rows.len() > 100, "the table is read whole, not {} rows", rows.len());
    for row in &rows {
        assert_eq!(row.cells.len(), DIALECTS.len(), "{}", row.field);
        for (cell, (path, body)) in row.cells.iter().zip(DIALECTS) {
            let expected = match *cell {
                "–" => continue,
                // The same request, told otherwise: tests of tellers see it.
                "told" => "ignored",
                other => other,
            };
            assert_eq!(fate(row, path, body), expected, "{path} {}", Value::Object(row.example.clone()));
        }
    }
}

#[test]
fn a_refusal_says_what_to_say_instead() {
    let hint = |path: &str, body: &str| support::read(path, body.as_bytes()).unwrap_err().hint.unwrap();
    let eos = r#"{"model":"tiny","prompt":"hi","ignore_eos":true}"#;
    assert!(hint("/v1/completions", eos).contains("max_tokens"));
    let long = r#"{"model":"tiny","input":"hi","max_tokens":9}"#;
    assert!(hint("/v1/responses", long).contains("max_output_tokens"));
}

#[test]
fn a_tool_that_failed_is_told_to_the_model_and_one_that_did_not_is_not() {
    let said = |is_error: &str| {
        let result = format!(r#"{{"type":"tool_result","tool_use_id":"a","content":"no such city"{is_error}}}"#);
        let body = format!(r#"{{"model":"tiny","max_tokens":9,"messages":[{{"role":"user","content":[{result}]}}]}}"#);
        let call = support::read("/v1/messages", body.as_bytes()).unwrap();
        let protocol::Input::Chat(chat) = &call.jobs[0].input else { panic!("a conversation expected") };
        chat.messages[0].content[..].to_owned()
    };
    assert_eq!(said(r#","is_error":true"#), "Error: no such city");
    assert_eq!([said(r#","is_error":false"#), said("")], ["no such city", "no such city"]);
}

#[test]
fn what_templates_may_know_arrives_from_every_dialect() {
    let arguments = |path: &str, body: &str| {
        let call = support::read(path, body.as_bytes()).unwrap();
        let protocol::Input::Chat(chat) = &call.jobs[0].input else { panic!("a conversation expected") };
        chat.template_arguments[..].to_owned()
    };
    let expected = r#"{"a":1,"reasoning_effort":"low"}"#;
    let response = r#"{"model":"tiny","input":"hi","reasoning":{"effort":"low"},"chat_template_kwargs":{"a":1}}"#;
    assert_eq!(arguments("/v1/responses", response), expected);
    let message = r#"{"model":"tiny","max_tokens":9,"messages":[{"role":"user","content":"hi"}],
        "output_config":{"effort":"low"},"chat_template_kwargs":{"reasoning_effort":"high","a":1}}"#;
    assert_eq!(arguments("/v1/messages", message), expected);
}
