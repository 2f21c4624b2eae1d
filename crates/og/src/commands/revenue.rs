//! `og revenue`: what a publisher's models earned at a gateway, asked with the publisher's own key.

use anyhow::{Context as _, Result};
use crypto::PublicKey;
use gateway::RevenueQuestion;
use network::now_ms;
use protocol::Canonical as _;
use serde_json::Value;

use super::show;
use crate::{
    amount,
    cli::{Common, Revenue},
    keys,
    remote::Remote,
    screen::row,
};

/// Decimals of OPG.
const OPG_DECIMALS: u8 = 18;

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
    let mut lines = vec![row(&[("day", 12), ("model", 24), ("calls", 10), ("OPG", 0)])];
    for day in told["days"].as_array().into_iter().flatten() {
        let [day_of, model, calls] = ["day", "model", "calls"].map(|name| text(&day[name]));
        let cells = [day_of, model, calls, opg(&day["opg"])];
        lines.push(row(&[(&cells[0], 12), (&cells[1], 24), (&cells[2], 10), (&cells[3], 0)]));
    }
    let [held, free] = ["held", "free"].map(|name| opg(&told[name]));
    lines.push(format!("yours: {held} OPG held until their windows close, {free} OPG free of answers that broke off"));
    lines
}

/// Base units as OPG; what is no amount as it came.
fn opg(value: &Value) -> String {
    let amount = value.as_str().and_then(|text| text.parse().ok());
    amount.map_or_else(|| value.to_string(), |amount| amount::write(amount, OPG_DECIMALS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publisher_reads_opg_by_model_and_day() {
        let day = serde_json::json!({ "day": "2026-11-30", "model": "demo", "calls": 3, "opg": "1500000000000000000" });
        let told = serde_json::json!({ "days": [day], "held": "1", "free": "2000000000000000000" });
        let lines = lines(&told);
        assert!(lines[1].contains("demo") && lines[1].trim_end().ends_with("1.5"), "{lines:?}");
        assert_eq!(
            lines[2],
            "yours: 0.000000000000000001 OPG held until their windows close, 2 OPG free of answers that broke off"
        );
    }
}
