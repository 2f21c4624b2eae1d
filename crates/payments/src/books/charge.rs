//! How a call ends: charged for what was delivered, or released.

use protocol::{Digest, List, Milliseconds};
use thiserror::Error;

use crate::{
    books::{
        entry::{
            Answer, AnswerEnded, CallRecord, Charged, Delivered, Entry, MATURED_MAX, Matured, Owed, Refunded, Repaying,
        },
        state::Books,
    },
    price::{Lineage, Quote, Share},
    scheme::{Refused, Scheme},
};

/// A bug of the caller's: nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChargeError {
    #[error("the call is over, or never was")]
    NoCall,
    #[error("a delivery that costs {found} after one that cost {before}")]
    Backwards { before: u128, found: u128 },
    #[error("{0} answers in one call, at most 128 expected")]
    TooMany(usize),
}

impl Books {
    /// Notes that a part of an answer has left: after a crash no less is charged, by `exact` too, which moves whole and owes the rest.
    pub fn deliver(&self, call: u64, quote: Quote) -> Result<Option<Entry>, ChargeError> {
        let record = self.calls.get(&call).ok_or(ChargeError::NoCall)?;
        let amount = quote.amount.min(record.max);
        if amount < record.delivered {
            return Err(ChargeError::Backwards { before: record.delivered, found: amount });
        }
        let opg = capped_opg(quote, amount);
        Ok((amount > record.delivered).then_some(Entry::Delivered(Delivered { call, amount, opg })))
    }

    /// Before an answer is acknowledged whose call is not over: from then on its receipt is charged, whatever happens.
    /// `counted` is what has left of it so far.
    pub fn end_answer(&self, call: u64, answer: Answer, counted: Quote) -> Option<Entry> {
        let Quote { amount: delivered, opg: delivered_opg } = counted;
        let ended = AnswerEnded { call, answer, delivered, delivered_opg };
        self.calls.contains_key(&call).then_some(Entry::AnswerEnded(ended))
    }

    /// Ends a call whose answers are whole: each is charged what its receipt says. Never charges more than was reserved: what goes beyond
    /// is the network's loss.
    pub fn charge(&self, call: u64, mut answers: Vec<Answer>, now_ms: Milliseconds) -> Result<Entry, ChargeError> {
        let record = self.calls.get(&call).ok_or(ChargeError::NoCall)?;
        let mut left = record.max;
        for answer in &mut answers {
            let amount = answer.amount.min(left);
            answer.opg = capped_opg(Quote { amount: answer.amount, opg: answer.opg }, amount);
            answer.amount = amount;
            left = left.saturating_sub(amount);
        }
        ended(record, answers, now_ms)
    }

    /// Ends a call whose answer broke off: charged for the answers that have receipts and for what was journalled as delivered beyond
    /// them, released where that is nothing.
    pub fn abandon(&self, call: u64, now_ms: Milliseconds) -> Result<Entry, ChargeError> {
        let record = self.calls.get(&call).ok_or(ChargeError::NoCall)?;
        let ended = self.ended.get(&call).map(Vec::as_slice).unwrap_or_default();
        let counted = sum(ended.iter().map(|ended| (ended.delivered, ended.delivered_opg)));
        let mut answers: Vec<Answer> = ended.iter().map(|ended| ended.answer.clone()).collect();
        let rest = record.delivered.saturating_sub(counted.amount);
        if rest > 0 {
            answers.push(cut_short(rest, record.delivered_opg.saturating_sub(counted.opg)));
        }
        self.charge(call, answers, now_ms)
    }

    /// Ends a call whose payer left while it was answered: the answers that had ended are charged what their receipts say, and `rest` is
    /// what those cost that were cut short. In `exact` the price is the call's, so whoever has something computed and leaves pays it whole;
    /// else everybody would leave before the last token.
    pub fn leave(
        &self,
        call: u64,
        ended: Vec<Answer>,
        rest: Quote,
        now_ms: Milliseconds,
    ) -> Result<Entry, ChargeError> {
        let record = self.calls.get(&call).ok_or(ChargeError::NoCall)?;
        let cost_so_far = cost_of(&ended);
        let has_used = cost_so_far.amount > 0 || rest.amount > 0;
        let is_exact = self.purses.get(&record.purse).is_some_and(|purse| purse.scheme == Scheme::Exact);
        let rest = if is_exact && has_used { what_is_left_of(record.max, cost_so_far, rest) } else { rest };
        self.cut_off(call, ended, rest, now_ms)
    }

    /// Ends a call that was too late by our own doing: the answers that had ended are charged what their receipts say, and `rest` is what
    /// those cost that were cut short, in `exact` too.
    pub fn cut_off(
        &self,
        call: u64,
        ended: Vec<Answer>,
        rest: Quote,
        now_ms: Milliseconds,
    ) -> Result<Entry, ChargeError> {
        if cost_of(&ended).amount == 0 && rest.amount == 0 {
            return self.abandon(call, now_ms);
        }
        let mut answers = ended;
        if rest.amount > 0 {
            answers.push(cut_short(rest.amount, rest.opg));
        }
        self.charge(call, answers, now_ms)
    }

    /// Takes the charge of an answer back that the ledger never took. Whether its payer has paid it is not known while a settlement is on
    /// its way: then later.
    pub fn refund(&self, receipt: &Digest, now_ms: Milliseconds) -> Result<Entry, Refused> {
        let (call, charge) = self.charge_of(receipt).ok_or(Refused::Refund(0, 0))?;
        if self.purses.get(&charge.purse).is_some_and(|purse| purse.settling.is_some()) {
            return Err(Refused::InFlight);
        }
        Ok(Entry::Refunded(Refunded { call, receipt: *receipt, at_ms: now_ms }))
    }

    /// Leaves the charge of a refuted or withheld answer as it is: the ledger says that its payer is owed it, in OPG, in the place of those
    /// who would have shared in it. `None` where it was given back already.
    pub fn fall(&self, receipt: &Digest, now_ms: Milliseconds) -> Option<Entry> {
        let (call, _) = self.charge_of(receipt)?;
        Some(Entry::Fell(Refunded { call, receipt: *receipt, at_ms: now_ms }))
    }

    /// Frees the shares of answers whose receipts stand after their window, and of those up to a moment that have no receipt.
    pub fn mature(&self, receipts: &[Digest], upto_ms: Milliseconds) -> Option<Entry> {
        let held = receipts.iter().filter(|receipt| self.by_receipt.contains_key(*receipt)).copied();
        let receipts: Vec<Digest> = held.take(MATURED_MAX).collect();
        let is_due =
            !receipts.is_empty() || self.index.without_receipt.first().is_some_and(|(at_ms, _)| *at_ms <= upto_ms);
        is_due.then(|| Entry::Matured(Matured { upto_ms, receipts: List::new(receipts).unwrap_or_default() }))
    }

    /// A lineage that calls are to name. `None` where it is known.
    pub fn know(&self, lineage: &Lineage) -> Option<Entry> {
        (!self.lineages.contains_key(&lineage.id())).then(|| Entry::Lineage(lineage.clone()))
    }

    /// Who gets what of an answer's charge.
    pub fn shares(&self, charged: &Charged, answer: &Answer) -> Vec<Share> {
        charged.shares(answer, self.lineages.get(&charged.lineage))
    }

    /// What is owed to payers and not on its way to them.
    pub fn owing(&self) -> Vec<Owed> {
        let owed = self.owed.iter().filter(|(wallet, amount)| **amount > 0 && !self.repaying.contains_key(*wallet));
        owed.map(|((network, asset, payer), amount)| Owed {
            network: *network,
            asset: *asset,
            payer: *payer,
            amount: *amount,
        })
        .collect()
    }

    /// Before a payer is sent what it is owed. `None` where that is less, or on its way already.
    pub fn repay(&self, repaying: &Repaying) -> Option<Entry> {
        let owed = &repaying.owed;
        let wallet = (owed.network, owed.asset, owed.payer);
        let sum = self.owed.get(&wallet).copied().unwrap_or_default();
        let may = !self.repaying.contains_key(&wallet) && owed.amount > 0 && owed.amount <= sum;
        may.then(|| Entry::Repaying(repaying.clone()))
    }

    /// What is on its way back to payers.
    pub fn repayments(&self) -> Vec<Repaying> {
        self.repaying.values().cloned().collect()
    }

    /// What became of a transfer back.
    pub fn repaid(&self, repaying: &Repaying, has_arrived: bool) -> Option<Entry> {
        let wallet = (repaying.owed.network, repaying.owed.asset, repaying.owed.payer);
        let known = self.repaying.get(&wallet).filter(|known| *known == repaying)?.clone();
        Some(if has_arrived { Entry::Repaid(known) } else { Entry::Unrepaid(known) })
    }
}

fn cost_of(answers: &[Answer]) -> Quote {
    sum(answers.iter().map(|answer| (answer.amount, answer.opg)))
}

fn sum(costs: impl Iterator<Item = (u128, u128)>) -> Quote {
    costs.fold(Quote::ZERO, |sum, (amount, opg)| Quote {
        amount: sum.amount.saturating_add(amount),
        opg: sum.opg.saturating_add(opg),
    })
}

/// The OPG of a quote whose amount was capped: in proportion, rounded down.
fn capped_opg(quote: Quote, amount: u128) -> u128 {
    if amount >= quote.amount { quote.opg } else { opg_in_proportion(quote, amount) }
}

/// The OPG of another amount by the rate of a quote, rounded down.
pub(super) fn opg_in_proportion(quote: Quote, amount: u128) -> u128 {
    use alloy_primitives::U256;
    let opg = U256::from(quote.opg).saturating_mul(U256::from(amount)).checked_div(U256::from(quote.amount));
    opg.and_then(|opg| u128::try_from(opg).ok()).unwrap_or(quote.opg)
}

/// What is missing of a call's whole price beside the answers that had ended, by the rate at which it was used so far.
fn what_is_left_of(price: u128, ended: Quote, rest: Quote) -> Quote {
    let used = Quote { amount: ended.amount.saturating_add(rest.amount), opg: ended.opg.saturating_add(rest.opg) };
    Quote { amount: price.saturating_sub(ended.amount), opg: opg_in_proportion(used, price).saturating_sub(ended.opg) }
}

/// An answer that ended before its receipt.
const fn cut_short(amount: u128, opg: u128) -> Answer {
    Answer { receipt: Digest::ZERO, amount, opg, worker: None }
}

fn ended(record: &CallRecord, answers: Vec<Answer>, now_ms: Milliseconds) -> Result<Entry, ChargeError> {
    if answers.iter().all(|answer| answer.amount == 0) {
        return Ok(Entry::Released(record.call));
    }
    let count = answers.len();
    Ok(Entry::Charged(Charged {
        call: record.call,
        purse: record.purse,
        model: record.model,
        split: record.split.clone(),
        lineage: record.lineage,
        answers: List::new(answers).map_err(|_| ChargeError::TooMany(count))?,
        at_ms: now_ms,
    }))
}
