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
    refused::by_chain,
    show,
};
use crate::{
    cli::{self, Common},
    remote::Remote,
    screen::row,
    spending::{Book, Purse, Spending, UNLIMITED},
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
    let read = |text: Option<&str>| text.map(|text| token::read(text, &token)).transpose();
    let (per_call, per_day) = (read(options.per_call.as_deref())?, read(options.per_day.as_deref())?);
    if per_call.is_none() && per_day.is_none() && !options.off {
        bail!("no limit is said; hint: --per-call AMOUNT, --per-day AMOUNT, or --off");
    }
    let mut spending = Spending::open(&remote.home)?;
    let limits = (!options.off).then(|| joined(per_call, per_day, spending.limits(&purse)));
    if let Some(limits) = limits.filter(|limits| limits.per_call > limits.per_day) {
        let (call, day) = (token::written(limits.per_call, &token), token::written(limits.per_day, &token));
        bail!(
            "{call} for one call is more than {day} for a day; hint: a call is part of its day, say --per-call and --per-day"
        );
    }
    spending.set_limits(purse, limits)?;
    drop(spending);
    list(remote, common)
}

/// What is said, and for the rest what was before. A day without a limit has none; a call without one may cost as much as a day.
fn joined(per_call: Option<u128>, per_day: Option<u128>, before: Option<Limits>) -> Limits {
    let per_day = per_day.or(before.map(|limits| limits.per_day)).unwrap_or(UNLIMITED);
    let per_call = per_call.or(before.map(|limits| limits.per_call)).unwrap_or(per_day);
    Limits { per_call, per_day }
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
            "per_day": (limits.per_day < UNLIMITED).then(|| written(limits.per_day)),
            "spent_today": written(*spent),
        })
    };
    let said = json!({ "limits": all.iter().map(one).collect::<Vec<_>>() });
    show(common, &said, |said| {
        let cell = |limit: &Value, name: &str| limit[name].as_str().unwrap_or_default().to_owned();
        let day = |limit: &Value| match limit["per_day"].as_str() {
            Some(per_day) => format!("{} of {per_day} today", cell(limit, "spent_today")),
            None => format!("{} today, of any amount", cell(limit, "spent_today")),
        };
        let line = |limit: &Value| {
            row(&[
                (&cell(limit, "payer"), 42),
                (&cell(limit, "token"), 12),
                (&format!("{} a call", cell(limit, "per_call")), 20),
                (&day(limit), 0),
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
    let per_day =
        Book::read(&remote.home)?.limits(&purse).map(|limits| limits.per_day).filter(|limit| *limit < UNLIMITED);
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
    let sent = chain.send(&call, 0, wallet.payer.key(), PATIENCE).await;
    let sent = sent.map_err(by_chain).context("failed to approve Permit2")?;
    let shown = u128::try_from(amount).map_or_else(|_| "any amount".to_owned(), |units| token::written(units, &token));
    let said =
        json!({ "payer": wallet.written(), "token": token.symbol, "amount": amount.to_string(), "transaction": sent });
    show(common, &said, |_| vec![format!("Permit2 may move {shown} of {}'s {}", wallet.written(), token.symbol)]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_of_a_limit_stays_as_it_was() {
        let before = Some(Limits { per_call: 5, per_day: 20 });
        assert_eq!(joined(Some(3), None, before), Limits { per_call: 3, per_day: 20 });
        assert_eq!(joined(None, Some(9), before), Limits { per_call: 5, per_day: 9 });
        assert_eq!(joined(Some(3), None, None), Limits { per_call: 3, per_day: UNLIMITED });
        assert_eq!(joined(None, Some(9), None), Limits { per_call: 9, per_day: 9 });
        assert_eq!(joined(Some(3), Some(9), before), Limits { per_call: 3, per_day: 9 });
    }
}
