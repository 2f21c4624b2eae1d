//! Moving OPG from an ed25519 key's account to any other.

use protocol::{PublicKey, transaction::Transfer};

use crate::{
    present::Present,
    purse::{address_of, is_nobodys},
    refusal::Refusal,
    rules::NewRules,
};

pub(super) fn apply(present: &mut Present, sender: &PublicKey, transfer: &Transfer) -> Result<(), Refusal> {
    if present.rules.has(NewRules::NoTransfers) {
        return Err(Refusal::TransfersEnded);
    }
    if transfer.amount == 0 {
        return Err(Refusal::ZeroAmount);
    }
    if is_nobodys(&transfer.to) {
        return Err(Refusal::Receiver(transfer.to));
    }
    present.state.purse.pay(&address_of(sender), &transfer.to, transfer.amount)
}
