//! `og bridge`, `og payout` and `og relayer`: OPG between the ledger and Base, what is owed there, and who carries it. What is deployed there is
//! in `deploy`.

use std::time::Duration;

use anyhow::{Context as _, Error, Result, bail};
use contracts::{
    abi::{ISettlement, IToken},
    addresses,
};
use protocol::{Amount, Beneficiary, EvmAddress, settled::ProvenPayout};
use relayer::{Call, Carried, CarryError, Chain, Load, SignerKey};
use serde_json::{Value, json};

use super::{
    deploy,
    refused::by_chain,
    show,
    wallet::{address, base_units, written},
};
use crate::{
    amount::opg,
    bridge::{self, Link},
    cli::{self, Common},
    keys,
    remote::Remote,
    screen::{row, tell},
};

/// How long a transaction may take into a block.
const PATIENCE: Duration = Duration::from_secs(120);
const NOT_CARRIED: &str = "failed to carry to Base";
/// Proofs in one answer of a validator.
const PAGE: usize = 256;

pub async fn run(remote: &Remote, common: &Common, command: cli::Bridge) -> Result<()> {
    match command {
        cli::Bridge::ToBase { amount, to, key } => to_base(remote, common, &amount, to.as_deref(), &key).await,
        cli::Bridge::ToLedger { amount, to, key } => to_ledger(remote, common, &amount, to.as_deref(), &key).await,
        cli::Bridge::Status => status(remote, common).await,
        cli::Bridge::Deploy(options) => deploy::run(remote, common, &options).await,
    }
}

fn link(remote: &Remote) -> Result<Link> {
    bridge::read(&remote.home)?
        .context("this network is not joined to Base; hint: og bridge deploy, then og devnet --base-rpc URL --base-settlement ADDRESS")
}

fn own(key: &SignerKey) -> EvmAddress {
    EvmAddress(key.address().into_array())
}

async fn to_base(remote: &Remote, common: &Common, amount: &str, to: Option<&str>, key: &str) -> Result<()> {
    let (amount, key) = (base_units(amount)?, keys::signer(&remote.home, key)?);
    let to = to.map_or_else(|| Ok(own(&key)), |who| address(remote, who))?;
    let url = remote.network()?.ethereum_urls().into_iter().next().context("the network has no validator")?;
    let ledger = Chain::new(remote.client.clone(), url);
    let sent = ledger.send(&relayer::send_to_base(&to), amount, &key, PATIENCE).await;
    let transaction = sent.map_err(by_chain).context("failed to lock OPG on the ledger")?;
    let said = json!({ "to": written(&to), "amount": amount.to_string(), "transaction": transaction });
    show(common, &said, |_| {
        vec![format!("{} OPG locked for {} on Base; og payout claim has it minted there", opg(amount), written(&to))]
    });
    Ok(())
}

async fn to_ledger(remote: &Remote, common: &Common, amount: &str, to: Option<&str>, key: &str) -> Result<()> {
    let (amount, key, link) = (base_units(amount)?, keys::signer(&remote.home, key)?, link(remote)?);
    let to = to.map_or_else(|| Ok(own(&key)), |who| address(remote, who))?;
    let call = relayer::send_to_ledger(link.settlement()?, &Beneficiary::Wallet(to), amount);
    let transaction = sent(&link, &call, &key).await.context("failed to destroy OPG on Base")?;
    let said = json!({ "to": written(&to), "amount": amount.to_string(), "transaction": transaction });
    show(common, &said, |_| {
        vec![format!("{} OPG on their way to {}; there once validators have seen it", opg(amount), written(&to))]
    });
    Ok(())
}

async fn sent(link: &Link, call: &Call, key: &SignerKey) -> Result<String> {
    Ok(link.chain().send(call, 0, key, PATIENCE).await.map_err(by_chain)?.to_string())
}

async fn status(remote: &Remote, common: &Common) -> Result<()> {
    let (link, ledger) = (link(remote)?, remote.ledger()?);
    let (base, settlement) = (link.chain(), link.settlement()?);
    let bridge = ledger.bridge().await?;
    let locked = ledger.wallet(&written(&EvmAddress(relayer::BRIDGE.into_array()))).await?.balance;
    let next = base.read(settlement, &ISettlement::nextCall {}).await?;
    let key = base.read(settlement, &ISettlement::keySerialCall {}).await?;
    let burns = base.read(settlement, &ISettlement::burnsCall {}).await?;
    let credited = base.read(settlement, &ISettlement::burnsCreditedCall {}).await?;
    let token = base.read(settlement, &ISettlement::tokenCall {}).await?;
    let supply = base.read(token, &IToken::totalSupplyCall {}).await?;
    let said = json!({
        "ledger": {
            "settlements": bridge.settlements,
            "rotations": bridge.rotations,
            "owed": bridge.owed.to_string(),
            "burns": bridge.burns,
            "locked": locked.to_string(),
        },
        "base": {
            "rpc": link.rpc,
            "settlement": settlement,
            "next": next,
            "key": key,
            "burns": burns,
            "burns_credited": credited,
            "supply": supply.to_string(),
        },
    });
    show(common, &said, |_| {
        vec![
            row(&[("", 10), ("settlements", 14), ("burns", 14), ("OPG", 0)]),
            row(&[
                ("ledger", 10),
                (&bridge.settlements.to_string(), 14),
                (&bridge.burns.to_string(), 14),
                (&format!("{} locked, {} owed", opg(locked), opg(bridge.owed)), 0),
            ]),
            row(&[
                ("Base", 10),
                (&next.to_string(), 14),
                (&burns.to_string(), 14),
                (&format!("{} there", u128::try_from(supply).map_or_else(|_| supply.to_string(), opg)), 0),
            ]),
        ]
    });
    Ok(())
}

pub async fn payout(remote: &Remote, common: &Common, command: cli::Payout) -> Result<()> {
    match command {
        cli::Payout::List { of, key } => list(remote, common, of.as_deref(), &key).await,
        cli::Payout::Claim { of, key } => claim(remote, common, of.as_deref(), &key).await,
    }
}

/// A payout, and where it stands on Base.
struct Owed {
    proven: ProvenPayout,
    state: &'static str,
}

impl Owed {
    fn json(&self) -> Value {
        let payout = &self.proven.payout;
        json!({
            "settlement": self.proven.number,
            "index": self.proven.index,
            "kind": payout.kind.word(),
            "amount": payout.amount.to_string(),
            "state": self.state,
        })
    }
}

async fn owed(remote: &Remote, link: &Link, account: &EvmAddress) -> Result<Vec<Owed>> {
    let (ledger, base, settlement) = (remote.ledger()?, link.chain(), link.settlement()?);
    let next = base.read(settlement, &ISettlement::nextCall {}).await?;
    let (mut all, mut from) = (Vec::new(), 0);
    loop {
        let page = ledger.payouts(&written(account), from).await?;
        let (count, last) = (page.len(), page.last().map(|proven| proven.number));
        for proven in page {
            let (number, index) = (proven.number, proven.index);
            let state = if number >= next {
                "settled"
            } else if base.read(settlement, &ISettlement::isPaidCall { number, index }).await? {
                "paid"
            } else {
                "payable"
            };
            all.push(Owed { proven, state });
        }
        match last.and_then(|last| last.checked_add(1)).filter(|_| count >= PAGE) {
            Some(after) => from = after,
            None => return Ok(all),
        }
    }
}

async fn list(remote: &Remote, common: &Common, of: Option<&str>, key: &str) -> Result<()> {
    let account = match of {
        Some(who) => address(remote, who)?,
        None => own(&keys::signer(&remote.home, key)?),
    };
    let all = owed(remote, &link(remote)?, &account).await?;
    let said = json!({ "account": written(&account), "payouts": all.iter().map(Owed::json).collect::<Vec<_>>() });
    show(common, &said, |_| lines(&all));
    Ok(())
}

fn lines(all: &[Owed]) -> Vec<String> {
    let line = |owed: &Owed| {
        let proven = &owed.proven;
        let place = format!("{}/{}", proven.number, proven.index);
        row(&[
            (&place, 12),
            (owed.state, 10),
            (proven.payout.kind.word(), 6),
            (&format!("{} OPG", opg(proven.payout.amount)), 0),
        ])
    };
    if all.is_empty() { vec!["nothing is owed".to_owned()] } else { all.iter().map(line).collect() }
}

async fn claim(remote: &Remote, common: &Common, of: Option<&str>, key: &str) -> Result<()> {
    let (key, link) = (keys::signer(&remote.home, key)?, link(remote)?);
    let account = of.map_or_else(|| Ok(own(&key)), |who| address(remote, who))?;
    let settlement = link.settlement()?;
    let (mut claimed, mut sum) = (Vec::new(), 0 as Amount);
    for owed in owed(remote, &link, &account).await?.iter().filter(|owed| owed.state == "payable") {
        let (number, index) = (owed.proven.number, owed.proven.index);
        let call = relayer::claim(settlement, &owed.proven);
        let transaction =
            sent(&link, &call, &key).await.with_context(|| format!("failed to claim payout {number}/{index}"))?;
        sum = sum.saturating_add(owed.proven.payout.amount);
        claimed.push(json!({ "settlement": number, "index": index, "transaction": transaction }));
    }
    let said = json!({ "account": written(&account), "claimed": claimed, "amount": sum.to_string() });
    show(common, &said, |_| vec![format!("{} payouts, {} OPG to {}", claimed.len(), opg(sum), written(&account))]);
    Ok(())
}

pub async fn relay(remote: &Remote, common: &Common, options: cli::Relayer) -> Result<()> {
    let link = match (options.base_rpc, options.settlement) {
        (Some(rpc), named) => {
            let settlement = named.unwrap_or(addresses::DEVNET_SETTLEMENT).to_string();
            Link { rpc, settlement, confirmations: None, first_block: 0 }
        }
        (None, Some(_)) => bail!("--settlement says nothing of its chain; hint: --base-rpc URL"),
        (None, None) => link(remote)?,
    };
    let relayer = link.relayer(&remote.network()?, keys::signer(&remote.home, &options.key)?)?;
    if !options.once {
        tell(&format!("carrying settlements to {} on {}, from {}", link.settlement, link.rpc, relayer.key.address()));
        let tell_of = |told: Result<Carried, CarryError>| {
            tell(&told.map_or_else(
                |error| match error {
                    CarryError::Base(error) => format!("{NOT_CARRIED}: {:#}", by_chain(error)),
                    // In the words of its cause already.
                    error => error.to_string(),
                },
                |carried| match carried.load {
                    Load::Settlement(number) => format!("carried settlement {number}"),
                    Load::Key(serial) => format!("carried key {serial} of the network"),
                },
            ));
        };
        relayer.run(tell_of).await;
        return Ok(());
    }
    let mut carried = Vec::new();
    while let Some(one) = relayer.step().await.map_err(not_carried)? {
        carried.push(match one.load {
            Load::Settlement(number) => json!({ "settlement": number, "transaction": one.transaction }),
            Load::Key(serial) => json!({ "key": serial, "transaction": one.transaction }),
        });
    }
    show(common, &json!({ "carried": carried }), |_| vec![format!("{} settlements and keys carried", carried.len())]);
    Ok(())
}

fn not_carried(error: CarryError) -> Error {
    match error {
        CarryError::Base(error) => by_chain(error).context(NOT_CARRIED),
        error => error.into(),
    }
}
