//! What the rate between a payer's asset and OPG does to whoever owes the OPG: charges are fixed in both when a call is taken, and their
//! shares are due when an answer can be refunded no more. What an asset is worth by then is an argument, written down where it has changed.

use alloy_primitives::Address;

use crate::{
    books::{
        charge::opg_in_proportion,
        entry::{Answer, Charged, Converted, Entry, Valued, Worth},
        state::Books,
    },
    price::{Quote, holder},
    wire::Network,
};

impl Books {
    /// What an asset is worth from now on: `quote.amount` of it `quote.opg`. `None` where that is known. What stands before anything was
    /// told is worth what it was charged.
    pub fn value(&self, network: Network, asset: Address, quote: Quote) -> Option<Entry> {
        let (network, asset) = (network.chain_id(), holder(asset));
        let is_news = quote.amount > 0 && self.values.get(&(network, asset)) != Some(&quote);
        is_news.then_some(Entry::Valued(Valued { network, asset, amount: quote.amount, opg: quote.opg }))
    }

    /// What answers that stand were charged, in each asset that they were paid in and in OPG.
    pub fn converted(&self) -> impl Iterator<Item = Converted> {
        self.converted.iter().map(|((network, asset), (amount, opg, count))| Converted {
            network: *network,
            asset: *asset,
            amount: *amount,
            opg: *opg,
            count: *count,
        })
    }

    /// What whoever owes the OPG of these charges gained by the rate, in base units of OPG; below zero where it lost: what they were worth
    /// when their shares came to be due, less what is due.
    pub fn gained(&self, sums: &Converted) -> i128 {
        let worth = self.worth.get(&(sums.network, sums.asset)).copied().unwrap_or(sums.opg);
        let [worth, due] = [worth, sums.opg].map(|opg| i128::try_from(opg).unwrap_or(i128::MAX));
        worth.saturating_sub(due)
    }

    pub(super) fn worths(&self) -> impl Iterator<Item = Worth> {
        self.worth.iter().map(|((network, asset), opg)| Worth { network: *network, asset: *asset, opg: *opg })
    }

    pub(super) fn valued(&self) -> impl Iterator<Item = Valued> {
        self.values.iter().map(|((network, asset), quote)| Valued {
            network: *network,
            asset: *asset,
            amount: quote.amount,
            opg: quote.opg,
        })
    }

    /// A journal of before anything was valued says of nothing that it gained or lost.
    pub(super) fn put_converted(&mut self, sums: &Converted) {
        self.converted.insert((sums.network, sums.asset), (sums.amount, sums.opg, sums.count));
        self.worth.insert((sums.network, sums.asset), sums.opg);
    }

    pub(super) fn put_worth(&mut self, worth: &Worth) {
        self.worth.insert((worth.network, worth.asset), worth.opg);
    }

    pub(super) fn put_valued(&mut self, valued: &Valued) {
        let quote = Quote { amount: valued.amount, opg: valued.opg };
        self.values.insert((valued.network, valued.asset), quote);
    }

    /// Counts an answer that can be refunded no more: in what it was paid in, in OPG, and in what that is worth now.
    pub(super) fn convert(&mut self, charged: &Charged, answer: &Answer) {
        // A purse is kept for as long as charges of it are held.
        let Some(purse) = self.purses.get(&charged.purse) else { return };
        let key = (purse.network, purse.asset);
        let now = self.values.get(&key).map_or(answer.opg, |value| opg_in_proportion(*value, answer.amount));
        let worth = self.worth.entry(key).or_default();
        *worth = worth.saturating_add(now);
        let (amount, opg, count) = self.converted.entry(key).or_default();
        *amount = amount.saturating_add(answer.amount);
        *opg = opg.saturating_add(answer.opg);
        *count = count.saturating_add(1);
    }
}
