//! Bad input: each gets its status, its code and its parameter, and the gateway goes on.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stub;

use std::time::Duration;

use gateway::Pace;
use stub::{
    Behaviour, Stage,
    client::{chat_body, request},
    pace,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const CHAT: &str = "/v1/chat/completions";
const JSON: &str = "content-type: application/json\r\n";

#[tokio::test]
async fn each_bad_body_has_its_status_code_and_parameter() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let long = format!(r#"{{"model":"tiny","messages":[{{"role":"user","content":"{}"}}]}}"#, "x".repeat(300_000));
    let huge = " ".repeat((1 << 20) + 1);
    let ones = format!(r#"{{"dtype":"u8","data":[{}]}}"#, vec!["1"; 430_000].join(","));
    let wide = format!(r#"{{"model":"risk","inputs":{{"x":{ones},"y":{ones}}}}}"#);
    let cases = [
        (CHAT, "", 400, "invalid_json", ""),
        (CHAT, "{\"model\":", 400, "invalid_json", "model"),
        (CHAT, "[]", 400, "invalid_type", ""),
        (CHAT, r#"{"model":"none","messages":[{"role":"user","content":"x"}]}"#, 404, "model_not_found", "model"),
        (CHAT, r#"{"model":"tiny","messages":[]}"#, 400, "invalid_value", "messages"),
        (CHAT, r#"{"model":"tiny"}"#, 400, "missing_required_parameter", "messages"),
        (CHAT, &chat_body(r#","tools":[{}]"#), 400, "missing_required_parameter", "tools[0].function"),
        (CHAT, &chat_body(r#","temperature":"x""#), 400, "invalid_type", "temperature"),
        (CHAT, &long, 400, "string_above_max_length", "messages[0].content"),
        (CHAT, &huge, 413, "request_too_large", ""),
        ("/v1/infer", r#"{"model":"risk","inputs":{"x":[[1],[2,3]]}}"#, 400, "invalid_value", "inputs.x[1]"),
        ("/v1/infer", r#"{"model":"risk","inputs":{"x":[NaN]}}"#, 400, "invalid_json", "inputs.x[0]"),
        ("/v1/infer", &wide, 400, "context_length_exceeded", "inputs"),
        ("/v1/infer", r#"{"model":"none","inputs":{"x":[1]}}"#, 404, "model_not_found", "model"),
        ("/v1/completions", "{}", 400, "missing_required_parameter", "model"),
        ("/v1/embeddings", "{}", 400, "missing_required_parameter", "model"),
        ("/v1/edits", "{}", 404, "unknown_url", ""),
        ("/v1/models", "{}", 405, "method_not_allowed", ""),
    ];
    for (path, body, status, code, param) in cases {
        let answer = stage.client.post(path, body).await;
        assert_eq!(answer.error(), (status, code.to_owned(), param.to_owned()), "{path} {:.80}", body);
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    let unknown = stage.client.post(CHAT, r#"{"model":"none","messages":[{"role":"user","content":"x"}]}"#).await;
    assert!(unknown.body.contains("known are tiny, risk"), "{}", unknown.body);
    assert_eq!(stage.workers[0].jobs(), 0, "no worker hears of any of it");
    assert_eq!(stage.client.chat("").await.status, 200);
}

#[tokio::test]
async fn a_body_of_unannounced_length_is_bounded_too() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let piece = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let chunked =
        format!("POST {CHAT} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n{JSON}transfer-encoding: chunked\r\n\r\n");
    let answer = stage.client.exchange(&format!("{chunked}{}0\r\n\r\n", piece.repeat(17))).await;
    assert_eq!(answer.error().1, "request_too_large");
}

#[tokio::test]
async fn a_body_of_numbers_may_be_larger_as_long_as_there_is_a_place_for_it() {
    let body = format!(r#"{{"model":"none","inputs":{{"x":[1]}}{}}}"#, " ".repeat(3 << 20));
    let stage = Stage::with(&[Behaviour::Honest]).await;
    // Read, and understood: more often than there are places, one after the other.
    for _ in 0..pace().large_bodies_max + 1 {
        assert_eq!(stage.client.post("/v1/infer", &body).await.error().1, "model_not_found");
    }
    // One that is announced as larger is refused before it comes.
    let head = format!(
        "POST /v1/infer HTTP/1.1\r\nhost: g\r\nconnection: close\r\n{JSON}content-length: {}\r\n\r\n",
        (5 << 20) + 1
    );
    assert_eq!(stage.client.exchange(&head).await.error().0, 413);
    let none = Stage::paced(&[Behaviour::Honest], Pace { large_bodies_max: 0, ..pace() }).await;
    let answer = none.client.post("/v1/infer", &body).await;
    assert_eq!((answer.status, answer.error().1), (429, "rate_limit_exceeded".to_owned()));
    assert_eq!(none.client.chat("").await.status, 200);
}

#[tokio::test]
async fn only_json_is_taken() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    for headers in ["", "content-type: text/plain\r\n", "content-type: application/x-www-form-urlencoded\r\n"] {
        let answer = stage.client.post_with(CHAT, headers, &chat_body("")).await;
        assert_eq!((answer.error().0, answer.error().1.as_str()), (415, "unsupported_media_type"), "{headers}");
    }
    let answer =
        stage.client.post_with(CHAT, "Content-Type: Application/JSON; charset=utf-8\r\n", &chat_body("")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_contradicting_or_unknown_assurance_header_is_refused() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let ask = |level: &str| format!("{JSON}x-og-assurance: {level}\r\n");
    assert_eq!(stage.client.post_with(CHAT, &ask("signed"), &chat_body("")).await.json()["og"]["assurance"], "signed");
    for (level, code) in [("proven", "unsupported_value"), ("much", "invalid_value")] {
        let answer = stage.client.post_with(CHAT, &ask(level), &chat_body("")).await;
        assert_eq!(answer.error(), (400, code.to_owned(), "x-og-assurance".to_owned()));
    }
    let body = chat_body(r#","og":{"assurance":"audited"}"#);
    assert_eq!(stage.client.post_with(CHAT, &ask("signed"), &body).await.error().0, 400);
}

#[tokio::test]
async fn beyond_its_places_the_gateway_says_come_again() {
    let stage = Stage::paced(&[Behaviour::Slow(100)], Pace { requests_max: 2, ..pace() }).await;
    let asked: Vec<_> = (0..6)
        .map(|_| {
            tokio::spawn({
                let client = stage.client;
                async move { client.chat("").await }
            })
        })
        .collect();
    let mut statuses = Vec::new();
    for answer in asked {
        let answer = answer.await.unwrap();
        if answer.status == 429 {
            assert_eq!(answer.error().1, "rate_limit_exceeded");
            assert_eq!(answer.headers["retry-after"], "1");
        }
        statuses.push(answer.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 429, 429, 429, 429]);
    assert_eq!(stage.client.chat("").await.status, 200, "places come free again");
}

#[tokio::test]
async fn one_model_never_has_all_places() {
    let stage = Stage::paced(&[Behaviour::Slow(300)], Pace { requests_max: 16, ..pace() }).await;
    let asked: Vec<_> = (0..16)
        .map(|_| {
            tokio::spawn({
                let client = stage.client;
                async move { client.chat("").await }
            })
        })
        .collect();
    let mut refused = Vec::new();
    for answer in asked {
        let answer = answer.await.unwrap();
        if answer.status != 200 {
            assert_eq!((answer.status, &*answer.headers["retry-after"]), (429, "1"));
            refused.push(answer);
        }
    }
    assert_eq!(refused.len(), 4, "a quarter is for other models");
    assert!(refused[0].body.contains("This model has its share of the gateway's places"));
    assert_eq!(stage.client.chat("").await.status, 200, "places come free again");
}

#[tokio::test]
async fn a_trickled_body_is_not_waited_for() {
    let stage = Stage::paced(&[Behaviour::Honest], Pace { body_wait: Duration::from_millis(300), ..pace() }).await;
    let whole = request(CHAT, JSON, &chat_body(""));
    let mut slow = stage.client.open(&whole[..whole.len() - 10]).await;
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(3), slow.read_to_end(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("request_timeout"), "{answer}");
}

#[tokio::test]
async fn trickled_headers_are_not_waited_for() {
    let stage = Stage::paced(&[Behaviour::Honest], Pace { header_wait: Duration::from_millis(300), ..pace() }).await;
    let mut slow = stage.client.open("GET /v1/models HTTP/1.1\r\nhost: g\r\nx-slow: ").await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(3), slow.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection is still open");
    assert!(!String::from_utf8_lossy(&answer).contains("200"));
}

#[tokio::test]
async fn too_many_or_too_long_headers_are_refused() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let many: String = (0..200).map(|index| format!("x-{index}: y\r\n")).collect();
    assert_eq!(stage.client.exchange(&format!("GET /status HTTP/1.1\r\nhost: g\r\n{many}\r\n")).await.status, 431);
    let mut stuffed = stage.client.open("GET /status HTTP/1.1\r\nhost: g\r\nx-long: ").await;
    let stuffing = vec![b'x'; 1 << 20];
    let _cut_off_while_writing = stuffed.write_all(&stuffing).await;
    let mut answer = Vec::new();
    let _cut_off_while_reading = stuffed.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
    assert_eq!(stage.client.get("/status").await.status, 200);
}

#[tokio::test]
async fn what_is_no_http_harms_nobody() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    for bytes in ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "POST / HTTP/9.9\r\n\r\n", "\r\n\r\n\r\n"] {
        let mut stream = stage.client.open(bytes).await;
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _answered_or_cut = stream.read_to_end(&mut answer).await;
    }
    assert_eq!(stage.client.chat("").await.status, 200);
}
