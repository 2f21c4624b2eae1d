//! The registry's Rust client of x402, unmodified, pays a devnet: payers-rust <gateway> <secret>
//!
//! By `exact` and `upto`. Its channels are left out: the crate makes no deposits, and spells `channelConfig` in a voucher otherwise than
//! x402 does, so that no server takes one.

use std::sync::Arc;

use alloy_signer_local::PrivateKeySigner;
use r402_evm::{exact::Eip155ExactClient, upto::Eip155UptoClient};
use r402_http::{WithPayments as _, X402Client};
use serde_json::{Value, json};

const USDC: &str = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913";

/// Asks the demo model by a client that pays; what it was told of its payment.
async fn pays(gateway: &str, question: &str, x402: X402Client) -> Value {
    let body = json!({ "model": "demo-chat", "max_tokens": 8, "messages": [{ "role": "user", "content": question }] });
    let request = reqwest::Client::new().with_payments(x402).post(format!("{gateway}/v1/chat/completions"));
    let request = request.header("content-type", "application/json").body(body.to_string());
    let answer = request.send().await.expect("an answer");
    let (status, told) = (answer.status(), answer.headers().contains_key("payment-response"));
    let text = answer.text().await.expect("a body");
    assert!(status.is_success() && told, "{status}: {text}");
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    assert!(answer["choices"][0]["message"]["content"].is_string(), "{answer}");
    let paid = answer["og"]["payment"].clone();
    let units = |name: &str| paid[name].as_str().and_then(|text| text.parse::<u128>().ok()).expect("an amount");
    assert!(units("charged") > 0 && units("charged") <= units("max"), "{paid}");
    paid
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [gateway, secret] = &arguments[..] else { panic!("payers-rust <gateway> <secret>") };
    let signer: Arc<PrivateKeySigner> = Arc::new(secret.parse().expect("a secret"));

    // Within its own limits, which know USDC and a dollar a call.
    let exact =
        pays(gateway, "What is a receipt?", X402Client::new().register(Eip155ExactClient::new(Arc::clone(&signer))))
            .await;
    assert_eq!((&exact["scheme"], &exact["asset"]), (&json!("exact"), &json!(USDC)), "{exact}");

    let upto = X402Client::new().disable_spend_controls().register(Eip155UptoClient::new(signer));
    let upto = pays(gateway, "What is a session?", upto).await;
    assert_eq!(upto["scheme"], "upto", "{upto}");
    println!("r402 pays: ok");
}
