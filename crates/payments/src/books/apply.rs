//! One entry on the state. Total: an entry that speaks of what is not there changes nothing, so that no journal makes it panic.

use protocol::{Bytes, Digest, List};

use crate::{
    books::{
        entry::{
            ANSWERS_MAX, Answer, AnswerEnded, Charged, Delivered, Entry, Lost, Matured, Owed, PurseRecord, Raised,
            Refunded, Settled, WrittenOff,
        },
        index::Wallet,
        state::{Books, day},
    },
    price::{Holder, Part},
    scheme::Scheme,
};

impl Books {
    /// Writes one entry into the books.
    pub fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Purse(record) => self.put_purse(record.clone()),
            Entry::Raised(raised) => self.put_raised(raised),
            Entry::Call(record) => self.put_call(record.clone()),
            Entry::Delivered(delivered) => self.put_delivered(delivered),
            Entry::AnswerEnded(ended) => self.put_ended(ended),
            Entry::Charged(charged) => self.put_charge(charged.clone()),
            Entry::Released(call) => self.release(*call),
            Entry::Settling(settling) => {
                self.change(&settling.purse, |purse| purse.settling = Some(settling.clone()));
            }
            Entry::Settled(settled) => self.put_settled(settled),
            Entry::Unsettled(unsettled) => self.change(&unsettled.purse, |purse| purse.settling = None),
            Entry::Refunded(refunded) => self.take_back(refunded),
            Entry::Fell(fallen) => self.let_fall(fallen),
            Entry::Closed(purse) => self.close(purse),
            Entry::Matured(matured) => self.free_upto(matured),
            Entry::Freed(freed) => *self.free.entry(freed.holder).or_default() = freed.amount,
            // One of nothing is none: its payees got all of it otherwise.
            Entry::PayingOut(paying) => {
                self.paying_out = Some(paying.clone()).filter(|paying| !paying.shares.is_empty())
            }
            Entry::PaidOut(number) => self.take_off(*number),
            Entry::Depositing(depositing) => {
                self.depositing.insert(depositing.deposit.id, depositing.clone());
            }
            Entry::Deposited(deposited) => {
                self.depositing.remove(&deposited.id);
                self.deposited.insert(deposited.id, deposited.expires_at_s);
            }
            Entry::Undeposited(id) => drop(self.depositing.remove(id)),
            Entry::Returning(returning) => self.put_returning(returning),
            Entry::Returned(purse) | Entry::Unreturned(purse) => drop(self.returning.remove(purse)),
            Entry::Published(published) => self.put_published(published),
            Entry::WrittenOff(written_off) => self.put_written_off(written_off),
            Entry::Lost(lost) => self.put_lost(lost),
            Entry::Repriced(repriced) => self.put_repriced(repriced),
            Entry::Converted(sums) => self.put_converted(sums),
            Entry::Revenue(revenue) => {
                self.revenue.insert((revenue.model, revenue.day), (revenue.amount, revenue.calls));
            }
            Entry::Name(name) => {
                self.names.insert(name.name, name.clone());
            }
            Entry::NextCall(call) => self.next_call = self.next_call.max(*call),
            Entry::Owed(owed) => {
                self.owed.insert(wallet_of(owed), owed.amount);
            }
            Entry::Lineage(lineage) => self.put_lineage(lineage),
            Entry::Repaying(repaying) => {
                self.repaying.insert(wallet_of(&repaying.owed), repaying.clone());
            }
            Entry::Unrepaid(repaying) => {
                self.repaying.remove(&wallet_of(&repaying.owed));
            }
            Entry::Repaid(repaying) => self.put_repaid(&repaying.owed),
            Entry::Sending(transaction) => self.put_sending(*transaction, None),
            Entry::SendingOn(sending) => self.put_sending(sending.transaction, Some(sending.network)),
            Entry::Sent(transaction) => self.drop_sending(transaction),
            Entry::Valued(valued) => self.put_valued(valued),
            Entry::Worth(worth) => self.put_worth(worth),
            Entry::Announced(told) => {
                if let Some(purse) = self.purses.get_mut(&told.purse) {
                    purse.announced = told.amount;
                }
            }
            Entry::Forgotten(purse) => self.forget(purse),
        }
    }

    /// Changes a purse that is there.
    fn change(&mut self, id: &Digest, change: impl FnOnce(&mut PurseRecord)) {
        self.unindex_purse(id);
        if let Some(purse) = self.purses.get_mut(id) {
            change(purse);
            self.index_purse(id);
        }
    }

    fn put_raised(&mut self, raised: &Raised) {
        if let Some(purse) = self.purses.get_mut(&raised.purse).filter(|purse| purse.cap < raised.cap) {
            purse.cap = raised.cap;
            purse.proof = raised.proof.clone();
        }
    }

    fn put_delivered(&mut self, delivered: &Delivered) {
        if let Some(call) = self.calls.get_mut(&delivered.call) {
            call.delivered = delivered.amount;
            call.delivered_opg = delivered.opg;
        }
    }

    fn put_ended(&mut self, ended: &AnswerEnded) {
        if !self.calls.contains_key(&ended.call) {
            return;
        }
        let answers = self.ended.entry(ended.call).or_default();
        let is_new = answers.iter().all(|known| known.answer.receipt != ended.answer.receipt);
        if is_new && answers.len() < ANSWERS_MAX {
            answers.push(ended.clone());
        }
    }

    fn put_purse(&mut self, record: PurseRecord) {
        let id = record.id;
        self.unindex_purse(&id);
        self.purses.insert(id, record);
        self.index_purse(&id);
    }

    pub(super) fn forget(&mut self, id: &Digest) {
        self.unindex_purse(id);
        self.purses.remove(id);
        self.index_purse(id);
    }

    fn put_call(&mut self, record: crate::books::entry::CallRecord) {
        self.next_call = self.next_call.max(record.call.saturating_add(1));
        if let Some(purse) = self.purses.get_mut(&record.purse) {
            purse.calls = purse.calls.saturating_add(1);
        }
        let reserved = self.reserved.entry(record.purse).or_default();
        *reserved = reserved.saturating_add(record.max);
        if let Some(name) = record.name {
            let (purse, request, call, at_ms) = (record.purse, record.request, record.call, record.at_ms);
            let named = crate::books::entry::NameRecord { name, purse, request, call, is_over: false, at_ms };
            self.names.insert(name, named);
        }
        self.calls.insert(record.call, record);
    }

    /// Takes a call and what it reserved out of the books. A purse of `exact` takes no second one.
    fn end_call(&mut self, call: u64) {
        let Some(record) = self.calls.remove(&call) else { return };
        self.ended.remove(&call);
        if let Some(reserved) = self.reserved.get_mut(&record.purse) {
            *reserved = reserved.saturating_sub(record.max);
            if *reserved == 0 {
                self.reserved.remove(&record.purse);
            }
        }
        if let Some(name) = record.name.and_then(|name| self.names.get_mut(&name)) {
            name.is_over = true;
        }
        self.change(&record.purse, |purse| purse.is_closed |= purse.scheme == Scheme::Exact);
    }

    /// Ends a call of which nothing is charged.
    fn release(&mut self, call: u64) {
        let purse = self.calls.get(&call).map(|record| record.purse);
        self.end_call(call);
        if let Some(purse) = purse {
            self.drop_proof(&purse);
        }
    }

    fn close(&mut self, purse: &Digest) {
        self.change(purse, |purse| purse.is_closed = true);
        self.drop_proof(purse);
    }

    /// Forgets what would settle a payment that was charged nothing and never will be: that it was used is all that must be known until it
    /// ends, because such payments cost their payers nothing.
    fn drop_proof(&mut self, id: &Digest) {
        let is_over = self.reserved(id) == 0;
        self.change(id, |purse| {
            if is_over && purse.is_closed && purse.spent == 0 && purse.scheme != Scheme::Batch {
                purse.proof = Bytes::default();
            }
        });
    }

    fn put_charge(&mut self, charged: Charged) {
        // A charge counts once: with the call that it ends.
        if self.calls.contains_key(&charged.call) {
            self.end_call(charged.call);
            self.change(&charged.purse, |purse| purse.spent = purse.spent.saturating_add(charged.amount()));
            let (amount, calls) = self.revenue.entry((charged.model, day(charged.at_ms))).or_default();
            *amount = amount.saturating_add(charged.opg());
            *calls = calls.saturating_add(1);
        }
        self.next_call = self.next_call.max(charged.call.saturating_add(1));
        let receipts = charged.answers.iter().map(|answer| answer.receipt).filter(|receipt| *receipt != Digest::ZERO);
        self.by_receipt.extend(receipts.map(|receipt| (receipt, charged.call)));
        charged.answers.iter().for_each(|answer| self.index_answer(&charged, answer, true));
        let (call, at_ms) = (charged.call, charged.at_ms);
        if let Some(before) = self.held.insert(call, charged) {
            // Only a damaged journal charges a call twice.
            before.answers.iter().for_each(|answer| self.index_answer(&before, answer, false));
            self.index.held.remove(&(before.at_ms, call));
            self.index.without_receipt.remove(&(before.at_ms, call));
        }
        self.index_held(call, at_ms);
    }

    fn put_settled(&mut self, settled: &Settled) {
        let mut excess = None;
        self.change(&settled.purse, |purse| {
            // A payment by `exact` moves whole, whatever was charged of it.
            if purse.scheme == Scheme::Exact && purse.settled == 0 {
                let amount = purse.cap.saturating_sub(settled.amount);
                excess = Some(((purse.network, purse.asset, purse.payer), amount));
            }
            purse.settled = purse.settled.max(settled.amount);
            purse.settled_at_ms = settled.at_ms;
            purse.settling = None;
        });
        if let Some((wallet, amount)) = excess.filter(|(_, amount)| *amount > 0) {
            self.owe(wallet, amount);
        }
    }

    fn owe(&mut self, wallet: Wallet, amount: u128) {
        let sum = self.owed.entry(wallet).or_default();
        *sum = sum.saturating_add(amount);
    }

    fn put_lost(&mut self, lost: &Lost) {
        self.lost.insert((lost.network, lost.asset), (lost.amount, lost.count));
    }

    /// Takes what can never be settled out of a purse, so that it promises nothing more.
    fn put_written_off(&mut self, written_off: &WrittenOff) {
        let Some(purse) = self.purses.get_mut(&written_off.purse) else { return };
        let amount = written_off.amount.min(purse.spent.saturating_sub(purse.settled));
        purse.spent = purse.spent.saturating_sub(amount);
        purse.is_closed = true;
        let (lost, count) = self.lost.entry((purse.network, purse.asset)).or_default();
        *lost = lost.saturating_add(amount);
        *count = count.saturating_add(1);
        self.index_purse(&written_off.purse);
    }

    /// Gives a charge back: where it is not settled it is as if it had never been made, else the payer is owed it.
    fn take_back(&mut self, refunded: &Refunded) {
        let Some((charged, answer)) = self.take_held(refunded) else { return };
        let Some(purse) = self.purses.get_mut(&charged.purse) else { return };
        let busy = purse.settling.as_ref().map_or(0, |settling| settling.amount);
        let unsettled = purse.spent.saturating_sub(purse.settled.max(busy));
        let undone = answer.amount.min(unsettled);
        purse.spent = purse.spent.saturating_sub(undone);
        // What was written off never came from the payer.
        let owed = answer.amount.saturating_sub(undone).min(purse.settled.max(busy));
        let wallet = (purse.network, purse.asset, purse.payer);
        if owed > 0 {
            self.owe(wallet, owed);
        }
        self.unearn(&charged, &answer);
        self.index_purse(&charged.purse);
    }

    /// Lets go of a charge whose refund the ledger sees to: nobody here earned it, and it is worth to whoever took it what it is owed for.
    fn let_fall(&mut self, fallen: &Refunded) {
        let Some((charged, answer)) = self.take_held(fallen) else { return };
        self.convert(&charged, &answer);
        self.unearn(&charged, &answer);
    }

    /// Takes an answer out of what its model earned, and the call with its last one.
    fn unearn(&mut self, charged: &Charged, answer: &Answer) {
        if let Some((amount, calls)) = self.revenue.get_mut(&(charged.model, day(charged.at_ms))) {
            *amount = amount.saturating_sub(answer.opg);
            *calls = calls.saturating_sub(u64::from(charged.answers.is_empty()));
        }
    }

    /// Takes an answer out of the charges that may be refunded: its call without it, and the answer.
    fn take_held(&mut self, refunded: &Refunded) -> Option<(Charged, Answer)> {
        let charged = self.held.get_mut(&refunded.call)?;
        let mut answers = charged.answers.to_vec();
        let place = answers.iter().position(|answer| answer.receipt == refunded.receipt)?;
        let answer = answers.swap_remove(place);
        charged.answers = List::new(answers).unwrap_or_default();
        let charged = charged.clone();
        if charged.answers.is_empty() {
            self.held.remove(&refunded.call);
        }
        self.by_receipt.remove(&refunded.receipt);
        self.index_answer(&charged, &answer, false);
        self.index_held(charged.call, charged.at_ms);
        Some((charged, answer))
    }

    fn free_upto(&mut self, matured: &Matured) {
        let receipts: Vec<(Digest, u64)> =
            matured.receipts.iter().filter_map(|receipt| Some((*receipt, self.by_receipt.remove(receipt)?))).collect();
        let without = self.index.without_receipt.range(..=(matured.upto_ms, u64::MAX));
        let without: Vec<(Digest, u64)> = without.map(|(_, call)| (Digest::ZERO, *call)).collect();
        for (receipt, call) in receipts.into_iter().chain(without) {
            self.free_answer(&receipt, call);
        }
    }

    /// Gives the shares of an answer without a receipt to their holders; of one that stands the ledger says who is owed what.
    fn free_answer(&mut self, receipt: &Digest, call: u64) {
        let Some((charged, answer)) = self.take_held(&Refunded { call, receipt: *receipt, at_ms: 0 }) else { return };
        self.convert(&charged, &answer);
        if *receipt != Digest::ZERO {
            return;
        }
        for share in self.shares(&charged, &answer) {
            let nobody = Holder([0; 20]);
            let holder = if share.part == Part::Burn { nobody } else { share.holder };
            let free = self.free.entry(holder).or_default();
            *free = free.saturating_add(share.amount);
        }
    }

    fn put_repaid(&mut self, owed: &Owed) {
        self.repaying.remove(&wallet_of(owed));
        if let Some(sum) = self.owed.get_mut(&wallet_of(owed)) {
            *sum = sum.saturating_sub(owed.amount);
        }
    }
}

const fn wallet_of(owed: &Owed) -> Wallet {
    (owed.network, owed.asset, owed.payer)
}
