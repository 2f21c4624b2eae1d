//! Which offers a wallet can pay, and how.
//!
//! Only tokens that the wallet knows are paid with: their digits and their EIP-712 domain are the wallet's own knowledge, so that no
//! server can have a signature made over another token than is shown.

use alloy_primitives::Address;
use serde_json::Value;
use thiserror::Error;

use crate::{
    scheme::{Method, Scheme},
    signing::Domain,
    wire::{Network, Requirements, json::read_hex},
};

/// The longest that what is signed may stay good.
const TIMEOUT_S_MAX: u64 = 7 * 86_400;
/// The longest that a deposit may be out of its payer's reach where the server gives nothing back.
const DELAY_S_MAX: u64 = 7 * 86_400;

/// A token that a wallet pays with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub network: Network,
    pub address: Address,
    pub symbol: String,
    pub decimals: u8,
    /// Of its EIP-712 domain.
    pub name: String,
    pub version: String,
}

impl Token {
    pub fn domain(&self) -> Domain {
        Domain::new(&self.name, &self.version, self.network.chain_id(), self.address)
    }
}

/// How an offer is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `exact`, by the token's own authorisation.
    Transfer,
    /// `exact`, by Permit2.
    Permit,
    /// `upto`: a cap that the server's session draws on.
    Session,
    /// `batch-settlement`, with deposits by this method.
    Channel(Method),
}

/// Why an offer is left alone.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    #[error("its scheme {0:?} is none that this wallet pays by")]
    Scheme(String),
    #[error("version 1 is paid by exact with EIP-3009 only")]
    Legacy,
    #[error("{asset} on {network} is no token that this wallet knows")]
    Token { network: Network, asset: Address },
    #[error("it calls its token {found:?} where {expected:?} is right, so a signature for it would be another's")]
    Domain { found: String, expected: String },
    #[error("its tokens are to move by {0:?}, which this wallet does not sign")]
    Method(String),
    #[error("what is signed for it would stay good for {0} s, where 1 to {TIMEOUT_S_MAX} are signed for")]
    Timeout(u64),
    #[error("what is put into its channel could be withdrawn after {0} s, where at most {DELAY_S_MAX} are waited for")]
    Delay(u64),
    #[error("it lacks extra.{0}, or has it in another form, without which nothing can be signed")]
    Extra(&'static str),
}

impl Way {
    /// True where Permit2 moves the tokens, which its holder must have let it.
    pub const fn needs_allowance(self) -> bool {
        matches!(self, Self::Permit | Self::Session | Self::Channel(Method::Permit2))
    }

    /// How `terms` can be paid, and with what.
    pub fn of<'a>(terms: &Requirements, is_legacy: bool, tokens: &'a [Token]) -> Result<(Self, &'a Token), Unfit> {
        let scheme = Scheme::from_word(&terms.scheme).ok_or_else(|| Unfit::Scheme(short(&terms.scheme)))?;
        if is_legacy && scheme != Scheme::Exact {
            return Err(Unfit::Legacy);
        }
        let known = |token: &&Token| token.network == terms.network && token.address == terms.asset;
        let token = tokens.iter().find(known);
        let token = token.ok_or(Unfit::Token { network: terms.network, asset: terms.asset })?;
        let way = match scheme {
            Scheme::Exact if method(terms)? == Method::Permit2 => Self::Permit,
            Scheme::Exact => Self::Transfer,
            Scheme::Upto => {
                address(terms, "facilitatorAddress")?;
                Self::Session
            }
            Scheme::Batch => {
                address(terms, "receiverAuthorizer")?;
                let delay = terms.extra.get("withdrawDelay").and_then(Value::as_u64);
                let delay = delay.ok_or(Unfit::Extra("withdrawDelay"))?;
                if delay > DELAY_S_MAX {
                    return Err(Unfit::Delay(delay));
                }
                Self::Channel(method(terms)?)
            }
        };
        if is_legacy && way != Self::Transfer {
            return Err(Unfit::Legacy);
        }
        if !(1..=TIMEOUT_S_MAX).contains(&terms.max_timeout_s) {
            return Err(Unfit::Timeout(terms.max_timeout_s));
        }
        if matches!(way, Self::Transfer | Self::Channel(Method::Transfer)) {
            same_domain(terms, token)?;
        }
        Ok((way, token))
    }
}

fn method(terms: &Requirements) -> Result<Method, Unfit> {
    match terms.extra_text("assetTransferMethod") {
        None => Ok(Method::Transfer),
        Some(word) => Method::from_word(word).ok_or_else(|| Unfit::Method(short(word))),
    }
}

fn address(terms: &Requirements, name: &'static str) -> Result<Address, Unfit> {
    let found = terms.extra_text(name).and_then(read_hex).map(Address::from);
    found.filter(|address| !address.is_zero()).ok_or(Unfit::Extra(name))
}

fn same_domain(terms: &Requirements, token: &Token) -> Result<(), Unfit> {
    for (name, expected) in [("name", &token.name), ("version", &token.version)] {
        let found = terms.extra_text(name).ok_or(Unfit::Extra(name))?;
        if found != expected {
            return Err(Unfit::Domain { found: short(found), expected: expected.clone() });
        }
    }
    Ok(())
}

/// A foreign text, for an error.
fn short(text: &str) -> String {
    text.chars().take(48).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::payer::sign::map_of;

    fn token() -> Token {
        Token {
            network: Network::BASE,
            address: Address::repeat_byte(3),
            symbol: "USDC".to_owned(),
            decimals: 6,
            name: "USD Coin".to_owned(),
            version: "2".to_owned(),
        }
    }

    fn terms(scheme: &str, extra: Value) -> Requirements {
        Requirements {
            scheme: scheme.to_owned(),
            network: Network::BASE,
            amount: 10,
            asset: Address::repeat_byte(3),
            pay_to: Address::repeat_byte(4),
            max_timeout_s: 60,
            extra: map_of(extra),
        }
    }

    #[track_caller]
    fn check(scheme: &str, extra: Value, expected: Result<Way, Unfit>) {
        let tokens = [token()];
        let found = Way::of(&terms(scheme, extra), false, &tokens).map(|(way, _)| way);
        assert_eq!(found, expected);
    }

    fn domain() -> Value {
        json!({ "name": "USD Coin", "version": "2" })
    }

    fn with(mut extra: Value, name: &str, value: Value) -> Value {
        extra[name] = value;
        extra
    }

    #[test]
    fn every_scheme_has_its_way() {
        check("exact", domain(), Ok(Way::Transfer));
        check("exact", with(domain(), "assetTransferMethod", "eip3009".into()), Ok(Way::Transfer));
        check("exact", json!({ "assetTransferMethod": "permit2" }), Ok(Way::Permit));
        check("upto", json!({ "facilitatorAddress": Address::repeat_byte(5) }), Ok(Way::Session));
        let channel = with(domain(), "receiverAuthorizer", json!(Address::repeat_byte(5)));
        let channel = with(channel, "withdrawDelay", 900.into());
        check("batch-settlement", channel.clone(), Ok(Way::Channel(Method::Transfer)));
        let permit2 = with(channel, "assetTransferMethod", "permit2".into());
        check("batch-settlement", permit2, Ok(Way::Channel(Method::Permit2)));
    }

    #[test]
    fn what_lacks_something_is_left_with_its_reason() {
        check("escrow", domain(), Err(Unfit::Scheme("escrow".to_owned())));
        check("exact", json!({ "name": "USD Coin" }), Err(Unfit::Extra("version")));
        check("exact", json!({ "assetTransferMethod": "erc7710" }), Err(Unfit::Method("erc7710".to_owned())));
        check("upto", domain(), Err(Unfit::Extra("facilitatorAddress")));
        check("upto", json!({ "facilitatorAddress": Address::ZERO }), Err(Unfit::Extra("facilitatorAddress")));
        check("batch-settlement", domain(), Err(Unfit::Extra("receiverAuthorizer")));
        let channel = with(domain(), "receiverAuthorizer", json!(Address::repeat_byte(5)));
        check("batch-settlement", channel.clone(), Err(Unfit::Extra("withdrawDelay")));
        for (delay, expected) in [(DELAY_S_MAX, None), (DELAY_S_MAX + 1, Some(Unfit::Delay(DELAY_S_MAX + 1)))] {
            let expected = expected.map_or(Ok(Way::Channel(Method::Transfer)), Err);
            check("batch-settlement", with(channel.clone(), "withdrawDelay", delay.into()), expected);
        }
    }

    #[test]
    fn a_token_is_paid_with_only_where_the_wallet_knows_it_by_its_own_name() {
        let lying = json!({ "name": "Another Coin", "version": "2" });
        let domain = Unfit::Domain { found: "Another Coin".to_owned(), expected: "USD Coin".to_owned() };
        check("exact", lying, Err(domain));
        let unknown = Requirements { asset: Address::repeat_byte(9), ..terms("exact", self::domain()) };
        let tokens = [token()];
        let found = Way::of(&unknown, false, &tokens).map(|(way, _)| way);
        assert_eq!(found, Err(Unfit::Token { network: Network::BASE, asset: unknown.asset }));
        let elsewhere = Requirements { network: Network::BASE_SEPOLIA, ..terms("exact", self::domain()) };
        assert!(Way::of(&elsewhere, false, &tokens).is_err(), "the same address on another network");
    }

    #[test]
    fn version_1_is_paid_by_exact_only() {
        let tokens = [token()];
        assert_eq!(Way::of(&terms("exact", domain()), true, &tokens).map(|(way, _)| way), Ok(Way::Transfer));
        let permit2 = terms("exact", with(domain(), "assetTransferMethod", "permit2".into()));
        assert_eq!(Way::of(&permit2, true, &tokens).map(|(way, _)| way), Err(Unfit::Legacy));
        for max_timeout_s in [0, TIMEOUT_S_MAX + 1] {
            let long = Requirements { max_timeout_s, ..terms("exact", domain()) };
            assert_eq!(Way::of(&long, false, &tokens).map(|(way, _)| way), Err(Unfit::Timeout(max_timeout_s)));
        }
        assert_eq!(Way::of(&terms("upto", domain()), true, &tokens).map(|(way, _)| way), Err(Unfit::Legacy));
    }
}
