//! Shares on their way to their holders: one payment at a time, under a number that the ledger takes once.

use protocol::List;

use crate::books::{
    entry::{Entry, Freed, HOLDERS_MAX, PayingOut},
    state::Books,
};

impl Books {
    /// The payment that was written down and is not known to be done.
    pub fn paying_out(&self) -> Option<&PayingOut> {
        self.paying_out.as_ref()
    }

    /// The next payment of what is free, where nothing is under way: `expected` is the number that the ledger takes next. `None` where
    /// nothing is free, or whoever said so is behind these books.
    pub fn pay_out(&self, expected: u64) -> Option<Entry> {
        if self.paying_out.is_some() || expected < self.next_payment {
            return None;
        }
        let due = self.free().filter(|(_, amount)| *amount > 0).take(HOLDERS_MAX);
        let shares: Vec<Freed> = due.map(|(holder, amount)| Freed { holder, amount }).collect();
        // A sum beyond 128 bits is nobody's: nothing like it was ever charged.
        let sum = shares.iter().try_fold(0_u128, |sum, share| sum.checked_add(share.amount))?;
        let unreceipted = self.unreceipted.min(sum);
        let shares = List::new(shares).ok().filter(|shares| !shares.is_empty())?;
        Some(Entry::PayingOut(PayingOut { number: expected, unreceipted, shares }))
    }

    /// What became of the payment under way, where the ledger now takes `expected`: done, if that is a later one.
    pub fn paid_out(&self, expected: u64) -> Option<Entry> {
        let paying = self.paying_out.as_ref().filter(|paying| paying.number < expected)?;
        Some(Entry::PaidOut(paying.number))
    }

    /// Takes a payment off what is free.
    pub(super) fn take_off(&mut self, number: u64) {
        self.next_payment = self.next_payment.max(number.saturating_add(1));
        let Some(paying) = self.paying_out.take_if(|paying| paying.number == number) else { return };
        self.unreceipted = self.unreceipted.saturating_sub(paying.unreceipted);
        for share in paying.shares.iter() {
            if let Some(free) = self.free.get_mut(&share.holder) {
                *free = free.saturating_sub(share.amount);
            }
        }
        self.free.retain(|_, amount| *amount > 0);
    }
}
