//! What a receipt charged that was refuted or withheld is due to whoever paid for it (`specs/payments.md`, *Refunds*).
//!
//! It is a share like any other, with all of the charge for one payee: paid by the gateway's payments, out of its stake where it is late.
//! Where nobody has shown who paid, the payee is an account of the receipt's own, and whoever can show it has that moved on.

use protocol::{EvmAddress, Opening, Receipt, ReceiptStatus, ShownPayer, refund_account};

use crate::{event::Event, present::Present};

impl Present {
    /// Owes what a receipt charged that fell to its payer, as far as the receipt or an opening of it shows who that is. Called once a
    /// receipt, with the verdict: none falls whose charge was due.
    pub fn owe_refund(&mut self, status: &ReceiptStatus, opening: Option<&Opening>) {
        let Some(signed) = self.receipt_at(status) else { return };
        let (receipt, gateway, amount) = (status.receipt, status.gateway, signed.receipt.charge);
        if amount == 0 {
            return;
        }
        let to = payer_of(&signed.receipt, opening).unwrap_or_else(|| refund_account(&receipt));
        self.state.add_due(gateway, amount);
        self.state.owe(gateway, to, amount, self.open.epoch);
        self.events.push(Event::RefundDue { receipt, gateway, to, amount });
    }
}

fn payer_of(receipt: &Receipt, opening: Option<&Opening>) -> Option<EvmAddress> {
    let opened = opening.and_then(|opening| opening.request.payment.as_ref()).map(|payment| payment.payer);
    let shown = receipt.payment.as_ref().and_then(|paid| match paid.paid_by {
        ShownPayer::Full(payer) => Some(payer),
        ShownPayer::Private(_) | ShownPayer::Hashed(_) => None,
    });
    opened.or(shown).map(|payer| payer.account)
}
