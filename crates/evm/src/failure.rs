//! Why a request has no result, in the words that clients look for.

use alloy_primitives::Bytes;
use alloy_sol_types::{Panic, Revert, SolError as _};
use revm::context::result::{ExecutionResult, HaltReason};
use thiserror::Error;

use crate::refusal::Refusal;
use crate::state::StateError;

/// Why a request has no result.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CallError {
    #[error("execution reverted{}", reason_suffix(.output))]
    Reverted { output: Bytes },
    #[error("{}", halt_words(.0))]
    Halted(HaltReason),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("gas required exceeds allowance ({allowance})")]
    Allowance { allowance: u64 },
    #[error("execution aborted (timeout)")]
    Unwanted,
    #[error("invalid request: {0}")]
    Request(String),
    #[error(transparent)]
    State(#[from] StateError),
}

fn reason_suffix(output: &Bytes) -> String {
    revert_reason(output).map(|reason| format!(": {reason}")).unwrap_or_default()
}

/// What a contract said as it reverted, if it said it in Solidity's way.
pub fn revert_reason(output: &[u8]) -> Option<String> {
    if let Ok(revert) = Revert::abi_decode(output) {
        return Some(revert.reason);
    }
    Panic::abi_decode(output).ok().map(|panic| panic.to_string())
}

fn halt_words(reason: &HaltReason) -> String {
    match reason {
        HaltReason::OutOfGas(_) => "out of gas".to_owned(),
        HaltReason::OpcodeNotFound => "invalid opcode".to_owned(),
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID".to_owned(),
        HaltReason::InvalidJump => "invalid jump destination".to_owned(),
        HaltReason::StackUnderflow => "stack underflow".to_owned(),
        HaltReason::StackOverflow => "stack limit reached 1024".to_owned(),
        HaltReason::CreateCollision => "contract address collision".to_owned(),
        HaltReason::CreateContractSizeLimit => "max code size exceeded".to_owned(),
        HaltReason::StateChangeDuringStaticCall => "write protection".to_owned(),
        HaltReason::CallTooDeep => "max call depth exceeded".to_owned(),
        HaltReason::OutOfFunds => "insufficient balance for transfer".to_owned(),
        other @ (HaltReason::NotActivated
        | HaltReason::OutOfOffset
        | HaltReason::PrecompileError
        | HaltReason::PrecompileErrorWithContext(_)
        | HaltReason::NonceOverflow
        | HaltReason::CreateContractStartingWithEF
        | HaltReason::CreateInitCodeSizeLimit
        | HaltReason::OverflowPayment
        | HaltReason::CallNotAllowedInsideStatic) => format!("{other:?}"),
    }
}

/// What a run returned, or why it returned nothing.
pub(crate) fn outcome(result: ExecutionResult) -> Result<Bytes, CallError> {
    match result {
        ExecutionResult::Success { output, .. } => Ok(output.into_data()),
        ExecutionResult::Revert { output, .. } => Err(CallError::Reverted { output }),
        ExecutionResult::Halt { reason, .. } => Err(CallError::Halted(reason)),
    }
}
