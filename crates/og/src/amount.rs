//! Amounts of tokens as people write them: digits, and as many behind a point as the token has.

use alloy_primitives::U256;
use anyhow::{Context as _, Result, bail};

/// Digits behind the point of an amount of OPG.
pub const OPG_DECIMALS: u8 = 18;

/// Base units of OPG as OPG.
pub fn opg(units: u128) -> String {
    write(units, OPG_DECIMALS)
}

/// The same of what a module tells, which no supply of OPG goes beyond.
pub fn opg_of(units: U256) -> String {
    opg(units.saturating_to())
}

/// Base units as whole tokens, without needless zeros.
pub fn write(amount: u128, decimals: u8) -> String {
    let digits = usize::from(decimals);
    let text = format!("{amount:0>width$}", width = digits.saturating_add(1));
    let (whole, part) = text.split_at(text.len().saturating_sub(digits));
    let part = part.trim_end_matches('0');
    if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
}

/// Whole tokens as base units.
pub fn read(text: &str, decimals: u8, token: &str) -> Result<u128> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let (digits, places) = ([whole, part].concat(), usize::from(decimals));
    if digits.is_empty() || part.len() > places || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        bail!("{text:?} is no amount of {token}; hint: digits, and up to {decimals} behind a point, as in 1.5");
    }
    let zeros = "0".repeat(places.saturating_sub(part.len()));
    format!("{digits}{zeros}").parse().with_context(|| format!("{text} {token} is more than there can be"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_written_exactly() {
        for (text, amount) in [("1", 1_000_000), ("1.5", 1_500_000), ("0.000001", 1), (".5", 500_000)] {
            assert_eq!(read(text, 6, "USDC").unwrap(), amount, "{text}");
        }
        let written = [0, 1, 1_000_000, 1_500_000, 12_345_678].map(|amount| write(amount, 6));
        assert_eq!(written, ["0", "0.000001", "1", "1.5", "12.345678"]);
        assert_eq!((write(7, 0), read("7", 0, "X").unwrap()), ("7".to_owned(), 7));
        assert_eq!(write(u128::MAX, 18), "340282366920938463463.374607431768211455");
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in
            ["", ".", "-1", "+1", "1e3", "0.0000001", "1,5", "1.2.3", " 1", "9999999999999999999999999999999999"]
        {
            assert!(read(text, 6, "USDC").is_err(), "{text:?}");
        }
    }
}
