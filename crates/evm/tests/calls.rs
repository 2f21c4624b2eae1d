//! Calls, estimates, access lists and traces on a snapshot, inside of their bounds.
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod common;

use std::cell::Cell;

use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, B256, Bytes, U256, bytes};
use alloy_rpc_types_eth::state::AccountOverride;
use alloy_rpc_types_eth::{TransactionInput, TransactionRequest};
use alloy_rpc_types_trace::geth::{
    GethDebugBuiltInTracerType, GethDebugTracerType, GethDebugTracingOptions, GethTrace,
};
use common::{CHAIN, Net, OPG, address, plain, transaction};
use evm::{
    Bounds, CallError, Overrides, Refusal, Snapshot, TraceError, call, create_access_list, estimate_gas, trace_call,
    trace_transaction,
};

const COUNTER: Address = Address::repeat_byte(0xc0);
/// Adds one to slot 0 and returns what was there.
const COUNTER_CODE: &[u8] = &[0x5f, 0x54, 0x80, 0x60, 1, 0x01, 0x5f, 0x55, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3];
const LOOP: Address = Address::repeat_byte(0xc1);
const LOOP_CODE: &[u8] = &[0x5b, 0x5f, 0x56];
const ANGRY: Address = Address::repeat_byte(0xc2);
/// Reverts with `Error("no")`.
const ANGRY_CODE: &[u8] = &[
    0x63, 0x08, 0xc3, 0x79, 0xa0, 0x60, 0xe0, 0x1b, 0x5f, 0x52, 0x60, 0x20, 0x60, 0x04, 0x52, 0x60, 0x02, 0x60, 0x24,
    0x52, 0x61, 0x6e, 0x6f, 0x60, 0xf0, 0x1b, 0x60, 0x44, 0x52, 0x60, 0x64, 0x5f, 0xfd,
];
/// Tells number, time, base fee and beneficiary.
const TELLER: Address = Address::repeat_byte(0xc3);
const TELLER_CODE: &[u8] =
    &[0x43, 0x5f, 0x52, 0x42, 0x60, 0x20, 0x52, 0x48, 0x60, 0x40, 0x52, 0x41, 0x60, 0x60, 0x52, 0x60, 0x80, 0x5f, 0xf3];
const LAVISH: Address = Address::repeat_byte(0xc4);
/// Needs 100,000 gas at hand but uses little: `if gas() < 100,000 revert`.
const LAVISH_CODE: &[u8] = &[0x62, 0x01, 0x86, 0xa0, 0x5a, 0x10, 0x60, 0x0b, 0x57, 0x00, 0x00, 0x5b, 0x5f, 0x5f, 0xfd];

const ALWAYS: Bounds<'static> = Bounds { gas: 30_000_000, wanted: &|| true };

fn net() -> Net {
    Net::with(&[
        (COUNTER, COUNTER_CODE),
        (LOOP, LOOP_CODE),
        (ANGRY, ANGRY_CODE),
        (TELLER, TELLER_CODE),
        (LAVISH, LAVISH_CODE),
    ])
}

fn snapshot(net: &Net) -> Snapshot<'_> {
    Snapshot { chain: &CHAIN, state: &net.world, header: &net.header }
}

fn ask(to: Address) -> TransactionRequest {
    TransactionRequest::default().from(address(0)).to(to)
}

#[test]
fn a_call_returns_and_changes_nothing() {
    let net = net();
    for _ in 0..2 {
        let returned = call(&snapshot(&net), &ask(COUNTER), &Overrides::default(), &ALWAYS).unwrap();
        assert_eq!(returned.output, Bytes::from(U256::ZERO.to_be_bytes::<32>()));
        assert!(returned.gas_used > 21_000);
    }
}

#[test]
fn a_reason_is_told_and_the_bytes_kept() {
    let net = net();
    let error = call(&snapshot(&net), &ask(ANGRY), &Overrides::default(), &ALWAYS).unwrap_err();
    assert_eq!(error.to_string(), "execution reverted: no");
    let CallError::Reverted { output } = error else { unreachable!("its words say so") };
    assert_eq!(output.len(), 100);
}

#[test]
fn what_is_imagined_is_seen() {
    let net = net();
    let mut imagined = Overrides::default();
    let slots = [(B256::ZERO, B256::from(U256::from(41)))].into_iter().collect();
    imagined.state.insert(COUNTER, AccountOverride { state_diff: Some(slots), ..AccountOverride::default() });
    let returned = call(&snapshot(&net), &ask(COUNTER), &imagined, &ALWAYS).unwrap();
    assert_eq!(U256::from_be_slice(&returned.output), U256::from(41));
    let poor = ask(address(1)).value(OPG * U256::from(5_000));
    let error = call(&snapshot(&net), &poor, &Overrides::default(), &ALWAYS).unwrap_err();
    assert!(matches!(error, CallError::Refused(Refusal::InsufficientFunds { .. })), "{error}");
    imagined.state.insert(address(0), AccountOverride { balance: Some(U256::MAX), ..AccountOverride::default() });
    call(&snapshot(&net), &poor, &imagined, &ALWAYS).unwrap();
    let code = AccountOverride { code: Some(TELLER_CODE.to_vec().into()), ..AccountOverride::default() };
    imagined.state.insert(address(6), code);
    imagined.block.number = Some(U256::from(77));
    imagined.block.time = Some(88);
    imagined.block.coinbase = Some(Address::repeat_byte(1));
    imagined.block.base_fee = Some(U256::from(99));
    let returned = call(&snapshot(&net), &ask(address(6)), &imagined, &ALWAYS).unwrap();
    let words: Vec<U256> = returned.output.chunks(32).map(U256::from_be_slice).collect();
    assert_eq!(words[..3], [U256::from(77), U256::from(88), U256::from(99)]);
    assert_eq!(words[3], U256::from_be_bytes(Address::repeat_byte(1).into_word().0));
}

#[test]
fn a_whole_storage_can_be_replaced() {
    let mut net = net();
    net.send(transaction(0, plain(COUNTER, 0)));
    let mut imagined = Overrides::default();
    let nothing = AccountOverride { state: Some(Default::default()), ..AccountOverride::default() };
    imagined.state.insert(COUNTER, nothing);
    let real = call(&snapshot(&net), &ask(COUNTER), &Overrides::default(), &ALWAYS).unwrap();
    assert_eq!(U256::from_be_slice(&real.output), U256::ONE);
    let returned = call(&snapshot(&net), &ask(COUNTER), &imagined, &ALWAYS).unwrap();
    assert_eq!(U256::from_be_slice(&returned.output), U256::ZERO);
}

#[test]
fn requests_that_contradict_themselves_are_refused() {
    let net = net();
    let refused = |request: TransactionRequest, imagined: &Overrides| {
        call(&snapshot(&net), &request, imagined, &ALWAYS).unwrap_err().to_string()
    };
    let none = Overrides::default();
    assert!(refused(TransactionRequest { chain_id: Some(1), ..ask(COUNTER) }, &none).contains("chainId"));
    let both = TransactionRequest { gas_price: Some(1), max_fee_per_gas: Some(1), ..ask(COUNTER) };
    assert!(refused(both, &none).contains("both gasPrice"));
    let input = TransactionInput { input: Some(bytes!("01")), data: Some(bytes!("02")) };
    assert!(refused(TransactionRequest { input, ..ask(COUNTER) }, &none).contains("\"data\" and \"input\""));
    let blobs = TransactionRequest { blob_versioned_hashes: Some(vec![B256::ZERO]), ..ask(COUNTER) };
    assert!(refused(blobs, &none).contains("EIP-4844"));
    let mut imagined = Overrides::default();
    let slots = Some(Default::default());
    let twice = AccountOverride { state: slots.clone(), state_diff: slots, ..AccountOverride::default() };
    imagined.state.insert(COUNTER, twice);
    assert!(refused(ask(COUNTER), &imagined).contains("stateDiff"));
    let moved = AccountOverride { move_precompile_to: Some(LOOP), ..AccountOverride::default() };
    imagined.state.insert(COUNTER, moved);
    assert!(refused(ask(COUNTER), &imagined).contains("movePrecompileToAddress"));
    let mut imagined = Overrides::default();
    imagined.block.base_fee = Some(U256::MAX);
    assert!(refused(ask(COUNTER), &imagined).contains("base fee"));
}

#[test]
fn an_endless_loop_ends_with_its_gas_or_when_nobody_wants_it_any_more() {
    let net = net();
    let little = Bounds { gas: 100_000, wanted: &|| true };
    let error = call(&snapshot(&net), &ask(LOOP), &Overrides::default(), &little).unwrap_err();
    assert_eq!(error.to_string(), "out of gas");
    let asked = Cell::new(0);
    let wanted = || {
        asked.set(asked.get() + 1);
        asked.get() < 5
    };
    let bounds = Bounds { gas: u64::MAX / 2, wanted: &wanted };
    let error = call(&snapshot(&net), &ask(LOOP), &Overrides::default(), &bounds).unwrap_err();
    assert_eq!(error, CallError::Unwanted);
    assert_eq!(asked.get(), 5);
}

#[test]
fn an_estimate_suffices_and_a_little_less_does_not() {
    let mut net = net();
    let none = Overrides::default();
    let plain_transfer = ask(address(1)).value(OPG);
    assert_eq!(estimate_gas(&snapshot(&net), &plain_transfer, &none, &ALWAYS), Ok(21_000));
    for to in [COUNTER, LAVISH] {
        let estimate = estimate_gas(&snapshot(&net), &ask(to), &none, &ALWAYS).unwrap();
        let nonce = evm::StateRead::account(&net.world, &address(0)).unwrap().unwrap().nonce;
        let sent = |gas_limit, nonce| transaction(0, TxEip1559 { gas_limit, ..plain(to, nonce) });
        let less = net.send(sent(estimate * 98 / 100, nonce));
        assert!(!less.succeeded(), "{to}");
        assert!(net.send(sent(estimate, nonce + 1)).succeeded(), "{to}");
    }
    let error = estimate_gas(&snapshot(&net), &ask(ANGRY), &none, &ALWAYS).unwrap_err();
    assert_eq!(error.to_string(), "execution reverted: no");
    let error = estimate_gas(&snapshot(&net), &ask(LOOP), &none, &ALWAYS).unwrap_err();
    assert_eq!(error.to_string(), "gas required exceeds allowance (30000000)");
    let few = TransactionRequest { gas: Some(20_000), ..ask(COUNTER) };
    let error = estimate_gas(&snapshot(&net), &few, &none, &ALWAYS).unwrap_err();
    assert_eq!(error, CallError::Allowance { allowance: 20_000 });
}

#[test]
fn an_access_list_names_what_is_touched() {
    let net = net();
    let listed = create_access_list(&snapshot(&net), &ask(COUNTER), &Overrides::default(), &ALWAYS).unwrap();
    assert_eq!(listed.error, None);
    assert_eq!(listed.list.0.len(), 1);
    assert_eq!((listed.list[0].address, listed.list[0].storage_keys.as_slice()), (COUNTER, [B256::ZERO].as_slice()));
    let failed = create_access_list(&snapshot(&net), &ask(ANGRY), &Overrides::default(), &ALWAYS).unwrap();
    assert_eq!(failed.error.as_deref(), Some("execution reverted: no"));
}

fn call_tracer() -> GethDebugTracingOptions {
    let tracer = GethDebugTracerType::BuiltInTracer(GethDebugBuiltInTracerType::CallTracer);
    GethDebugTracingOptions { tracer: Some(tracer), ..GethDebugTracingOptions::default() }
}

#[test]
fn traces_are_told_by_calls_or_by_steps() {
    let net = net();
    let none = Overrides::default();
    let trace = trace_call(&snapshot(&net), &ask(ANGRY), &none, call_tracer(), &ALWAYS).unwrap();
    let GethTrace::CallTracer(frame) = trace else { panic!("{trace:?}") };
    assert_eq!((frame.to, frame.revert_reason.as_deref()), (Some(ANGRY), Some("no")));
    let steps = trace_call(&snapshot(&net), &ask(COUNTER), &none, GethDebugTracingOptions::default(), &ALWAYS).unwrap();
    let GethTrace::Default(frame) = steps else { panic!("{steps:?}") };
    assert_eq!((frame.struct_logs.len(), frame.failed), (12, false));
    let wanted = GethDebugTracerType::JsTracer("{}".to_owned());
    let script = GethDebugTracingOptions { tracer: Some(wanted), ..GethDebugTracingOptions::default() };
    let error = trace_call(&snapshot(&net), &ask(COUNTER), &none, script, &ALWAYS).unwrap_err();
    assert!(matches!(error, TraceError::Tracer(_)), "{error}");
}

#[test]
fn a_transaction_is_traced_after_those_before_it() {
    let mut net = net();
    let (parent, before) = (net.header.clone(), net.world.clone());
    let (block, _) = net.block(vec![transaction(0, plain(COUNTER, 0)), transaction(1, plain(COUNTER, 0))]);
    let trace = trace_transaction(&CHAIN, (&parent, &before), &block, 1, call_tracer(), &ALWAYS).unwrap();
    let GethTrace::CallTracer(frame) = trace else { panic!("{trace:?}") };
    assert_eq!(frame.output, Some(U256::ONE.to_be_bytes::<32>().into()));
    assert_eq!(frame.gas_used, U256::from(block.receipts[1].gas_used));
    let error = trace_transaction(&CHAIN, (&parent, &before), &block, 2, call_tracer(), &ALWAYS).unwrap_err();
    assert_eq!(error, TraceError::Index { index: 2, count: 2 });
}

#[test]
fn a_trace_without_end_is_no_trace() {
    let net = net();
    let none = Overrides::default();
    let steps = trace_call(&snapshot(&net), &ask(LOOP), &none, GethDebugTracingOptions::default(), &ALWAYS);
    assert_eq!(steps.unwrap_err(), TraceError::Steps { max: 1 << 20 });
    let trace = trace_call(&snapshot(&net), &ask(LOOP), &none, call_tracer(), &ALWAYS).unwrap();
    let GethTrace::CallTracer(frame) = trace else { panic!("{trace:?}") };
    assert_eq!(frame.error.as_deref(), Some("out of gas"));
    let bounds = Bounds { gas: 30_000_000, wanted: &|| false };
    let ended = trace_call(&snapshot(&net), &ask(LOOP), &none, call_tracer(), &bounds);
    assert_eq!(ended.unwrap_err(), TraceError::Call(CallError::Unwanted));
    let mux = GethDebugTracerType::BuiltInTracer(GethDebugBuiltInTracerType::MuxTracer);
    let mux = GethDebugTracingOptions { tracer: Some(mux), ..GethDebugTracingOptions::default() };
    assert!(matches!(trace_call(&snapshot(&net), &ask(LOOP), &none, mux, &ALWAYS), Err(TraceError::Tracer(_))));
}

#[test]
fn a_trace_copies_only_so_much() {
    // Calls itself with a mebibyte of input until its gas ends.
    const COPIER: Address = Address::repeat_byte(0xc5);
    let code = [0x5b, 0x5f, 0x5f, 0x62, 0x10, 0, 0, 0x5f, 0x60, 0x04, 0x5a, 0xfa, 0x50, 0x5f, 0x56];
    let net = Net::with(&[(COPIER, &code)]);
    let huge = trace_call(&snapshot(&net), &ask(COPIER), &Overrides::default(), call_tracer(), &ALWAYS);
    assert_eq!(huge.unwrap_err(), TraceError::Copies { max: 64 << 20 });
    // Fills the stack, and then steps on for little gas with all of it at each step.
    const DEEP: Address = Address::repeat_byte(0xc6);
    let mut code = vec![0x5f; 1_000];
    code.extend([0x5b, 0x61, 0x03, 0xe8, 0x56]);
    let net = Net::with(&[(DEEP, &code)]);
    let deep = |options| trace_call(&snapshot(&net), &ask(DEEP), &Overrides::default(), options, &ALWAYS);
    assert_eq!(deep(GethDebugTracingOptions::default()).unwrap_err(), TraceError::Copies { max: 128 << 20 });
    assert!(deep(call_tracer()).is_ok(), "who copies no stacks may go on");
    let mut bare = GethDebugTracingOptions::default();
    bare.config.disable_stack = Some(true);
    assert_eq!(deep(bare).unwrap_err(), TraceError::Steps { max: 1 << 20 }, "and has the steps' bound alone");
}
