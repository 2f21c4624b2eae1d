//! Who is paid of a charge: exact to the unit, in a fixed order, the sum always the charge.
//!
//! The ledger divides by it what gateways owe, and gateways what they hold: both by these functions, so that both come to the same.

use thiserror::Error;

use crate::{
    Amount,
    bounded::List,
    nouns::{record, words},
    settlement::EvmAddress,
};

/// What parts are counted in.
pub const MILLION: u32 = 1_000_000;
/// Most parts of one split.
pub const PARTS_MAX: usize = 24;

words! {
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

record! {
    /// One holder's part of one charge.
    Share { part: Part, holder: EvmAddress, amount: Amount, }
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

record! {
    /// One holder's part of every charge.
    Portion { part: Part, holder: EvmAddress, millionths: u32, }
}

/// Portions that sum to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split(List<Portion, PARTS_MAX>);

/// What of a charge goes to whom but the worker, whose the rest is: the ledger's parameters `share.…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    pub publisher: u32,
    pub auditors: u32,
    pub protocol: u32,
    pub burn: u32,
}

/// The accounts of one charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holders {
    pub worker: EvmAddress,
    /// Where the registry says who earns with the model, this is divided further.
    pub publisher: EvmAddress,
    pub auditors: EvmAddress,
    pub protocol: EvmAddress,
}

impl Parts {
    /// As the ledger begins.
    pub const DEFAULT: Self = Self { publisher: 200_000, auditors: 50_000, protocol: 20_000, burn: 0 };

    /// The split of one charge. `None` where the parts are more than the whole.
    pub fn split(&self, holders: &Holders) -> Option<Split> {
        let others = [self.publisher, self.auditors, self.protocol, self.burn];
        let worker = others.iter().try_fold(MILLION, |rest, part| rest.checked_sub(*part))?;
        let parts = vec![
            (Part::Worker, holders.worker, worker),
            (Part::Publisher, holders.publisher, self.publisher),
            (Part::Auditors, holders.auditors, self.auditors),
            (Part::Protocol, holders.protocol, self.protocol),
            (Part::Burn, EvmAddress([0; 20]), self.burn),
        ];
        Split::new(parts).ok()
    }
}

impl Split {
    pub fn new(parts: Vec<(Part, EvmAddress, u32)>) -> Result<Self, SplitError> {
        let portion = |(part, holder, millionths)| Portion { part, holder, millionths };
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

/// `charge * millionths / 1,000,000`, rounded down, without overflow; never more than `charge`.
pub(crate) fn part_of(charge: Amount, millionths: u32) -> Amount {
    let (million, millionths) = (Amount::from(MILLION), Amount::from(millionths.min(MILLION)));
    let (whole, rest) = (charge.checked_div(million).unwrap_or(0), charge.checked_rem(million).unwrap_or(0));
    let of_rest = rest.saturating_mul(millionths).checked_div(million).unwrap_or(0);
    whole.saturating_mul(millionths).saturating_add(of_rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(parts: &[u32]) -> Result<Split, SplitError> {
        let holder = |index: usize| EvmAddress([u8::try_from(index).unwrap_or(255); 20]);
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
