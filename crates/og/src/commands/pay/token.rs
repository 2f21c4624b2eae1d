//! Tokens that the wallet knows: where they lie, how many digits they have, by which name they check signatures.

use anyhow::{Context as _, Result};
use payments::{
    Address,
    payer::Token,
    scheme::{KnownToken, TOKENS},
};

use crate::amount;

pub fn known() -> Vec<Token> {
    let token = |known: &KnownToken| Token {
        network: known.network,
        address: known.address,
        symbol: known.symbol.to_owned(),
        decimals: known.money.decimals,
        name: known.name.to_owned(),
        version: known.version.to_owned(),
    };
    TOKENS.iter().map(token).collect()
}

/// A token by its symbol, in any case, or by its address.
pub fn named(text: &str) -> Result<Token> {
    let address = text.parse::<Address>().ok();
    let fits = |token: &Token| token.symbol.eq_ignore_ascii_case(text) || address == Some(token.address);
    let all = known();
    let symbols = all.iter().map(|token| token.symbol.as_str()).collect::<Vec<_>>().join(", ");
    let found = all.iter().find(|token| fits(token)).cloned();
    found.with_context(|| format!("{text:?} is no token that this wallet knows; hint: one of {symbols}"))
}

pub fn read(text: &str, token: &Token) -> Result<u128> {
    amount::read(text, token.decimals, &token.symbol)
}

pub fn written(units: u128, token: &Token) -> String {
    amount::write(units, token.decimals)
}
