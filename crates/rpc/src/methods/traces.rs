//! The same run again, written down: by call, by step, by state.

use alloy_eips::BlockId;
use alloy_primitives::B256;
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_trace::geth::{GethDebugTracingCallOptions, GethDebugTracingOptions};
use evm::Overrides;

use super::{Method, Run};
use crate::answer::{Answer, answer};
use crate::blocks::EXPECTED;
use crate::error::RpcError;
use crate::params::Params;
use crate::state::{Deadline, Desk};
use crate::turns::Work;

const OPTIONS: &str = "an object such as {\"tracer\": \"callTracer\"}";

pub(super) static METHODS: &[Method] = &[
    Method { name: "debug_traceTransaction", run: Run::Compute(Work::Trace, transaction) },
    Method { name: "debug_traceCall", run: Run::Compute(Work::Trace, call) },
];

fn transaction(desk: &Desk, params: &mut Params, deadline: &Deadline) -> Answer {
    let hash: B256 = params.required("transactionHash", "32 bytes as 0x…")?;
    let options = params.optional::<GethDebugTracingOptions>("options", OPTIONS)?.unwrap_or_default();
    params.end()?;
    let place = desk.node.place_of(&hash)?;
    let place = place.ok_or_else(|| RpcError::not_found(format!("transaction not found: {hash}")))?;
    let block = desk.block(place.block)?;
    let before = place.block.saturating_sub(1);
    let (parent, state) = (desk.header(before)?, desk.node.state_before(place.block)?);
    let trace = deadline.bounded(&desk.limits, |bounds| {
        evm::trace_transaction(desk.node.chain(), (&parent, state.as_ref()), &block, place.index, options, bounds)
    })?;
    answer(&trace)
}

fn call(desk: &Desk, params: &mut Params, deadline: &Deadline) -> Answer {
    let request: TransactionRequest = params.required("transaction", "an object of a transaction's fields")?;
    let id = params.optional::<BlockId>("block", EXPECTED)?;
    let options = params.optional::<GethDebugTracingCallOptions>("options", OPTIONS)?.unwrap_or_default();
    params.end()?;
    let moment = desk.moment(id)?;
    let imagined = Overrides {
        state: options.state_overrides.unwrap_or_default(),
        block: options.block_overrides.unwrap_or_default(),
    };
    let trace = deadline.bounded(&desk.limits, |bounds| {
        evm::trace_call(&moment.snapshot(desk), &request, &imagined, options.tracing_options, bounds)
    })?;
    answer(&trace)
}
