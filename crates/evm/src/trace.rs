//! `debug_traceCall` and `debug_traceTransaction`: the same run again, written down step by step or call by call.

use std::cell::Cell;

use alloy_consensus::Header;
use alloy_primitives::{Log, U256};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_trace::geth::{
    CallFrame, CallLogFrame, DefaultFrame, GethDebugBuiltInTracerType, GethDebugTracerType, GethDebugTracingOptions,
    GethTrace, NoopFrame,
};
use revm_inspectors::tracing::{DebugInspector, TraceLimits, TransactionContext};
use thiserror::Error;

use crate::block::{Block, BlockBuilder, BlockError, NextBlock};
use crate::chain::Chain;
use crate::failure::CallError;
use crate::receipt::Receipt;
use crate::simulation::{Bounds, Overrides, Prepared, Snapshot, prepare, watched};
use crate::state::StateRead;
use crate::transaction::LEDGER;
use crate::watch::{self, Watch};

/// Why there is no trace.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum TraceError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Block(#[from] BlockError),
    #[error("tracer not found or not configured rightly: {0}")]
    Tracer(String),
    #[error("the trace has more than {max} steps\nhint: use callTracer")]
    Steps { max: u64 },
    #[error("the trace copies more than {max} bytes of memory or stacks\nhint: use callTracer")]
    Copies { max: usize },
    #[error("the block has {count} transactions, none with index {index}")]
    Index { index: usize, count: usize },
}

/// A request on a snapshot, traced. A request that reverts or halts has a trace too.
pub fn trace_call(
    snapshot: &Snapshot<'_>,
    request: &TransactionRequest,
    imagined: &Overrides,
    options: GethDebugTracingOptions,
    bounds: &Bounds<'_>,
) -> Result<GethTrace, TraceError> {
    let prepared = prepare(snapshot, request, imagined, bounds)?;
    traced(snapshot.chain, prepared, options, None, bounds)
}

/// A transaction of a block, traced on the state before the block: those before it are executed again.
pub fn trace_transaction(
    chain: &Chain,
    parent: (&Header, &dyn StateRead),
    block: &Block,
    index: usize,
    options: GethDebugTracingOptions,
    bounds: &Bounds<'_>,
) -> Result<GethTrace, TraceError> {
    let ((parent, state), (header, transactions)) = (parent, (block.header.inner(), &block.transactions));
    let wanted = transactions.get(index).ok_or(TraceError::Index { index, count: transactions.len() })?;
    if wanted.is_of_ledger() {
        let logs = block.receipts.get(index).map(Receipt::logs).unwrap_or_default();
        return Ok(deeds(logs, &options));
    }
    let next = NextBlock {
        timestamp: header.timestamp,
        beneficiary: header.beneficiary,
        prev_randao: header.mix_hash,
        extra_data: header.extra_data.clone(),
    };
    let mut builder = BlockBuilder::begin(chain, parent, state, &next)?;
    // What the ledger did is in the state before the block already.
    let executed = transactions.iter().take(index).enumerate().filter(|(_, before)| !before.is_of_ledger());
    for (index, transaction) in executed {
        if !(bounds.wanted)() {
            return Err(CallError::Unwanted.into());
        }
        builder.push(transaction.clone()).map_err(|error| BlockError::at(index, error))?;
    }
    let overlay = builder.into_overlay();
    let (rules, surroundings) = (chain.rules(), Chain::surroundings(header));
    let prepared = Prepared { rules, block: surroundings, overlay, transaction: wanted.prepared() };
    let context = TransactionContext {
        block_hash: Some(header.hash_slow()),
        tx_hash: Some(wanted.hash()),
        tx_index: Some(index),
    };
    traced(chain, prepared, options, Some(context), bounds)
}

/// The ledger's deeds as a trace: no code ran, so there are logs and nothing else.
fn deeds(logs: &[Log], options: &GethDebugTracingOptions) -> GethTrace {
    match &options.tracer {
        None => return GethTrace::Default(DefaultFrame::default()),
        Some(GethDebugTracerType::BuiltInTracer(GethDebugBuiltInTracerType::CallTracer)) => {}
        Some(_) => return GethTrace::NoopTracer(NoopFrame::default()),
    }
    let told = |(position, log): (usize, &Log)| CallLogFrame {
        address: Some(log.address),
        topics: Some(log.topics().to_vec()),
        data: Some(log.data.data.clone()),
        position: Some(0),
        index: u64::try_from(position).ok(),
    };
    let shows = options.tracer_config.0.get("withLog").is_some_and(|value| value == true);
    let logs = if shows { logs.iter().enumerate().map(told).collect() } else { Vec::new() };
    let call = CallFrame {
        from: LEDGER,
        to: Some(LEDGER),
        value: Some(U256::ZERO),
        typ: "CALL".to_owned(),
        logs,
        ..CallFrame::default()
    };
    GethTrace::CallTracer(call)
}

/// Steps are kept one by one, with their stacks.
const STEPS_MAX: u64 = 1 << 20;
/// Inputs and memory are kept as copies; a contract pays little to have the same bytes copied again and again.
const COPIED_BYTES_MAX: usize = 64 << 20;
/// A stack has up to 1,024 words, and three gas buy a step, so that steps alone do not bound what their stacks take.
const STACK_BYTES_MAX: usize = 128 << 20;

fn traced(
    chain: &Chain,
    prepared: Prepared<'_>,
    options: GethDebugTracingOptions,
    context: Option<TransactionContext>,
    bounds: &Bounds<'_>,
) -> Result<GethTrace, TraceError> {
    let has_stacks = !options.config.disable_stack.unwrap_or_default();
    let inspector = DebugInspector::new(options).map_err(|error| TraceError::Tracer(error.to_string()))?;
    let mut inspector = limited(inspector)?;
    let (mut before, block) = (prepared.overlay.clone(), prepared.block.clone());
    let transaction = prepared.transaction.clone();
    let keeps_steps = matches!(inspector, DebugInspector::Default(..) | DebugInspector::Erc7562Tracer(..));
    let copies_stacks = keeps_steps && (has_stacks || !matches!(inspector, DebugInspector::Default(..)));
    let (steps, too_many) = (Cell::new(0_u64), Cell::new(false));
    let wanted = || {
        steps.set(steps.get().saturating_add(u64::from(watch::STEPS)));
        too_many.set(keeps_steps && steps.get() > STEPS_MAX);
        !too_many.get() && (bounds.wanted)()
    };
    let stacks = Cell::new(STACK_BYTES_MAX);
    let mut watch = Watch::new(Some(&mut inspector), &wanted);
    if copies_stacks {
        watch = watch.with_stacks(&stacks);
    }
    let ran = watched(chain, prepared, &Bounds { gas: bounds.gas, wanted: &wanted }, watch);
    if stacks.get() == 0 {
        return Err(TraceError::Copies { max: STACK_BYTES_MAX });
    }
    if too_many.get() {
        return Err(TraceError::Steps { max: STEPS_MAX });
    }
    let ran = ran?;
    if limit_exceeded(&inspector) {
        return Err(TraceError::Copies { max: COPIED_BYTES_MAX });
    }
    inspector
        .get_result(context, &transaction, &block, &ran, &mut before)
        .map_err(|error| TraceError::Tracer(error.to_string()))
}

/// The same tracer with a bound on what it copies.
fn limited(inspector: DebugInspector) -> Result<DebugInspector, TraceError> {
    use DebugInspector as D;
    let limits = TraceLimits::default().set_max_recorded_bytes(Some(COPIED_BYTES_MAX));
    Ok(match inspector {
        D::CallTracer(tracer, config) => D::CallTracer(tracer.with_limits(limits), config),
        D::PreStateTracer(tracer, config) => D::PreStateTracer(tracer.with_limits(limits), config),
        D::FlatCallTracer(tracer) => D::FlatCallTracer(tracer.with_limits(limits)),
        D::Erc7562Tracer(tracer, config) => D::Erc7562Tracer(tracer.with_limits(limits), config),
        D::Default(tracer, config) => D::Default(tracer.with_limits(limits), config),
        D::FourByte(_) | D::Noop(_) | D::StateGasTracer(_) => inspector,
        // Its tracers cannot be bounded from outside.
        D::Mux(..) => return Err(TraceError::Tracer("muxTracer is not supported".to_owned())),
    })
}

fn limit_exceeded(inspector: &DebugInspector) -> bool {
    use DebugInspector as D;
    match inspector {
        D::CallTracer(tracer, _)
        | D::PreStateTracer(tracer, _)
        | D::FlatCallTracer(tracer)
        | D::Erc7562Tracer(tracer, _)
        | D::Default(tracer, _) => tracer.limit_exceeded(),
        D::FourByte(_) | D::Noop(_) | D::StateGasTracer(_) | D::Mux(..) => false,
    }
}
