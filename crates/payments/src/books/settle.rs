//! What is to be settled on which chain, and when.

use std::{cmp::Reverse, collections::BTreeSet};

use protocol::{Digest, Milliseconds};

use crate::{
    books::{
        entry::{Entry, PurseRecord, Settled, Settling, Unsettled, WrittenOff},
        state::Books,
    },
    price::Holder,
    scheme::Scheme,
    wire::Network,
};

/// A purse that is to be settled now: `amount` in all, `fresh` of it not settled yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub purse: PurseRecord,
    pub amount: u128,
    pub fresh: u128,
}

/// A payment that waits for its settlement, without what settles it: many wait, and few have their turn at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub purse: Digest,
    pub scheme: Scheme,
    pub asset: Holder,
    pub expires_at_s: u64,
    /// The most that was signed for.
    pub cap: u128,
    /// Not settled yet.
    pub fresh: u128,
}

/// Whether a purse is of a chain.
fn on(network: Network) -> impl Fn(&&PurseRecord) -> bool {
    move |purse| purse.network == network.chain_id()
}

impl Books {
    /// Payments on one chain that are over and unsettled: first what can be settled for the shortest time, and of that the most.
    pub fn waiting(&self, network: Network) -> Vec<Waiting> {
        let payments = self.index.unsettled.iter().filter_map(|id| self.purses.get(id)).filter(on(network));
        let waiting = payments.filter_map(|purse| {
            let fresh = self.fresh_of(purse, 1)?;
            let PurseRecord { id, scheme, asset, expires_at_s, cap, .. } = purse;
            Some(Waiting { purse: *id, scheme: *scheme, asset: *asset, expires_at_s: *expires_at_s, cap: *cap, fresh })
        });
        let mut waiting: Vec<Waiting> = waiting.collect();
        waiting.sort_by_key(|waiting| (waiting.expires_at_s, Reverse(waiting.fresh)));
        waiting
    }

    /// Channels on one chain with at least `least` to claim, or whose payer withdraws: first of what there is the most.
    pub fn claimable(&self, network: Network, least: u128) -> Vec<Due> {
        let channels = self.index.unclaimed.iter().filter_map(|id| self.purses.get(id)).filter(on(network));
        let mut due: Vec<Due> = channels.filter_map(|purse| self.due_of_purse(purse, least)).collect();
        due.sort_by_key(|due| Reverse(due.fresh));
        due
    }

    /// Chains on which something is to be settled or given back, or is on its way.
    pub fn networks_open(&self) -> BTreeSet<u64> {
        let purses = self.index.unsettled.iter().chain(&self.index.unclaimed).chain(&self.index.settling);
        let owed = self.owed.iter().filter(|(_, amount)| **amount > 0).map(|((network, _, _), _)| *network);
        let deposits = self.depositing.values().map(|depositing| &depositing.raw);
        let moving = deposits.chain(self.returning.values().map(|returning| &returning.raw));
        let moving = moving.filter_map(|raw| Network::of_transaction(raw)).map(Network::chain_id);
        purses.filter_map(|id| self.purses.get(id)).map(|purse| purse.network).chain(owed).chain(moving).collect()
    }

    /// What is to be settled of one purse now.
    pub fn due_of(&self, purse: &Digest) -> Option<Due> {
        self.due_of_purse(self.purses.get(purse)?, 1)
    }

    fn due_of_purse(&self, purse: &PurseRecord, least: u128) -> Option<Due> {
        let fresh = self.fresh_of(purse, least)?;
        Some(Due { purse: purse.clone(), amount: purse.spent, fresh })
    }

    fn fresh_of(&self, purse: &PurseRecord, least: u128) -> Option<u128> {
        let fresh = purse.spent.saturating_sub(purse.settled);
        if fresh == 0 || purse.settling.is_some() {
            return None;
        }
        let is_over = purse.is_closed && self.reserved(&purse.id) == 0;
        let is_leaving = self.facts.get(&purse.id).is_some_and(|facts| facts.withdraw_requested_at_s != 0);
        let is_due = match purse.scheme {
            Scheme::Exact => is_over,
            // Its signature settles once.
            Scheme::Upto => is_over && purse.settled == 0,
            Scheme::Batch => fresh >= least || is_leaving || is_over,
        };
        is_due.then_some(fresh)
    }

    /// Settlements on one chain that were under way when the books were closed: it is to be asked what became of them.
    pub fn unsure(&self, network: Network) -> Vec<Due> {
        let unsure = |purse: &PurseRecord| {
            let settling = purse.settling.as_ref()?;
            let fresh = settling.amount.saturating_sub(purse.settled);
            Some(Due { purse: purse.clone(), amount: settling.amount, fresh })
        };
        let settling = self.index.settling.iter().filter_map(|id| self.purses.get(id)).filter(on(network));
        settling.filter_map(unsure).collect()
    }

    /// Sessions to close: used up below `least`, older than their last use allows, or near their deadline.
    pub fn expiring(&self, now_s: u64, margin_s: u64) -> Vec<Digest> {
        let is_near = |purse: &&PurseRecord| purse.expires_at_s <= now_s.saturating_add(margin_s);
        let open = self.index.sessions.iter().filter_map(|id| self.purses.get(id));
        open.filter(is_near).map(|purse| purse.id).collect()
    }

    /// Purses whose payment can never be sent again, and that have nothing left to settle, and nothing that may have to be given back: a
    /// receipt may be in question for much longer than its payment was good, and who paid it, in what, is known by its purse only.
    pub fn forgettable(&self, now_s: u64, keep_s: u64) -> Vec<Digest> {
        let held: BTreeSet<Digest> = self.held.values().map(|charged| charged.purse).collect();
        let is_past = |purse: &&PurseRecord| {
            purse.scheme != Scheme::Batch
                && purse.is_closed
                && purse.settling.is_none()
                && purse.spent <= purse.settled
                && self.reserved(&purse.id) == 0
                && purse.expires_at_s.saturating_add(keep_s) < now_s
                && !held.contains(&purse.id)
        };
        self.purses.values().filter(is_past).map(|purse| purse.id).collect()
    }

    /// Gives up what can never be settled any more. `None` where nothing is open, or a settlement is on its way.
    pub fn write_off(&self, purse: &Digest, now_ms: Milliseconds) -> Option<Entry> {
        let record = self.purses.get(purse)?;
        let is_over = record.is_closed && record.settling.is_none() && self.reserved(purse) == 0;
        let amount = record.spent.saturating_sub(record.settled);
        let may = record.scheme != Scheme::Batch && is_over && amount > 0;
        may.then_some(Entry::WrittenOff(WrittenOff { purse: *purse, amount, at_ms: now_ms }))
    }

    /// What was written off so far, by network and asset, and how many payments.
    pub fn lost(&self) -> impl Iterator<Item = (u64, Holder, u128, u64)> {
        self.lost.iter().map(|((network, asset), (amount, count))| (*network, *asset, *amount, *count))
    }

    /// Before a transaction is sent. `None` where another one is on its way, or nothing is left.
    pub fn settling(&self, purse: &Digest, amount: u128, transaction: Digest) -> Option<Entry> {
        let record = self.purses.get(purse)?;
        let may = record.settling.is_none() && amount > record.settled && amount <= record.spent;
        may.then_some(Entry::Settling(Settling { purse: *purse, amount, transaction }))
    }

    /// After its chain has it.
    pub fn settled(&self, purse: &Digest, transaction: Digest, now_ms: Milliseconds) -> Option<Entry> {
        let settling =
            self.purses.get(purse)?.settling.as_ref().filter(|settling| settling.transaction == transaction)?;
        Some(Entry::Settled(Settled { purse: *purse, amount: settling.amount, transaction, at_ms: now_ms }))
    }

    /// After its chain refused it.
    pub fn unsettled(&self, purse: &Digest, transaction: Digest) -> Option<Entry> {
        self.purses.get(purse)?.settling.as_ref().filter(|settling| settling.transaction == transaction)?;
        Some(Entry::Unsettled(Unsettled { purse: *purse, transaction }))
    }
}
