//! `og governance …`: what the network decides by votes of its stake, from keys of the folder. The same modules that wallets call.

mod actions;
mod numbers;
mod propose;
mod told;

use alloy_primitives::{Address, U256, hex as digits};
use alloy_sol_types::SolCall;
use anyhow::Result;
use evm::modules::{
    governance::{IGovernance, MODULE, Vendor},
    staking::IStakedVotes,
    votes,
};
use protocol::Amount;
use serde_json::{Value, json};

use super::{
    module::{self, Caller},
    show,
    wallet::{address, written},
};
use crate::{
    amount::opg,
    cli::{self, Common},
    remote::Remote,
    screen::{row, tell},
};

pub async fn run(remote: &Remote, common: &Common, command: cli::Governance) -> Result<()> {
    match command {
        cli::Governance::List { count } => told::list(remote, common, count).await,
        cli::Governance::Show { id } => told::one(remote, common, id).await,
        cli::Governance::Parameters { prefix } => numbers::list(remote, common, &prefix).await,
        cli::Governance::Trust => trust(remote, common).await,
        cli::Governance::Votes { who } => show_votes(remote, common, &who).await,
        cli::Governance::Propose(options) => propose::run(remote, common, &options).await,
        cli::Governance::Vote(options) => vote(remote, common, options).await,
        cli::Governance::Delegate { from, to } => delegate(remote, common, &from, to.as_deref()).await,
        cli::Governance::Execute(of) => {
            let call = IGovernance::executeCall { id: in_state(remote, of.id, told::EXECUTABLE).await? };
            send(remote, common, &of.from, &call).await
        }
        cli::Governance::Cancel(of) => {
            let call = IGovernance::cancelCall { id: in_state(remote, of.id, told::PENDING).await? };
            send(remote, common, &of.from, &call).await
        }
        cli::Governance::Revoke(options) => revoke(remote, common, &options).await,
    }
}

/// Refuses a proposal that is elsewhere in its life than where this is done to it.
async fn in_state(remote: &Remote, id: u64, wanted: u8) -> Result<U256> {
    told::must_be(&told::seen(remote, id).await?, wanted)?;
    Ok(U256::from(id))
}

async fn vote(remote: &Remote, common: &Common, options: cli::Vote) -> Result<()> {
    let id = in_state(remote, options.id, told::ACTIVE).await?;
    let call = IGovernance::castVoteWithReasonCall { id, support: options.support.number(), reason: options.reason };
    let votes = module::tried(remote, &MODULE, Caller::open(remote, &options.from)?.address(), &call).await?;
    send(remote, common, &options.from, &call).await?;
    tell(&format!("with {}", readable(votes)));
    Ok(())
}

/// Gives votes to somebody, or takes them back.
async fn delegate(remote: &Remote, common: &Common, from: &str, to: Option<&str>) -> Result<()> {
    let to = to.map(|to| address(remote, to)).transpose()?;
    let call = IStakedVotes::delegateCall { delegatee: to.map_or(Address::ZERO, |to| Address::from(to.0)) };
    module::send(remote, &votes::MODULE, Caller::open(remote, from)?, 0, &call).await?.show(common);
    Ok(())
}

async fn revoke(remote: &Remote, common: &Common, options: &cli::Revoke) -> Result<()> {
    if let Some(vendor) = options.vendor {
        let call = IGovernance::revokeVendorCall { vendor: vendor.number() };
        return send(remote, common, &options.from, &call).await;
    }
    let measurement = actions::measurement(options.measurement.as_deref().unwrap_or_default())?;
    send(remote, common, &options.from, &IGovernance::revokeMeasurementCall { measurement }).await
}

async fn send<C: SolCall>(remote: &Remote, common: &Common, from: &str, call: &C) -> Result<()> {
    module::send(remote, &MODULE, Caller::open(remote, from)?, 0, call).await?.show(common);
    Ok(())
}

async fn view<C: SolCall>(remote: &Remote, call: &C) -> Result<C::Return> {
    module::view(remote, &MODULE, call).await
}

/// How much somebody votes with now, and who votes with its stake.
async fn show_votes(remote: &Remote, common: &Common, who: &str) -> Result<()> {
    let who = address(remote, who)?;
    let account = Address::from(who.0);
    let votes = module::view(remote, &votes::MODULE, &IStakedVotes::getVotesCall { account }).await?;
    let delegate = module::view(remote, &votes::MODULE, &IStakedVotes::delegatesCall { account }).await?;
    let given = (delegate != account).then(|| delegate.to_string());
    let said = json!({ "address": written(&who), "votes": votes.to_string(), "opg": bare(votes), "given_to": given });
    show(common, &said, |_| {
        let to = given.as_ref().map_or_else(String::new, |to| format!("what it stakes votes for {to}"));
        vec![row(&[(&written(&who), 44), (&readable(votes), 28), (&to, 0)])]
    });
    Ok(())
}

async fn trust(remote: &Remote, common: &Common) -> Result<()> {
    let (from, count) = (U256::ZERO, U256::MAX);
    let mut vendors = Vec::new();
    for vendor in Vendor::ALL {
        let trusted = view(remote, &IGovernance::isVendorTrustedCall { vendor: vendor.number() }).await?;
        vendors.push(json!({ "vendor": vendor.word(), "trusted": trusted }));
    }
    let mut measurements = Vec::new();
    for digest in view(remote, &IGovernance::measurementsCall { from, count }).await? {
        let record = view(remote, &IGovernance::measurementCall { digest }).await?;
        let counts = view(remote, &IGovernance::isTrustedCall { measurement: digest }).await?;
        let vendor = Vendor::of_number(record.vendor).map(Vendor::word);
        measurements.push(json!({
            "measurement": digits::encode(digest), "vendor": vendor, "accepted": record.accepted, "trusted": counts,
        }));
    }
    let upgrades = view(remote, &IGovernance::upgradesCall { from, count }).await?;
    let upgrades = upgrades.iter().filter(|upgrade| !upgrade.height.is_zero()).map(
        |upgrade| json!({ "rules": actions::rules_in_words(upgrade.rules), "height": upgrade.height.to_string() }),
    );
    let guardian = view(remote, &IGovernance::guardianCall {}).await?;
    let said = json!({
        "guardian": actions::guardian_in_words(guardian),
        "vendors": vendors,
        "measurements": measurements,
        "rules": upgrades.collect::<Vec<_>>(),
    });
    show(common, &said, trust_lines);
    Ok(())
}

fn trust_lines(said: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let list = |name: &str| said[name].as_array().cloned().unwrap_or_default();
    let is = |value: &Value| if value["trusted"] == true { "trusted" } else { "not trusted" };
    let mut lines = vec![row(&[("guardian", 12), (&text(&said["guardian"]), 0)])];
    for vendor in list("vendors") {
        lines.push(row(&[("vendor", 12), (&text(&vendor["vendor"]), 66), (is(&vendor), 0)]));
    }
    for measured in list("measurements") {
        let of = format!("{}, of {}", is(&measured), text(&measured["vendor"]));
        lines.push(row(&[("measurement", 12), (&text(&measured["measurement"]), 66), (&of, 0)]));
    }
    for rules in list("rules") {
        let from = format!("from height {}", text(&rules["height"]));
        lines.push(row(&[("rules", 12), (&text(&rules["rules"]), 66), (&from, 0)]));
    }
    lines
}

/// Votes are coins.
fn readable(votes: U256) -> String {
    format!("{} OPG", bare(votes))
}

fn bare(votes: U256) -> String {
    opg(Amount::try_from(votes).unwrap_or(Amount::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_trusted_is_told_line_by_line() {
        let said = json!({
            "guardian": "nobody",
            "vendors": [{ "vendor": "nvidia", "trusted": false }],
            "measurements": [{ "measurement": "31", "vendor": "aws-nitro", "accepted": true, "trusted": true }],
            "rules": [{ "rules": "og/rules/a", "height": "400" }],
        });
        let lines = trust_lines(&said);
        for (line, words) in lines.iter().zip(["nobody", "not trusted", "trusted, of aws-nitro", "from height 400"]) {
            assert!(line.ends_with(words), "{line}");
        }
        assert_eq!(lines.len(), 4);
    }
}
