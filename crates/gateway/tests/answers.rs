//! Answers, streamed and not, and what they say about their receipts.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stub;

use std::time::Duration;

use protocol::{Assurance, Canonical as _, Opening, Privacy, ShortBundle, SignedReceipt};
use stub::{Behaviour, CHAT, RISK, Stage, client};

const TEXT: &str = "The answer is forty-two.";

#[tokio::test]
async fn a_whole_answer_carries_text_usage_and_receipt() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let answer = stage.client.chat("").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let json = answer.json();
    assert_eq!(json["object"], "chat.completion");
    assert_eq!(json["model"], "tiny");
    assert_eq!(json["choices"][0]["message"]["role"], "assistant");
    assert_eq!(json["choices"][0]["message"]["content"], TEXT);
    assert_eq!(json["choices"][0]["finish_reason"], "stop");
    assert_eq!(json["usage"]["total_tokens"], 9);
    assert_eq!(json["og"]["model_root"], CHAT.to_string());
    assert_eq!(json["og"]["assurance"], "audited");
    assert_eq!(json["og"]["state"], "evidenced");
    assert_eq!(json["og"]["receipt_id"].as_str(), answer.headers.get("x-og-receipt").map(String::as_str));
    assert!(json["og"].get("opening").is_none());
    stage.settled(1).await;
}

#[tokio::test]
async fn a_streamed_answer_ends_with_its_receipt_and_done() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let answer = stage.client.chat(r#","stream":true"#).await;
    assert_eq!(answer.status, 200);
    assert!(answer.headers["content-type"].starts_with("text/event-stream"));
    assert_eq!(answer.streamed_text(), TEXT);
    assert!(answer.is_done());
    let events = answer.events();
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    let last = &events[events.len() - 2];
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(last["usage"]["completion_tokens"], 6);
    assert_eq!(last["og"]["receipt_id"].as_str().unwrap().len(), 64);
    assert!(
        events.iter().take(events.len() - 2).all(|event| event.get("usage").is_none() && event.get("og").is_none())
    );
    stage.settled(1).await;
}

#[tokio::test]
async fn usage_that_was_asked_for_comes_in_a_chunk_of_its_own() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let answer = stage.client.chat(r#","stream":true,"stream_options":{"include_usage":true}"#).await;
    let events = answer.events();
    let [finish, usage, done] = &events[events.len() - 3..] else { panic!("{events:?}") };
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    assert!(finish.get("usage").is_none());
    assert_eq!(usage["choices"].as_array().unwrap().len(), 0);
    assert_eq!(usage["usage"]["prompt_tokens"], 3);
    assert!(usage["og"]["receipt_id"].is_string());
    assert_eq!(done, "[DONE]");
}

#[tokio::test]
async fn each_token_leaves_at_once() {
    let stage = Stage::with(&[Behaviour::Slow(60)]).await;
    let answer = stage.client.chat(r#","stream":true"#).await;
    assert_eq!(answer.streamed_text(), TEXT);
    let (first, last) = (answer.arrivals.first().unwrap(), answer.arrivals.last().unwrap());
    assert!(last.0.duration_since(first.0) >= Duration::from_millis(250), "they came together");
    assert!(answer.arrivals.len() >= 6, "{} pieces", answer.arrivals.len());
}

#[tokio::test]
async fn what_was_asked_for_is_what_the_worker_is_told() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let fields = r#","max_tokens":3,"temperature":0.7,"seed":5,"og":{"assurance":"signed","privacy":"full"}"#;
    let answer = stage.client.chat(fields).await;
    assert_eq!(answer.json()["choices"][0]["finish_reason"], "length");
    assert_eq!(answer.json()["og"]["assurance"], "signed");
    let request = stage.workers[0].last();
    assert_eq!((request.model, request.chain_id), (CHAT, stub::CHAIN));
    assert_eq!((request.assurance, request.privacy), (Assurance::Signed, Privacy::Full));
    let parameters = &request.parameters;
    assert_eq!((parameters.max_tokens, parameters.temperature_micros, parameters.seed), (3, 700_000, 5));
}

#[tokio::test]
async fn a_stop_text_is_no_part_of_the_answer() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    for (stop, text) in [("is forty", "The answer "), ("-two.", "The answer is forty"), ("two!", TEXT)] {
        let whole = stage.client.chat(&format!(r#","stop":"{stop}""#)).await;
        assert_eq!(whole.json()["choices"][0]["message"]["content"], text);
        let streamed = stage.client.chat(&format!(r#","stream":true,"stop":["{stop}","zzz"]"#)).await;
        assert_eq!(streamed.streamed_text(), text);
        assert!(streamed.is_done());
    }
}

#[tokio::test]
async fn two_equal_requests_have_different_nonces_and_fresh_seeds() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    stage.client.chat(r#","temperature":1"#).await;
    let first = stage.workers[0].last();
    stage.client.chat(r#","temperature":1"#).await;
    let second = stage.workers[0].last();
    assert_ne!(first.nonce, second.nonce);
    assert_ne!(first.parameters.seed, second.parameters.seed);
}

#[tokio::test]
async fn the_opening_comes_along_when_asked_for() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let headers = "content-type: application/json\r\nx-og-opening: include\r\n";
    let answer = stage.client.post_with("/v1/chat/completions", headers, &client::chat_body("")).await;
    let og = &answer.json()["og"];
    let opening: Opening = api::face::read(og["opening"].to_string().as_bytes()).unwrap();
    let receipt: SignedReceipt = api::face::read(og["receipt"].to_string().as_bytes()).unwrap();
    assert!(receipt.signature_holds());
    assert_eq!(opening.matches(&receipt.receipt), Ok(()));
    assert_eq!(opening.request.encode(), stage.workers[0].last().encode());
}

#[tokio::test]
async fn a_model_answers_to_its_name_and_to_its_root() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let body = client::chat_body("").replace("tiny", &CHAT.to_string());
    let answer = stage.client.post("/v1/chat/completions", &body).await;
    assert_eq!(answer.json()["model"], "tiny");
}

#[tokio::test]
async fn tensors_go_in_and_come_out() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let answer = stage.client.post("/v1/infer", r#"{"model":"risk","inputs":{"x":[[1,2.5],[3,4]]}}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let json = answer.json();
    assert_eq!(json["outputs"]["score"]["data"][0], 10.5);
    assert_eq!(json["outputs"]["score"]["dtype"], "f32");
    assert_eq!(json["og"]["model_root"], RISK.to_string());
    assert_eq!(json["og"]["receipt_id"].as_str(), answer.headers.get("x-og-receipt").map(String::as_str));
    stage.settled(1).await;
}

#[tokio::test]
async fn models_and_status_are_listed() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let models = stage.client.get("/v1/models").await.json();
    assert_eq!(models["object"], "list");
    assert_eq!(models["data"][0]["id"], "tiny");
    assert_eq!(models["data"][1]["root"], RISK.to_string());
    let [named, served, price] = ["named", "served", "price"].map(|name| &models["data"][1][name]);
    assert!(*named == true && *served == true && price.is_null(), "{models}");
    assert_eq!(stage.client.get("/v1/models/risk").await.json()["id"], "risk");
    assert_eq!(stage.client.get("/v1/models/none").await.error().1, "model_not_found");
    stage.client.chat("").await;
    let status = stage.client.get("/status").await.json();
    assert_eq!((status["role"].as_str(), status["workers"].as_u64()), (Some("gateway"), Some(1)));
    assert_eq!((status["chain_id"].as_u64(), status["answers"].as_u64()), (Some(stub::CHAIN), Some(1)));
    let metrics = stage.client.get("/metrics").await.body;
    assert!(metrics.contains("og_gateway_answers_total 1\n"), "{metrics}");
    assert!(metrics.contains("og_gateway_stage_seconds_count{stage=\"own\"} 1\n"), "{metrics}");
}

#[tokio::test]
async fn a_receipt_is_shown_with_its_state() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    stage.validator.change(|ledger| ledger.loses = true);
    let id = stage.client.chat("").await.json()["og"]["receipt_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/receipts/{id}");
    let waiting = stage.client.get(&path).await.json();
    assert_eq!((waiting["state"].as_str(), waiting["status"].is_null()), (Some("evidenced"), true));
    let bundle = stage.client.get(&format!("{path}/bundle")).await;
    assert_eq!((bundle.error().1.as_str(), bundle.headers["retry-after"].as_str()), ("not_certified_yet", "1"));
    stage.validator.change(|ledger| ledger.loses = false);
    stage.settled(1).await;
    let anchored = stage.client.get(&path).await.json();
    assert_eq!(anchored["state"], "anchored");
    assert_eq!(anchored["status"]["receipt"].as_str(), Some(id.as_str()));
    assert_eq!(stage.client.get(&format!("{path}/bundle")).await.error().0, 409);
    stage.validator.change(|ledger| ledger.certifies = true);
    let bundle = stage.client.get(&format!("{path}/bundle")).await;
    let bundle: ShortBundle = api::face::read(bundle.body.as_bytes()).unwrap();
    assert_eq!(bundle.receipt.receipt.id().to_string(), id);
    let unknown = format!("/v1/receipts/{}", "0".repeat(64));
    assert_eq!(stage.client.get(&unknown).await.error(), (404, "unknown_receipt".to_owned(), "id".to_owned()));
    assert_eq!(stage.client.get("/v1/receipts/xyz").await.error(), (400, "invalid_value".to_owned(), "id".to_owned()));
    let pinned = stage.client.get(&format!("{path}/bundle?pinned=ab")).await;
    assert_eq!(pinned.error(), (400, "invalid_value".to_owned(), "pinned".to_owned()));
    assert_eq!(stage.client.get(&format!("{path}/bundle?pinned={}", "ab".repeat(96))).await.status, 200);
}

#[tokio::test]
async fn fifty_at_once_are_all_answered_and_anchored() {
    let stage = Stage::with(&[Behaviour::Honest, Behaviour::Honest, Behaviour::Slow(5)]).await;
    let ask = |index: u32| {
        let client = stage.client;
        tokio::spawn(async move { client.chat(if index.is_multiple_of(2) { "" } else { r#","stream":true"# }).await })
    };
    let asked: Vec<_> = (0..50).map(ask).collect();
    for answer in asked {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.body.contains("og"));
    }
    stage.settled(50).await;
    let batches = stage.validator.change(|ledger| ledger.batches.clone());
    assert!(batches.len() < 50, "receipts travel together: {batches:?}");
}
