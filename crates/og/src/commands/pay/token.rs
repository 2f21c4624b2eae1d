//! Tokens that the wallet knows: where they lie, how many digits they have, by which name they check signatures.

use anyhow::{Context as _, Result};
use contracts::addresses;
use payments::{Address, address, payer::Token, wire::Network};

use crate::amount;

/// USDC where payments are tried out.
const USDC_SEPOLIA: Address = address!("036CbD53842c5426634e7929541eC2318f3dCF7e");

pub fn known() -> Vec<Token> {
    let token = |network, address, symbol: &str, decimals, name: &str, version: &str| Token {
        network,
        address,
        symbol: symbol.to_owned(),
        decimals,
        name: name.to_owned(),
        version: version.to_owned(),
    };
    vec![
        token(Network::BASE, addresses::USDC, "USDC", 6, "USD Coin", "2"),
        token(Network::BASE, addresses::OPG, "OPG", 18, "OpenGradient", "1"),
        token(Network::BASE_SEPOLIA, USDC_SEPOLIA, "USDC-sepolia", 6, "USDC", "2"),
    ]
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
