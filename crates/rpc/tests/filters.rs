//! Filters that are kept: what one may name, what one client and all may keep, and what subscriptions hear.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod still;

use alloy_primitives::{Address, B256, Bytes, Log};
use network::Origins;
use rpc::Limits;
use serde_json::{Value, json};
use still::{Desk, Socket, Still, error, request};
use tokio_tungstenite::{connect_async, tungstenite};

const LIMIT: i64 = -32_005;
const RARE: Address = Address::repeat_byte(0xaa);
const COMMON: Address = Address::repeat_byte(0xbb);
const LONELY: Address = Address::repeat_byte(0xcc);
const MOVED: B256 = B256::repeat_byte(0x01);
const HELD: B256 = B256::repeat_byte(0x02);

fn addresses(count: u64) -> Vec<Address> {
    (0..count).map(|index| Address::left_padding_from(&index.to_be_bytes())).collect()
}

fn topics(count: u64) -> Vec<B256> {
    (0..count).map(|index| B256::left_padding_from(&index.to_be_bytes())).collect()
}

fn refused(answer: &Value, words: &str) {
    let (code, said) = error(answer);
    assert_eq!(code, LIMIT, "{said}");
    assert!(said.starts_with(words), "{said}");
}

#[tokio::test]
async fn a_filter_that_names_too_many_is_refused_whoever_asks_by_it() {
    let desk = Desk::with(Limits::default()).await;
    let mut socket = Socket::to(&desk).await;
    let filter = |others: u64| json!({ "address": addresses(1_000), "topics": [null, topics(others)] });
    let words = "the filter names 1025 addresses and topics, expected at most 1024 in all; hint: ";
    for method in ["eth_getLogs", "eth_newFilter"] {
        refused(&desk.call(method, json!([filter(25)])).await, words);
        let answer = desk.call(method, json!([filter(24)])).await;
        assert!(answer["error"].is_null(), "{answer}");
    }
    refused(&socket.ask("eth_subscribe", json!(["logs", filter(25)])).await, words);
    let answer = socket.ask("eth_subscribe", json!(["logs", filter(24)])).await;
    assert!(answer["error"].is_null(), "{answer}");
}

#[tokio::test]
async fn one_client_has_only_so_many_filters() {
    let desk = Desk::with(Limits { filters_each: 2, ..Limits::default() }).await;
    let one = request("eth_newBlockFilter", json!([]));
    let answers = desk.post(json!([one, one, one]).to_string()).await;
    let refusals: Vec<&Value> =
        answers.as_array().unwrap().iter().filter(|answer| answer["error"].is_object()).collect();
    assert_eq!(refusals.len(), 1, "{answers}");
    refused(refusals[0], "too many filters: at most 2 for one client; hint: ");
    // Another still finds room.
    assert!(desk.call("eth_newBlockFilter", json!([])).await["result"].is_string());
}

#[tokio::test]
async fn all_clients_together_have_only_so_many_filters() {
    let desk = Desk::with(Limits { filters: 1, ..Limits::default() }).await;
    assert!(desk.call("eth_newBlockFilter", json!([])).await["result"].is_string());
    let words = "too many filters: at most 1 for all clients together; hint: ";
    refused(&desk.call("eth_newPendingTransactionFilter", json!([])).await, words);
}

#[tokio::test]
async fn filters_and_subscriptions_of_one_client_take_only_so_many_bytes() {
    let desk = Desk::with(Limits { filter_bytes_each: 5_000, ..Limits::default() }).await;
    let (mut one, mut other) = (Socket::to(&desk).await, Socket::to(&desk).await);
    let filter = json!({ "address": addresses(10) });
    let words = "filters take too many bytes: at most 5000 for one client; hint: ";
    let id = one.ask("eth_subscribe", json!(["logs", filter])).await["result"].clone();
    refused(&one.ask("eth_subscribe", json!(["logs", filter])).await, words);
    refused(&one.ask("eth_newFilter", json!([filter])).await, words);
    assert!(other.ask("eth_subscribe", json!(["logs", filter])).await["result"].is_string());
    assert_eq!(one.ask("eth_unsubscribe", json!([id])).await["result"], true);
    let id = one.ask("eth_newFilter", json!([filter])).await["result"].clone();
    refused(&one.ask("eth_subscribe", json!(["logs", filter])).await, words);
    assert_eq!(one.ask("eth_uninstallFilter", json!([id])).await["result"], true);
    assert!(one.ask("eth_subscribe", json!(["logs", filter])).await["result"].is_string());
}

#[tokio::test]
async fn filters_of_all_clients_together_take_only_so_many_bytes() {
    let desk = Desk::with(Limits { filter_bytes: 5_000, ..Limits::default() }).await;
    let filter = json!([{ "address": addresses(10) }]);
    assert!(desk.call("eth_newFilter", filter.clone()).await["result"].is_string());
    let words = "filters take too many bytes: at most 5000 for all clients together; hint: ";
    refused(&desk.call("eth_newFilter", filter).await, words);
}

#[tokio::test]
async fn one_client_has_only_so_many_websockets() {
    let desk = Desk::with(Limits { sockets_each: 0, ..Limits::default() }).await;
    match connect_async(desk.server.url().replace("http", "ws")).await {
        Err(tungstenite::Error::Http(answer)) => assert_eq!(answer.status().as_u16(), 503),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it opened"),
    }
}

#[tokio::test]
async fn whoever_subscribed_to_logs_hears_those_that_match_behind_the_header() {
    let log = |address, topic| Log::new_unchecked(address, vec![topic], Bytes::new());
    let chain = Still::logging(3, |_| vec![log(RARE, MOVED), log(COMMON, HELD), log(RARE, MOVED)]);
    let desk = Desk::of(chain, Origins::Any, Limits::default()).await;
    let mut socket = Socket::to(&desk).await;
    let mut subscribed = async |what: Value| socket.ask("eth_subscribe", what).await["result"].clone();
    let rare = subscribed(json!(["logs", { "address": RARE }])).await;
    // Of no contract; and in the block's bloom, but in none of its logs.
    subscribed(json!(["logs", { "address": LONELY }])).await;
    subscribed(json!(["logs", { "address": RARE, "topics": [HELD] }])).await;
    let heads = subscribed(json!(["newHeads"])).await;
    for _ in 0..2 {
        desk.chain.tell();
        for (id, index) in [(&heads, Value::Null), (&rare, json!("0x0")), (&rare, json!("0x2"))] {
            let news = socket.heard().await;
            assert_eq!(news["params"]["subscription"], *id, "{news}");
            assert_eq!(news["params"]["result"]["logIndex"], index, "{news}");
        }
    }
}
