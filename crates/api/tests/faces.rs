//! The JSON face of nouns, and that hostile bodies end in typed errors, never in a panic.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use api::{Dialect, ENDPOINTS, Endpoint, face};
use proptest::prelude::*;
use protocol::{Digest, EvmAddress, ModelRecord, Text, Value};

fn record() -> ModelRecord {
    ModelRecord {
        root: Digest([1; 32]),
        name: Text::new("tiny \"one\"").unwrap(),
        kind: protocol::registry::ModelKind::Float,
        publisher: EvmAddress([2; 20]),
        published_epoch: 3,
        published_at_ms: u64::MAX,
    }
}

#[test]
fn a_noun_reads_back_from_its_face_whose_fields_keep_their_order() {
    use protocol::Canonical;
    let text = face::to_json(&record().to_value());
    assert!(text.starts_with(r#"{"root":"0101"#), "{text}");
    assert!(text.ends_with(r#""published_epoch":3,"published_at_ms":"18446744073709551615"}"#), "{text}");
    assert_eq!(face::read::<ModelRecord>(text.as_bytes()).unwrap(), record());
    assert_eq!(face::read::<ModelRecord>(face::to_pretty_json(&record().to_value()).as_bytes()).unwrap(), record());
}

#[test]
fn what_is_no_face_is_refused_with_its_path() {
    let told = |text: &str| face::from_json(text.as_bytes()).unwrap_err().to_string();
    assert!(told(r#"{"a":1,"a":1}"#).contains("stands twice in its object at `a`"));
    assert!(told(r#"{"a":[0,-1]}"#).contains("a.1: an integer found"));
    assert!(told("[0.5]").contains("a decimal number found"));
    let missing = face::read::<ModelRecord>(br#"{"root":""}"#).unwrap_err().to_string();
    assert!(missing.contains("nothing found"), "{missing}");
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Flag),
        any::<u64>().prop_map(Value::Number),
        any::<String>().prop_map(Value::Text),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            proptest::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|fields| Value::Record(fields.into_iter().collect())),
        ]
    })
}

const CHAT: &str = r#"{"model":"tiny","messages":[{"role":"system","content":"é"},{"role":"user","content":[{"type":
"text","text":"hi \u00e9"}]},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f",
"arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"1"}],"temperature":0.7,"top_p":1e-1,"seed":-5,
"stop":["x"],"stream":true,"max_tokens":16,"n":2,"logprobs":true,"top_logprobs":2,"logit_bias":{"7":-1.5},
"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":"required",
"response_format":{"type":"json_schema","json_schema":{"schema":{}}},"presence_penalty":-1,
"stream_options":{"include_usage":true},"og":{"assurance":"signed","parents":[]}}"#;
const COMPLETION: &str =
    r#"{"model":"tiny","prompt":["a",[1,2]],"echo":true,"logprobs":2,"n":2,"best_of":2,"suffix":null}"#;
const EMBEDDING: &str = r#"{"model":"tiny","input":["a",[1,2]],"encoding_format":"base64"}"#;
const RESPONSE: &str = r#"{"model":"tiny","instructions":"be brief","input":[{"role":"user","content":[{"type":"input_text",
"text":"hi"}]},{"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}]},{"type":"function_call","call_id":"a",
"name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"a","output":"1"}],"tools":[{"type":"function",
"name":"f","parameters":{}}],"tool_choice":{"type":"function","name":"f"},"text":{"format":{"type":"json_schema","schema":
{}}},"include":["message.output_text.logprobs"],"reasoning":{"effort":"low"},"max_output_tokens":9,"store":false}"#;
const MESSAGES: &str = r#"{"model":"tiny","max_tokens":9,"system":[{"type":"text","text":"s"}],"messages":[{"role":"user",
"content":"hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm"},{"type":"tool_use","id":"a","name":"f",
"input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"1"},{"type":"text","text":"go"}
]}],"tools":[{"name":"f","input_schema":{}}],"tool_choice":{"type":"any"},"stop_sequences":["x"],"top_k":3}"#;
const INFER: &str =
    r#"{"model":"risk","inputs":{"x":[[1,2.5e0],[-3,4]],"y":{"shape":[2],"dtype":"i8","data":[1,-2]}}}"#;

/// A body for each endpoint, in the order of the table.
const BODIES: [&str; 8] = [CHAT, COMPLETION, EMBEDDING, RESPONSE, RESPONSE, MESSAGES, MESSAGES, INFER];

/// A refusal names the caller's fault in its dialect's words.
fn check_told(endpoint: &Endpoint, body: &[u8]) -> bool {
    let read = (endpoint.read)(body);
    if let Err(error) = &read {
        assert!(!error.message.is_empty());
        assert_eq!(error.code.status() / 100, 4, "{error:?}");
        let told = error.to_json(endpoint.dialect);
        let begin = match endpoint.dialect {
            Dialect::OpenAi => r#"{"error":{"message":"#,
            Dialect::Anthropic => r#"{"type":"error","error":{"message":"#,
        };
        assert!(told.starts_with(begin), "{told}");
    }
    read.is_ok()
}

#[test]
fn every_endpoint_has_a_body_that_it_reads() {
    assert_eq!(ENDPOINTS.len(), BODIES.len());
    for (endpoint, body) in ENDPOINTS.iter().zip(BODIES) {
        assert!(check_told(endpoint, body.as_bytes()), "{}: {:?}", endpoint.path, (endpoint.read)(body.as_bytes()));
    }
}

#[test]
fn a_body_cut_anywhere_is_refused() {
    for (endpoint, body) in ENDPOINTS.iter().zip(BODIES) {
        for end in 0..body.len() {
            assert!(!check_told(endpoint, &body.as_bytes()[..end]), "{} {end}", endpoint.path);
        }
    }
}

#[test]
fn a_body_with_any_byte_changed_is_read_or_refused_but_never_panics() {
    for (endpoint, body) in ENDPOINTS.iter().zip(BODIES) {
        for at in 0..body.len() {
            for change in [1, 2, 4, 0x10, 0x20, 0x80, 0xff] {
                let mut changed = body.as_bytes().to_vec();
                changed[at] ^= change;
                check_told(endpoint, &changed);
            }
        }
    }
}

proptest! {
    #[test]
    fn every_value_reads_back_the_same(value in any_value()) {
        prop_assert_eq!(face::from_json(face::to_json(&value).as_bytes()).unwrap(), value);
    }

    #[test]
    fn bytes_of_any_kind_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for endpoint in ENDPOINTS {
            check_told(endpoint, &bytes);
        }
        let _refused_or_read = face::from_json(&bytes);
    }
}
