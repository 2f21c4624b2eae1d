//! What a call costs: a function of the publisher's price, the level, the tokens and a rate, which its receipt repeats so that anybody
//! can count again (`specs/payments.md`).
//!
//! Reads no clock and no feed. Rounds up, once, at the end, so that a charge is never below what the publisher asks and never a unit
//! above it.

use thiserror::Error;

use crate::{
    Amount, Milliseconds,
    nouns::{record, words},
};

/// 10^18: base units of OPG in one, and of [`Unit::Usd`] in a dollar.
pub const WHOLE: u128 = 1_000_000_000_000_000_000;
/// What a price times its level is counted in.
const THOUSAND: u128 = 1_000;
/// Most decimals of an asset.
pub const DECIMALS_MAX: u8 = 36;

words! {
    /// What prices are counted in.
    Unit {
        /// Base units of OPG: 10^18 make one.
        Opg = 1, "opg";
        /// Billionths of a billionth of a US dollar.
        Usd = 2, "usd";
    }
}

record! {
    /// What one OPG is worth.
    #[derive(Copy)]
    Rate {
        /// Billionths of a billionth of a dollar.
        usd_per_opg: Amount,
        /// When it was so.
        at_ms: Milliseconds,
    }
}

record! {
    /// What a publisher asks for.
    #[derive(Copy)]
    Price {
        unit: Unit,
        per_call: Amount,
        per_input_token: Amount,
        per_output_token: Amount,
    }
}

record! {
    /// An asset that payers pay with, as far as counting goes.
    #[derive(Copy)]
    Money {
        /// What one whole of it is worth.
        unit: Unit,
        decimals: u8,
    }
}

record! {
    /// An amount in the payer's asset and the same in OPG, which inference settles in; base units, rounded up.
    #[derive(Copy)]
    Quote {
        amount: Amount,
        opg: Amount,
    }
}

record! {
    /// All that prices a call but its tokens: fixed when the call is taken, so that what it costs cannot change while it runs.
    #[derive(Copy)]
    Tariff {
        price: Price,
        /// What the assurance level costs, in thousandths of the price.
        per_mille: u32,
        money: Money,
        /// Absent where nothing had to be converted and none was known.
        rate: Option<Rate>,
    }
}

/// How many tokens went in and came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: u64,
    pub output: u64,
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

impl Price {
    pub const FREE: Self = Self { unit: Unit::Opg, per_call: 0, per_input_token: 0, per_output_token: 0 };

    pub const fn is_free(&self) -> bool {
        self.per_call == 0 && self.per_input_token == 0 && self.per_output_token == 0
    }

    /// The price of one more answer of a call that pays per call already.
    #[must_use]
    pub const fn of_a_further_answer(self) -> Self {
        Self { per_call: 0, ..self }
    }

    fn of(&self, usage: Usage) -> Option<u128> {
        let input = self.per_input_token.checked_mul(u128::from(usage.input))?;
        let output = self.per_output_token.checked_mul(u128::from(usage.output))?;
        self.per_call.checked_add(input)?.checked_add(output)
    }
}

impl Quote {
    pub const ZERO: Self = Self { amount: 0, opg: 0 };

    pub fn checked_add(self, other: Self) -> Option<Self> {
        let (amount, opg) = (self.amount.checked_add(other.amount)?, self.opg.checked_add(other.opg)?);
        Some(Self { amount, opg })
    }

    /// No more than `max` in either.
    #[must_use]
    pub fn at_most(self, max: Self) -> Self {
        Self { amount: self.amount.min(max.amount), opg: self.opg.min(max.opg) }
    }
}

impl Tariff {
    /// Prices `usage`. A rate is needed where the price or the asset is counted in another unit than OPG or than each other.
    pub fn quote(&self, usage: Usage) -> Result<Quote, PriceError> {
        let thousandths = self.price.of(usage).and_then(|price| price.checked_mul(u128::from(self.per_mille)));
        let thousandths = thousandths.ok_or(PriceError::Overflow)?;
        let (decimals, from) = (self.money.decimals, self.price.unit);
        let one = Some(decimals).filter(|decimals| *decimals <= DECIMALS_MAX);
        let one = one.and_then(|decimals| 10_u128.checked_pow(u32::from(decimals)));
        let one = one.ok_or(PriceError::Decimals(decimals))?;
        // In units of 1/1000 of the price's own unit; each conversion rounds up at its end only.
        let opg = convert(thousandths, from, Unit::Opg, WHOLE, self.rate.as_ref())?;
        let amount = convert(thousandths, from, self.money.unit, one, self.rate.as_ref())?;
        Ok(Quote { amount, opg })
    }
}

/// `thousandths` of `from`'s unit (18 decimals) as base units of an asset of which `one` make a whole, rounded up.
fn convert(thousandths: u128, from: Unit, to: Unit, one: u128, rate: Option<&Rate>) -> Result<u128, PriceError> {
    let rate = || rate.map(|rate| rate.usd_per_opg).filter(|rate| *rate > 0).ok_or(PriceError::NoRate);
    let amount = Wide::from(thousandths).times(one);
    // To divide and round up by one number and then by another is to divide and round up by their product.
    let (amount, divisors) = match (from, to) {
        (Unit::Opg, Unit::Opg) | (Unit::Usd, Unit::Usd) => (amount, [WHOLE, 1]),
        (Unit::Opg, Unit::Usd) => (amount.times(rate()?), [WHOLE, WHOLE]),
        (Unit::Usd, Unit::Opg) => (amount, [rate()?, 1]),
    };
    let [first, second] = divisors;
    amount.over(first).over(second).over(THOUSAND).narrow().ok_or(PriceError::Overflow)
}

/// A number of 384 bits, in 64-bit limbs, lowest first: three numbers of 128 bits multiply without overflow.
#[derive(Clone, Copy)]
struct Wide([u64; 6]);

impl From<u128> for Wide {
    fn from(number: u128) -> Self {
        let (low, high) = halves(number);
        Self([low, high, 0, 0, 0, 0])
    }
}

/// The lower and the upper 64 bits.
fn halves(number: u128) -> (u64, u64) {
    let [b0, b1, b2, b3, b4, b5, b6, b7, rest @ ..] = number.to_le_bytes();
    (u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]), u64::from_le_bytes(rest))
}

impl Wide {
    /// The product; the caller multiplies three numbers of 128 bits at most.
    fn times(self, factor: u128) -> Self {
        let (low, high) = halves(factor);
        // The sixth limb of the upper product is zero, as three numbers of 128 bits fit.
        let Self([first, second, third, fourth, fifth, _]) = self.times_limb(high);
        self.times_limb(low).plus(Self([0, first, second, third, fourth, fifth]))
    }

    fn times_limb(self, factor: u64) -> Self {
        let mut carry = 0_u64;
        Self(self.0.map(|limb| {
            // Below 2^128: (2^64 - 1)^2 + 2^64 - 1.
            let product = u128::from(limb).wrapping_mul(u128::from(factor)).wrapping_add(u128::from(carry));
            let (low, high) = halves(product);
            carry = high;
            low
        }))
    }

    fn plus(self, other: Self) -> Self {
        let (mut carry, mut others) = (0_u64, other.0.into_iter());
        Self(self.0.map(|limb| {
            let sum = u128::from(limb).wrapping_add(u128::from(others.next().unwrap_or(0)));
            let (low, high) = halves(sum.wrapping_add(u128::from(carry)));
            carry = high;
            low
        }))
    }

    /// Divides and rounds up. `divisor` is not zero: constants, and a rate that was checked.
    fn over(self, divisor: u128) -> Self {
        match u64::try_from(divisor) {
            Ok(divisor) => self.over_limb(divisor),
            Err(_) => self.over_bitwise(divisor),
        }
    }

    /// The same, limb by limb.
    fn over_limb(self, divisor: u64) -> Self {
        let divisor = u128::from(divisor);
        let mut rest = 0_u128;
        let mut quotient = self.0;
        for limb in quotient.iter_mut().rev() {
            // The rest is below the divisor, so that the quotient has 64 bits.
            let left = rest.wrapping_shl(u64::BITS) | u128::from(*limb);
            rest = left.checked_rem(divisor).unwrap_or_default();
            (*limb, _) = halves(left.checked_div(divisor).unwrap_or_default());
        }
        Self(quotient).plus(Self::from(u128::from(rest > 0)))
    }

    /// The same, bit by bit.
    fn over_bitwise(self, divisor: u128) -> Self {
        let mut rest = 0_u128;
        let mut quotient = self.0;
        for limb in quotient.iter_mut().rev() {
            if rest == 0 && *limb == 0 {
                continue;
            }
            let mut bits = 0_u64;
            for place in (0..u64::BITS).rev() {
                let is_long = rest.leading_zeros() == 0;
                rest = rest.wrapping_shl(1) | u128::from(limb.wrapping_shr(place) & 1);
                let fits = is_long || rest >= divisor;
                if fits {
                    rest = rest.wrapping_sub(divisor);
                }
                bits = bits.wrapping_shl(1) | u64::from(fits);
            }
            *limb = bits;
        }
        Self(quotient).plus(Self::from(u128::from(rest > 0)))
    }

    fn narrow(self) -> Option<u128> {
        let [low, high, rest @ ..] = self.0;
        (rest == [0; 4]).then(|| u128::from(high).wrapping_shl(u64::BITS) | u128::from(low))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn limb_by_limb_is_what_bit_by_bit_is(limbs in any::<[u64; 5]>(), shift in 0..64_u32, divisor in 1..=u64::MAX) {
            let [first, second, third, fourth, fifth] = limbs;
            let (number, divisor) = (Wide([first, second, third, fourth, fifth, 0]), (divisor >> shift).max(1));
            prop_assert_eq!(number.over_limb(divisor).0, number.over_bitwise(u128::from(divisor)).0);
        }
    }
}
