//! Questions to a chain's JSON-RPC 2.0, one by one or many in one body.
//!
//! Every answer is foreign: bounded by the client, read strictly, and no more believed than its asker decides.

use serde_json::{Value, json};
use thiserror::Error;

use crate::{client::Client, error::NetworkError};

/// Characters of a foreign reason that are shown.
const REASON_MAX: usize = 300;

/// Why a chain could not be asked.
#[derive(Clone, Debug, Error)]
pub enum RpcError {
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("the chain's RPC refused {method}: {message}")]
    Refused {
        method: &'static str,
        message: String,
        /// What a contract said in refusing, in hexadecimal behind 0x.
        data: Option<String>,
    },
    #[error("the chain's RPC gave no usable answer to {0}")]
    Answer(&'static str),
}

impl RpcError {
    /// True where the chain itself said no, so that the same again would be refused again.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

/// One chain's RPC.
#[derive(Clone)]
pub struct JsonRpc {
    client: Client,
    url: String,
}

impl JsonRpc {
    pub fn new(client: Client, url: String) -> Self {
        Self { client, url }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The result of one method; `null` where it is that.
    pub async fn ask(&self, method: &'static str, params: Value) -> Result<Value, RpcError> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let bytes = self.client.post_json(&self.url, body.to_string(), &[]).await?;
        result(method, serde_json::from_slice(&bytes).map_err(|_| RpcError::Answer(method))?)
    }

    /// The results of several methods, in their order, from one body. The first refusal is the answer to all.
    pub async fn ask_all(&self, calls: Vec<(&'static str, Value)>) -> Result<Vec<Value>, RpcError> {
        let body = calls.iter().enumerate();
        let body = body
            .map(|(id, (method, params))| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        let bytes = self.client.post_json(&self.url, Value::from_iter(body).to_string(), &[]).await?;
        let mut answers: Vec<Value> = serde_json::from_slice(&bytes).map_err(|_| RpcError::Answer("a batch"))?;
        let answer = |(id, (method, _)): (usize, &(&'static str, Value))| {
            let answer = answers.iter_mut().find(|answer| answer["id"] == json!(id));
            result(method, answer.ok_or(RpcError::Answer(method))?.take())
        };
        calls.iter().enumerate().map(answer).collect()
    }

    /// A result that is a quantity, as Ethereum writes one: hexadecimal behind 0x.
    pub async fn quantity(&self, method: &'static str, params: Value) -> Result<u128, RpcError> {
        quantity(&self.ask(method, params).await?).ok_or(RpcError::Answer(method))
    }

    /// One that fits 64 bits: numbers of blocks, nonces, gas.
    pub async fn small(&self, method: &'static str, params: Value) -> Result<u64, RpcError> {
        u64::try_from(self.quantity(method, params).await?).map_err(|_| RpcError::Answer(method))
    }
}

/// Reads a quantity; `None` for what is none, or has more than 128 bits.
pub fn quantity(value: &Value) -> Option<u128> {
    let digits = value.as_str()?.strip_prefix("0x").filter(|digits| !digits.starts_with('+'))?;
    u128::from_str_radix(digits, 16).ok()
}

fn result(method: &'static str, mut answer: Value) -> Result<Value, RpcError> {
    let Some(error) = answer.get("error").filter(|error| !error.is_null()) else {
        let result = answer.get_mut("result").ok_or(RpcError::Answer(method))?;
        return Ok(result.take());
    };
    let message = error["message"].as_str().unwrap_or("no reason").chars().take(REASON_MAX).collect();
    Err(RpcError::Refused { method, message, data: error["data"].as_str().map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::{Router, routing::post};

    use super::*;
    use crate::{Limits, Server};

    async fn told(answer: &'static str) -> (Server, JsonRpc) {
        let router = Router::new().route("/", post(move || async move { answer }));
        let server = Server::start((Ipv4Addr::LOCALHOST, 0).into(), router, Limits::default()).await.unwrap();
        let rpc = JsonRpc::new(Client::default(), server.url());
        (server, rpc)
    }

    #[test]
    fn quantities_are_hexadecimal_behind_0x_and_have_128_bits_at_most() {
        assert_eq!(quantity(&json!("0x10")), Some(16));
        assert_eq!(quantity(&json!(format!("{:#x}", u128::MAX))), Some(u128::MAX));
        let beyond = format!("{:#x}0", u128::MAX);
        for bad in [json!("10"), json!(16), json!("0x"), json!("0xzz"), json!("0x+1"), json!(null), json!(beyond)] {
            assert_eq!(quantity(&bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn an_answer_is_a_result_a_refusal_with_its_reason_or_none() {
        let (_server, rpc) = told(r#"{"jsonrpc":"2.0","id":1,"result":"0x7"}"#).await;
        assert_eq!(rpc.small("eth_blockNumber", json!([])).await.unwrap(), 7);
        let (_server, rpc) = told(r#"{"id":1,"error":{"code":3,"message":"reverted","data":"0xab"}}"#).await;
        let error = rpc.ask("eth_call", json!([])).await.unwrap_err();
        assert!(error.is_refusal() && error.to_string() == "the chain's RPC refused eth_call: reverted", "{error}");
        assert!(matches!(error, RpcError::Refused { data: Some(data), .. } if data == "0xab"));
        for bad in ["", "[]", "{}", "not JSON", r#"{"result":5}"#] {
            let (_server, rpc) = told(bad).await;
            let error = rpc.quantity("eth_gasPrice", json!([])).await.unwrap_err();
            assert!(matches!(error, RpcError::Answer("eth_gasPrice")), "{bad}: {error}");
        }
        let nowhere = JsonRpc::new(Client::default(), "http://127.0.0.1:1".to_owned());
        assert!(matches!(nowhere.ask("eth_chainId", json!([])).await.unwrap_err(), RpcError::Network(_)));
    }

    #[tokio::test]
    async fn many_answers_come_in_the_order_of_their_questions_or_not_at_all() {
        let asked = || vec![("eth_call", json!([1])), ("eth_getCode", json!([2]))];
        let (_server, rpc) = told(r#"[{"id":1,"result":"b"},{"id":0,"result":"a"}]"#).await;
        assert_eq!(rpc.ask_all(asked()).await.unwrap(), [json!("a"), json!("b")]);
        for bad in [r#"[{"id":0,"result":"a"}]"#, r#"{"id":0}"#, r#"[{"id":0,"result":"a"},{"id":"1","result":"b"}]"#] {
            let (_server, rpc) = told(bad).await;
            assert!(matches!(rpc.ask_all(asked()).await.unwrap_err(), RpcError::Answer(_)), "{bad}");
        }
        let (_server, rpc) = told(r#"[{"id":0,"result":"a"},{"id":1,"error":{"message":"no"}}]"#).await;
        assert!(rpc.ask_all(asked()).await.unwrap_err().is_refusal());
    }
}
