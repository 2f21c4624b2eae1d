//! Money out of channels: set apart before its transaction is sent, and until its chain has that for good, so that no call is served for
//! what is on its way to the payer already.

use protocol::Digest;

use crate::{
    books::{
        entry::{Entry, Raise, Returning},
        state::Books,
    },
    wire::Network,
};

/// Sums of a channel's published vouchers that are remembered: the highest ones. Each stands in a claim of ours, which cost gas.
const PUBLISHED_MAX: usize = 4_096;

impl Books {
    /// What a channel holds beyond what is charged, promised, or on its way back.
    pub fn returnable(&self, purse: &Digest) -> u128 {
        let Some(standing) = self.standing(purse) else { return 0 };
        standing.facts.balance.saturating_sub(standing.spent).saturating_sub(standing.reserved)
    }

    /// Before a channel's money is sent back. `None` where some is under way, or so much is not there.
    pub fn give_back(&self, returning: &Returning) -> Option<Entry> {
        let is_free = !self.returning.contains_key(&returning.purse);
        let may = is_free && returning.amount > 0 && returning.amount <= self.returnable(&returning.purse);
        may.then(|| Entry::Returning(returning.clone()))
    }

    /// What became of it. Where its chain has it, the channel must have been asked about since.
    pub fn given_back(&self, purse: &Digest, transaction: &Digest, has_arrived: bool) -> Option<Entry> {
        self.returning.get(purse).filter(|returning| returning.transaction == *transaction)?;
        Some(if has_arrived { Entry::Returned(*purse) } else { Entry::Unreturned(*purse) })
    }

    /// What is on its way back from a channel.
    pub fn returning_of(&self, purse: &Digest) -> Option<&Returning> {
        self.returning.get(purse)
    }

    /// Those of one chain.
    pub fn returns_under_way(&self, network: Network) -> Vec<Returning> {
        let is_there = |returning: &&Returning| Network::of_transaction(&returning.raw) == Some(network);
        self.returning.values().filter(is_there).cloned().collect()
    }

    /// Before a channel's voucher is shown to everybody. `None` where it was before.
    pub fn publish(&self, purse: &Digest, amount: u128) -> Option<Entry> {
        (!self.is_published(purse, amount)).then_some(Entry::Published(Raise { purse: *purse, amount }))
    }

    /// True where the voucher over `amount` stands in a claim, so that whoever shows it need not be the channel's payer.
    pub fn is_published(&self, purse: &Digest, amount: u128) -> bool {
        self.published.get(purse).is_some_and(|amounts| amounts.contains(&amount))
    }

    pub(super) fn put_returning(&mut self, returning: &Returning) {
        self.returning.insert(returning.purse, returning.clone());
    }

    pub(super) fn put_published(&mut self, published: &Raise) {
        // What is charged already, no voucher pays for any more.
        let spent = self.purses.get(&published.purse).map_or(0, |purse| purse.spent);
        let amounts = self.published.entry(published.purse).or_default();
        amounts.retain(|amount| *amount > spent);
        amounts.insert(published.amount);
        while amounts.len() > PUBLISHED_MAX {
            amounts.pop_first();
        }
    }
}
