//! `og wallet limit | limits | approve`: what a key may spend on calls, and what it lets Permit2 move.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use contracts::{abi::IToken, addresses};
use payments::{
    U256,
    payer::{Limits, Token},
};
use relayer::Call;
use serde_json::{Value, json};

use super::{
    pay::{token, wallet::Wallet},
    show,
};
use crate::{
    cli::{self, Common},
    remote::Remote,
    screen::row,
    spending::{Book, Purse, Spending},
};

/// How long a transaction may take into a block.
const PATIENCE: Duration = Duration::from_secs(120);

fn now_s() -> u64 {
    network::now_ms() / 1_000
}

/// Sets or removes what a key may spend of one token.
pub fn set(remote: &Remote, common: &Common, options: &cli::Limit) -> Result<()> {
    let (wallet, token) =
        (Wallet::open(&remote.home, &remote.client, &options.key, None)?, token::named(&options.token)?);
    let purse = Purse::new(wallet.address(), token.network, token.address);
    let read = |text: &str| token::read(text, &token);
    let limits = match (&options.per_call, &options.per_day, options.off) {
        (None, None, true) => None,
        (Some(per_call), Some(per_day), false) => Some(Limits { per_call: read(per_call)?, per_day: read(per_day)? }),
        _ => bail!("no limit is said; hint: --per-call AMOUNT --per-day AMOUNT, or --off"),
    };
    if let Some(limits) = limits.filter(|limits| limits.per_call > limits.per_day) {
        let (call, day) = (token::written(limits.per_call, &token), token::written(limits.per_day, &token));
        bail!("{call} for one call is more than {day} for a day; hint: a call is part of its day");
    }
    Spending::open(&remote.home)?.set_limits(purse, limits)?;
    list(remote, common)
}

/// All limits, and what was spent of them today.
pub fn list(remote: &Remote, common: &Common) -> Result<()> {
    let known = token::known();
    let all = Book::read(&remote.home)?.all(now_s());
    let one = |(purse, limits, spent): &(Purse, Limits, u128)| {
        let token =
            known.iter().find(|token| token.address == purse.asset && token.network.chain_id() == purse.chain_id);
        let written = |amount: u128| token.map_or_else(|| amount.to_string(), |token| token::written(amount, token));
        json!({
            "payer": purse.payer.to_checksum(None),
            "network": format!("eip155:{}", purse.chain_id),
            "token": token.map_or_else(|| purse.asset.to_checksum(None), |token| token.symbol.clone()),
            "per_call": written(limits.per_call),
            "per_day": written(limits.per_day),
            "spent_today": written(*spent),
        })
    };
    let said = json!({ "limits": all.iter().map(one).collect::<Vec<_>>() });
    show(common, &said, |said| {
        let cell = |limit: &Value, name: &str| limit[name].as_str().unwrap_or_default().to_owned();
        let line = |limit: &Value| {
            row(&[
                (&cell(limit, "payer"), 42),
                (&cell(limit, "token"), 12),
                (&format!("{} a call", cell(limit, "per_call")), 20),
                (&format!("{} of {} today", cell(limit, "spent_today"), cell(limit, "per_day")), 0),
            ])
        };
        let lines: Vec<String> = said["limits"].as_array().into_iter().flatten().map(line).collect();
        if lines.is_empty() { vec!["no key has a limit, so none pays without --max".to_owned()] } else { lines }
    });
    Ok(())
}

/// How much Permit2 may move: of a key with a limit no more than a day's, so that no signature can take more than that.
fn approved(remote: &Remote, wallet: &Wallet, token: &Token, asked: Option<&str>) -> Result<U256> {
    let purse = Purse::new(wallet.address(), token.network, token.address);
    let per_day = Book::read(&remote.home)?.limits(&purse).map(|limits| limits.per_day);
    let asked = asked.map(|text| token::read(text, token)).transpose()?;
    match (asked, per_day) {
        (Some(asked), Some(limit)) if asked > limit => {
            let (asked, limit) = (token::written(asked, token), token::written(limit, token));
            bail!("{asked} {} are more than the {limit} of a day; hint: og wallet limit", token.symbol)
        }
        (Some(amount), _) | (None, Some(amount)) => Ok(U256::from(amount)),
        (None, None) => Ok(U256::MAX),
    }
}

/// Lets Permit2 move a key's tokens, which offers by it need once.
pub async fn approve(remote: &Remote, common: &Common, options: &cli::Approve) -> Result<()> {
    let wallet = Wallet::open(&remote.home, &remote.client, &options.key, options.rpc.as_deref())?;
    let token = token::named(&options.token)?;
    let amount = approved(remote, &wallet, &token, options.amount.as_deref())?;
    let chain = wallet.chain(token.network).context("no chain to tell; hint: --rpc, or a --dir with a devnet")?;
    let id = chain.id().await?;
    if id != token.network.chain_id() {
        bail!("the RPC is of chain {id}, and {} is on {}; hint: --rpc of that chain", token.symbol, token.network);
    }
    let call = IToken::approveCall { spender: addresses::PERMIT2, value: amount };
    let call = Call { to: token.address, data: alloy_sol_types::SolCall::abi_encode(&call).into() };
    let sent = chain.send(&call, 0, wallet.payer.key(), PATIENCE).await.context("failed to approve Permit2")?;
    let shown = u128::try_from(amount).map_or_else(|_| "any amount".to_owned(), |units| token::written(units, &token));
    let said =
        json!({ "payer": wallet.written(), "token": token.symbol, "amount": amount.to_string(), "transaction": sent });
    show(common, &said, |_| vec![format!("Permit2 may move {shown} of {}'s {}", wallet.written(), token.symbol)]);
    Ok(())
}
