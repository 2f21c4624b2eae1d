//! Does the receipt charge what its own terms and token counts give, and no more than was agreed?
//!
//! That the terms are those which the payer was offered is between the two of them: the payer holds the offer, and the opening shows
//! the payment whole.

use crypto::digest::hex;
use protocol::{Noun as _, Paid, ShownPayer};

use crate::check::{Check, Fault, Finding, Subject};

pub(crate) const CHECK: Check = Check {
    name: "charge",
    needs: &[],
    optional: false,
    run,
    hint: "the worker charged what does not follow from its own receipt: ask the gateway for the charge back",
};

fn run(subject: &Subject<'_>) -> Finding {
    let receipt = &subject.bundle.receipt.receipt;
    receipt.check_charge().map_err(|fault| Fault::Failed(fault.to_string()))?;
    Ok(receipt
        .payment
        .as_ref()
        .map_or_else(|| "free: no payment covers it".to_owned(), |paid| told(paid, receipt.charge)))
}

fn told(paid: &Paid, opg: u128) -> String {
    let (basis, max, terms) = (paid.terms.basis, paid.terms.max.amount, paid.terms.digest());
    let payer = match &paid.paid_by {
        ShownPayer::Private(_) => "a payer that is not shown".to_owned(),
        ShownPayer::Hashed(purse) => format!("purse {purse}"),
        ShownPayer::Full(payer) => format!("0x{}", hex(&payer.account.0)),
    };
    format!("{} of at most {max} ({basis}, terms {terms}), {opg} in OPG, by {payer}", paid.amount)
}
