//! `og wallet show | owed | pay | home`: OPG on the ledger, from keys of the folder; what keys may spend is in `limits`, whose the supply is in
//! `allocations`.

use alloy_primitives::{Address, U256};
use anyhow::{Context as _, Result, ensure};
use crypto::{PublicKey, digest::hex};
use evm::modules::opg::{IOPG, MODULE};
use ledger::address_of;
use protocol::{Action, Amount, Beneficiary, EvmAddress, transaction::NameHome};
use serde_json::{Value, json};

use super::{
    allocations, limits,
    module::{self, Caller},
    pay,
    posted::post,
    show,
};
use crate::{
    amount::{self, opg},
    cli::{self, Common},
    keys,
    remote::Remote,
    screen::{row, tell},
};

pub async fn run(remote: &Remote, common: &Common, command: cli::Wallet) -> Result<()> {
    match command {
        cli::Wallet::Show { who } => show_wallet(remote, common, &who).await,
        cli::Wallet::Owed { who } => owed(remote, common, &who).await,
        cli::Wallet::Limit(options) => limits::set(remote, common, &options),
        cli::Wallet::Channels => pay::refund::list(remote, common),
        cli::Wallet::Refund(options) => pay::refund::run(remote, common, &options).await,
        cli::Wallet::Withdraw(options) => pay::withdraw::run(remote, common, &options).await,
        cli::Wallet::Limits => limits::list(remote, common),
        cli::Wallet::Approve(options) => limits::approve(remote, common, &options).await,
        cli::Wallet::Allocations => allocations::list(remote, common).await,
        cli::Wallet::Pay { from, to, amount } => pay(remote, common, &from, &to, &amount).await,
        cli::Wallet::Home { base, key } => home(remote, common, base.as_deref(), &key).await,
    }
}

async fn show_wallet(remote: &Remote, common: &Common, who: &str) -> Result<()> {
    let address = address(remote, who)?;
    let wallet = remote.ledger()?.wallet_agreed(&written(&address)).await?;
    let said = json!({
        "address": written(&address),
        "balance": wallet.balance.to_string(),
        "opg": opg(wallet.balance),
        "nonce": wallet.nonce,
    });
    show(common, &said, |_| vec![row(&[(&written(&address), 44), (&format!("{} OPG", opg(wallet.balance)), 0)])]);
    if keys::has(&remote.home, who) {
        tell(&format!(
            "the account of the key {who}; its wallets, which sign as others do, are {who}/0, {who}/1 and so on"
        ));
    }
    Ok(())
}

/// What gateways owe an account, each by how much; `old` of that is taken out of their stake first.
async fn owed(remote: &Remote, common: &Common, who: &str) -> Result<()> {
    let account = address(remote, who)?;
    let shares = remote.ledger()?.owed(&account).await?;
    let due = shares.iter().fold(0, |sum: Amount, share| sum.saturating_add(share.due()));
    let by = shares.iter().map(|share| {
        let [due, old] = [share.due(), share.old].map(|amount| amount.to_string());
        json!({ "gateway": share.gateway.to_string(), "due": due, "old": old, "since": share.since })
    });
    let by = by.collect::<Vec<_>>();
    let said = json!({ "address": written(&account), "due": due.to_string(), "opg": opg(due), "by": by });
    show(common, &said, |_| {
        let line = |name: &str, units| row(&[(name, 64), (&format!("{} OPG", opg(units)), 0)]);
        let lines = shares.iter().map(|share| line(&share.gateway.to_string(), share.due()));
        lines.chain([line(&written(&account), due)]).collect()
    });
    Ok(())
}

async fn pay(remote: &Remote, common: &Common, from: &str, to: &str, amount: &str) -> Result<()> {
    let (to, amount) = (address(remote, to)?, base_units(amount)?);
    let call = IOPG::transferCall { to: Address::from(to.0), value: U256::from(amount) };
    let sent = module::send(remote, &MODULE, Caller::open(remote, from)?, 0, &call).await?;
    let said = json!({ "to": written(&to), "amount": amount.to_string(), "transaction": sent.transaction });
    show(common, &said, |said: &Value| {
        vec![format!(
            "{} OPG to {}, transaction {}",
            opg(amount),
            written(&to),
            said["transaction"].as_str().unwrap_or("-")
        )]
    });
    Ok(())
}

/// Says where the key's shares of what callers pay go from now on.
async fn home(remote: &Remote, common: &Common, base: Option<&str>, key: &str) -> Result<()> {
    let base = base.map(|base| address(remote, base)).transpose()?;
    let secrets = keys::open(&remote.home, &keys::passphrase(&remote.home)?, key)?;
    let account = address_of(&secrets.key.public_key());
    let id = post(remote, secrets.key, Action::NameHome(NameHome { base })).await?;
    let said = json!({
        "account": written(&account),
        "base": base.as_ref().map(written),
        "transaction": id.to_string(),
    });
    show(common, &said, |_| {
        let place =
            base.as_ref().map_or_else(|| "on the ledger".to_owned(), |base| format!("to {} on Base", written(base)));
        vec![format!("shares of {} are paid {place}", written(&account))]
    });
    Ok(())
}

/// An address behind 0x, a public key, the name of a key in the folder, or an address that its key signs for as wallets do
/// (`NAME/INDEX`, `@FILE`).
pub(super) fn beneficiary(remote: &Remote, who: &str) -> Result<Beneficiary> {
    if let Some(named) = keys::beneficiary(who) {
        return Ok(named);
    }
    ensure!(!who.starts_with("0x"), "{who:?} is no address; hint: 0x and 40 hexadecimal digits");
    if who.contains('/') || who.starts_with('@') {
        return Ok(Beneficiary::Wallet(EvmAddress(keys::signer(&remote.home, who)?.address().into_array())));
    }
    let found = keys::list(&remote.home)?.into_iter().find(|file| file.name == who);
    let file = found.with_context(|| {
        format!("no key is called {who:?}; hint: og keys list, base/0 for an address of a key, or name an address")
    })?;
    PublicKey::from_hex(&file.public_key).context("a key file holds no public key").map(Beneficiary::Key)
}

/// The account on the ledger of whoever is named so.
pub(super) fn address(remote: &Remote, who: &str) -> Result<EvmAddress> {
    beneficiary(remote, who).map(|whom| keys::account_of(&whom))
}

pub(super) fn written(address: &EvmAddress) -> String {
    format!("0x{}", hex(&address.0))
}

/// OPG that something is done with, as base units.
pub(super) fn base_units(text: &str) -> Result<Amount> {
    let units = amount::read(text, amount::OPG_DECIMALS, "OPG")?;
    ensure!(units > 0, "{text} OPG is nothing; hint: an amount above 0");
    Ok(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_done_with_no_coins() {
        assert_eq!(base_units("0.5").unwrap(), 500_000_000_000_000_000);
        for nothing in ["0", "0.0", ".000"] {
            let refused = base_units(nothing).unwrap_err().to_string();
            assert!(refused.contains("is nothing; hint: an amount above 0"), "{refused}");
        }
    }
}
