//! What the ledger itself does to modules, between transactions: no ABI, no gas, no sender.
//!
//! A slash or a new term is nobody's transaction. It is a typed value that runs on the same frame as a call, and no method
//! leads to it, so no user can. A refused one changes nothing.

use alloy_primitives::{Bytes, U256, hex};
use thiserror::Error;

use super::governance::IGovernance;
use super::models::IModels;
use super::opg::IOPG;
use super::parameters::IParameters;
use super::seats::ISeats;
use super::staking::{IStakedVotes, IStaking};
use super::{Frame, IModule, Stop};
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

/// A refusal in the words of the interfaces: which error, and what stood in it.
pub fn explain(error: &SystemError) -> String {
    let SystemError::Refused(bytes) = error else { return error.to_string() };
    let Some((selector, arguments)) = bytes.split_first_chunk::<4>() else {
        return "no such module, or too few coins".to_owned();
    };
    let names = [
        IModule::IModuleErrors::name_by_selector,
        IOPG::IOPGErrors::name_by_selector,
        IStaking::IStakingErrors::name_by_selector,
        IStakedVotes::IStakedVotesErrors::name_by_selector,
        ISeats::ISeatsErrors::name_by_selector,
        IParameters::IParametersErrors::name_by_selector,
        IGovernance::IGovernanceErrors::name_by_selector,
        IModels::IModelsErrors::name_by_selector,
    ];
    let name = names.iter().find_map(|name| name(*selector)).unwrap_or("an unknown error");
    let words: Vec<String> = arguments.chunks(32).map(readable).collect();
    format!("{name}({})", words.join(", "))
}

/// A word as people read it: a number, or bytes where it is none.
fn readable(word: &[u8]) -> String {
    let number = U256::try_from_be_slice(word).unwrap_or_default();
    if number < U256::from(u128::MAX) { number.to_string() } else { format!("0x{}", hex::encode(word)) }
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
