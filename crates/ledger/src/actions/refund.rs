//! Having the refund of a receipt go to whoever paid for it, where the ledger did not know who that is.

use protocol::{ShareRecord, refund_account, transaction::ClaimRefund};

use crate::{event::Event, present::Present, refusal::Refusal};

/// Anybody may: what comes of it is the payer's, whoever shows who that is.
pub(super) fn claim(present: &mut Present, claim: &ClaimRefund) -> Result<(), Refusal> {
    let status = present.state.statuses.get(&claim.receipt).ok_or(Refusal::UnknownReceipt)?;
    let (gateway, own) = (status.gateway, refund_account(&claim.receipt));
    let due = present.state.shares.get(&(gateway, own)).map_or(0, ShareRecord::due);
    let paid = present.state.purse.balance(&own);
    if due == 0 && paid == 0 {
        return Err(Refusal::NoRefund);
    }
    let signed = present.receipt_at(&status).ok_or(Refusal::UnknownReceipt)?;
    let to = claim.proof.payer_of(&signed.receipt).ok_or(Refusal::OtherPayer)?.account;
    if paid > 0 {
        present.pay_share(&own, &to, paid)?;
    }
    // What its gateway has not paid is due to the payer from now on, with the time that a new share has.
    present.state.write_off(gateway, own, due);
    present.state.owe(gateway, to, due, present.open.epoch);
    present.events.push(Event::RefundClaimed { receipt: claim.receipt, to, amount: due.saturating_add(paid) });
    Ok(())
}
