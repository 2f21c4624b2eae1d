//! A network begins with nodes: registered without a signature, because whoever writes a genesis is believed for it.

use alloy_primitives::{Address, B256, U256};
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

/// The ledger registers a node whose possession of its key it has checked; the stake comes from the operator's account, which
/// has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enroll(pub FoundNode);

impl FoundNode {
    fn terms(&self) -> Terms {
        Terms {
            operator: self.operator,
            role: self.role,
            key: self.key,
            coins: self.coins,
            commission: self.commission,
            commission_max: self.commission_max,
            commission_step: self.commission_step,
        }
    }
}

impl SystemCall for FoundNode {
    /// The node's id.
    type Outcome = B256;

    fn run(&self, frame: &mut Frame<'_>) -> Result<B256, Stop> {
        frame.within(ADDRESS, |frame| found(frame, &self.terms()))
    }
}

impl SystemCall for Enroll {
    /// The node's id.
    type Outcome = B256;

    fn run(&self, frame: &mut Frame<'_>) -> Result<B256, Stop> {
        frame.within(ADDRESS, |frame| {
            frame.transfer(self.0.operator, ADDRESS, U256::from(self.0.coins))?;
            found(frame, &self.0.terms())
        })
    }
}
