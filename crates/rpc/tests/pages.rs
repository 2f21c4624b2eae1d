//! Pages in a browser that ask a node: what they may, and what nobody may.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod still;

use network::{Answer, Bytes, Client, Origins, axum::http::Request};
use rpc::Limits;
use serde_json::{Value, json};
use still::{Desk, Still, error};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{self, client::IntoClientRequest as _},
};

const PAGE: &str = "https://app.example.org";

async fn desk(origins: Origins) -> Desk {
    Desk::of(Still::of(3), origins, Limits::default()).await
}

/// As a browser sends it for a page of this origin; `asks` is its own question whether it may.
async fn sent(desk: &Desk, origin: &str, asks: bool, body: &Value) -> Answer {
    let method = if asks { "OPTIONS" } else { "POST" };
    let mut request = Request::builder().method(method).uri(desk.server.url()).header("origin", origin);
    if asks {
        request = request.header("access-control-request-method", "POST");
        request = request.header("access-control-request-headers", "content-type");
    }
    Client::default().ask(request.body(Bytes::from(body.to_string())).unwrap()).await.unwrap()
}

fn called(method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": [] })
}

/// With what status a WebSocket is refused to a page of this origin; `None` if it opens.
async fn refused(desk: &Desk, origin: &str) -> Option<u16> {
    let mut request = desk.server.url().replace("http", "ws").into_client_request().unwrap();
    request.headers_mut().insert("origin", origin.parse().unwrap());
    match connect_async(request).await {
        Ok(_) => None,
        Err(tungstenite::Error::Http(answer)) => Some(answer.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn any_page_may_ask_and_read_the_answer() {
    let desk = desk(Origins::Any).await;
    let may = sent(&desk, PAGE, true, &Value::Null).await;
    assert_eq!(may.status.as_u16(), 204);
    assert_eq!(may.headers["access-control-allow-origin"], "*");
    assert_eq!(may.headers["access-control-allow-headers"], "content-type");
    let answer = sent(&desk, PAGE, false, &called("eth_chainId")).await;
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    let answer: Value = serde_json::from_slice(&answer.body.whole(999).await.unwrap()).unwrap();
    assert_eq!(answer["result"], "0x2105");
    assert_eq!(refused(&desk, PAGE).await, None);
}

#[tokio::test]
async fn no_page_commands_a_node() {
    let desk = desk(Origins::Any).await;
    assert_eq!(desk.call("eth_accounts", json!([])).await["result"], json!([]));
    assert!(desk.refused("eth_sendTransaction", json!([{}])).await.1.contains("holds no keys"));
    for method in
        ["eth_sign", "personal_sign", "evm_mine", "anvil_setBalance", "hardhat_impersonateAccount", "admin_peers"]
    {
        assert_eq!(desk.refused(method, json!([])).await.0, -32_601, "{method}");
    }
}

#[tokio::test]
async fn a_page_of_an_origin_that_is_not_named_is_refused_on_either_transport() {
    let desk = desk("https://other.example.org".parse().unwrap()).await;
    for asks in [true, false] {
        let answer = sent(&desk, PAGE, asks, &called("eth_chainId")).await;
        assert_eq!(answer.status.as_u16(), 403);
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
    assert_eq!(refused(&desk, PAGE).await, Some(403));
    let answer = sent(&desk, "https://other.example.org", false, &called("eth_chainId")).await;
    assert_eq!(answer.headers["access-control-allow-origin"], "https://other.example.org");
    assert_eq!(refused(&desk, "https://other.example.org").await, None);
    // What is no page is answered as ever.
    assert_eq!(desk.call("eth_chainId", json!([])).await["result"], "0x2105");
    assert_eq!(error(&desk.call("eth_nothing", json!([])).await).0, -32_601);
}
