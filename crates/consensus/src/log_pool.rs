//! Dealers' logs that wait for a block: this node's own and those that others have shown.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    Block,
    limits::LOG_BUDGET_BYTES,
    reshare::{Dealt, TermRules},
};

/// The numbered logs of one term, the hand-over's first.
#[derive(Default)]
struct Waiting {
    term: u64,
    logs: BTreeMap<Dealt, Vec<u8>>,
}

#[derive(Clone)]
pub(crate) struct LogPool {
    rules: TermRules,
    waiting: Arc<Mutex<Waiting>>,
}

impl LogPool {
    pub fn new(rules: TermRules) -> Self {
        Self { rules, waiting: Arc::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what earlier terms left.
    pub fn begin(&self, term: u64) {
        *self.waiting() = Waiting { term, logs: BTreeMap::new() };
    }

    /// The first log of a dealer in a round stays.
    pub fn add(&self, dealt: Dealt, log: Vec<u8>) {
        self.waiting().logs.entry(dealt).or_insert(log);
    }

    pub fn holds(&self, dealt: &Dealt) -> bool {
        self.waiting().logs.contains_key(dealt)
    }

    pub fn remove(&self, dealt: &Dealt) {
        self.waiting().logs.remove(dealt);
    }

    /// What a block at this height should carry, on top of these blocks.
    pub fn take(&self, height: u64, unfinalized: &[&Block]) -> Vec<Vec<u8>> {
        let waiting = self.waiting();
        if !self.rules.takes_logs(height) || waiting.term != self.rules.term(height) {
            return Vec::new();
        }
        let is_promised = |log: &&Vec<u8>| unfinalized.iter().any(|block| block.logs().contains(log));
        let mut used = 0usize;
        let fits = |log: &&Vec<u8>| {
            used = used.saturating_add(log.len()).saturating_add(5);
            used <= LOG_BUDGET_BYTES
        };
        waiting.logs.values().filter(|log| !is_promised(log)).take_while(fits).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::tests::sample_with_logs;

    const RULES: TermRules = TermRules { chain_id: 1, length: 10 };

    fn dealt(round: u64, dealer: u8) -> Dealt {
        Dealt { round, dealer: [dealer; 32] }
    }

    #[test]
    fn logs_are_proposed_in_the_second_half_of_their_term_until_a_block_has_them() {
        let pool = LogPool::new(RULES);
        pool.begin(1);
        pool.add(dealt(2, 1), vec![1]);
        pool.add(dealt(2, 1), vec![9]);
        pool.add(dealt(3, 1), vec![2]);
        assert!(pool.take(15, &[]).is_empty(), "the first half is there for dealing");
        assert_eq!(pool.take(16, &[]), [vec![1], vec![2]]);
        assert!(pool.take(26, &[]).is_empty(), "another term's");
        let promised = sample_with_logs(&[&[1]]);
        assert_eq!(pool.take(17, &[&promised]), [vec![2]]);
        pool.remove(&dealt(3, 1));
        assert_eq!(pool.take(17, &[]), [vec![1]]);
        pool.begin(2);
        assert!(pool.take(27, &[]).is_empty());
    }

    #[test]
    fn a_block_holds_as_many_logs_as_fit() {
        let pool = LogPool::new(RULES);
        pool.begin(0);
        for dealer in 0..10 {
            pool.add(dealt(0, dealer), vec![dealer; LOG_BUDGET_BYTES / 4]);
        }
        assert_eq!(pool.take(10, &[]).len(), 3);
    }
}
