//! Each endpoint as its own clients read it: whole, streamed, with tools, scores and several answers.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stub;

use serde_json::{Value, json};
use stub::{Behaviour, Stage, client::Answer};

const TEXT: &str = "The answer is forty-two.";
const CALL: &str = r#"{"name": "find", "arguments": {"q": "K2"}}"#;
const TOOLS: &str = r#","tools":[{"type":"function","function":{"name":"find","parameters":{"type":"object"}}}]"#;

/// Events with names: name and data.
fn named(answer: &Answer) -> Vec<(String, Value)> {
    let event = |event: &str| {
        let (name, data) = event.strip_prefix("event: ")?.split_once("\ndata: ")?;
        Some((name.to_owned(), serde_json::from_str(data).unwrap()))
    };
    answer.body.split("\n\n").filter_map(event).collect()
}

fn names(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(name, _)| name.as_str()).collect()
}

fn deltas(events: &[(String, Value)], name: &str) -> String {
    let delta = |(_, event): &(String, Value)| match &event["delta"] {
        Value::String(text) => text.clone(),
        delta => delta["text"].as_str().or(delta["partial_json"].as_str()).unwrap_or_default().to_owned(),
    };
    events.iter().filter(|(found, _)| found == name).map(delta).collect()
}

#[tokio::test]
async fn several_answers_have_a_receipt_each() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let whole = stage.client.chat(r#","n":3"#).await.json();
    let choices = whole["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 3);
    assert!(choices.iter().all(|choice| choice["message"]["content"] == TEXT));
    assert_eq!(whole["og"].as_array().unwrap().len(), 3);
    assert_eq!(whole["usage"]["completion_tokens"], 18);
    let streamed = stage.client.chat(r#","n":2,"stream":true"#).await;
    assert!(streamed.is_done());
    for index in 0..2 {
        let events = streamed.events();
        let mine = events.iter().filter(|event| event["choices"][0]["index"] == index);
        let text: String =
            mine.map(|event| event["choices"][0]["delta"]["content"].as_str().unwrap_or_default()).collect();
        assert_eq!(text, TEXT);
    }
    stage.settled(5).await;
}

#[tokio::test]
async fn calls_of_tools_are_taken_out_of_the_text() {
    let stage = Stage::with(&[Behaviour::Utters(CALL)]).await;
    let whole = stage.client.chat(TOOLS).await.json();
    let choice = &whole["choices"][0];
    assert_eq!((choice["finish_reason"].as_str(), choice["message"]["content"].is_null()), (Some("tool_calls"), true));
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["function"], json!({ "name": "find", "arguments": r#"{"q":"K2"}"# }));
    let streamed = stage.client.chat(&format!(r#"{TOOLS},"stream":true"#)).await;
    let events = streamed.events();
    let found = events.iter().find(|event| event["choices"][0]["delta"]["tool_calls"].is_array()).unwrap();
    assert_eq!(found["choices"][0]["delta"]["tool_calls"][0]["function"], call["function"]);
    let forbidden = stage.client.chat(&format!(r#"{TOOLS},"tool_choice":"none""#)).await.json();
    assert_eq!(forbidden["choices"][0]["message"]["content"], CALL);
}

#[tokio::test]
async fn a_required_call_binds_the_answer_by_a_grammar() {
    let stage = Stage::with(&[Behaviour::Utters(CALL)]).await;
    stage.client.chat(&format!(r#"{TOOLS},"tool_choice":"required""#)).await;
    let request = stage.workers[0].last();
    let Some(protocol::Constraint::Grammar(grammar)) = &request.parameters.constraint else { panic!("{request:?}") };
    assert!(grammar.starts_with("start: calls\n") && grammar.contains(r#""const":"find""#), "{}", &grammar[..]);
}

#[tokio::test]
async fn completions_continue_texts_and_tokens() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let ask = |fields: &str| format!(r#"{{"model":"tiny"{fields}}}"#);
    let whole = stage.client.post("/v1/completions", &ask(r#","prompt":["a",[5,6]],"n":2"#)).await.json();
    assert_eq!(whole["object"], "text_completion");
    assert_eq!(whole["choices"].as_array().unwrap().len(), 4);
    assert_eq!(whole["choices"][3]["text"], TEXT);
    let echoed = stage.client.post("/v1/completions", &ask(r#","prompt":"So: ","echo":true"#)).await.json();
    assert_eq!(echoed["choices"][0]["text"], format!("So: {TEXT}"));
    let streamed = stage.client.post("/v1/completions", &ask(r#","prompt":"So: ","echo":true,"stream":true"#)).await;
    let events = streamed.events();
    let text: String = events.iter().map(|event| event["choices"][0]["text"].as_str().unwrap_or_default()).collect();
    assert_eq!(text, format!("So: {TEXT}"));
    assert!(streamed.is_done() && streamed.body.contains("receipt_id"));
    for (fields, code, param) in [
        (r#","prompt":"a","suffix":"b""#, "unsupported_parameter", "suffix"),
        (r#","prompt":"a","best_of":2"#, "unsupported_value", "best_of"),
        (r#","prompt":[]"#, "invalid_value", "prompt"),
        (r#","prompt":[[]]"#, "invalid_value", "prompt[0]"),
        (r#","prompt":7"#, "invalid_type", "prompt"),
        (r#","prompt":["a","b"],"n":65"#, "array_above_max_length", "prompt"),
        (r#","prompt":"a","echo":true,"logprobs":1,"stream":true"#, "unsupported_value", "echo"),
    ] {
        let answer = stage.client.post("/v1/completions", &ask(fields)).await;
        assert_eq!(answer.error(), (400, code.to_owned(), param.to_owned()), "{fields}");
    }
}

#[tokio::test]
async fn scores_need_the_vocabulary_and_nobody_may_send_them_unasked() {
    let stage = Stage::with(&[Behaviour::Scores]).await;
    assert_eq!(stage.client.chat("").await.error().1, "worker_failed");
    let answer = stage.client.chat(r#","logprobs":true"#).await;
    assert_eq!((answer.error().0, answer.headers["retry-after"].as_str()), (503, "2"));
    assert_eq!(answer.headers["x-should-retry"], "true");
}

#[tokio::test]
async fn embeddings_come_as_numbers_and_in_base64() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let texts: Vec<String> = (0..20).map(|length| "x".repeat(length + 1)).collect();
    let ask = |fields: Value| {
        let mut body = json!({ "model": "tiny", "input": texts });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body.to_string()
    };
    let whole = stage.client.post("/v1/embeddings", &ask(json!({}))).await.json();
    assert_eq!(whole["data"].as_array().unwrap().len(), 20);
    assert_eq!(whole["data"][19]["embedding"], json!([20.0, -20.0]));
    assert_eq!(whole["og"].as_array().unwrap().len(), 2, "sixteen texts a receipt");
    let base64 = stage.client.post("/v1/embeddings", &ask(json!({ "encoding_format": "base64" }))).await.json();
    assert_eq!(base64["data"][0]["embedding"], "AACAPwAAgL8=");
    let refused = stage.client.post("/v1/embeddings", &ask(json!({ "dimensions": 1 }))).await;
    assert_eq!(refused.error(), (400, "unsupported_parameter".to_owned(), "dimensions".to_owned()));
}

#[tokio::test]
async fn responses_are_items_and_numbered_events() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let ask = |fields: &str| format!(r#"{{"model":"tiny","input":"hi"{fields}}}"#);
    let whole = stage.client.post("/v1/responses", &ask("")).await.json();
    assert_eq!((whole["object"].as_str(), whole["status"].as_str()), (Some("response"), Some("completed")));
    assert_eq!(whole["output"][0]["content"][0]["text"], TEXT);
    assert_eq!(whole["usage"]["total_tokens"], 9);
    let cut = stage.client.post("/v1/responses", &ask(r#","max_output_tokens":3"#)).await.json();
    assert_eq!(
        (cut["status"].as_str(), cut["incomplete_details"]["reason"].as_str()),
        (Some("incomplete"), Some("max_output_tokens"))
    );
    let streamed = stage.client.post("/v1/responses", &ask(r#","stream":true"#)).await;
    let events = named(&streamed);
    let names = names(&events);
    let start =
        ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"];
    let end =
        ["response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed"];
    assert!(names.starts_with(&start) && names.ends_with(&end), "{names:?}");
    assert_eq!(deltas(&events, "response.output_text.delta"), TEXT);
    for (number, (name, event)) in events.iter().enumerate() {
        assert_eq!(
            (event["sequence_number"].as_u64(), event["type"].as_str()),
            (Some(number as u64), Some(name.as_str()))
        );
    }
    assert_eq!(events.last().unwrap().1["response"]["output"], whole_output(&events));
    for name in ["previous_response_id", "conversation", "prompt"] {
        let answer = stage.client.post("/v1/responses", &ask(&format!(r#","{name}":"x""#))).await;
        assert_eq!(answer.error(), (400, "unsupported_parameter".to_owned(), name.to_owned()));
    }
}

/// All items that were done.
fn whole_output(events: &[(String, Value)]) -> Value {
    let done = events.iter().filter(|(name, _)| name == "response.output_item.done");
    done.map(|(_, event)| event["item"].clone()).collect()
}

#[tokio::test]
async fn responses_call_functions() {
    let stage = Stage::with(&[Behaviour::Utters(CALL)]).await;
    let ask = |fields: &str| {
        format!(
            r#"{{"model":"tiny","input":"hi","tools":[{{"type":"function","name":"find","parameters":{{}}}}]{fields}}}"#
        )
    };
    let whole = stage.client.post("/v1/responses", &ask("")).await.json();
    assert_eq!(
        (&whole["output"][0]["type"], &whole["output"][0]["arguments"]),
        (&json!("function_call"), &json!(r#"{"q":"K2"}"#))
    );
    let events = named(&stage.client.post("/v1/responses", &ask(r#","stream":true"#)).await);
    assert_eq!(deltas(&events, "response.function_call_arguments.delta"), r#"{"q":"K2"}"#);
    assert!(names(&events).contains(&"response.function_call_arguments.done"));
}

#[tokio::test]
async fn messages_come_in_blocks_from_start_to_stop() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let ask = |fields: &str| {
        format!(r#"{{"model":"tiny","max_tokens":50,"messages":[{{"role":"user","content":"hi"}}]{fields}}}"#)
    };
    let whole = stage.client.post("/v1/messages", &ask(r#","system":"s""#)).await.json();
    assert_eq!(whole["content"], json!([{ "type": "text", "text": TEXT }]));
    assert_eq!((whole["type"].as_str(), whole["stop_reason"].as_str()), (Some("message"), Some("end_turn")));
    assert_eq!((whole["usage"]["input_tokens"].as_u64(), whole["usage"]["output_tokens"].as_u64()), (Some(3), Some(6)));
    let stopped = stage.client.post("/v1/messages", &ask(r#","stop_sequences":[" forty"]"#)).await.json();
    assert_eq!((&stopped["stop_reason"], &stopped["stop_sequence"]), (&json!("stop_sequence"), &json!(" forty")));
    assert_eq!(stopped["content"][0]["text"], "The answer is");
    let events = named(&stage.client.post("/v1/messages", &ask(r#","stream":true"#)).await);
    let found = names(&events);
    assert!(found.starts_with(&["message_start", "content_block_start", "content_block_delta"]), "{found:?}");
    assert!(found.ends_with(&["content_block_stop", "message_delta", "message_stop"]), "{found:?}");
    assert_eq!(deltas(&events, "content_block_delta"), TEXT);
    assert!(events[events.len() - 2].1["og"]["receipt_id"].is_string());
}

#[tokio::test]
async fn messages_use_tools_and_refuse_in_their_own_words() {
    let stage = Stage::with(&[Behaviour::Utters(CALL)]).await;
    let ask = |fields: &str| {
        format!(r#"{{"model":"tiny","max_tokens":99,"messages":[{{"role":"user","content":"hi"}}]{fields}}}"#)
    };
    let tools = r#","tools":[{"name":"find","input_schema":{"type":"object"}}]"#;
    let whole = stage.client.post("/v1/messages", &ask(tools)).await.json();
    assert_eq!((&whole["stop_reason"], &whole["content"][0]["input"]), (&json!("tool_use"), &json!({ "q": "K2" })));
    let events = named(&stage.client.post("/v1/messages", &ask(&format!(r#"{tools},"stream":true"#))).await);
    assert_eq!(deltas(&events, "content_block_delta"), r#"{"q":"K2"}"#);
    for (fields, status, kind) in [
        (r#","thinking":{"type":"enabled","budget_tokens":0}"#, 400, "invalid_request_error"),
        (r#","thinking":{"type":"sometimes"}"#, 400, "invalid_request_error"),
        // Whether the model thinks is in its head, which no hub has.
        (r#","thinking":{"type":"enabled","budget_tokens":1024}"#, 503, "overloaded_error"),
        (r#","top_k":"x""#, 400, "invalid_request_error"),
    ] {
        let answer = stage.client.post("/v1/messages", &ask(fields)).await;
        let json = answer.json();
        assert_eq!(
            (answer.status, &json["type"], json["error"]["type"].as_str()),
            (status, &json!("error"), Some(kind))
        );
    }
    let unknown = stage.client.post("/v1/messages/batches", "{}").await.json();
    assert_eq!((&unknown["type"], &unknown["error"]["type"]), (&json!("error"), &json!("not_found_error")));
    let prefilled = r#"{"model":"tiny","max_tokens":9,"messages":[{"role":"assistant","content":"I"}]}"#;
    assert_eq!(stage.client.post("/v1/messages", prefilled).await.error().2, "messages[0]");
    assert_eq!(stage.client.post("/v1/messages/count_tokens", &ask("")).await.status, 503, "no hub knows the model");
}

#[tokio::test]
async fn busy_workers_are_told_in_each_dialect_with_a_time_to_come_again() {
    let stage = Stage::with(&[Behaviour::Refuses(protocol::service::Failure::Busy)]).await;
    let ask = r#"{"model":"tiny","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
    for (path, kind) in [("/v1/chat/completions", "server_error"), ("/v1/messages", "overloaded_error")] {
        let answer = stage.client.post(path, ask).await;
        assert_eq!((answer.status, answer.headers["retry-after"].as_str()), (503, "1"));
        let error = &answer.json()["error"];
        assert_eq!(
            (error["type"].as_str(), error["fault"].as_str(), &error["retry"]),
            (Some(kind), Some("network"), &json!(true))
        );
    }
}
