//! Workers that lie, break, refuse or stay silent: what the client gets, and that nothing false is acknowledged.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stub;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use crypto::SigningKey;
use gateway::Gateway;
use protocol::{
    Assurance, Canonical as _, Digest, Finish, KeyRecord, List, NodeRecord, Opening, Output, PublicKey, Role,
    SignedReceipt,
    registry::{OPEN_END, node_id},
    request::{StreamHead, output_commitment},
    service::{DoneFrame, Failure},
};
use stub::{
    Behaviour, Stage,
    client::{chat_body, request},
    worker::resign,
};
use tokio::io::AsyncReadExt as _;

const TEXT: &str = "The answer is forty-two.";
const STREAM: &str = r#","stream":true"#;

type Tell = fn(&mut DoneFrame, &SigningKey);

/// Every way in which a final frame can be false, most of them signed again so that the signature holds.
const LIES: &[(&str, Tell)] = &[
    ("signature", |done, _| done.receipt.signature.0[5] ^= 1),
    ("signature", |done, _| done.receipt.receipt.sequence += 1),
    ("another worker", |done, key| resign(done, key, |receipt| receipt.worker = Digest([1; 32]))),
    ("not registered", |done, key| resign(done, key, |receipt| receipt.key_valid_from += 1)),
    ("not registered", |done, _| {
        let stranger = SigningKey::from_seed(&[99; 32]);
        resign(done, &stranger, |receipt| receipt.worker_key = stranger.public_key());
    }),
    ("another request", |done, _| done.opening.request.nonce = Digest([1; 32])),
    ("another request", |done, _| done.opening.request.parameters.seed += 1),
    ("`request`", |done, _| done.opening.request_salt = Digest([1; 32])),
    ("`request`", |done, key| resign(done, key, |receipt| receipt.request = Digest([1; 32]))),
    ("`chain_id`", |done, key| resign(done, key, |receipt| receipt.chain_id += 1)),
    ("`prompt`", |done, _| done.opening.prompt = List::new(vec![9]).unwrap()),
    ("`output`", |done, _| done.opening.output_salt = Digest([1; 32])),
    ("`output`", |done, _| done.opening.output = Output::Tokens(List::new(vec![9]).unwrap())),
    ("`model`", |done, key| resign(done, key, |receipt| receipt.model = Digest([1; 32]))),
    ("`parameters`", |done, key| resign(done, key, |receipt| receipt.parameters.max_tokens += 1)),
    ("`template_time_ms`", |done, key| resign(done, key, |receipt| receipt.template_time_ms += 1)),
    ("`prompt_tokens`", |done, key| resign(done, key, |receipt| receipt.prompt_tokens += 1)),
    ("`output_tokens`", |done, key| resign(done, key, |receipt| receipt.output_tokens += 1)),
    ("`stream_head`", |done, key| resign(done, key, |receipt| receipt.stream_head = Digest([1; 32]))),
    ("`gateway`", |done, key| resign(done, key, |receipt| receipt.gateway = PublicKey([1; 32]))),
    ("`nonce`", |done, key| resign(done, key, |receipt| receipt.nonce = Digest([1; 32]))),
    ("not what was streamed", answer_otherwise),
    ("does not fit", |done, _| done.finish = Finish::Length),
    ("does not fit", |done, key| {
        done.finish = Finish::Cancelled;
        resign(done, key, |receipt| receipt.finish = Finish::Cancelled);
    }),
    ("does not fit", |done, key| {
        done.finish = Finish::Complete;
        resign(done, key, |receipt| receipt.finish = Finish::Complete);
    }),
    ("times", |done, key| resign(done, key, |receipt| receipt.finished_at_ms = receipt.received_at_ms - 1)),
    ("times", |done, key| resign(done, key, |receipt| receipt.finished_at_ms += 600_000)),
    ("times", |done, key| resign(done, key, |receipt| receipt.received_at_ms -= 600_000)),
    ("another form", |done, key| resign(done, key, |receipt| receipt.spec_version = 0)),
    ("`charge`", |done, key| resign(done, key, |receipt| receipt.charge = 1)),
];

/// A receipt and an opening that agree with each other, about another answer than the one that was streamed.
fn answer_otherwise(done: &mut DoneFrame, key: &SigningKey) {
    let output = Output::Tokens(List::new(vec![6, 5, 4, 3, 2, 1]).unwrap());
    let salt = done.opening.output_salt;
    done.opening.output = output.clone();
    resign(done, key, |receipt| {
        receipt.output = output_commitment(&salt, &output);
        receipt.stream_head = StreamHead::start(&receipt.request).after(&output).0;
    });
}

#[tokio::test]
async fn no_lie_is_ever_acknowledged() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    for (index, (told, lie)) in LIES.iter().enumerate() {
        stage.workers[0].behave(Behaviour::Lies(*lie));
        let whole = stage.client.chat("").await;
        assert_eq!((whole.status, whole.error().1.as_str()), (502, "worker_failed"), "{index} {told}");
        assert!(whole.body.contains(told), "{index} {told}: {}", whole.body);
        let streamed = stage.client.chat(STREAM).await;
        let events = streamed.events();
        assert_eq!(events.last().unwrap()["error"]["code"], "worker_failed", "{index} {told}");
        assert!(!streamed.is_done() && !streamed.body.contains("receipt_id"), "{index} {told}");
    }
    assert_eq!(stage.validator.anchored() + stage.gateway.receipts_waiting(), 0);
    stage.workers[0].behave(Behaviour::Honest);
    assert_eq!(stage.client.chat("").await.status, 200, "the only worker is asked again");
}

/// Which byte of the final frame is changed next.
static CHANGED: AtomicUsize = AtomicUsize::new(0);

fn change_a_byte(done: &mut DoneFrame, _: &SigningKey) {
    let mut bytes = done.encode();
    let at = CHANGED.fetch_add(1, Ordering::SeqCst) % bytes.len();
    bytes[at] ^= 1 << (at % 8);
    match DoneFrame::decode(&bytes) {
        Ok(changed) => *done = changed,
        // What is no frame never reaches the checks; another lie takes its place.
        Err(_) => done.receipt.signature.0[0] ^= 1,
    }
}

#[tokio::test]
async fn a_final_frame_with_any_byte_changed_is_not_acknowledged() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let body = chat_body("");
    let whole = stage.client.post_with(
        "/v1/chat/completions",
        "content-type: application/json\r\nx-og-opening: include\r\n",
        &body,
    );
    let og = whole.await.json()["og"].clone();
    let receipt: SignedReceipt = api::face::read(og["receipt"].to_string().as_bytes()).unwrap();
    let opening: Opening = api::face::read(og["opening"].to_string().as_bytes()).unwrap();
    let bytes = DoneFrame { receipt, opening, finish: Finish::Stop }.encode().len();
    stage.workers[0].behave(Behaviour::Lies(change_a_byte));
    for at in 0..bytes {
        assert_eq!(stage.client.chat("").await.status, 502, "byte {at} of {bytes}");
    }
    assert_eq!(CHANGED.load(Ordering::SeqCst), bytes);
    stage.settled(1).await;
}

#[tokio::test]
async fn a_false_tensor_receipt_is_not_acknowledged() {
    let stage = Stage::with(&[Behaviour::Lies(|done, _| done.finish = Finish::Stop)]).await;
    let answer = stage.client.post("/v1/infer", r#"{"model":"risk","inputs":{"x":[1]}}"#).await;
    assert_eq!(answer.error().0, 502);
}

#[tokio::test]
async fn a_float_model_is_asked_to_sign_and_no_more() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let body = |terms: &str| format!(r#"{{"model":"wild","inputs":{{"x":[1]}}{terms}}}"#);
    let answer = stage.client.post("/v1/infer", &body("")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(stage.workers[0].last().assurance, Assurance::Signed);
    let refused = stage.client.post("/v1/infer", &body(r#","og":{"assurance":"audited"}"#)).await;
    assert_eq!(refused.error(), (400, "unsupported_value".to_owned(), "og.assurance".to_owned()));
    assert!(refused.body.contains("no exact form"), "{}", refused.body);
    assert_eq!(stage.workers[0].jobs(), 1);
    // Nor may its receipt speak of exact arithmetic.
    stage.workers[0].behave(Behaviour::Lies(|done, key| resign(done, key, |receipt| receipt.spec_version = 1)));
    let lied = stage.client.post("/v1/infer", &body("")).await;
    assert!(lied.status == 502 && lied.body.contains("another form"), "{}", lied.body);
}

#[tokio::test]
async fn a_liar_is_followed_by_an_honest_worker_and_then_avoided() {
    for fields in ["", STREAM] {
        let stage = Stage::with(&[Behaviour::Lies(LIES[0].1), Behaviour::Honest]).await;
        for _ in 0..12 {
            let answer = stage.client.chat(fields).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            let text = if fields.is_empty() {
                answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
            } else {
                assert!(answer.is_done(), "{}", answer.body);
                answer.streamed_text()
            };
            assert_eq!(text, TEXT);
        }
        assert!(stage.workers[0].jobs() <= 2, "asked {} times", stage.workers[0].jobs());
        stage.settled(12).await;
    }
}

#[tokio::test]
async fn a_stream_whose_worker_breaks_goes_on_at_another() {
    for broken in [Behaviour::DiesAfter(3), Behaviour::FailsAfter(3), Behaviour::DiesAfter(0), Behaviour::Garbles] {
        let stage = Stage::with(&[broken, broken, Behaviour::Honest]).await;
        let mut tries = 0;
        while stage.workers[0].jobs() == 0 {
            let answer = stage.client.chat(STREAM).await;
            assert_eq!(answer.streamed_text(), TEXT, "{}", answer.body);
            assert!(answer.is_done());
            tries += 1;
            assert!(tries < 100, "the broken worker is never asked");
        }
        stage.settled(tries).await;
    }
}

#[tokio::test]
async fn a_call_that_outlasts_what_workers_take_is_handed_on_all_the_same() {
    for (first, wait_ms) in [(Behaviour::TiresAfter(3, 600), 2_000), (Behaviour::Silent, 1_700)] {
        let pace = gateway::Pace { worker_wait: Duration::from_millis(wait_ms), ..stub::pace() };
        let stage = Stage::paced(&[first, Behaviour::Honest], pace).await;
        stage.workers.iter().for_each(|worker| worker.refuse_older_than(1_500));
        let mut tries = 0;
        while stage.workers[0].jobs() == 0 {
            let answer = stage.client.chat(STREAM).await;
            assert!(answer.is_done() && answer.streamed_text() == TEXT, "{}", answer.body);
            tries += 1;
            assert!(tries < 100, "the broken worker is never asked");
        }
        let (broken, next) = (stage.workers[0].last(), stage.workers[1].last());
        assert!(next.issued_at_ms > broken.issued_at_ms + 1_500);
        let issued_at_ms = broken.issued_at_ms;
        assert_eq!(protocol::Request { issued_at_ms, ..next }, broken, "nothing else is another");
        stage.settled(tries).await;
    }
}

#[tokio::test]
async fn an_answer_that_begins_long_after_its_call_is_given() {
    let stage = Stage::with(&[Behaviour::Slow(300)]).await;
    stage.workers[0].refuse_older_than(1_500);
    // So many are waited for at once: what is left begins after almost two seconds.
    let answer = stage.client.chat(r#","n":17"#).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json()["choices"].as_array().unwrap().len(), 17);
    stage.settled(17).await;
}

#[tokio::test]
async fn a_stream_of_many_answers_begins_the_next_when_one_has_ended() {
    let stage = Stage::with(&[Behaviour::Silent]).await;
    let body = chat_body(r#","n":20,"stream":true"#);
    let waiting =
        stage.client.open(&request("/v1/chat/completions", "content-type: application/json\r\n", &body)).await;
    for _ in 0..100 {
        if stage.workers[0].jobs() == 16 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.workers[0].jobs(), 16, "a worker's places are not filled with what only waits");
    drop(waiting);
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let streamed = stage.client.chat(r#","n":20,"stream":true"#).await;
    assert!(streamed.is_done(), "{}", streamed.body);
    let ended = |event: &serde_json::Value| event["choices"][0]["finish_reason"] == "stop";
    assert_eq!(streamed.events().iter().filter(|event| ended(event)).count(), 20);
    stage.settled(20).await;
}

#[tokio::test]
async fn a_stream_that_nobody_can_continue_ends_with_a_typed_error() {
    let stage = Stage::with(&[Behaviour::DiesAfter(3)]).await;
    let answer = stage.client.chat(STREAM).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.streamed_text(), "The answer is");
    let events = answer.events();
    let error = &events.last().unwrap()["error"];
    assert_eq!(error["code"], "worker_failed");
    assert!(error["message"].as_str().unwrap().contains("after 3 tokens"), "{error}");
    assert!(!answer.is_done());
    assert_eq!(stage.validator.anchored() + stage.gateway.receipts_waiting(), 0);
}

#[tokio::test]
async fn a_worker_that_goes_on_with_other_tokens_is_not_believed() {
    let stage = Stage::with(&[Behaviour::DiesAfter(3), Behaviour::Raves]).await;
    let answer = stage.client.chat(STREAM).await;
    let events = answer.events();
    assert!(events.last().unwrap()["error"]["message"].as_str().unwrap().contains("different tokens"), "{events:?}");
    assert!(!answer.is_done());
    // What nobody has seen yet binds nobody: a whole answer starts afresh.
    let stage = Stage::with(&[Behaviour::Raves, Behaviour::Raves, Behaviour::Honest]).await;
    assert_eq!(stage.client.chat("").await.json()["choices"][0]["message"]["content"], TEXT);
}

#[tokio::test]
async fn more_tokens_than_were_asked_for_are_not_passed_on() {
    let stage = Stage::with(&[Behaviour::Babbles]).await;
    let answer = stage.client.chat(r#","stream":true,"max_tokens":2"#).await;
    assert_eq!(answer.streamed_text(), "The answer");
    assert!(!answer.is_done());
}

#[tokio::test]
async fn a_silent_worker_is_left_in_time() {
    let pace = gateway::Pace { worker_wait: Duration::from_millis(200), ..stub::pace() };
    let stage = Stage::paced(&[Behaviour::Silent, Behaviour::Silent, Behaviour::Honest], pace).await;
    let answer = tokio::time::timeout(Duration::from_secs(5), stage.client.chat("")).await.unwrap();
    assert_eq!(answer.json()["choices"][0]["message"]["content"], TEXT);
}

#[tokio::test]
async fn each_refusal_by_workers_has_its_status_and_code() {
    let cases = [
        (Failure::BadRequest, 400, "invalid_value"),
        (Failure::ContextTooLong, 400, "context_length_exceeded"),
        (Failure::Busy, 503, "no_worker_available"),
        (Failure::UnknownModel, 502, "worker_failed"),
        (Failure::Unauthorised, 502, "worker_failed"),
        (Failure::Internal, 502, "worker_failed"),
    ];
    for (failure, status, code) in cases {
        let stage = Stage::with(&[Behaviour::Refuses(failure), Behaviour::Refuses(failure)]).await;
        for fields in ["", STREAM] {
            let answer = stage.client.chat(fields).await;
            assert_eq!((answer.error().0, answer.error().1.as_str()), (status, code), "{failure}");
            assert_eq!(answer.headers.contains_key("retry-after"), status >= 500, "{failure}");
        }
    }
}

#[tokio::test]
async fn one_workers_false_refusal_is_outvoted() {
    for failure in Failure::ALL {
        let stage = Stage::with(&[Behaviour::Refuses(*failure), Behaviour::Honest]).await;
        for _ in 0..4 {
            assert_eq!(stage.client.chat("").await.status, 200, "{failure}");
        }
    }
}

#[tokio::test]
async fn without_a_worker_the_client_is_told_to_come_again() {
    let stage = Stage::with(&[]).await;
    let answer = stage.client.chat("").await;
    assert_eq!((answer.error().0, answer.error().1.as_str()), (503, "no_worker_available"));
    assert_eq!(answer.headers["retry-after"], "2");
    assert!(answer.body.contains("no worker serves it"), "{}", answer.body);
    // Registered, but nobody listens there any more.
    let gone = stub::Worker::start(50, Behaviour::Honest).await;
    stage.validator.register(&gone);
    drop(gone);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.client.chat("").await.error().0, 502);
}

#[tokio::test]
async fn a_worker_whose_key_was_retired_is_not_believed() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let key = stage.workers[0].key.public_key();
    stage.validator.change(|ledger| ledger.keys.get_mut(&key).unwrap().valid_until = 4);
    let answer = stage.client.chat("").await;
    assert_eq!(answer.error().0, 502);
    assert!(answer.body.contains("not registered"), "{}", answer.body);
}

#[tokio::test]
async fn a_client_that_leaves_cuts_the_worker_off_and_leaves_nothing_behind() {
    let stage = Stage::with(&[Behaviour::Slow(100)]).await;
    for fields in [STREAM, ""] {
        let before = stage.workers[0].cuts();
        let body = chat_body(fields);
        let mut leaving =
            stage.client.open(&request("/v1/chat/completions", "content-type: application/json\r\n", &body)).await;
        if !fields.is_empty() {
            let mut piece = [0; 1];
            leaving.read_exact(&mut piece).await.unwrap();
        } else {
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        drop(leaving);
        for _ in 0..40 {
            tokio::time::sleep(Duration::from_millis(25)).await;
            if stage.workers[0].cuts() > before {
                break;
            }
        }
        assert_eq!(stage.workers[0].cuts(), before + 1, "the worker still works for {fields:?}");
    }
    assert_eq!(stage.validator.anchored() + stage.gateway.receipts_waiting(), 0);
    let status = stage.client.get("/status").await.json();
    assert_eq!(status["requests_in_flight"], 0);
}

#[tokio::test]
async fn a_client_that_never_reads_is_left() {
    let pace = gateway::Pace { reader_wait: Duration::from_millis(200), ..stub::pace() };
    let stage = Stage::paced(&[Behaviour::Babbles], pace).await;
    // Far more than fits into all buffers on the way.
    let body = chat_body(r#","stream":true,"max_tokens":65536"#);
    let stuck =
        stage.client.open_narrow(&request("/v1/chat/completions", "content-type: application/json\r\n", &body)).await;
    let mut in_flight = u64::MAX;
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        in_flight = stage.client.get("/status").await.json()["requests_in_flight"].as_u64().unwrap();
        if in_flight == 0 && stage.workers[0].jobs() == 1 {
            break;
        }
    }
    assert_eq!(in_flight, 0);
    assert_eq!(stage.workers[0].cuts(), 1);
    assert!(stage.client.get("/metrics").await.body.contains("og_gateway_disconnects_total 1\n"));
    drop(stuck);
}

#[tokio::test]
async fn a_gateway_that_is_jailed_says_so_whether_or_not_its_key_was_rotated() {
    let key = SigningKey::from_seed(&[1; 32]);
    let own = key.public_key();
    for node in [node_id(&own), Digest([7; 32])] {
        let validator = stub::Validator::start().await;
        let known = KeyRecord { key: own, node, role: Role::Gateway, valid_from: 1, valid_until: OPEN_END };
        validator.change(|ledger| ledger.keys.insert(own, known));
        let folder = tempfile::tempdir().unwrap();
        let gateway = Gateway::start(stub::config(&validator, &folder, stub::pace())).await.unwrap();
        let client = stub::client::Client::new(gateway.address());
        assert_eq!(client.get("/status").await.json()["jailed"], false);
        let jailed = NodeRecord { node, role: Role::Gateway, jailed: true, ..stub::node(&key, "http://gateway") };
        validator.change(|ledger| ledger.nodes.push(jailed));
        let mut status = client.get("/status").await.json();
        for _ in 0..200 {
            if status["jailed"] == true {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            status = client.get("/status").await.json();
        }
        assert_eq!((status["jailed"].as_bool(), status["jailed_workers"].as_u64()), (Some(true), Some(0)), "{status}");
    }
}

/// Tokens of four KiB each: more of them than are held of one answer.
fn at_length(_: &str) -> Vec<(u32, String)> {
    (1..1_030).map(|token| (token, "a".repeat(4_096))).collect()
}

#[tokio::test]
async fn an_answer_of_more_text_than_is_held_of_one_ends_and_is_held_against_no_worker() {
    let stage = Stage::with(&[Behaviour::Says(at_length), Behaviour::Says(at_length)]).await;
    let whole = stage.client.chat(r#","max_tokens":2000"#).await;
    assert_eq!(whole.error(), (413, "request_too_large".to_owned(), String::new()));
    let streamed = stage.client.chat(&format!(r#","max_tokens":2000{STREAM}"#)).await;
    assert_eq!(streamed.events().last().unwrap()["error"]["code"], "request_too_large");
    assert_eq!(stage.workers[0].jobs() + stage.workers[1].jobs(), 2, "no other worker is asked for the same");
    let metrics = stage.client.get("/metrics").await.body;
    assert!(metrics.contains("og_gateway_worker_failures_total 0\n"), "{metrics}");
}
