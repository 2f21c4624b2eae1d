//! Shares on their way to their holders: one payment at a time, under a number that the ledger takes once.

use std::collections::{BTreeMap, BTreeSet};

use protocol::List;

use crate::{
    books::{
        entry::{Entry, HOLDERS_MAX, PaidShare, PayingOut},
        state::Books,
    },
    price::Holder,
};

impl Books {
    /// The payment that was written down and is not known to be done.
    pub fn paying_out(&self) -> Option<&PayingOut> {
        self.paying_out.as_ref()
    }

    /// The next payment, where nothing is under way: of what the ledger says is `due`, and of what had no receipt. `expected` is the
    /// number that the ledger takes next. `None` where there is nothing to pay, or whoever said so is behind these books.
    pub fn pay_out(&self, expected: u64, due: &[(Holder, u128)]) -> Option<Entry> {
        if self.paying_out.is_some() || expected < self.next_payment {
            return None;
        }
        let mut shares: BTreeMap<Holder, (u128, u128)> = BTreeMap::new();
        for (holder, amount) in due.iter().filter(|(_, amount)| *amount > 0).take(HOLDERS_MAX) {
            shares.entry(*holder).or_default().0 = *amount;
        }
        for (holder, amount) in self.free().filter(|(_, amount)| *amount > 0) {
            if shares.len() < HOLDERS_MAX || shares.contains_key(&holder) {
                shares.entry(holder).or_default().1 = amount;
            }
        }
        // A sum beyond 128 bits is nobody's: nothing like it was ever charged.
        let mut amounts = shares.values().flat_map(|(due, unreceipted)| [*due, *unreceipted]);
        amounts.try_fold(0_u128, u128::checked_add)?;
        let share = |(holder, (due, unreceipted))| PaidShare { holder, due, unreceipted };
        let shares = List::new(shares.into_iter().map(share).collect()).ok().filter(|shares| !shares.is_empty())?;
        Some(Entry::PayingOut(PayingOut { number: expected, shares }))
    }

    /// The payment under way, by as much less as is due to its payees no more: they got it out of the stake, where it was late, or a
    /// refund has been claimed for whose it is. `None` where it stands. `due` is all that is due: who is not in it is owed nothing.
    pub fn lower(&self, due: &[(Holder, u128)]) -> Option<Entry> {
        let paying = self.paying_out.as_ref()?;
        // As many are owed as there may be, and few of them are paid at once.
        let paid: BTreeSet<&Holder> = paying.shares.iter().map(|share| &share.holder).collect();
        let due: BTreeMap<&Holder, u128> =
            due.iter().filter(|(payee, _)| paid.contains(payee)).map(|(payee, amount)| (payee, *amount)).collect();
        let now = |holder: &Holder| due.get(holder).copied().unwrap_or_default();
        if paying.shares.iter().all(|share| share.due <= now(&share.holder)) {
            return None;
        }
        let lowered =
            paying.shares.iter().map(|share| PaidShare { due: share.due.min(now(&share.holder)), ..share.clone() });
        let shares = lowered.filter(|share| share.due > 0 || share.unreceipted > 0).collect();
        Some(Entry::PayingOut(PayingOut { number: paying.number, shares: List::new(shares).ok()? }))
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
        for share in paying.shares.iter() {
            if let Some(free) = self.free.get_mut(&share.holder) {
                *free = free.saturating_sub(share.unreceipted);
            }
        }
        self.free.retain(|_, amount| *amount > 0);
    }
}
