//! Every bound and every refusal, provoked.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod still;

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use network::Client;
use rpc::Limits;
use serde_json::{Value, json};
use still::{Desk, LOOP, REVERT, error, unsigned};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

const LIMIT: i64 = -32_005;
const PARAMS: i64 = -32_602;

async fn desk() -> Desk {
    Desk::with(Limits::default()).await
}

#[tokio::test]
async fn the_pool_is_counted_with_one_look_at_each_sender() {
    let desk = desk().await;
    for sender in [LOOP, REVERT] {
        desk.chain.waiting.lock().unwrap().extend((0..5).map(|nonce| unsigned(sender, nonce)));
    }
    let status = desk.call("txpool_status", json!([])).await;
    assert_eq!(status["result"], json!({ "pending": "0x4", "queued": "0x6" }));
    assert_eq!(desk.chain.nonces_asked.swap(0, Ordering::Relaxed), 2);
    let content = desk.call("txpool_content", json!([])).await;
    assert_eq!(content["result"]["queued"].as_object().unwrap().len(), 2);
    assert_eq!(desk.chain.nonces_asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn what_waits_already_is_known_by_its_hash_whoever_signed_it() {
    let desk = desk().await;
    let waiting = unsigned(LOOP, 0);
    let raw = json!([waiting.raw().to_string()]);
    assert_ne!(desk.refused("eth_sendRawTransaction", raw.clone()).await.1, "already known");
    desk.chain.waiting.lock().unwrap().push(waiting);
    assert_eq!(desk.refused("eth_sendRawTransaction", raw).await.1, "already known");
}

#[tokio::test]
async fn what_counts_the_pool_takes_a_place_and_is_refused_where_there_is_none() {
    let desk = Desk::with(Limits { searches: 0, call_time: Duration::from_millis(20), ..Limits::default() }).await;
    let (code, words) = desk.refused("txpool_status", json!([])).await;
    assert_eq!((code, words.as_str()), (LIMIT, "too many searches at the same time: ask again later"));
}

#[tokio::test]
async fn an_unknown_method_is_an_answer_and_no_http_error() {
    let desk = desk().await;
    let (code, words) = desk.refused("anvil_nodeInfo", json!([])).await;
    assert_eq!((code, words.as_str()), (-32_601, "the method anvil_nodeInfo does not exist/is not available"));
}

#[tokio::test]
async fn what_is_no_request_is_refused_by_what_is_wrong() {
    let desk = desk().await;
    let cases = [
        ("{", -32_700, "parse error"),
        ("[", -32_700, "parse error"),
        ("[]", -32_600, "empty batch"),
        ("7", -32_600, "invalid request"),
        (r#"{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}"#, -32_600, "expected \"jsonrpc\": \"2.0\""),
        (r#"{"id":1,"method":"eth_chainId"}"#, -32_600, "expected \"jsonrpc\": \"2.0\""),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32_600, "`method` is missing"),
        (r#"{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}"#, -32_600, "`id` is neither"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":{"a":1}}"#, PARAMS, "expected a list"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[1]}"#, PARAMS, "too many arguments"),
    ];
    for (body, code, words) in cases {
        let (found, said) = error(&desk.post(body).await);
        assert_eq!(found, code, "{body}: {said}");
        assert!(said.contains(words), "{body}: {said}");
    }
}

#[tokio::test]
async fn ids_come_back_as_they_were_and_notifications_are_not_answered() {
    let desk = desk().await;
    for id in ["1", "\"a\"", "null", "1.5"] {
        let answer = desk.post(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_chainId"}}"#)).await;
        assert_eq!(answer["result"], "0x2105");
        assert_eq!(answer["id"].to_string(), id);
    }
    let notification = r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#;
    let bytes = Client::default().post_json(&desk.server.url(), notification.to_owned(), &[]).await.unwrap();
    assert!(bytes.is_empty());
    let both = desk.post(format!(r#"[{notification},{{"jsonrpc":"2.0","id":2,"method":"net_version"}}]"#)).await;
    assert_eq!(both, json!([{"jsonrpc": "2.0", "id": 2, "result": "8453"}]));
}

#[tokio::test]
async fn a_bad_parameter_is_refused_by_its_name() {
    let desk = desk().await;
    let address = format!("{LOOP}");
    let cases = [
        ("eth_getBalance", json!(["0x12", "latest"]), "`address`"),
        ("eth_getBalance", json!([]), "`address`"),
        ("eth_getBalance", json!([address, "newest"]), "`block`"),
        ("eth_getStorageAt", json!([address, "x", "latest"]), "`slot`"),
        ("eth_getBlockByNumber", json!(["0x1", "yes"]), "`fullTransactions`"),
        ("eth_getBlockByHash", json!(["0x01", false]), "`blockHash`"),
        ("eth_getTransactionByHash", json!([1]), "`transactionHash`"),
        ("eth_getTransactionByBlockNumberAndIndex", json!(["0x1", "x"]), "`index`"),
        ("eth_call", json!(["x"]), "`transaction`"),
        ("eth_call", json!([{}, "latest", []]), "`stateOverrides`"),
        ("eth_getLogs", json!([1]), "`filter`"),
        ("eth_feeHistory", json!(["x", "latest"]), "`blockCount`"),
        ("eth_feeHistory", json!([1, "latest", [50, 10]]), "`rewardPercentiles`"),
        ("eth_feeHistory", json!([1, "latest", [101]]), "`rewardPercentiles`"),
        ("eth_sendRawTransaction", json!(["00"]), "`transaction`"),
        ("web3_sha3", json!(["0x1"]), "`data`"),
        ("eth_getFilterChanges", json!([{}]), "`filter`"),
        ("debug_traceCall", json!([{}, "latest", {"tracer": "{step: function() {}}"}]), "tracer not found"),
    ];
    for (method, params, words) in cases {
        let (code, said) = desk.refused(method, params.clone()).await;
        assert_eq!(code, PARAMS, "{method} {params}: {said}");
        assert!(said.contains(words), "{method} {params}: {said}");
    }
}

#[tokio::test]
async fn a_body_over_the_bound_is_refused_by_name() {
    let desk = Desk::with(Limits { body_bytes: 1_000, ..Limits::default() }).await;
    let sent = Client::default().post_json(&desk.server.url(), " ".repeat(1_001), &[]).await;
    assert!(sent.unwrap_err().to_string().contains("413"));
}

#[tokio::test]
async fn a_batch_over_the_bound_is_refused_whole() {
    let desk = Desk::with(Limits { batch: 2, ..Limits::default() }).await;
    let one = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    let two = desk.post(format!("[{one},{one}]")).await;
    assert_eq!(two.as_array().unwrap().len(), 2);
    assert_eq!(
        error(&desk.post(format!("[{one},{one},{one}]")).await),
        (LIMIT, "batch too large: 3 requests, at most 2".to_owned())
    );
}

#[tokio::test]
async fn an_answer_over_the_bound_is_refused() {
    let desk = Desk::with(Limits { answer_bytes: 500, ..Limits::default() }).await;
    let (code, words) = desk.refused("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(code, LIMIT, "{words}");
    let one = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    assert_eq!(error(&desk.post(format!("[{}]", [one; 20].join(","))).await).0, LIMIT);
}

#[tokio::test]
async fn ranges_of_logs_are_bounded_and_must_run_forward() {
    let desk = Desk::with(Limits { log_blocks: 5, ..Limits::default() }).await;
    let logs = |from: &str, to: &str| json!([{ "fromBlock": from, "toBlock": to }]);
    assert_eq!(desk.call("eth_getLogs", logs("0x1", "0x5")).await["result"], json!([]));
    let (code, words) = desk.refused("eth_getLogs", logs("0x1", "0x6")).await;
    assert_eq!(code, LIMIT);
    let told =
        "query exceeds max block range 5: it spans 6. Try with this block range [0x1, 0x5], and go on from 0x6; hint: ";
    assert!(words.starts_with(told), "{words}");
    let (code, words) = desk.refused("eth_getLogs", logs("0x6", "0x1")).await;
    assert_eq!(code, PARAMS, "{words}");
    let unknown = json!([{ "blockHash": format!("0x{}", "ab".repeat(32)) }]);
    assert!(desk.refused("eth_getLogs", unknown).await.1.starts_with("unknown block"));
}

#[tokio::test]
async fn filters_are_bounded_expire_and_are_gone_when_removed() {
    let limits = Limits { filters: 2, filter_wait: Duration::from_millis(300), ..Limits::default() };
    let desk = Desk::with(limits).await;
    let one = desk.call("eth_newBlockFilter", json!([])).await["result"].clone();
    let other = desk.call("eth_newFilter", json!([{}])).await["result"].clone();
    assert_eq!(desk.refused("eth_newPendingTransactionFilter", json!([])).await.0, LIMIT);
    assert_eq!(desk.call("eth_getFilterChanges", json!([one])).await["result"], json!([]));
    assert!(desk.refused("eth_getFilterLogs", json!([one])).await.1.contains("not of logs"));
    assert_eq!(desk.call("eth_uninstallFilter", json!([other])).await["result"], true);
    assert_eq!(desk.call("eth_uninstallFilter", json!([other])).await["result"], false);
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert!(desk.refused("eth_getFilterChanges", json!([one])).await.1.starts_with("filter not found"));
}

#[tokio::test]
async fn calls_end_at_their_deadline_and_reverts_carry_their_bytes() {
    let desk =
        Desk::with(Limits { call_time: Duration::from_millis(50), call_gas: u64::MAX, ..Limits::default() }).await;
    let (code, words) = desk.refused("eth_call", json!([{ "to": LOOP }, "latest"])).await;
    assert_eq!((code, words.as_str()), (-32_000, "execution aborted (timeout)"));
    let reverted = desk.call("eth_call", json!([{ "to": REVERT }, "latest"])).await;
    assert_eq!(reverted["error"]["code"], 3);
    assert_eq!(reverted["error"]["data"], format!("0x{}2a", "00".repeat(31)));
    assert_eq!(desk.call("eth_estimateGas", json!([{ "to": REVERT }])).await["error"]["code"], 3);
}

#[tokio::test]
async fn a_trace_is_bounded_in_steps() {
    let (code, words) = desk().await.refused("debug_traceCall", json!([{ "to": LOOP }, "latest", {}])).await;
    assert_eq!(code, LIMIT, "{words}");
    assert!(words.starts_with("the trace has more than"), "{words}");
}

#[tokio::test]
async fn a_state_that_is_gone_and_a_block_that_never_was_are_told_apart() {
    let desk = desk().await;
    let gone = desk.refused("eth_getBalance", json!([LOOP, "0x1"])).await;
    assert!(gone.1.contains("the oldest is that of block 2"), "{gone:?}");
    let never = desk.refused("eth_getBalance", json!([LOOP, "0x100"])).await;
    assert_eq!(never.0, -32_001);
    assert_eq!(desk.call("eth_getBlockByNumber", json!(["0x100", false])).await["result"], Value::Null);
}

#[tokio::test]
async fn a_node_without_keys_says_so_and_one_that_is_closed_too() {
    let desk = desk().await;
    assert!(desk.refused("eth_sendTransaction", json!([{}])).await.1.contains("holds no keys"));
    assert!(desk.refused("eth_sendRawTransaction", json!(["0x"])).await.1.starts_with("failed to decode"));
    assert!(desk.refused("eth_sendRawTransaction", json!(["0x03aa"])).await.1.contains("EIP-4844"));
}

#[tokio::test]
async fn subscriptions_are_for_websockets_and_bounded() {
    let desk = Desk::with(Limits { subscriptions: 1, ..Limits::default() }).await;
    assert!(desk.refused("eth_subscribe", json!(["newHeads"])).await.1.contains("WebSocket"));
    let (mut socket, _) = connect_async(desk.server.url().replace("http", "ws")).await.unwrap();
    let mut ask = async |method: &str, params: Value| {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        socket.send(Message::text(request.to_string())).await.unwrap();
        let answer = socket.next().await.unwrap().unwrap();
        serde_json::from_str::<Value>(answer.to_text().unwrap()).unwrap()
    };
    assert_eq!(error(&ask("eth_subscribe", json!(["nothing"])).await).0, PARAMS);
    let id = ask("eth_subscribe", json!(["newHeads"])).await["result"].clone();
    assert_eq!(error(&ask("eth_subscribe", json!(["logs"])).await).0, LIMIT);
    assert_eq!(ask("eth_unsubscribe", json!([id])).await["result"], true);
    assert_eq!(ask("eth_unsubscribe", json!([id])).await["result"], false);
    let second = ask("eth_subscribe", json!(["newHeads"])).await["result"].clone();
    desk.chain.tell();
    let news = socket.next().await.unwrap().unwrap();
    let news: Value = serde_json::from_str(news.to_text().unwrap()).unwrap();
    assert_eq!(news["params"]["subscription"], second);
    assert_eq!(news["params"]["result"]["number"], "0x14");
}

#[tokio::test]
async fn whoever_subscribed_to_a_chain_that_has_ended_is_told_and_let_go() {
    let desk = desk().await;
    let url = desk.server.url().replace("http", "ws");
    let (mut subscribed, _) = connect_async(url.as_str()).await.unwrap();
    let (mut asking, _) = connect_async(url.as_str()).await.unwrap();
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"] }).to_string();
    subscribed.send(Message::text(request.clone())).await.unwrap();
    subscribed.next().await.unwrap().unwrap();
    desk.chain.has_ended.store(true, Ordering::Relaxed);
    let ended = async {
        loop {
            if let Message::Close(frame) = subscribed.next().await.unwrap().unwrap() {
                return frame.unwrap().reason;
            }
        }
    };
    let reason = tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
    assert_eq!(reason, "no more news will come: ask another");
    // Who waits for no news is answered.
    asking.send(Message::text(request)).await.unwrap();
    let answer = asking.next().await.unwrap().unwrap();
    let answer: Value = serde_json::from_str(answer.to_text().unwrap()).unwrap();
    assert_eq!(error(&answer), (-32_603, "it has ended".to_owned()));
}

#[tokio::test]
async fn a_websocket_that_does_not_read_is_dropped() {
    let desk = Desk::with(Limits { backlog: 8, ..Limits::default() }).await;
    let (mut socket, _) = connect_async(desk.server.url().replace("http", "ws")).await.unwrap();
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"] });
    socket.send(Message::text(request.to_string())).await.unwrap();
    socket.next().await.unwrap().unwrap();
    // Nothing is read from here on: the kernel's buffers fill up, then the queue.
    for _ in 0..20_000 {
        desk.chain.tell();
        tokio::task::yield_now().await;
    }
    let mut news = 0;
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Close(_) => break,
            _ => news += 1,
        }
    }
    assert!(news < 20_000, "all {news} were delivered");
    assert_eq!(desk.call("eth_chainId", json!([])).await["result"], "0x2105");
}

#[tokio::test]
async fn an_oversize_message_ends_the_websocket() {
    let desk = Desk::with(Limits { body_bytes: 1_000, ..Limits::default() }).await;
    let (mut socket, _) = connect_async(desk.server.url().replace("http", "ws")).await.unwrap();
    socket.send(Message::text(" ".repeat(2_000))).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), async { while let Some(Ok(_)) = socket.next().await {} });
    ended.await.unwrap();
}

#[tokio::test]
async fn a_silent_websocket_is_asked_and_then_dropped() {
    let desk = Desk::with(Limits { ping: Duration::from_millis(50), ..Limits::default() }).await;
    let (mut socket, _) = connect_async(desk.server.url().replace("http", "ws")).await.unwrap();
    // Not reading means not answering pings.
    tokio::time::sleep(Duration::from_millis(400)).await;
    let mut pings = 0;
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Ping(_) => pings += 1,
            Message::Close(frame) => {
                assert_eq!(frame.unwrap().reason, "no sign of life");
                break;
            }
            _ => {}
        }
    }
    assert!(pings >= 2);
}
