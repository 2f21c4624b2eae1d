//! Transactions of ours that no block takes for what they offer: sent once more at a higher price, under the same number, so that their
//! chain takes one of them and no other. Each stays under the hash that it had first; all others of it are looked for as well.

use std::collections::BTreeSet;

use protocol::Digest;

use crate::books::{
    entry::{Entry, Repriced},
    state::Books,
};

/// How often a transaction is sent again at a higher price.
pub const REPRICED_MAX: usize = 16;

impl Books {
    /// Transactions that were sent, or are about to be, and whose end is not known.
    pub fn under_way(&self) -> BTreeSet<Digest> {
        let settling = self.index.settling.iter().filter_map(|id| self.purses.get(id)?.settling.as_ref());
        let settling = settling.map(|settling| settling.transaction);
        let repaying = self.repaying.values().map(|repaying| repaying.transaction);
        let depositing = self.depositing.values().map(|depositing| depositing.transaction);
        let returning = self.returning.values().map(|returning| returning.transaction);
        settling.chain(repaying).chain(depositing).chain(returning).chain(self.sending.iter().copied()).collect()
    }

    /// The end of a transaction on which nothing depends here. `None` where it is another, or known.
    pub fn sent(&self, transaction: &Digest) -> Option<Entry> {
        self.sending.contains(transaction).then_some(Entry::Sent(*transaction))
    }

    /// Before a transaction is sent again as another. `None` where it was before, or often enough, or its end is known.
    pub fn reprice(&self, transaction: &Digest, again: &Digest) -> Option<Entry> {
        let hashes = self.hashes_of(transaction);
        let is_new = hashes.len() <= REPRICED_MAX && !hashes.contains(again);
        let may = is_new && self.under_way().contains(transaction);
        may.then_some(Entry::Repriced(Repriced { transaction: *transaction, again: *again }))
    }

    /// All hashes under which a transaction was sent, the first one first.
    pub fn hashes_of(&self, transaction: &Digest) -> Vec<Digest> {
        let again = self.repriced.get(transaction).into_iter().flatten().copied();
        std::iter::once(*transaction).chain(again).collect()
    }

    pub(super) fn put_sending(&mut self, transaction: &Digest, is_under_way: bool) {
        if is_under_way {
            self.sending.insert(*transaction);
        } else {
            self.sending.remove(transaction);
        }
    }

    pub(super) fn put_repriced(&mut self, repriced: &Repriced) {
        let again = self.repriced.entry(repriced.transaction).or_default();
        if !again.contains(&repriced.again) && again.len() < REPRICED_MAX {
            again.push(repriced.again);
        }
    }

    /// Forgets hashes of transactions whose end is known.
    pub(super) fn drop_repriced(&mut self) {
        let under_way = self.under_way();
        self.repriced.retain(|transaction, _| under_way.contains(transaction));
    }
}
