//! How far gateways may owe, and what stands for it: their operators' own free stake, and coins that are held here for their debts.
//!
//! Never stands for it what others delegated. No receipt is anchored by which a gateway would owe more, and an operator that takes stake out
//! leaves behind what it owes: so whoever shares in a charge, or is refunded one, is paid for as far as own stake can tell beforehand.

use alloy_primitives::{Address, B256};
use evm::modules::{
    opg::Release,
    staking::{Collect, Staked},
};
use protocol::{Amount, DuesRecord, NodeId, Role, service::GatewayCredit};

use crate::{present::Present, purse::LOCKED, refusal::Refusal, state::State};

/// A sum with one more charge, if it fits.
pub(crate) fn added(sum: Amount, charge: Amount) -> Result<Amount, Refusal> {
    sum.checked_add(charge).ok_or(Refusal::ChargeOverflow)
}

/// What stands for a gateway's debts is its operator's own free stake, and what is held.
pub(crate) fn credit_of(dues: &DuesRecord, staked: Option<Staked>) -> GatewayCredit {
    let own = staked.map_or(0, |staked| staked.free);
    GatewayCredit { open: dues.open(), limit: own.saturating_add(dues.held) }
}

impl State {
    /// How far a gateway may owe, and how far it does.
    pub fn credit_of(&self, gateway: &NodeId) -> GatewayCredit {
        credit_of(&self.dues_of(gateway), self.staked(gateway))
    }

    /// A receipt of a gateway is anchored, which charges so much: that it fits was checked.
    pub fn add_charge(&mut self, gateway: NodeId, charge: Amount) {
        if charge > 0 {
            let dues = self.dues_of(&gateway);
            self.dues.put(DuesRecord { charged: dues.charged.saturating_add(charge), ..dues });
        }
    }
}

impl Present {
    /// Refuses a charge by which its gateway would owe more than stands for that. `limit` is what does, once a receipt of a batch has asked:
    /// nothing in a batch changes it but a slash.
    pub fn within_credit(&self, gateway: &NodeId, charge: Amount, limit: &mut Option<Amount>) -> Result<(), Refusal> {
        if charge == 0 {
            return Ok(());
        }
        let dues = self.state.dues_of(gateway);
        let limit = *limit.get_or_insert_with(|| self.state.credit_of(gateway).limit);
        let charged = added(dues.charged, charge)?;
        if charged.saturating_sub(dues.paid) > limit {
            return Err(Refusal::CreditSpent { open: dues.open(), charge, limit });
        }
        Ok(())
    }

    /// Remembers a gateway whose operator took stake out of it: what is left is looked at as the epoch closes.
    pub fn note_left(&mut self, node: NodeId, whose: Address) {
        let listed = self.state.nodes.get(&node);
        let is_own =
            listed.is_some_and(|listed| listed.role == Role::Gateway && Address::from(listed.operator.0) == whose);
        if is_own {
            self.open.left.insert(node);
        }
    }

    /// Holds what gateways owe for which their operators' stake no longer stands, out of what the operators took out: before any of that can
    /// have been paid to them.
    pub fn hold_for_debts(&mut self) {
        for gateway in std::mem::take(&mut self.open.left) {
            let credit = self.state.credit_of(&gateway);
            self.hold(gateway, credit.open.saturating_sub(credit.limit));
            // A unit more, where that was rounded.
            self.give_held_back(&gateway);
        }
    }

    /// Takes coins out of a gateway's operator's own stake, as far as there are any, and holds them for its debts.
    pub fn hold(&mut self, gateway: NodeId, coins: Amount) {
        if coins == 0 {
            return;
        }
        let collect = Collect { node: B256::from(gateway.0), to: Address::from(LOCKED.0), coins };
        let was_jailed = self.state.is_jailed(&gateway);
        let taken = self.perform(&collect).unwrap_or(0);
        let dues = self.state.dues_of(&gateway);
        self.state.dues.put(DuesRecord { held: dues.held.saturating_add(taken), ..dues });
        self.tell_of_jail(gateway, was_jailed);
    }

    /// Gives what is held for a gateway's debts and is more than they are back to its operator.
    pub fn give_held_back(&mut self, gateway: &NodeId) {
        let dues = self.state.dues_of(gateway);
        let operator = self.state.nodes.get(gateway).map(|listed| listed.operator);
        let (Some(operator), Some(over)) = (operator, dues.held.checked_sub(dues.open()).filter(|over| *over > 0))
        else {
            return;
        };
        // What is held is there. If it were not, nothing would be written off.
        if self.perform(&Release { to: Address::from(operator.0), coins: over }).is_ok() {
            self.state.dues.put(DuesRecord { held: dues.open(), ..dues });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_of_charges_that_does_not_fit_is_refused_and_never_cut() {
        assert_eq!(added(u128::MAX - 1, 1), Ok(u128::MAX));
        assert_eq!(added(u128::MAX, 1), Err(Refusal::ChargeOverflow));
    }
}
