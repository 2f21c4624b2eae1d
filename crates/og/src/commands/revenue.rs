//! `og revenue`: what a publisher's models earned at a gateway, asked with the publisher's own key.

use anyhow::{Context as _, Result};
use crypto::PublicKey;
use gateway::RevenueQuestion;
use network::now_ms;
use protocol::Canonical as _;
use serde_json::Value;

use super::show;
use crate::{
    cli::{Common, Revenue},
    keys,
    remote::Remote,
    screen::row,
};

pub async fn run(remote: &Remote, common: &Common, options: &Revenue) -> Result<()> {
    let secrets = keys::open(&remote.home, &keys::passphrase(&remote.home)?, &options.key)?;
    let status = remote.get_json("/status").await?;
    let gateway = status["key"].as_str().and_then(PublicKey::from_hex);
    let question = RevenueQuestion {
        chain_id: status["chain_id"].as_u64().context("the gateway's status names no chain")?,
        gateway: gateway.context("the gateway's status names no key")?,
        publisher: secrets.key.public_key(),
        asked_at_ms: now_ms(),
    };
    let signed = api::face::to_json(&question.sign(&secrets.key).to_value());
    let body: Value = serde_json::from_str(&signed).context("a question that cannot be written")?;
    let told = remote.post_json("/v1/revenue", &body).await?;
    show(common, &told, lines);
    Ok(())
}

/// A line a model and day, then what the key itself may still get.
fn lines(told: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut lines = vec![row(&[("day", 12), ("model", 24), ("calls", 10), ("OPG units", 0)])];
    for day in told["days"].as_array().into_iter().flatten() {
        let cells = ["day", "model", "calls", "opg"].map(|name| text(&day[name]));
        lines.push(row(&[(&cells[0], 12), (&cells[1], 24), (&cells[2], 10), (&cells[3], 0)]));
    }
    lines.push(format!("yours: {} held until their windows close, {} free", text(&told["held"]), text(&told["free"])));
    lines
}
