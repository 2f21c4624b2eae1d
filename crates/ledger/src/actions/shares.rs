//! Paying those who share in what receipts charged, and where they want it.

use protocol::{
    Amount, DuesRecord, EvmAddress, PublicKey, Role, ShareRecord,
    transaction::{NameHome, PayShares},
};

use crate::{event::Event, present::Present, purse::address_of, records::HomeRecord, refusal::Refusal};

const NOBODY: EvmAddress = EvmAddress([0; 20]);

pub(super) fn pay(present: &mut Present, sender: &PublicKey, payment: &PayShares) -> Result<(), Refusal> {
    // Jailed or not: who owes may always pay.
    let node = present.acting_in_any_role(sender)?;
    if node.role != Role::Gateway {
        return Err(Refusal::WrongRole { found: node.role, expected: Role::Gateway });
    }
    let (gateway, operator) = (node.node, node.operator);
    let dues = present.state.dues_of(&gateway);
    if payment.number != dues.payments {
        return Err(Refusal::PaymentNotNext { found: payment.number, expected: dues.payments });
    }
    let sum = sum(payment)?;
    for share in payment.shares.iter() {
        let due = present.state.shares.get(&(gateway, share.payee)).map_or(0, ShareRecord::due);
        if share.due > due {
            return Err(Refusal::NotDue { payee: share.payee, found: share.due, due });
        }
    }
    let available = present.state.purse.balance(&operator);
    if available < sum {
        return Err(Refusal::InsufficientBalance { available, wanted: sum });
    }
    let mut paid = dues.paid;
    for share in payment.shares.iter() {
        present.pay_share(&operator, &share.payee, share.due.saturating_add(share.unreceipted))?;
        present.state.write_off(gateway, share.payee, share.due);
        paid = paid.saturating_add(share.due);
    }
    present.state.dues.put(DuesRecord { paid, payments: dues.payments.saturating_add(1), ..dues });
    present.give_held_back(&gateway);
    present.events.push(Event::SharesPaid { gateway, number: payment.number, sum });
    Ok(())
}

/// The shares' sum, if they are what shares may be.
fn sum(payment: &PayShares) -> Result<Amount, Refusal> {
    if payment.shares.is_empty() {
        return Err(Refusal::NoShares);
    }
    let (mut sum, mut before) = (0_u128, None);
    for share in payment.shares.iter() {
        let amount = share.due.checked_add(share.unreceipted).ok_or(Refusal::DisorderedShares)?;
        if amount == 0 {
            return Err(Refusal::ZeroAmount);
        }
        let added = sum.checked_add(amount).filter(|_| before < Some(share.payee));
        sum = added.ok_or(Refusal::DisorderedShares)?;
        before = Some(share.payee);
    }
    Ok(sum)
}

pub(super) fn name_home(present: &mut Present, sender: &PublicKey, home: &NameHome) -> Result<(), Refusal> {
    let account = address_of(sender);
    match home.base {
        Some(NOBODY) => return Err(Refusal::Receiver(NOBODY)),
        Some(base) => present.state.homes.put(HomeRecord { account, base }),
        None => drop(present.state.homes.remove(&account)),
    }
    Ok(())
}
