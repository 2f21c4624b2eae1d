//! Places for what takes a while: who asks for many does not keep others out, and one kind of work not another.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod still;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rpc::Limits;
use serde_json::{Value, json};
use still::{Desk, LOOP, REVERT, error, request};
use tokio::task::JoinHandle;

const LIMIT: i64 = -32_005;

async fn desk(limits: Limits) -> Arc<Desk> {
    Arc::new(Desk::with(Limits { call_gas: u64::MAX, ..limits }).await)
}

/// Of one connection, and so of one client.
fn asked(desk: &Arc<Desk>, method: &str, params: &Value, count: usize) -> JoinHandle<Value> {
    let (desk, body) = (Arc::clone(desk), json!(vec![request(method, params.clone()); count]).to_string());
    tokio::spawn(async move { desk.post(body).await })
}

/// A call that is over at once has its answer.
async fn answers(desk: &Desk) {
    assert_eq!(desk.call("eth_call", json!([{ "to": REVERT }, "latest"])).await["error"]["code"], 3);
    assert_eq!(desk.call("eth_estimateGas", json!([{ "to": REVERT }])).await["error"]["code"], 3);
}

fn endless_trace() -> Value {
    json!([{ "to": LOOP }, "latest", { "tracer": "noopTracer" }])
}

#[tokio::test]
async fn one_client_leaves_a_place_to_others() {
    let desk = desk(Limits { call_time: Duration::from_secs(4), ..Limits::default() }).await;
    let many = asked(&desk, "eth_call", &json!([{ "to": LOOP }, "latest"]), 16);
    tokio::time::sleep(Duration::from_millis(200)).await;
    answers(&desk).await;
    assert!(!many.is_finished());
    many.abort();
}

#[tokio::test]
async fn traces_take_no_place_of_calls() {
    let limits = Limits { calls: 1, traces: 2, call_time: Duration::from_secs(4), ..Limits::default() };
    let desk = desk(limits).await;
    let many = asked(&desk, "debug_traceCall", &endless_trace(), 16);
    tokio::time::sleep(Duration::from_millis(200)).await;
    answers(&desk).await;
    assert!(!many.is_finished());
    many.abort();
}

#[tokio::test]
async fn who_has_no_turn_in_time_is_refused() {
    let limits = Limits { calls: 1, traces: 1, call_time: Duration::from_millis(300), ..Limits::default() };
    let desk = desk(limits).await;
    let call = json!([{ "to": LOOP }, "latest"]);
    for (method, params, words) in [("eth_call", call, "calls"), ("debug_traceCall", endless_trace(), "traces")] {
        let answers = asked(&desk, method, &params, 3).await.unwrap();
        let (code, said) = error(&answers[2]);
        assert_eq!((code, said), (LIMIT, format!("too many {words} at the same time: ask again later")));
        // It began at once, and had its time.
        assert_eq!(error(&answers[0]), (-32_000, "execution aborted (timeout)".to_owned()));
    }
}

#[tokio::test]
async fn searches_take_no_place_of_calls_and_are_refused_by_their_name() {
    let limits = Limits { calls: 1, searches: 1, call_time: Duration::from_millis(300), ..Limits::default() };
    let desk = desk(limits).await;
    desk.chain.is_stuck.store(true, Ordering::Relaxed);
    let stuck = asked(&desk, "eth_getLogs", &json!([{ "address": LOOP }]), 1);
    while desk.chain.looks.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let searches = [
        ("eth_getLogs", json!([{}])),
        ("eth_getFilterChanges", json!(["0x1"])),
        ("eth_getFilterLogs", json!(["0x1"])),
        ("eth_feeHistory", json!([1, "latest"])),
        ("txpool_status", json!([])),
        ("txpool_content", json!([])),
    ];
    for (method, params) in searches {
        let (code, said) = desk.refused(method, params).await;
        assert_eq!((code, said.as_str()), (LIMIT, "too many searches at the same time: ask again later"), "{method}");
    }
    answers(&desk).await;
    desk.chain.is_stuck.store(false, Ordering::Relaxed);
    stuck.await.unwrap();
    assert_eq!(desk.call("eth_getLogs", json!([{}])).await["result"], json!([]));
}
