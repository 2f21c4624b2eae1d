//! Transactions of ours that no block takes for what they offer: sent once more at a higher price, under the same number, so that their
//! chain takes one of them and no other. Each stays under the hash that it had first; all others of it are looked for as well.

use std::collections::BTreeSet;

use protocol::Digest;

use crate::{
    books::{
        entry::{Entry, Repriced},
        state::Books,
    },
    wire::Network,
};

/// How often a transaction is sent again at a higher price.
pub const REPRICED_MAX: usize = 16;

impl Books {
    /// Transactions that were sent, or are about to be, and whose end is not known.
    pub fn under_way(&self) -> BTreeSet<Digest> {
        self.transactions().map(|(_, transaction)| transaction).collect()
    }

    /// Those of one chain, and where it `is_first` those too of which a journal of one chain did not say whose they are.
    pub fn under_way_on(&self, network: Network, is_first: bool) -> BTreeSet<Digest> {
        let is_there = |on: Option<u64>| on.map_or(is_first, |on| on == network.chain_id());
        self.transactions().filter(|(on, _)| is_there(*on)).map(|(_, transaction)| transaction).collect()
    }

    /// All of them, and the chain of each.
    fn transactions(&self) -> impl Iterator<Item = (Option<u64>, Digest)> {
        let settling = self.index.settling.iter().filter_map(|id| self.purses.get(id));
        let settling = settling.filter_map(|purse| Some((Some(purse.network), purse.settling.as_ref()?.transaction)));
        let repaying = self.repaying.values();
        let repaying = repaying.map(|repaying| (Some(repaying.owed.network), repaying.transaction));
        let of = |raw: &[u8]| Network::of_transaction(raw).map(Network::chain_id);
        let depositing = self.depositing.values();
        let depositing = depositing.map(move |depositing| (of(&depositing.raw), depositing.transaction));
        let returning = self.returning.values();
        let returning = returning.map(move |returning| (of(&returning.raw), returning.transaction));
        let sending = self.sending.iter().map(|(transaction, network)| (*network, *transaction));
        settling.chain(repaying).chain(depositing).chain(returning).chain(sending)
    }

    /// The end of a transaction on which nothing depends here. `None` where it is another, or known.
    pub fn sent(&self, transaction: &Digest) -> Option<Entry> {
        self.sending.contains_key(transaction).then_some(Entry::Sent(*transaction))
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

    pub(super) fn put_sending(&mut self, transaction: Digest, network: Option<u64>) {
        self.sending.insert(transaction, network);
    }

    pub(super) fn drop_sending(&mut self, transaction: &Digest) {
        self.sending.remove(transaction);
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
