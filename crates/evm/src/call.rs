//! `eth_call`: what a transaction would return, without being one.

use alloy_primitives::Bytes;
use alloy_rpc_types_eth::TransactionRequest;

use crate::failure::{CallError, outcome};
use crate::simulation::{Bounds, Overrides, Snapshot, prepare, run};

/// What a call returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    pub output: Bytes,
    pub gas_used: u64,
}

/// Runs a request on a snapshot and forgets what it did.
pub fn call(
    snapshot: &Snapshot<'_>,
    request: &TransactionRequest,
    imagined: &Overrides,
    bounds: &Bounds<'_>,
) -> Result<Returned, CallError> {
    let prepared = prepare(snapshot, request, imagined, bounds)?;
    let ran = run(snapshot.chain, prepared, bounds, None)?;
    let gas_used = ran.result.tx_gas_used();
    Ok(Returned { output: outcome(ran.result)?, gas_used })
}
