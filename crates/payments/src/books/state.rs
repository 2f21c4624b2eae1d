//! What is known: purses, calls, charges that may still be refunded, and what belongs to whom.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::Address;
use protocol::{Digest, Milliseconds};

use crate::{
    books::{
        entry::{
            AnswerEnded, CallRecord, Charged, Depositing, NameRecord, PayingOut, PurseRecord, Repaying, Returning,
        },
        index::{Index, UNSETTLED, USED_MAX, USED_OF_ONE, Wallet},
    },
    price::{Holder, Lineage, Quote, holder},
    scheme::{Asset, ChannelFacts, Scheme, batch::Standing},
    wire::Network,
};

/// Payments of one payer that are looked at to know it.
const PAYMENTS_LOOKED_AT: usize = 64;

/// The books of one gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Books {
    pub(super) purses: BTreeMap<Digest, PurseRecord>,
    /// Sum of what open calls have reserved, by purse.
    pub(super) reserved: BTreeMap<Digest, u128>,
    pub(super) calls: BTreeMap<u64, CallRecord>,
    pub(super) next_call: u64,
    /// Answers of open calls that have their receipts, by call.
    pub(super) ended: BTreeMap<u64, Vec<AnswerEnded>>,
    pub(super) names: BTreeMap<Digest, NameRecord>,
    /// Charges whose challenge window is open, by call.
    pub(super) held: BTreeMap<u64, Charged>,
    /// The call that a receipt is charged with, while it may be refunded.
    pub(super) by_receipt: BTreeMap<Digest, u64>,
    /// What holders may have paid out, in OPG, of charges for answers that broke off: no receipt on the ledger stands for it. What has
    /// receipts is the ledger's to say.
    pub(super) free: BTreeMap<Holder, u128>,
    /// The payment of shares that is under way.
    pub(super) paying_out: Option<PayingOut>,
    /// The next payment's number, as far as these books know.
    pub(super) next_payment: u64,
    /// What payers are to get back.
    pub(super) owed: BTreeMap<Wallet, u128>,
    /// Transfers to payers that were sent and whose end is not known.
    pub(super) repaying: BTreeMap<Wallet, Repaying>,
    /// Deposits that were sent and whose end is not known.
    pub(super) depositing: BTreeMap<Digest, Depositing>,
    /// Deposits that their chain has, and until when their payers could send them again.
    pub(super) deposited: BTreeMap<Digest, u64>,
    /// Channels' money that was sent back and is not known to have arrived for good, by purse.
    pub(super) returning: BTreeMap<Digest, Returning>,
    /// Other hashes of transactions that were sent again at a higher price, by the one that they had first.
    pub(super) repriced: BTreeMap<Digest, Vec<Digest>>,
    /// Transactions on which nothing depends but the turn of what comes behind them, and whose end is not known: sweeps and loans. Each
    /// with its chain, where the journal names it.
    pub(super) sending: BTreeMap<Digest, Option<u64>>,
    /// Sums of vouchers that stand in claims, by purse.
    pub(super) published: BTreeMap<Digest, BTreeSet<u128>>,
    /// What was charged and can never be settled, by network and asset, and how many payments.
    pub(super) lost: BTreeMap<(u64, Holder), (u128, u64)>,
    /// What answers that can be refunded no more were charged, by network and asset: in that, in OPG, and how many they are.
    pub(super) converted: BTreeMap<(u64, Holder), (u128, u128, u64)>,
    /// What those charges were worth in OPG, each when it could be refunded no more.
    pub(super) worth: BTreeMap<(u64, Holder), u128>,
    /// What assets are worth in OPG, as far as these books were told last; never OPG itself.
    pub(super) values: BTreeMap<(u64, Holder), Quote>,
    /// Who earns with models, by the id of what they wrote down.
    pub(super) lineages: BTreeMap<Digest, Lineage>,
    /// OPG and calls by model and day.
    pub(super) revenue: BTreeMap<(Digest, u64), (u128, u64)>,
    /// What chains say of channels; never written down, asked again after a restart.
    pub(super) facts: BTreeMap<Digest, ChannelFacts>,
    pub(super) index: Index,
}

/// A charge that can still be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChargeOf {
    pub purse: Digest,
    pub amount: u128,
    pub opg: u128,
    pub at_ms: Milliseconds,
}

/// Days since 1970.
pub(super) const fn day(at_ms: Milliseconds) -> u64 {
    at_ms / 86_400_000
}

impl Books {
    pub fn purse(&self, id: &Digest) -> Option<&PurseRecord> {
        self.purses.get(id)
    }

    pub fn call(&self, call: u64) -> Option<&CallRecord> {
        self.calls.get(&call)
    }

    pub fn open_calls(&self) -> usize {
        self.calls.len()
    }

    pub fn reserved(&self, purse: &Digest) -> u128 {
        self.reserved.get(purse).copied().unwrap_or_default()
    }

    /// What a purse may still be charged.
    pub fn left(&self, purse: &Digest) -> u128 {
        let Some(record) = self.purses.get(purse) else { return 0 };
        record.cap.saturating_sub(record.spent).saturating_sub(self.reserved(purse))
    }

    /// A channel as it stands, if its chain was asked about it: without what is on its way back to its payer.
    pub fn standing(&self, purse: &Digest) -> Option<Standing> {
        let mut facts = *self.facts.get(purse)?;
        let apart = self.returning.get(purse).map_or(0, |returning| returning.amount);
        facts.balance = facts.balance.saturating_sub(apart);
        // A channel that we never charged begins with what was claimed of it, by whoever kept these books before.
        let spent = self.purses.get(purse).map_or(facts.total_claimed, |record| record.spent.max(facts.total_claimed));
        Some(Standing { spent, reserved: self.reserved(purse), facts })
    }

    /// Notes what a chain said. What it said before that, and was heard later, changes nothing.
    pub fn note_facts(&mut self, purse: Digest, facts: ChannelFacts) {
        let known = self.facts.get(&purse).map(|known| known.asked_at_ms);
        if known.is_some_and(|asked_at_ms| asked_at_ms > facts.asked_at_ms) {
            return;
        }
        if let Some(asked_at_ms) = known {
            self.index.strangers.remove(&(asked_at_ms, purse));
        }
        self.facts.insert(purse, facts);
        self.index_purse(&purse);
        self.forget_strangers();
    }

    /// Channels of which their chain was asked and is remembered.
    pub fn channels_known(&self) -> usize {
        self.facts.len()
    }

    /// True where a payer was charged `least` before, out of its own balance, by what is not forgotten yet.
    pub fn knows_payer(&self, network: Network, asset: Address, payer: Address, least: u128) -> bool {
        let wallet = (network.chain_id(), holder(asset), holder(payer));
        // The last ones that were settled first.
        let settled = self.payments_of(wallet, 0, UNSETTLED - 1).rev().take(PAYMENTS_LOOKED_AT);
        let others = self.payments_of(wallet, UNSETTLED, UNSETTLED).take(PAYMENTS_LOOKED_AT);
        settled.chain(others).any(|purse| purse.spent >= least)
    }

    /// A payer's payments that were charged something or may be, settled between two moments; not settled ones at the end of time.
    fn payments_of(
        &self,
        wallet: Wallet,
        from_ms: Milliseconds,
        upto_ms: Milliseconds,
    ) -> impl DoubleEndedIterator<Item = &PurseRecord> {
        let range = (wallet, from_ms, Digest::ZERO)..=(wallet, upto_ms, Digest([u8::MAX; 32]));
        self.index.of_wallets.range(range).filter_map(|(_, _, id)| self.purses.get(id))
    }

    /// How many of a payer's payments of one scheme were charged less than `least` so far: those that have ended and wait for their
    /// settlement, and those that take calls. Without what is signed for less by `exact`.
    pub fn small_payments(&self, scheme: Scheme, asset: &Asset, payer: Address, least: u128) -> (usize, usize) {
        let wallet = (asset.network.chain_id(), holder(asset.address), holder(payer));
        let is_small = |purse: &&PurseRecord| {
            let is_signed_for_less = purse.scheme == Scheme::Exact && purse.cap < least;
            purse.scheme == scheme && !is_signed_for_less && purse.settling.is_none() && purse.spent < least
        };
        let small = self.payments_of(wallet, UNSETTLED, UNSETTLED).filter(is_small);
        let (ended, open): (Vec<&PurseRecord>, Vec<&PurseRecord>) =
            small.partition(|purse| purse.is_closed && self.reserved(&purse.id) == 0);
        (ended.len(), open.len())
    }

    /// What a payer has promised out of its own balance and was not settled before `asked_at_ms`: what was, the balance that was told is
    /// without already. Only what is open is looked at: calls that are being answered, open sessions, and what waits for its settlement.
    pub fn promised(&self, network: Network, asset: Address, payer: Address, asked_at_ms: Milliseconds) -> u128 {
        let wallet = (network.chain_id(), holder(asset), holder(payer));
        let promised = self.payments_of(wallet, asked_at_ms, UNSETTLED).map(|purse| match purse.is_closed {
            // It moves whole, or not at all.
            true if purse.scheme == Scheme::Exact && purse.spent > 0 => purse.cap,
            true => purse.spent.saturating_add(self.reserved(&purse.id)),
            false => purse.cap,
        });
        promised.fold(0_u128, u128::saturating_add)
    }

    /// Whether a payer whose payments came to nothing may bring no more for now: of all payers together as many are remembered as may be.
    pub(super) fn is_crowded_by(&self, wallet: Wallet) -> bool {
        let of_it = (wallet, Digest::ZERO)..=(wallet, Digest([u8::MAX; 32]));
        self.index.used.len() >= USED_MAX && self.index.used.range(of_it).take(USED_OF_ONE).count() == USED_OF_ONE
    }

    /// A holder's shares of charges that may still be refunded.
    pub fn held_of(&self, holder: Holder) -> u128 {
        self.index.shares.get(&holder).copied().unwrap_or_default()
    }

    pub fn free_of(&self, holder: Holder) -> u128 {
        self.free.get(&holder).copied().unwrap_or_default()
    }

    /// Everyone who may be paid out of what had no receipt, in order.
    pub fn free(&self) -> impl Iterator<Item = (Holder, u128)> {
        self.free.iter().map(|(holder, amount)| (*holder, *amount))
    }

    pub fn owed(&self, network: Network, asset: Address, payer: Address) -> u128 {
        self.owed.get(&(network.chain_id(), holder(asset), holder(payer))).copied().unwrap_or_default()
    }

    /// Days, OPG and calls of a model, the last day first.
    pub fn revenue_of(&self, model: &Digest) -> impl Iterator<Item = (u64, u128, u64)> {
        let days = self.revenue.range((*model, 0)..=(*model, u64::MAX));
        days.rev().map(|((_, day), (amount, calls))| (*day, *amount, *calls))
    }

    /// Receipts up to a moment whose charges may still be refunded, oldest first, and when they were charged.
    pub fn held_upto(&self, upto_ms: Milliseconds) -> impl Iterator<Item = (Digest, Milliseconds)> {
        let due = self.index.held.range(..=(upto_ms, u64::MAX)).filter_map(|(_, call)| self.held.get(call));
        let receipts = due.flat_map(|charged| charged.answers.iter().map(|answer| (answer.receipt, charged.at_ms)));
        receipts.filter(|(receipt, _)| *receipt != Digest::ZERO)
    }

    /// The charge of a receipt, while it may be refunded.
    pub fn charge_of(&self, receipt: &Digest) -> Option<(u64, ChargeOf)> {
        let call = *self.by_receipt.get(receipt)?;
        let charged = self.held.get(&call)?;
        let answer = charged.answers.iter().find(|answer| answer.receipt == *receipt)?;
        let (amount, opg) = (answer.amount, answer.opg);
        Some((call, ChargeOf { purse: charged.purse, amount, opg, at_ms: charged.at_ms }))
    }
}
