//! Who is paid of a charge: exact to the unit, in a fixed order, the sum always the charge.

use alloy_primitives::Address;
use protocol::{Canonical, DecodeError, List, Reader, Value, ValueError};
use thiserror::Error;

/// What parts are counted in.
pub const MILLION: u32 = 1_000_000;
/// Most parts of one split.
pub const PARTS_MAX: usize = 24;

protocol::words! {
    /// For what somebody is paid.
    Part {
        Worker = 1, "worker";
        Publisher = 2, "publisher";
        /// Models that this one was made of.
        Lineage = 3, "lineage";
        /// Who gave data.
        Data = 4, "data";
        Auditors = 5, "auditors";
        Protocol = 6, "protocol";
        /// To nobody.
        Burn = 7, "burn";
    }
}

/// Whom an amount belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder(pub Address);

impl Canonical for Holder {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_slice());
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array::<20>().map(|bytes| Self(bytes.into()))
    }
    fn to_value(&self) -> Value {
        Value::Text(format!("{:#x}", self.0))
    }
    fn from_value(value: &Value) -> Result<Self, ValueError> {
        let expected = "an address: 0x and 40 lower-case digits";
        let Value::Text(text) = value else { return Err(ValueError::new(value.kind(), expected)) };
        let address = crate::wire::json::read_hex(text).map(|bytes| Self(bytes.into()));
        address.filter(|holder| holder.to_value() == *value).ok_or_else(|| ValueError::new(value.kind(), expected))
    }
}

protocol::record! {
    /// One holder's part of one charge.
    Share { part: Part, holder: Holder, amount: u128, }
}

/// Why parts make no split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SplitError {
    #[error("the parts sum to {0} millionths, 1,000,000 expected")]
    Sum(u64),
    #[error("{0} parts, at most 24 expected")]
    TooMany(usize),
    #[error("no part at all")]
    Empty,
}

protocol::record! {
    /// One holder's part of every charge.
    Portion { part: Part, holder: Holder, millionths: u32, }
}

/// Portions that sum to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split(List<Portion, PARTS_MAX>);

impl Split {
    pub fn new(parts: Vec<(Part, Address, u32)>) -> Result<Self, SplitError> {
        let portion = |(part, holder, millionths)| Portion { part, holder: Holder(holder), millionths };
        let portions: Vec<Portion> = parts.into_iter().map(portion).collect();
        let count = portions.len();
        Self::of(List::new(portions).map_err(|_| SplitError::TooMany(count))?)
    }

    /// Portions that were written down.
    pub fn of(portions: List<Portion, PARTS_MAX>) -> Result<Self, SplitError> {
        let sum: u64 = portions.iter().map(|portion| u64::from(portion.millionths)).sum();
        match portions.len() {
            0 => Err(SplitError::Empty),
            _ if sum != u64::from(MILLION) => Err(SplitError::Sum(sum)),
            _ => Ok(Self(portions)),
        }
    }

    pub fn portions(&self) -> &List<Portion, PARTS_MAX> {
        &self.0
    }

    /// Cuts `charge` at the rounded-down running sums of the parts: no unit is lost or made, and none is off by more than one.
    pub fn shares(&self, charge: u128) -> Vec<Share> {
        let (mut millionths, mut given) = (0_u32, 0_u128);
        let mut shares = Vec::with_capacity(self.0.len());
        for Portion { part, holder, millionths: own } in self.0.iter() {
            // The sum is a million in all.
            millionths = millionths.saturating_add(*own);
            let upto = part_of(charge, millionths);
            shares.push(Share { part: *part, holder: *holder, amount: upto.saturating_sub(given) });
            given = upto;
        }
        shares
    }
}

/// `charge * millionths / 1,000,000`, rounded down, without overflow.
fn part_of(charge: u128, millionths: u32) -> u128 {
    let (whole, rest) = (charge / u128::from(MILLION), charge % u128::from(MILLION));
    let millionths = u128::from(millionths);
    // At most `charge`, as millionths never exceed a million.
    whole.saturating_mul(millionths).saturating_add(rest.saturating_mul(millionths) / u128::from(MILLION))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(parts: &[u32]) -> Result<Split, SplitError> {
        let holder = |index: usize| Address::with_last_byte(u8::try_from(index).unwrap_or(255));
        let parts = parts.iter().enumerate();
        Split::new(parts.map(|(index, millionths)| (Part::Lineage, holder(index), *millionths)).collect())
    }

    fn amounts(parts: &[u32], charge: u128) -> Vec<u128> {
        split(parts).unwrap().shares(charge).iter().map(|share| share.amount).collect()
    }

    #[test]
    fn dust_goes_to_somebody() {
        assert_eq!(amounts(&[333_333, 333_333, 333_334], 1), [0, 0, 1]);
        assert_eq!(amounts(&[500_000, 500_000], 3), [1, 2]);
        assert_eq!(amounts(&[0, 1_000_000], 7), [0, 7]);
        assert_eq!(amounts(&[700_000, 300_000], u128::MAX).iter().sum::<u128>(), u128::MAX);
    }

    #[test]
    fn parts_that_do_not_sum_to_one_are_refused() {
        assert_eq!(split(&[1]), Err(SplitError::Sum(1)));
        assert_eq!(split(&[u32::MAX, u32::MAX]), Err(SplitError::Sum(8_589_934_590)));
        assert_eq!(split(&[]), Err(SplitError::Empty));
        assert_eq!(split(&[40_000; 25]), Err(SplitError::TooMany(25)));
    }

    proptest! {
        /// Whatever the parts and the charge: the shares sum to it, and each is within a unit of its part.
        #[test]
        fn shares_sum_to_the_charge(charge: u128, cuts in proptest::collection::vec(0..=MILLION, 0..PARTS_MAX - 1)) {
            let mut cuts = cuts;
            cuts.extend([0, MILLION]);
            cuts.sort_unstable();
            let parts: Vec<u32> = cuts.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let shares = amounts(&parts, charge);
            prop_assert_eq!(shares.iter().try_fold(0_u128, |sum, share| sum.checked_add(*share)), Some(charge));
            for (share, own) in shares.iter().zip(&parts) {
                let exact = part_of(charge, *own);
                prop_assert!(share.abs_diff(exact) <= 1);
            }
        }
    }
}
