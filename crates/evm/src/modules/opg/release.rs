//! Coins of an allocation that have come free: the ledger gives them out, and the coin says so as of any transfer of its own.

use alloy_primitives::{Address, U256};

use super::{ADDRESS, coin::move_coins};
use crate::modules::{Frame, LOCKED, Stop, SystemCall};

/// So much of what is locked goes to an account; to nobody whom a transfer could not reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    pub to: Address,
    pub coins: u128,
}

impl SystemCall for Release {
    type Outcome = ();

    fn run(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        frame.within(ADDRESS, |frame| move_coins(frame, LOCKED, self.to, U256::from(self.coins)))
    }
}
