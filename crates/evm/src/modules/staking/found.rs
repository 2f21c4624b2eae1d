//! A network begins with nodes: registered without a signature, because whoever writes a genesis is believed for it.

use alloy_primitives::{Address, B256};
use protocol::Role;

use super::ADDRESS;
use super::register::{Terms, found};
use crate::modules::{Frame, Stop, SystemCall};

/// A node of the genesis; its stake is already in the module's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundNode {
    pub operator: Address,
    pub role: Role,
    pub key: B256,
    pub coins: u128,
    /// In millionths.
    pub commission: u32,
    pub commission_max: u32,
    pub commission_step: u32,
}

impl SystemCall for FoundNode {
    /// The node's id.
    type Outcome = B256;

    fn run(&self, frame: &mut Frame<'_>) -> Result<B256, Stop> {
        let terms = Terms {
            operator: self.operator,
            role: self.role,
            key: self.key,
            coins: self.coins,
            commission: self.commission,
            commission_max: self.commission_max,
            commission_step: self.commission_step,
        };
        frame.within(ADDRESS, |frame| found(frame, &terms))
    }
}
