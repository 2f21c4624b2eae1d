//! Moving OPG from an ed25519 key's account to any other.

use protocol::{PublicKey, transaction::Transfer};

use crate::{
    present::Present,
    purse::{LOCKED, address_of},
    refusal::Refusal,
};

pub(super) fn apply(present: &mut Present, sender: &PublicKey, transfer: &Transfer) -> Result<(), Refusal> {
    if transfer.amount == 0 {
        return Err(Refusal::ZeroAmount);
    }
    // Coins there would be nobody's, as in OPG's own transfer.
    let nobodys = [[0; 20], evm::modules::opg::ADDRESS.into_array(), LOCKED.0];
    if nobodys.contains(&transfer.to.0) {
        return Err(Refusal::Receiver(transfer.to));
    }
    present.state.purse.pay(&address_of(sender), &transfer.to, transfer.amount)
}
