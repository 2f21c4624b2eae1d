//! What gateways owe to those who share in what their receipts charged (`specs/payments.md`, *Payouts*).
//!
//! Only ever grows by receipts that nobody can refute any more, once each; only ever is paid out of a gateway's own money.

use protocol::{Amount, Digest, DuesRecord, EvmAddress, NodeId, Standing};

use crate::{
    purse::is_nobodys,
    refusal::Refusal,
    settle::{BRIDGE, PayoutCause},
    state::State,
};

impl State {
    /// Where a gateway stands with those whom it owes.
    pub fn dues_of(&self, gateway: &NodeId) -> DuesRecord {
        let none = DuesRecord { gateway: *gateway, due: 0, paid: 0, payments: 0 };
        self.dues.get(gateway).cloned().unwrap_or(none)
    }

    /// Pays a share out of an account: on Base where its payee named a home there, burned where it is for nobody, else here.
    pub fn pay_share(&mut self, from: &EvmAddress, payee: &EvmAddress, amount: Amount) -> Result<(), Refusal> {
        // A payee may be whatever a publisher wrote into its model's registry, and must not stand in the way of the others.
        if is_nobodys(payee) {
            return self.purse.burn(from, amount);
        }
        let Some(base) = self.homes.get(payee).map(|home| home.base) else {
            return self.purse.pay(from, payee, amount);
        };
        self.purse.pay(from, &BRIDGE, amount)?;
        // Locked, it is part of the supply, and room for all of that is kept: this cannot fail.
        self.credit_payout(base, amount, PayoutCause::Sent)
    }
}

/// The charge of a receipt that stands is due. Called once a receipt: as its window closes, or with the verdict that comes later.
pub(crate) fn owe(state: &mut State, receipt: &Digest) {
    let Some(status) = state.statuses.get(receipt).filter(|status| stands(status.standing)) else { return };
    let charge = state.receipts.get(receipt).map_or(0, |signed| signed.receipt.charge);
    if charge > 0 {
        let dues = state.dues_of(&status.gateway);
        let due = dues.due.saturating_add(charge);
        state.dues.put(DuesRecord { due, ..dues });
    }
}

const fn stands(standing: Standing) -> bool {
    match standing {
        Standing::Anchored | Standing::Audited | Standing::Upheld => true,
        Standing::Challenged | Standing::Refuted | Standing::Withheld => false,
    }
}
