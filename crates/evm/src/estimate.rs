//! `eth_estimateGas`: the least gas with which a request does not run out of it, found by halving.
//!
//! A contract may do less when it has less gas, so the least is searched by running and not taken from what one run used.

use alloy_primitives::KECCAK256_EMPTY;
use alloy_rpc_types_eth::TransactionRequest;
use revm::context::result::{ExecutionResult, ResultAndState};

use crate::failure::{CallError, outcome};
use crate::machine::succeeded;
use crate::refusal::Refusal;
use crate::simulation::{Bounds, Overrides, Prepared, Snapshot, affordable, prepare, run};
use crate::state::StateRead as _;

/// What a transfer to an account without code needs.
const TRANSFER_GAS: u64 = 21_000;
/// Left over in a call with value, so that a callee can at least log.
const STIPEND: u64 = 2_300;
/// An answer may be this share of itself (in thousandths) above the least: each halving is a whole run.
const TOLERANCE: u64 = 15;

/// The gas with which to send this request.
pub fn estimate_gas(
    snapshot: &Snapshot<'_>,
    request: &TransactionRequest,
    imagined: &Overrides,
    bounds: &Bounds<'_>,
) -> Result<u64, CallError> {
    let mut prepared = prepare(snapshot, request, imagined, bounds)?;
    let ceiling = request.gas.unwrap_or(prepared.block.gas_limit).min(bounds.gas);
    let balance = prepared.overlay.account(&prepared.transaction.caller)?.unwrap_or_default().balance;
    let allowance = affordable(balance, prepared.transaction.value, prepared.transaction.gas_price);
    let ceiling = allowance.map_or(ceiling, |allowance| ceiling.min(allowance));
    let attempt = |prepared: &Prepared<'_>, gas: u64| {
        let mut prepared = prepared.clone();
        prepared.transaction.gas_limit = gas;
        run(snapshot.chain, prepared, bounds, None)
    };
    if is_transfer(&prepared)? && ceiling >= TRANSFER_GAS {
        let ran = attempt(&prepared, TRANSFER_GAS)?;
        if succeeded(&ran.result) {
            return Ok(TRANSFER_GAS);
        }
    }
    prepared.transaction.gas_limit = ceiling;
    let ran = match attempt(&prepared, ceiling) {
        Err(CallError::Refused(Refusal::IntrinsicGas { .. } | Refusal::FloorGas { .. })) => {
            return Err(CallError::Allowance { allowance: ceiling });
        }
        other => other?,
    };
    search(&ran, ceiling, |gas| attempt(&prepared, gas))
}

/// Between what the first run used and the ceiling.
fn search(
    first: &ResultAndState,
    ceiling: u64,
    attempt: impl Fn(u64) -> Result<ResultAndState, CallError>,
) -> Result<u64, CallError> {
    if !succeeded(&first.result) {
        return Err(failure(first.result.clone(), ceiling));
    }
    let gas = first.result.gas();
    let mut low = gas.tx_gas_used().saturating_sub(1);
    let mut high = ceiling;
    // Most need what they spent before refunds, the stipend, and the 64th that a caller keeps back.
    let spent = gas.total_gas_spent().max(gas.tx_gas_used()).saturating_add(STIPEND);
    let likely = spent.saturating_mul(64).checked_div(63).unwrap_or(spent);
    if likely < high {
        if suffices(&attempt, likely)? { high = likely } else { low = likely }
    }
    while low.saturating_add(1) < high {
        let gap = high.saturating_sub(low);
        if gap.saturating_mul(1000) < high.saturating_mul(TOLERANCE) {
            break;
        }
        // The answer is mostly nearer to the lower end.
        let middle = low.saturating_add(gap.checked_div(2).unwrap_or_default()).min(low.saturating_mul(2).max(1));
        if suffices(&attempt, middle)? { high = middle } else { low = middle }
    }
    Ok(high)
}

fn suffices(attempt: &impl Fn(u64) -> Result<ResultAndState, CallError>, gas: u64) -> Result<bool, CallError> {
    match attempt(gas) {
        Ok(ran) => Ok(succeeded(&ran.result)),
        Err(CallError::Refused(Refusal::IntrinsicGas { .. } | Refusal::FloorGas { .. })) => Ok(false),
        Err(other) => Err(other),
    }
}

/// Running out of gas at the ceiling says what the ceiling was; anything else speaks for itself.
fn failure(result: ExecutionResult, ceiling: u64) -> CallError {
    match outcome(result) {
        Err(CallError::Halted(revm::context::result::HaltReason::OutOfGas(_))) | Ok(_) => {
            CallError::Allowance { allowance: ceiling }
        }
        Err(other) => other,
    }
}

fn is_transfer(prepared: &Prepared<'_>) -> Result<bool, CallError> {
    let transaction = &prepared.transaction;
    let Some(to) = transaction.kind.to().filter(|_| transaction.data.is_empty()) else { return Ok(false) };
    if !transaction.access_list.is_empty() || !transaction.authorization_list.is_empty() {
        return Ok(false);
    }
    let account = prepared.overlay.account(to)?;
    Ok(account.is_none_or(|account| account.code_hash == KECCAK256_EMPTY))
}
