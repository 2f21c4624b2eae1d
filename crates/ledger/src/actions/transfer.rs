//! Moving OPG between accounts.

use protocol::{PublicKey, transaction::Transfer};

use crate::{present::Present, refusal::Refusal};

pub(super) fn apply(present: &mut Present, sender: &PublicKey, transfer: &Transfer) -> Result<(), Refusal> {
    if transfer.amount == 0 {
        return Err(Refusal::ZeroAmount);
    }
    present.state.debit(sender, transfer.amount)?;
    present.state.credit(&transfer.to, transfer.amount);
    Ok(())
}
