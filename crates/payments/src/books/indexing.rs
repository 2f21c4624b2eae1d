//! How the index follows the books: called wherever a purse, a charge or what a chain says of a channel changes.

use std::collections::BTreeSet;

use protocol::{Digest, Milliseconds};

use crate::{
    books::{
        entry::{Answer, Charged, PurseRecord},
        index::{STRANGERS_MAX, UNSETTLED, Wallet},
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

/// Payments that came to nothing and are forgotten at once: few enough that nobody waits for it.
const FORGOTTEN_AT_ONCE: usize = 4_096;

/// Whose balance a purse draws on.
const fn wallet_of(purse: &PurseRecord) -> Wallet {
    (purse.network, purse.asset, purse.payer)
}

/// Where a payment stands among its payer's.
fn place_of(purse: &PurseRecord) -> (Wallet, Milliseconds, Digest) {
    let at_ms = if purse.settled > 0 { purse.settled_at_ms } else { UNSETTLED };
    (wallet_of(purse), at_ms, purse.id)
}

impl Books {
    /// To be called before a purse is forgotten, or changes in whose it is or when it was settled.
    pub(super) fn unindex_purse(&mut self, id: &Digest) {
        if let Some(purse) = self.purses.get(id).filter(|purse| purse.scheme != Scheme::Batch) {
            self.index.of_wallets.remove(&place_of(purse));
            self.index.used.remove(&(wallet_of(purse), *id));
            self.index.used_until.remove(&(purse.expires_at_s, *id));
        }
    }

    /// To be called after a purse has changed.
    pub(super) fn index_purse(&mut self, id: &Digest) {
        let reserved = self.reserved(id);
        let (purse, index) = (self.purses.get(id), &mut self.index);
        if let Some(purse) = purse.filter(|purse| purse.scheme != Scheme::Batch) {
            let came_to_nothing = purse.is_closed && purse.spent == 0 && reserved == 0;
            // What was charged once, and is not any more, may have to be known longer.
            let is_used = came_to_nothing && purse.proof.is_empty();
            keep(&mut index.of_wallets, place_of(purse), !came_to_nothing);
            keep(&mut index.used, (wallet_of(purse), *id), is_used);
            keep(&mut index.used_until, (purse.expires_at_s, *id), is_used);
        }
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

    /// Forgets payments that came to nothing and ended before a moment: their chain would take them no more.
    pub fn forget_used(&mut self, before_s: u64) {
        let past = self.index.used_until.range(..(before_s, Digest::ZERO)).take(FORGOTTEN_AT_ONCE);
        let past: Vec<Digest> = past.map(|(_, id)| *id).collect();
        past.iter().for_each(|id| self.forget(id));
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
