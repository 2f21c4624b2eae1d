//! The JSON face of nouns, and that hostile bodies end in typed errors, never in a panic.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use api::{ApiError, ChatCompletionRequest, InferRequest, face};
use proptest::prelude::*;
use protocol::{Digest, ModelRecord, PublicKey, Text, Value};

fn record() -> ModelRecord {
    ModelRecord {
        root: Digest([1; 32]),
        name: Text::new("tiny \"one\"").unwrap(),
        publisher: PublicKey([2; 32]),
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
"text","text":"hi \u00e9"}]}],"temperature":0.7,"top_p":1e-1,"seed":-5,"stop":["x"],"stream":true,"max_tokens":16,
"stream_options":{"include_usage":true},"og":{"assurance":"signed","parents":[]}}"#;
const INFER: &str =
    r#"{"model":"risk","inputs":{"x":[[1,2.5e0],[-3,4]],"y":{"shape":[2],"dtype":"i8","data":[1,-2]}}}"#;

fn check_told(result: Result<(), ApiError>) {
    if let Err(error) = result {
        assert!(!error.message.is_empty());
        assert_eq!(error.code.status() / 100, 4, "{error:?}");
        assert!(error.to_json().starts_with(r#"{"error":{"message":"#));
    }
}

fn check_both(body: &[u8]) {
    check_told(ChatCompletionRequest::parse(body).map(|_| ()));
    check_told(InferRequest::parse(body).map(|_| ()));
}

#[test]
fn a_body_cut_anywhere_is_refused() {
    for (body, whole) in [(CHAT, true), (INFER, false)] {
        assert_eq!(ChatCompletionRequest::parse(body.as_bytes()).is_ok(), whole);
        for end in 0..body.len() {
            let cut = &body.as_bytes()[..end];
            assert!(ChatCompletionRequest::parse(cut).is_err() && InferRequest::parse(cut).is_err(), "{end}");
            check_both(cut);
        }
    }
}

#[test]
fn a_body_with_any_byte_changed_is_read_or_refused_but_never_panics() {
    for body in [CHAT, INFER] {
        for at in 0..body.len() {
            for change in [1, 2, 4, 0x10, 0x20, 0x80, 0xff] {
                let mut changed = body.as_bytes().to_vec();
                changed[at] ^= change;
                check_both(&changed);
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
        check_both(&bytes);
        let _refused_or_read = face::from_json(&bytes);
    }
}
