//! A node that is behind says so, to whoever asks and to whoever subscribed.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod still;

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use rpc::{Limits, Syncing};
use serde_json::{Value, json};
use still::Desk;
use tokio_tungstenite::{connect_async, tungstenite::Message};

const BEHIND: Syncing = Syncing { starting: 3, current: 20, highest: 255 };

fn told() -> Value {
    json!({ "startingBlock": "0x3", "currentBlock": "0x14", "highestBlock": "0xff" })
}

#[tokio::test]
async fn a_node_that_is_behind_tells_how_far_and_one_that_is_not_says_no() {
    let desk = Desk::with(Limits::default()).await;
    assert_eq!(desk.call("eth_syncing", json!([])).await["result"], false);
    *desk.chain.syncing.lock().unwrap() = Some(BEHIND);
    assert_eq!(desk.call("eth_syncing", json!([])).await["result"], told());
    assert_eq!(desk.refused("eth_syncing", json!([1])).await.0, -32_602);
}

#[tokio::test]
async fn whoever_subscribed_hears_when_a_node_falls_behind_and_when_it_no_longer_is() {
    let desk = Desk::with(Limits::default()).await;
    let (mut socket, _) = connect_async(desk.server.url().replace("http", "ws")).await.unwrap();
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["syncing"] });
    socket.send(Message::text(request.to_string())).await.unwrap();
    let mut heard = async || {
        let message = tokio::time::timeout(Duration::from_secs(10), socket.next()).await.unwrap().unwrap().unwrap();
        serde_json::from_str::<Value>(message.to_text().unwrap()).unwrap()
    };
    let id = heard().await["result"].clone();
    for (syncing, expected) in [(Some(BEHIND), json!({ "syncing": true, "status": told() })), (None, json!(false))] {
        *desk.chain.syncing.lock().unwrap() = syncing;
        let news = heard().await;
        assert_eq!((&news["params"]["subscription"], &news["params"]["result"]), (&id, &expected));
    }
}
