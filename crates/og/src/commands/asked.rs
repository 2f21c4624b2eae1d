//! What validators answer over JSON-RPC: one is asked, and the next where it cannot be reached.

use anyhow::{Context as _, Result, anyhow};
use network::{JsonRpc, RpcError, quantity};
use serde_json::{Value, json};

use crate::remote::Remote;

/// What the first validator answers that can be reached.
pub(super) async fn answer(remote: &Remote, method: &'static str, params: &Value) -> Result<Result<Value, RpcError>> {
    let mut last = None;
    for url in remote.network()?.ethereum_urls() {
        match JsonRpc::new(remote.client.clone(), url).ask(method, params.clone()).await {
            Err(RpcError::Network(error)) => last = Some(error),
            answer => return Ok(answer),
        }
    }
    let unreachable = "no validator answers; hint: og devnet";
    Err(last.map_or_else(|| anyhow!(unreachable), |error| anyhow::Error::new(error).context(unreachable)))
}

/// The newest block whose state modules are asked of: the ledger's height is its number.
pub(super) async fn height(remote: &Remote) -> Result<u64> {
    let told = answer(remote, "eth_blockNumber", &json!([])).await??;
    let height = quantity(&told).and_then(|height| u64::try_from(height).ok());
    height.context("a validator's answer is no height")
}
