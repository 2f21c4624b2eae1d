//! `og revenue`: what callers paid for a publisher's models at a gateway, asked with the publisher's own key, and what whoever has a key
//! earns: of that, and of all that gateways owe it on the ledger.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use anyhow::{Context as _, Result};
use contracts::abi::IModels;
use crypto::PublicKey;
use evm::modules::models::MODULE;
use gateway::RevenueQuestion;
use ledger::address_of;
use network::now_ms;
use payments::price::MILLION;
use protocol::{Amount, Canonical as _, Digest, EvmAddress, Role};
use serde_json::{Value, json};

use super::{module, shares, show, terms::percent, wallet::written};
use crate::{
    amount::opg,
    cli::{Common, Revenue},
    keys,
    remote::Remote,
    screen::{row, tell},
};

/// What an income is divided by, to see who gets which part of it.
const WHOLE: u64 = 1_000_000_000_000_000_000;

pub async fn run(remote: &Remote, common: &Common, options: &Revenue) -> Result<()> {
    let secrets = keys::open(&remote.home, &keys::passphrase(&remote.home)?, &options.key)?;
    let account = address_of(&secrets.key.public_key());
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
    let mut told = remote.post_json("/v1/revenue", &body).await?;
    if let Err(error) = earned(remote, &account, &mut told).await {
        tell(&format!("what the ledger says of it is not known now: {error:#}"));
    }
    show(common, &told, |told| lines(told, &account));
    Ok(())
}

/// Puts in what of a gateway's words is the account's own, by the shares of now, and what gateways owe it.
async fn earned(remote: &Remote, account: &EvmAddress, told: &mut Value) -> Result<()> {
    let parts = shares::read(remote).await?;
    told["shares"] = shares::told(&parts);
    let mut own = BTreeMap::new();
    for day in told["days"].as_array_mut().into_iter().flatten() {
        let root = day["model_root"].as_str().and_then(Digest::from_hex).context("the gateway tells no root")?;
        let part = match own.get(&root) {
            Some(part) => *part,
            None => *own.entry(root).or_insert(own_part(remote, account, &root).await?),
        };
        let paid: Amount =
            day["opg"].as_str().and_then(|text| text.parse().ok()).context("the gateway tells no amount")?;
        day["yours"] = mine(paid, parts.publisher, part).to_string().into();
    }
    let ledger = remote.ledger()?;
    let mut owed = Vec::new();
    for gateway in ledger.nodes().await?.into_iter().filter(|node| node.role == Role::Gateway) {
        let first = ledger.shares(&gateway.node, before(account)).await?.into_iter().next();
        let due = first.filter(|share| share.payee == *account).map_or(0, |share| share.due());
        owed.push(json!({ "gateway": gateway.node.to_string(), "due": due.to_string() }));
    }
    told["owed"] = owed.into();
    Ok(())
}

/// How much of a whole income of a model an account gets by the registry: as publisher, and as whatever else it is there.
async fn own_part(remote: &Remote, account: &EvmAddress, root: &Digest) -> Result<U256> {
    let call = IModels::payoutsCall { root: root.0.into(), amount: U256::from(WHOLE) };
    let payouts = module::view(remote, &MODULE, &call).await?;
    let own = payouts.iter().filter(|payout| payout.payee == Address::from(account.0));
    Ok(own.map(|payout| payout.amount).fold(U256::ZERO, U256::saturating_add))
}

/// What of a sum that callers paid is somebody's that gets so much of a whole income.
fn mine(paid: Amount, publisher: u32, part: U256) -> U256 {
    let income = U256::from(paid) * U256::from(publisher) / U256::from(MILLION);
    income * part.min(U256::from(WHOLE)) / U256::from(WHOLE)
}

/// The account behind which a page begins with this one; none for the first of all.
fn before(account: &EvmAddress) -> Option<EvmAddress> {
    let number = U256::try_from_be_slice(&account.0)?.checked_sub(U256::from(1))?;
    Some(EvmAddress(Address::from_word(number.into()).into_array()))
}

/// A line a model and day, then what the account gets.
fn lines(told: &Value, account: &EvmAddress) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let widths = [12, 24, 10, 24, 0];
    let cells = |cells: [&str; 5]| row(&cells.into_iter().zip(widths).collect::<Vec<_>>());
    let mut lines = vec![cells(["day", "model", "calls", "callers paid, OPG", "yours, OPG"])];
    for day in told["days"].as_array().into_iter().flatten() {
        let [day_of, model, calls] = ["day", "model", "calls"].map(|name| text(&day[name]));
        lines.push(cells([&day_of, &model, &calls, &coins(&day["opg"]), &coins(&day["yours"])]));
    }
    if let Some(parts) = told["shares"].as_object() {
        let part = |(whom, share): (&String, &Value)| {
            let share = share.as_u64().and_then(|share| u32::try_from(share).ok()).unwrap_or_default();
            (share > 0).then(|| format!("{whom} {}", percent(share)))
        };
        let parts: Vec<String> = parts.iter().filter_map(part).collect();
        lines.push(format!("of each charge: {}", parts.join(", ")));
    }
    let [held, free] = ["held", "free"].map(|name| coins(&told[name]));
    lines.push(format!(
        "yours here: {held} OPG held until their windows close, {free} OPG free of answers that broke off"
    ));
    for owed in told["owed"].as_array().into_iter().flatten() {
        lines.push(format!(
            "owed to you on the ledger: {} OPG by gateway {}",
            coins(&owed["due"]),
            text(&owed["gateway"])
        ));
    }
    lines.push(format!("what was paid is with {}: og wallet show, or where og wallet home sent it", written(account)));
    lines
}

/// Base units as OPG; what is no amount as it came.
fn coins(value: &Value) -> String {
    let amount = value.as_str().and_then(|text| text.parse().ok());
    amount.map_or_else(|| if value.is_null() { "-".to_owned() } else { value.to_string() }, opg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publisher_reads_what_callers_paid_and_what_of_it_is_its_own_by_model_and_day() {
        let paid = "1500000000000000000";
        let day =
            json!({ "day": "2026-11-30", "model": "demo", "calls": 3, "opg": paid, "yours": "300000000000000000" });
        let owed = json!({ "gateway": "ab", "due": "100000000000000000" });
        let shares = json!({ "worker": 730_000, "publisher": 200_000, "burn": 0 });
        let told =
            json!({ "days": [day], "held": "1", "free": "2000000000000000000", "owed": [owed], "shares": shares });
        let lines = lines(&told, &EvmAddress([7; 20]));
        assert!(lines[1].contains("demo") && lines[1].contains("1.5 ") && lines[1].ends_with(" 0.3"), "{lines:?}");
        assert!(lines[2].contains("worker 73%") && !lines[2].contains("burn"), "{lines:?}");
        let here =
            "yours here: 0.000000000000000001 OPG held until their windows close, 2 OPG free of answers that broke off";
        assert_eq!((&lines[3][..], &lines[4][..]), (here, "owed to you on the ledger: 0.1 OPG by gateway ab"));
        assert!(lines[5].contains("0x0707"), "{lines:?}");
    }

    #[test]
    fn what_is_ones_own_is_a_part_of_the_publishers_part() {
        let three_quarters = U256::from(WHOLE / 4 * 3);
        assert_eq!(mine(1_000, 200_000, three_quarters), U256::from(150));
        assert_eq!(mine(Amount::MAX, MILLION, U256::MAX), U256::from(Amount::MAX));
        assert_eq!(mine(1_000, 0, three_quarters), U256::ZERO);
    }

    #[test]
    fn a_page_begins_with_whoever_is_asked_for() {
        let of = |bytes: [u8; 20]| before(&EvmAddress(bytes)).map(|address| address.0);
        let mut tens = [0; 20];
        (tens[18], tens[19]) = (1, 0);
        let mut expected = [0; 20];
        expected[19] = 255;
        assert_eq!((of(tens), of([0; 20])), (Some(expected), None));
    }
}
