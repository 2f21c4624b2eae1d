//! The price of a call: a function of the publisher's price, the assurance level, the tokens, and the rate that is given.
//!
//! Reads no clock and no feed. Rounds up, once, at the end, so that a price is never below what the publisher asks and never a unit
//! above it.

use protocol::Assurance;
use thiserror::Error;

use crate::price::feed::Rate;

/// What prices are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Base units of OPG: 10^18 make one.
    Opg,
    /// Billionths of a billionth of a US dollar.
    Usd,
}

/// 10^18: base units of OPG in one, and of [`Unit::Usd`] in a dollar.
const WHOLE: u128 = 1_000_000_000_000_000_000;

/// What a publisher asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    pub unit: Unit,
    pub per_call: u128,
    pub per_input_token: u128,
    pub per_output_token: u128,
}

impl Price {
    pub const FREE: Self = Self { unit: Unit::Opg, per_call: 0, per_input_token: 0, per_output_token: 0 };

    pub const fn is_free(&self) -> bool {
        self.per_call == 0 && self.per_input_token == 0 && self.per_output_token == 0
    }
}

/// How many tokens went in and came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: u64,
    pub output: u64,
}

/// An asset that payers pay with, as far as counting goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    /// What one whole of it is worth.
    pub unit: Unit,
    pub decimals: u8,
}

/// What better assurance costs, in thousandths of the price: more nodes work, or one works longer.
pub static LEVELS: &[(Assurance, u128)] = &[
    (Assurance::Signed, 1_000),
    (Assurance::Attested, 1_100),
    (Assurance::Audited, 1_050),
    (Assurance::Quorum, 3_000),
    (Assurance::Proven, 50_000),
];

/// An amount in the payer's asset and the same in OPG, which inference settles in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Base units of the payer's asset, rounded up.
    pub amount: u128,
    /// Base units of OPG, rounded up.
    pub opg: u128,
}

/// All that prices a call but its tokens: fixed when the call is taken, so that what it costs cannot change while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tariff {
    pub price: Price,
    pub level: Assurance,
    pub money: Money,
    pub rate: Option<Rate>,
}

impl Tariff {
    pub fn quote(&self, usage: Usage) -> Result<Quote, PriceError> {
        quote(&self.price, self.level, usage, self.money, self.rate.as_ref())
    }
}

/// Why there is no price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PriceError {
    #[error("the price does not fit in 128 bits")]
    Overflow,
    #[error("the price needs a rate between dollars and OPG, and there is none that is fresh")]
    NoRate,
    #[error("an asset of {0} decimals, at most 36 expected")]
    Decimals(u8),
}

/// Prices `usage`. `rate` is needed where the price or the asset is counted in another unit than OPG or than each other.
pub fn quote(
    price: &Price,
    level: Assurance,
    usage: Usage,
    money: Money,
    rate: Option<&Rate>,
) -> Result<Quote, PriceError> {
    let thousandths = priced(price, level, usage)?;
    // In units of 1/1000 of the price's own unit; each conversion below rounds up at its end only.
    let opg = convert(thousandths, price.unit, Unit::Opg, WHOLE, rate)?;
    let one = 10_u128.checked_pow(u32::from(money.decimals)).ok_or(PriceError::Decimals(money.decimals))?;
    let amount = convert(thousandths, price.unit, money.unit, one, rate)?;
    Ok(Quote { amount, opg })
}

/// The price times a thousand.
fn priced(price: &Price, level: Assurance, usage: Usage) -> Result<u128, PriceError> {
    let per_mille = LEVELS.iter().find(|(known, _)| *known == level).map_or(1_000, |(_, per_mille)| *per_mille);
    let sum = || {
        let input = price.per_input_token.checked_mul(u128::from(usage.input))?;
        let output = price.per_output_token.checked_mul(u128::from(usage.output))?;
        price.per_call.checked_add(input)?.checked_add(output)?.checked_mul(per_mille)
    };
    sum().ok_or(PriceError::Overflow)
}

/// `thousandths` of `from`'s unit (18 decimals) as base units of an asset of which `one` make a whole, rounded up.
fn convert(thousandths: u128, from: Unit, to: Unit, one: u128, rate: Option<&Rate>) -> Result<u128, PriceError> {
    use alloy_primitives::U256;
    let rate =
        || rate.map(|rate| U256::from(rate.usd_per_opg)).filter(|rate| !rate.is_zero()).ok_or(PriceError::NoRate);
    let whole = U256::from(WHOLE);
    // Numerator below 2^128 * 2^128; with a rate another 2^128 at most, checked.
    let amount = U256::from(thousandths).checked_mul(U256::from(one)).ok_or(PriceError::Overflow)?;
    let (amount, divisor) = match (from, to) {
        (Unit::Opg, Unit::Opg) | (Unit::Usd, Unit::Usd) => (Some(amount), whole),
        (Unit::Opg, Unit::Usd) => (amount.checked_mul(rate()?), whole * whole),
        (Unit::Usd, Unit::Opg) => (Some(amount), rate()?),
    };
    let amount = amount.ok_or(PriceError::Overflow)?;
    let divisor = divisor.checked_mul(U256::from(1_000)).ok_or(PriceError::Overflow)?;
    let (quotient, rest) = amount.div_rem(divisor);
    let rounded = if rest.is_zero() { quotient } else { quotient.saturating_add(U256::from(1)) };
    u128::try_from(rounded).map_err(|_| PriceError::Overflow)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPG: Money = Money { unit: Unit::Opg, decimals: 18 };
    const USDC: Money = Money { unit: Unit::Usd, decimals: 6 };

    fn rate() -> Rate {
        // One OPG is 10 cents.
        Rate { usd_per_opg: WHOLE / 10, at_ms: 0 }
    }

    #[test]
    fn a_price_in_dollars_is_paid_in_either_asset() {
        let price = Price {
            unit: Unit::Usd,
            per_call: 0,
            per_input_token: WHOLE / 1_000_000,
            per_output_token: WHOLE / 100_000,
        };
        let usage = Usage { input: 100, output: 20 };
        // 100 * 1e-6 + 20 * 1e-5 = 3e-4 dollars.
        let in_usdc = quote(&price, Assurance::Signed, usage, USDC, Some(&rate())).unwrap();
        assert_eq!(in_usdc, Quote { amount: 300, opg: 3 * WHOLE / 1_000 });
        let in_opg = quote(&price, Assurance::Signed, usage, OPG, Some(&rate())).unwrap();
        assert_eq!(in_opg.amount, in_opg.opg);
        assert_eq!(in_opg, Quote { amount: 3 * WHOLE / 1_000, opg: 3 * WHOLE / 1_000 });
    }

    #[test]
    fn a_price_in_opg_needs_no_rate_unless_dollars_are_paid() {
        let price = Price { unit: Unit::Opg, per_call: WHOLE, per_input_token: 0, per_output_token: 0 };
        let usage = Usage::default();
        assert_eq!(quote(&price, Assurance::Signed, usage, OPG, None), Ok(Quote { amount: WHOLE, opg: WHOLE }));
        assert_eq!(quote(&price, Assurance::Signed, usage, USDC, None), Err(PriceError::NoRate));
        let paid = quote(&price, Assurance::Signed, usage, USDC, Some(&rate())).unwrap();
        assert_eq!(paid, Quote { amount: 100_000, opg: WHOLE });
    }

    #[test]
    fn a_part_of_a_unit_costs_a_unit() {
        let price = Price { unit: Unit::Usd, per_call: 1, per_input_token: 0, per_output_token: 0 };
        let paid = quote(&price, Assurance::Signed, Usage::default(), USDC, Some(&rate())).unwrap();
        assert_eq!(paid, Quote { amount: 1, opg: 10 });
        assert_eq!(quote(&Price::FREE, Assurance::Signed, Usage::default(), USDC, Some(&rate())).unwrap().amount, 0);
    }

    #[test]
    fn a_better_level_costs_more() {
        let price = Price { unit: Unit::Opg, per_call: 1_000, per_input_token: 0, per_output_token: 0 };
        let amount = |level| quote(&price, level, Usage::default(), OPG, None).unwrap().amount;
        assert_eq!(amount(Assurance::Audited), 1_050);
        assert_eq!(amount(Assurance::Quorum), 3_000);
        assert_eq!(LEVELS.len(), Assurance::ALL.len());
    }

    #[test]
    fn what_does_not_fit_has_no_price() {
        let price = Price { unit: Unit::Opg, per_call: u128::MAX, per_input_token: 0, per_output_token: 0 };
        assert_eq!(quote(&price, Assurance::Signed, Usage::default(), OPG, None), Err(PriceError::Overflow));
        let price = Price { unit: Unit::Opg, per_call: 0, per_input_token: u128::MAX / 2, per_output_token: 0 };
        let usage = Usage { input: 3, output: 0 };
        assert_eq!(quote(&price, Assurance::Signed, usage, OPG, None), Err(PriceError::Overflow));
        let odd = Money { unit: Unit::Opg, decimals: 40 };
        assert_eq!(quote(&Price::FREE, Assurance::Signed, usage, odd, None), Err(PriceError::Decimals(40)));
        let nothing = Rate { usd_per_opg: 0, at_ms: 0 };
        let usd = Price { unit: Unit::Usd, per_call: 1, per_input_token: 0, per_output_token: 0 };
        assert_eq!(quote(&usd, Assurance::Signed, usage, OPG, Some(&nothing)), Err(PriceError::NoRate));
    }

    proptest! {
        /// More tokens never cost less, and the maximum that was quoted covers every use within it.
        #[test]
        fn a_quote_is_monotone(
            call in 0_u128..1 << 70, input in 0_u128..1 << 70, output in 0_u128..1 << 70,
            used in (0_u64..100_000, 0_u64..100_000), more in (0_u64..1_000, 0_u64..1_000),
            usd_per_opg in 1_u128..1 << 70, of_usd: bool, in_usdc: bool,
        ) {
            let price = Price {
                unit: if of_usd { Unit::Usd } else { Unit::Opg },
                per_call: call, per_input_token: input, per_output_token: output,
            };
            let rate = Rate { usd_per_opg, at_ms: 0 };
            let money = if in_usdc { USDC } else { OPG };
            let small = quote(&price, Assurance::Signed, Usage { input: used.0, output: used.1 }, money, Some(&rate));
            let large = Usage { input: used.0 + more.0, output: used.1 + more.1 };
            let large = quote(&price, Assurance::Signed, large, money, Some(&rate));
            if let (Ok(small), Ok(large)) = (small, large) {
                prop_assert!(small.amount <= large.amount && small.opg <= large.opg);
            }
        }
    }
}
