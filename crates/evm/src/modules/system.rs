//! What the ledger itself does to modules, between transactions: no ABI, no gas, no sender.
//!
//! A slash or a new term is nobody's transaction. It is a typed value that runs on the same frame as a call, and no method
//! leads to it, so no user can. A refused one changes nothing.

use alloy_primitives::{Bytes, hex};
use thiserror::Error;

use super::{Frame, Stop};
use crate::state::StateError;

/// One deed of the ledger.
pub trait SystemCall {
    /// What the ledger learns from it.
    type Outcome;
    fn run(&self, frame: &mut Frame<'_>) -> Result<Self::Outcome, Stop>;
}

/// Why a deed did not happen.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SystemError {
    /// The module refused it, with an error of its interface.
    #[error("the module refused with 0x{}", hex::encode(.0))]
    Refused(Bytes),
    #[error("the call needs more than {gas} gas")]
    OutOfGas { gas: u64 },
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<Stop> for SystemError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Revert(bytes) => Self::Refused(bytes),
            Stop::OutOfGas => StateError("a system call ran out of 2^64 gas".to_owned()).into(),
            Stop::Fatal(reason) => StateError(reason).into(),
        }
    }
}
