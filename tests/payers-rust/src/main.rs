//! The registry's Rust client of x402, unmodified, pays a devnet without gas: payers-rust <gateway> <base rpc> <secret>
//!
//! By `exact` and `upto`, whose approval it signs (EIP-2612) once it may ask the chain. Its channels are left out: the crate makes no deposits, and spells `channelConfig` in a voucher otherwise than
//! x402 does, so that no server takes one.

use std::{future::Future, pin::Pin, sync::Arc};

use alloy_primitives::{Address, U256};
use alloy_signer_local::PrivateKeySigner;
use r402_evm::{Permit2Approver, exact::Eip155ExactClient, permit2_allowance_calldata, upto::Eip155UptoClient};
use r402_http::{WithPayments as _, X402Client};
use r402_protocol::ClientError;
use serde_json::{Value, json};

const USDC: &str = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913";

/// What the client asks of its chain before it signs an approval, and no more: its payer has nothing that a transaction could be paid with.
struct Chain {
    rpc: String,
    http: reqwest::Client,
}

type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, ClientError>> + Send + 'a>>;

impl Chain {
    /// The word that a contract answers.
    async fn call(&self, to: Address, data: String) -> Result<U256, ClientError> {
        let failed = |what: String| ClientError::PreConditionFailed(format!("{to} answered nothing: {what}"));
        let params = json!([{ "to": to, "data": data }, "latest"]);
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": params }).to_string();
        let request = self.http.post(&self.rpc).header("content-type", "application/json").body(body);
        let answer = request.send().await.map_err(|error| failed(error.to_string()))?;
        let text = answer.text().await.map_err(|error| failed(error.to_string()))?;
        let word = serde_json::from_str::<Value>(&text)?["result"].as_str().and_then(|word| word.parse().ok());
        word.ok_or_else(|| failed(text))
    }
}

impl Permit2Approver for Chain {
    fn check_permit2_allowance(&self, token: Address, owner: Address) -> Asked<'_, U256> {
        Box::pin(async move { self.call(token, permit2_allowance_calldata(token, owner).1.to_string()).await })
    }

    fn approve_permit2(&self, token: Address, owner: Address) -> Asked<'_, ()> {
        Box::pin(
            async move { Err(ClientError::PreConditionFailed(format!("{owner} has no gas to approve {token} with"))) },
        )
    }

    fn supports_gas_sponsoring_rpc(&self) -> bool {
        true
    }

    /// `nonces(address)`.
    fn eip2612_nonce(&self, token: Address, owner: Address) -> Asked<'_, U256> {
        Box::pin(async move { self.call(token, format!("0x7ecebe00{:0>64}", format!("{owner:x}"))).await })
    }
}

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
    let [gateway, rpc, secret] = &arguments[..] else { panic!("payers-rust <gateway> <base rpc> <secret>") };
    let signer: Arc<PrivateKeySigner> = Arc::new(secret.parse().expect("a secret"));

    // Within its own limits, which know USDC and a dollar a call.
    let exact =
        pays(gateway, "What is a receipt?", X402Client::new().register(Eip155ExactClient::new(Arc::clone(&signer))))
            .await;
    assert_eq!((&exact["scheme"], &exact["asset"]), (&json!("exact"), &json!(USDC)), "{exact}");

    let chain = Chain { rpc: rpc.clone(), http: reqwest::Client::new() };
    let upto = Eip155UptoClient::builder(signer).approver(chain).auto_approve(false).build();
    let upto = X402Client::new().disable_spend_controls().register(upto);
    let upto = pays(gateway, "What is a session?", upto).await;
    assert_eq!(upto["scheme"], "upto", "{upto}");
    println!("r402 pays: ok");
}
