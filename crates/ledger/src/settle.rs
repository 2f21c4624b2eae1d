//! What is owed on Base: credits as they come up, one settlement over them as an epoch closes (`specs/settlement.md`).
//!
//! Nothing is owed twice: a credit is in the table of credits or in one settlement. What is minted on Base is locked at `BRIDGE`
//! before it is owed.

use alloy_primitives::Address;
use evm::{
    Block,
    modules::bridge::{self, Unlock},
};
use protocol::{Amount, Beneficiary, BridgeRecord, Burn, Digest, EvmAddress, Payout, PayoutKind, SettlementRecord};

use crate::{
    event::Event,
    present::Present,
    purse::{address_of, is_nobodys},
    records::{BurnRecord, CreditRecord},
    refusal::Refusal,
    state::State,
};

/// Where what is on Base lies on the ledger.
pub const BRIDGE: EvmAddress = EvmAddress(bridge::ADDRESS.into_array());

/// Payouts of one settlement; the others wait for the next.
pub const PAYOUTS_MAX: usize = 4_096;

/// Why somebody is owed something on Base, which says what it is paid from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayoutCause {
    /// OPG that its owner sent there, or a share of somebody who is at home there: it lies at `BRIDGE`, and as much is minted.
    Sent,
    /// Paid from what payers brought to the settlement's contract. Nothing makes these yet: shares are paid out of what is locked.
    Charged,
}

impl PayoutCause {
    const fn kind(self) -> PayoutKind {
        match self {
            Self::Sent => PayoutKind::Mint,
            Self::Charged => PayoutKind::Pay,
        }
    }

    /// Most that may be owed at once. Charges leave room for whatever is locked, so that what is sent is always owed.
    const fn limit(self) -> Amount {
        match self {
            Self::Sent => Amount::MAX,
            Self::Charged => Amount::MAX >> 1,
        }
    }
}

impl State {
    pub fn bridge(&self) -> BridgeRecord {
        let none = BridgeRecord { settlements: 0, rotations: 0, owed: 0, burns: 0, burns_digest: Digest::ZERO };
        self.bridge.get(&()).cloned().unwrap_or(none)
    }

    /// Owes `payee` so much more on Base; the next settlement has it, together with what it is owed for causes of the same kind.
    pub fn credit_payout(&mut self, payee: EvmAddress, amount: Amount, cause: PayoutCause) -> Result<(), Refusal> {
        if amount == 0 {
            return Err(Refusal::ZeroAmount);
        }
        let bridge = self.bridge();
        let owed =
            bridge.owed.checked_add(amount).filter(|owed| *owed <= cause.limit()).ok_or(Refusal::OwedOverflow)?;
        let (kind, before) = (cause.kind(), self.credits.get(&(cause.kind(), payee)).map_or(0, |row| row.amount));
        // It fits: it is a part of the sum.
        self.credits.put(CreditRecord { kind, account: payee, amount: before.saturating_add(amount) });
        self.bridge.put(BridgeRecord { owed, ..bridge });
        Ok(())
    }

    /// Keeps the payouts of a settlement, to prove them to their payees.
    pub fn keep_payouts(&mut self, number: u64, payouts: Vec<Payout>) {
        for (index, payout) in (0..).zip(&payouts) {
            self.payees.entry(payout.account).or_default().push((number, index));
        }
        self.payouts.insert(number, payouts);
    }
}

/// Owes on Base what a block's transactions sent there.
pub(crate) fn take_sendings(state: &mut State, block: &Block) {
    for sending in bridge::sendings(block.receipts.iter().flat_map(|receipt| receipt.logs())) {
        // What was sent is locked, and charges leave room for the whole supply: this cannot fail.
        let _: Result<(), _> =
            state.credit_payout(EvmAddress(sending.to.into_array()), sending.amount, PayoutCause::Sent);
    }
}

/// Settles what the epoch that closes owes, if anything, or if burns were credited that Base was not told of.
pub(crate) fn settle(present: &mut Present) {
    let state = &mut present.state;
    let bridge = state.bridge();
    let before = bridge.settlements.checked_sub(1).and_then(|number| state.settlements.get(&number)).cloned();
    let told = before.as_ref().map_or(0, |before| before.burns);
    let due: Vec<_> = state.credits.rows().take(PAYOUTS_MAX).cloned().collect();
    if due.is_empty() && told == bridge.burns {
        return;
    }
    let payouts: Vec<_> = due.iter().map(CreditRecord::payout).collect();
    let burns = (bridge.burns, bridge.burns_digest);
    let (chain_id, epoch) = (state.network.chain_id, present.open.epoch);
    let made = SettlementRecord::after(before.as_ref(), chain_id, epoch, &payouts, burns);
    // There is one: an epoch closes once, and what is owed fits.
    let Some(record) = made else { return };
    for row in due {
        state.credits.remove(&(row.kind, row.account));
    }
    let owed = bridge.owed.saturating_sub(record.payouts_sum);
    state.bridge.put(BridgeRecord { settlements: record.number.saturating_add(1), owed, ..bridge });
    state.keep_payouts(record.number, payouts);
    present.events.push(Event::Settled {
        number: record.number,
        payouts: record.payouts_count,
        sum: record.payouts_sum,
    });
    state.settlements.put(record);
}

impl CreditRecord {
    fn payout(&self) -> Payout {
        Payout { kind: self.kind, account: self.account, amount: self.amount }
    }
}

/// Credits burns that a quorum has seen, one after the other, as long as there are any.
pub(crate) fn credit_burns(present: &mut Present) {
    loop {
        let serial = present.state.bridge().burns;
        let network = &present.state.network;
        let seen = |row: &&BurnRecord| network.decides(|node| row.seen_by.contains(node));
        let Some(burn) = burns_of(&present.state, serial).find(seen).map(|row| row.burn.clone()) else { return };
        if !credit(present, &burn) {
            return;
        }
        let other: Vec<_> = burns_of(&present.state, serial).map(|row| row.burn.chained(&Digest::ZERO)).collect();
        for content in other {
            present.state.burns.remove(&(serial, content));
        }
    }
}

/// Everything that was reported under a serial.
pub(crate) fn burns_of(state: &State, serial: u64) -> impl Iterator<Item = &BurnRecord> {
    state.burns.range((serial, Digest::ZERO)..=(serial, Digest([u8::MAX; 32])))
}

/// Gives out what was destroyed on Base. False if less is locked: then no quorum is right, and nothing moves.
fn credit(present: &mut Present, burn: &Burn) -> bool {
    let to = match burn.beneficiary() {
        Beneficiary::Wallet(address) => address,
        Beneficiary::Key(key) => address_of(&key),
    };
    let unlock = Unlock {
        serial: burn.serial,
        from: Address::from(burn.from.0),
        // Who sends to nobody destroys it here as well.
        to: Some(Address::from(to.0)).filter(|_| !is_nobodys(&to)),
        coins: burn.amount,
    };
    if present.perform(&unlock).is_err() {
        return false;
    }
    let state = &mut present.state;
    let bridge = state.bridge();
    let (burns, burns_digest) = (burn.serial.saturating_add(1), burn.chained(&bridge.burns_digest));
    state.bridge.put(BridgeRecord { burns, burns_digest, ..bridge });
    present.events.push(Event::BurnCredited { serial: burn.serial, to, amount: burn.amount });
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{records::NetworkRecord, rules::Rules};

    fn state() -> State {
        let network = NetworkRecord {
            chain_id: 7,
            genesis: Digest::ZERO,
            genesis_time_ms: 0,
            rules: Rules::default(),
            committee: protocol::List::default(),
            term: 0,
            seats: protocol::List::default(),
            seats_before: protocol::List::default(),
            newcomers: protocol::List::default(),
            supply: 0,
        };
        let chain = evm::Chain::network(7);
        let (world, header) = evm::Genesis::default().build(&chain).unwrap();
        State::new(network, crate::purse::Head { world, header })
    }

    #[test]
    fn credits_of_one_kind_add_up_and_the_kinds_stand_apart() {
        let (mut state, payee) = (state(), EvmAddress([5; 20]));
        for (amount, cause) in [(3, PayoutCause::Charged), (4, PayoutCause::Sent), (5, PayoutCause::Charged)] {
            state.credit_payout(payee, amount, cause).unwrap();
        }
        let owed: Vec<_> = state.credits.rows().map(|row| (row.kind, row.amount)).collect();
        assert_eq!(owed, [(PayoutKind::Pay, 8), (PayoutKind::Mint, 4)]);
        assert_eq!(state.bridge().owed, 12);
    }

    #[test]
    fn nothing_and_more_than_fits_is_not_owed() {
        let (mut state, payee) = (state(), EvmAddress([5; 20]));
        assert_eq!(state.credit_payout(payee, 0, PayoutCause::Charged), Err(Refusal::ZeroAmount));
        state.credit_payout(payee, Amount::MAX >> 1, PayoutCause::Charged).unwrap();
        let more = state.credit_payout(EvmAddress([6; 20]), 1, PayoutCause::Charged);
        assert_eq!(more, Err(Refusal::OwedOverflow));
        state.credit_payout(payee, 1, PayoutCause::Sent).unwrap();
        assert_eq!(state.bridge().owed, (Amount::MAX >> 1) + 1);
    }
}
