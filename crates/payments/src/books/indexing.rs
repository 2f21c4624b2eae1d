//! How the index follows the books: called wherever a purse, a charge or what a chain says of a channel changes.

use std::collections::BTreeSet;

use protocol::{Digest, Milliseconds};

use crate::{
    books::{
        entry::{Answer, Charged},
        index::STRANGERS_MAX,
        state::Books,
    },
    price::Lineage,
    scheme::Scheme,
};

fn keep<T: Ord>(set: &mut BTreeSet<T>, item: T, is_in: bool) {
    if is_in {
        set.insert(item);
    } else {
        set.remove(&item);
    }
}

impl Books {
    /// To be called after a purse has changed.
    pub(super) fn index_purse(&mut self, id: &Digest) {
        let (purse, index) = (self.purses.get(id), &mut self.index);
        let is_session = |scheme, is_closed: bool| scheme == Scheme::Upto && !is_closed;
        let is_channel = purse.is_some_and(|purse| purse.scheme == Scheme::Batch);
        let is_open = purse.is_some_and(|purse| purse.spent > purse.settled);
        keep(&mut index.unsettled, *id, is_open && !is_channel);
        keep(&mut index.unclaimed, *id, is_open && is_channel);
        keep(&mut index.settling, *id, purse.is_some_and(|purse| purse.settling.is_some()));
        keep(&mut index.sessions, *id, purse.is_some_and(|purse| is_session(purse.scheme, purse.is_closed)));
        let is_stranger = purse.is_none();
        if let Some(facts) = self.facts.get(id) {
            keep(&mut index.strangers, (facts.asked_at_ms, *id), is_stranger);
        }
    }

    /// To be called for each answer that may be refunded from now on, or no more. `charged` is its call's.
    pub(super) fn index_answer(&mut self, charged: &Charged, answer: &Answer, is_held: bool) {
        for share in self.shares(charged, answer) {
            let sum = self.index.shares.entry(share.holder).or_default();
            // There is not so much money; a damaged journal may say so, and then the same is taken off again.
            *sum = if is_held { sum.wrapping_add(share.amount) } else { sum.wrapping_sub(share.amount) };
            if *sum == 0 {
                self.index.shares.remove(&share.holder);
            }
        }
    }

    /// To be called after a call's answers that may be refunded have changed.
    pub(super) fn index_held(&mut self, call: u64, at_ms: Milliseconds) {
        let charged = self.held.get(&call);
        let has_none = |charged: &Charged| charged.answers.iter().any(|answer| answer.receipt == Digest::ZERO);
        keep(&mut self.index.held, (at_ms, call), charged.is_some());
        keep(&mut self.index.without_receipt, (at_ms, call), charged.is_some_and(has_none));
    }

    /// Learns who shares what charges name. What is charged already is divided anew.
    pub(super) fn put_lineage(&mut self, lineage: &Lineage) {
        let id = lineage.id();
        if self.lineages.contains_key(&id) {
            return;
        }
        // As a rule none: a lineage is known before anything is charged by it.
        let by_it: Vec<Charged> = self.held.values().filter(|charged| charged.lineage == id).cloned().collect();
        let count = |books: &mut Self, is_held| {
            by_it.iter().for_each(|charged| {
                charged.answers.iter().for_each(|answer| books.index_answer(charged, answer, is_held));
            });
        };
        count(self, false);
        self.lineages.insert(id, lineage.clone());
        count(self, true);
    }

    /// Forgets channels that nothing was charged of, beyond so many: those first that were asked about longest ago.
    pub(super) fn forget_strangers(&mut self) {
        while self.index.strangers.len() > STRANGERS_MAX {
            let Some((_, purse)) = self.index.strangers.pop_first() else { return };
            self.facts.remove(&purse);
        }
    }
}
