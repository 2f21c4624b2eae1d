//! Who earns with a model, as its publisher wrote down for good: contributors, the models it was made from, and itself. The rule is the
//! registry's own (`specs/models.md`): contributors and parents get their shares rounded down, the publisher the rest, and what a parent
//! gets is divided as its own income. Σ = income, to the unit.

use crypto::{Digest, hash};
use thiserror::Error;

use crate::{
    Amount,
    bounded::List,
    canonical::Canonical as _,
    nouns::record,
    settlement::EvmAddress,
    share::{MILLION, Part, Share, part_of},
};

/// Most models that an income is divided at: four parents each, four generations.
pub const MODELS_MAX: usize = 85;
pub const PAYEES_MAX: usize = 8;
pub const PARENTS_MAX: usize = 4;
const GENERATIONS_MAX: usize = 4;

record! {
    /// A contributor's share in millionths.
    Payee { holder: EvmAddress, millionths: u32, }
}

record! {
    /// A parent's share in millionths.
    Parent { root: Digest, millionths: u32, }
}

record! {
    /// Who earns with one model.
    Earners {
        root: Digest,
        publisher: EvmAddress,
        payees: List<Payee, PAYEES_MAX>,
        parents: List<Parent, PARENTS_MAX>,
    }
}

record! {
    /// A model's earners, and those of the models that it was made from: the model itself first.
    Lineage { models: List<Earners, MODELS_MAX>, }
}

/// Why models make no lineage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LineageError {
    #[error("no model at all")]
    Empty,
    #[error("the model {0} is named as a parent and is not there")]
    Missing(Digest),
    #[error("the shares of {root} sum to {sum} millionths, at most 1,000,000 expected")]
    Shares { root: Digest, sum: u64 },
    #[error("more than four generations")]
    Generations,
}

impl Lineage {
    pub fn new(models: List<Earners, MODELS_MAX>) -> Result<Self, LineageError> {
        let lineage = Self { models };
        let first = lineage.models.first().ok_or(LineageError::Empty)?;
        lineage.check(first, 1)?;
        Ok(lineage)
    }

    fn check(&self, earners: &Earners, generation: usize) -> Result<(), LineageError> {
        if generation > GENERATIONS_MAX {
            return Err(LineageError::Generations);
        }
        let shares = earners.payees.iter().map(|payee| payee.millionths);
        let sum: u64 = shares.chain(earners.parents.iter().map(|parent| parent.millionths)).map(u64::from).sum();
        if sum > u64::from(MILLION) {
            return Err(LineageError::Shares { root: earners.root, sum });
        }
        earners.parents.iter().try_for_each(|parent| {
            let earners = self.find(&parent.root).ok_or(LineageError::Missing(parent.root))?;
            self.check(earners, generation.saturating_add(1))
        })
    }

    fn find(&self, root: &Digest) -> Option<&Earners> {
        self.models.iter().find(|earners| earners.root == *root)
    }

    /// What a lineage is kept under: another one has another id.
    pub fn id(&self) -> Digest {
        hash("og/lineage/v1", &[&self.encode()])
    }

    /// Divides the model's income.
    pub fn divide(&self, income: Amount) -> Vec<Share> {
        let mut shares = Vec::new();
        if let Some(first) = self.models.first() {
            self.add(first, income, 1, &mut shares);
        }
        shares
    }

    fn add(&self, earners: &Earners, income: Amount, generation: usize, shares: &mut Vec<Share>) {
        let mut left = income;
        for Payee { holder, millionths } in earners.payees.iter() {
            let amount = part_of(income, *millionths).min(left);
            left = left.saturating_sub(amount);
            shares.push(Share { part: Part::Data, holder: *holder, amount });
        }
        for Parent { root, millionths } in earners.parents.iter() {
            // What was checked has its parents; of what was not, the publisher keeps their shares.
            let Some(parent) = self.find(root).filter(|_| generation < GENERATIONS_MAX) else { continue };
            let amount = part_of(income, *millionths).min(left);
            left = left.saturating_sub(amount);
            self.add(parent, amount, generation.saturating_add(1), shares);
        }
        let part = if generation == 1 { Part::Publisher } else { Part::Lineage };
        shares.push(Share { part, holder: earners.publisher, amount: left });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holder(index: u8) -> EvmAddress {
        EvmAddress([index; 20])
    }

    fn earners(root: u8, payees: &[(u8, u32)], parents: &[(u8, u32)]) -> Earners {
        let payee = |(index, millionths): &(u8, u32)| Payee { holder: holder(*index), millionths: *millionths };
        let parent = |(root, millionths): &(u8, u32)| Parent { root: Digest([*root; 32]), millionths: *millionths };
        Earners {
            root: Digest([root; 32]),
            publisher: holder(root),
            payees: List::new(payees.iter().map(payee).collect()).unwrap(),
            parents: List::new(parents.iter().map(parent).collect()).unwrap(),
        }
    }

    fn lineage(models: Vec<Earners>) -> Result<Lineage, LineageError> {
        Lineage::new(List::new(models).unwrap())
    }

    #[test]
    fn contributors_and_parents_get_their_shares_and_the_publisher_the_rest() {
        let base = earners(2, &[(102, 500_000)], &[]);
        let model = earners(1, &[(101, 100_000)], &[(2, 333_333)]);
        let shares = lineage(vec![model, base]).unwrap().divide(1_000);
        let told: Vec<(Part, EvmAddress, u128)> =
            shares.iter().map(|share| (share.part, share.holder, share.amount)).collect();
        let expected = [
            (Part::Data, holder(101), 100),
            (Part::Data, holder(102), 166),
            (Part::Lineage, holder(2), 167),
            (Part::Publisher, holder(1), 567),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_no_lineage_is_refused() {
        assert_eq!(lineage(vec![]), Err(LineageError::Empty));
        let orphan = lineage(vec![earners(1, &[], &[(2, 1)])]);
        assert_eq!(orphan, Err(LineageError::Missing(Digest([2; 32]))));
        let greedy = lineage(vec![earners(1, &[(9, 600_000), (8, 400_001)], &[])]);
        assert_eq!(greedy, Err(LineageError::Shares { root: Digest([1; 32]), sum: 1_000_001 }));
        let circle = lineage(vec![earners(1, &[], &[(2, 1)]), earners(2, &[], &[(1, 1)])]);
        assert_eq!(circle, Err(LineageError::Generations));
    }

    proptest! {
        #[test]
        fn an_income_is_divided_to_the_last_unit(income: Amount, payee in 0_u32..300_000, parent in 0_u32..700_000, own in 0_u32..=MILLION) {
            let models = vec![
                earners(1, &[(101, payee)], &[(2, parent)]),
                earners(2, &[(102, own)], &[]),
            ];
            let shares = lineage(models).unwrap().divide(income);
            let sum = shares.iter().try_fold(0_u128, |sum, share| sum.checked_add(share.amount));
            prop_assert_eq!(sum, Some(income));
        }

        #[test]
        fn a_lineage_that_nobody_checked_divides_exactly_as_well(income: Amount, shares in proptest::collection::vec(any::<u32>(), 4)) {
            let circle = Lineage {
                models: List::new(vec![
                    earners(1, &[(101, shares[0])], &[(2, shares[1])]),
                    earners(2, &[(102, shares[2])], &[(1, shares[3])]),
                ]).unwrap(),
            };
            let sum = circle.divide(income).iter().try_fold(0_u128, |sum, share| sum.checked_add(share.amount));
            prop_assert_eq!(sum, Some(income));
        }
    }
}
