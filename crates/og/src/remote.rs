//! The network as a client sees it: a gateway, and where a folder says so its validators and hubs.

use anyhow::{Context as _, Result};
use network::{Client, LedgerClient, NetworkError};
use serde_json::Value;

use crate::{
    cli::Common,
    home::{Home, Network},
};

const DEFAULT_GATEWAY: &str = "http://127.0.0.1:8600";

/// A gateway to ask, and the folder whose network it belongs to.
pub struct Remote {
    pub client: Client,
    pub gateway: String,
    pub home: Home,
}

impl Remote {
    pub fn new(common: &Common) -> Self {
        let home = Home::new(common.dir.clone());
        let known = || home.network().ok().and_then(|network| network.urls("gateway").into_iter().next());
        let gateway = common.gateway.clone().or_else(known).unwrap_or_else(|| DEFAULT_GATEWAY.to_owned());
        let client = Client::new(std::time::Duration::from_secs(120));
        Self { client, gateway: gateway.trim_end_matches('/').to_owned(), home }
    }

    pub async fn get(&self, path: &str) -> Result<Vec<u8>> {
        Ok(self.client.get_bytes(&format!("{}{path}", self.gateway)).await.map_err(explained)?.to_vec())
    }

    pub async fn get_json(&self, path: &str) -> Result<Value> {
        serde_json::from_slice(&self.get(path).await?).context(NO_JSON)
    }

    pub async fn post_json(&self, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}{path}", self.gateway);
        let answer = self.client.post_json(&url, body.to_string(), &[("x-og-opening", "include")]).await;
        let answer = answer.map_err(explained)?;
        serde_json::from_slice(&answer).context(NO_JSON)
    }

    pub fn network(&self) -> Result<Network> {
        self.home.network()
    }

    pub fn ledger(&self) -> Result<LedgerClient> {
        Ok(LedgerClient::new(self.client.clone(), &self.network()?.urls("validator")))
    }
}

const NO_JSON: &str = "the gateway's answer is not JSON; hint: is it a gateway that --gateway names?";

/// An error with what a person may do about it.
fn explained(error: NetworkError) -> anyhow::Error {
    match error {
        NetworkError::Unreachable { .. } | NetworkError::Timeout { .. } => anyhow::Error::new(error)
            .context("no gateway answers; hint: start a network with og devnet, or name one with --gateway"),
        other => anyhow::Error::new(other),
    }
}
