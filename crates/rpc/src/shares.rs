//! What is bounded for all, and for each party, so that one alone cannot have everything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

use crate::party::Party;

/// Which bound was passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub(crate) enum Over {
    #[error("{0} for all clients together")]
    All(usize),
    #[error("{0} for one client")]
    Each(usize),
}

/// So much for all, and for each.
pub(crate) struct Stock {
    all: usize,
    each: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_party: BTreeMap<Party, usize>,
}

/// What a party has of it, until this is dropped.
pub(crate) struct Share {
    stock: Arc<Stock>,
    party: Party,
    amount: usize,
}

impl Stock {
    pub fn new(all: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { all, each, taken: Mutex::default() })
    }

    pub fn take(self: &Arc<Self>, party: Party, amount: usize) -> Result<Share, Over> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all = taken.all.saturating_add(amount);
        let has = taken.by_party.get(&party).copied().unwrap_or_default().saturating_add(amount);
        if has > self.each {
            return Err(Over::Each(self.each));
        }
        if all > self.all {
            return Err(Over::All(self.all));
        }
        taken.all = all;
        taken.by_party.insert(party, has);
        Ok(Share { stock: Arc::clone(self), party, amount })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.stock.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(self.amount);
        let left = taken.by_party.get(&self.party).copied().unwrap_or_default().saturating_sub(self.amount);
        if left == 0 {
            taken.by_party.remove(&self.party);
        } else {
            taken.by_party.insert(self.party, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Party = Party::Connection(1);
    const OTHER: Party = Party::Connection(2);

    #[test]
    fn neither_all_nor_one_has_more_than_the_bound() {
        let stock = Stock::new(5, 3);
        let first = stock.take(ONE, 2).unwrap();
        assert_eq!(stock.take(ONE, 2).err(), Some(Over::Each(3)));
        let second = stock.take(OTHER, 3).unwrap();
        assert_eq!(stock.take(ONE, 1).err(), Some(Over::All(5)));
        drop(second);
        let third = stock.take(ONE, 1).unwrap();
        drop((first, third));
        assert!(stock.taken.lock().unwrap().by_party.is_empty());
        assert!(stock.take(OTHER, 3).is_ok());
    }

    #[test]
    fn a_refusal_says_whose_bound_it_is() {
        assert_eq!(Over::All(5).to_string(), "5 for all clients together");
        assert_eq!(Over::Each(3).to_string(), "3 for one client");
    }
}
