//! Stake on the ledger: one place for it, whoever acts; terms, what they pay, and where their logs are.

use alloy_primitives::{Address, Bytes, TxKind};
use alloy_rpc_types_trace::geth::{GethDebugBuiltInTracerType, GethDebugTracingOptions, GethTrace};
use alloy_sol_types::{SolCall, SolEvent};
use evm::modules::staking::{ADDRESS, IStaking};
use evm::modules::{parameters, seats};
use evm::{Bounds, LEDGER};
use ledger::{Event, OPG, Rules};
use protocol::Standing;

use crate::{
    wallets::{WALLET, Wanted, payment, wallet},
    world::{AUDITOR, STAKE, VALIDATORS, WORKER, World, challenge, node, public, restored, vote},
};

fn short_terms() -> Rules {
    Rules { term_epochs: 3, vote_epochs: 30, ..Rules::default() }
}

/// A wallet's call of the staking module.
fn call(world: &World, from: u8, value: u128, call: &impl SolCall) -> Vec<u8> {
    use evm::StateRead as _;
    let address = Address::from(wallet(from).0);
    let nonce = world.ledger.evm().world.account(&address).unwrap().unwrap_or_default().nonce;
    let (to, input) = (TxKind::Call(ADDRESS), Bytes::from(call.abi_encode()));
    Wanted { to, input, gas: 2_000_000, ..payment(from, nonce, wallet(from), value) }.bytes()
}

/// Logs of one kind in the newest block, with the index of their transaction.
fn logged<E: SolEvent>(world: &World) -> Vec<(usize, E)> {
    let block = world.newest.as_ref().unwrap();
    let all = block.receipts.iter().enumerate();
    let of = |(index, receipt): (usize, &evm::Receipt)| {
        let logs = receipt.logs().iter().filter_map(|log| E::decode_log_data(&log.data).ok());
        logs.map(|log| (index, log)).collect::<Vec<_>>()
    };
    all.flat_map(of).collect()
}

/// One whole epoch, in which each validator proposes two blocks.
fn epoch_of_all(world: &mut World) {
    world.time_ms += 1_000;
    for validator in [VALIDATORS, VALIDATORS].concat() {
        world.raw_block_by(public(validator), vec![]);
    }
}

#[test]
fn a_slash_takes_the_same_share_of_a_delegators_stake_and_of_what_it_withdraws() {
    let mut world = World::new();
    let id = node(WORKER).0.into();
    world.raw_block(vec![call(&world, WALLET, 400 * OPG, &IStaking::delegateCall { node: id })]);
    assert_eq!(world.stake(WORKER), STAKE + 400 * OPG);
    let leaving = IStaking::undelegateCall { node: id, coins: alloy_primitives::U256::from(100 * OPG) };
    world.raw_block(vec![call(&world, WALLET, 0, &leaving)]);
    let answer = world.challenged();
    for validator in &VALIDATORS[..3] {
        world.send(*validator, vote(&answer, true)).unwrap();
    }
    let slashed = logged::<IStaking::Slashed>(&world);
    assert_eq!((slashed.len(), slashed[0].0), (1, 0), "the ledger's own transaction is the first");
    let taken = (STAKE + 400 * OPG) / 2;
    assert_eq!(slashed[0].1.taken, alloy_primitives::U256::from(taken));
    assert_eq!(world.stake(WORKER), (STAKE + 300 * OPG) / 2);
    assert_eq!(world.ledger.status(&answer.id()).unwrap().slashed, taken);
}

#[test]
fn what_the_ledger_did_has_a_transaction_a_receipt_and_a_trace() {
    let mut world = World::new();
    let answer = world.anchored(WORKER);
    let quiet = world.newest.clone().unwrap();
    assert!(
        quiet.transactions.is_empty(),
        "a block in which the ledger did nothing to a module has no such transaction"
    );
    let pays = payment(WALLET, 0, wallet(2), OPG).bytes();
    let signed = protocol::Canonical::encode(&world.signed(AUDITOR, challenge(&answer, true)));
    let parent = world.ledger.evm().header.clone();
    world.raw_block(vec![pays, signed]);
    let block = world.newest.clone().unwrap();
    let [first, second] = &block.transactions[..] else { panic!("two transactions expected") };
    assert!(first.is_of_ledger() && first.sender() == LEDGER && first.nonce() == world.ledger.height());
    assert!(!second.is_of_ledger());
    let bonded = logged::<IStaking::Bonded>(&world);
    assert_eq!((bonded[0].0, bonded[0].1.node.0), (0, node(AUDITOR).0));
    assert_eq!(block.receipts[0].gas_used, 0);
    let logs = block.receipts[0].logs().len();
    assert_eq!(block.receipts[1].logs_before, logs as u64);
    assert!(block.header.logs_bloom.contains_input(alloy_primitives::BloomInput::Raw(ADDRESS.as_slice())));
    // Whoever reads it back finds the same; whoever sends it is refused.
    let chain = world.ledger.chain();
    let again = evm::Transaction::recall(first.raw(), first.sender(), &chain).unwrap();
    assert_eq!(again.hash(), first.hash());
    evm::Transaction::decode(first.raw(), &chain).unwrap_err();
    let mut other = first.raw().to_vec();
    *other.last_mut().unwrap() ^= 1;
    evm::Transaction::recall(&other, LEDGER, &chain).unwrap_err();

    let mut options = GethDebugTracingOptions::call_tracer(Default::default());
    options.tracer_config =
        alloy_rpc_types_trace::geth::CallConfig { with_log: Some(true), ..Default::default() }.into();
    let bounds = Bounds { gas: 30_000_000, wanted: &|| true };
    let before = &world.ledger.evm().world;
    let trace = evm::trace_transaction(&chain, (&parent, before), &block, 0, options, &bounds).unwrap();
    let GethTrace::CallTracer(frame) = trace else { panic!("{trace:?}") };
    assert_eq!((frame.from, frame.logs.len()), (LEDGER, logs));
    let steps = evm::trace_transaction(&chain, (&parent, before), &block, 0, Default::default(), &bounds).unwrap();
    assert!(matches!(steps, GethTrace::Default(_)));
    let tracer = Some(GethDebugBuiltInTracerType::PreStateTracer.into());
    let options = GethDebugTracingOptions { tracer, ..Default::default() };
    let state = evm::trace_transaction(&chain, (&parent, before), &block, 0, options, &bounds).unwrap();
    assert!(matches!(state, GethTrace::NoopTracer(_)));
}

#[test]
fn a_term_ends_with_its_epochs_pays_the_committee_and_decides_seats() {
    let mut world = World::governed(short_terms(), &[(&parameters::TERM_REWARD, 100_000)]);
    for _ in 0..2 {
        epoch_of_all(&mut world);
    }
    assert!(logged::<IStaking::TermBegun>(&world).is_empty());
    world.time_ms += 1_000;
    let executed = world.raw_block(vec![]);
    assert!(executed.events.contains(&Event::TermBegun { term: 1 }));
    let told = logged::<IStaking::TermBegun>(&world);
    assert_eq!((told[0].0, told[0].1.term), (0, 1));
    // A tenth of the pool, in equal parts: all have the same stake and did the same.
    let each = Event::Rewarded { node: node(VALIDATORS[1]), amount: 25 * OPG };
    assert!(executed.events.contains(&each), "{:?}", executed.events);
    assert_eq!(world.reward_pool(), 900 * OPG);
    let state = &world.ledger.evm().world;
    assert_eq!(seats::holders_of(state, 3).unwrap().iter().map(|holder| holder.seats).sum::<u32>(), 64);
    assert!(seats::holders_of(state, 4).unwrap().is_empty(), "seats are decided two terms ahead");
}

#[test]
fn a_validator_that_proposes_nothing_in_a_term_is_jailed_and_loses_nothing() {
    let mut world = World::with(short_terms());
    for _ in 0..2 {
        world.time_ms += 1_000;
        for validator in [&VALIDATORS[..3]; 14].concat() {
            world.raw_block_by(public(validator), vec![]);
        }
    }
    world.time_ms += 1_000;
    let executed = world.raw_block(vec![]);
    let jailed = executed.events.iter().filter(|event| matches!(event, Event::Jailed { .. }));
    assert_eq!(jailed.collect::<Vec<_>>(), [&Event::Jailed { node: node(VALIDATORS[3]) }]);
    assert_eq!(world.stake(VALIDATORS[3]), STAKE);
    assert!(world.ledger.staked(&node(VALIDATORS[3])).unwrap().jailed);
}

#[test]
fn what_was_done_as_an_epoch_closed_is_in_the_next_block_even_after_a_restart() {
    let mut world = World::new();
    let answer = world.anchored(WORKER);
    world.send(AUDITOR, challenge(&answer, false)).unwrap();
    world.epochs(5);
    world.next_epoch();
    assert_eq!(world.ledger.status(&answer.id()).unwrap().standing, Standing::Withheld);
    assert_eq!(logged::<IStaking::Slashed>(&world).len(), 1);
    // The snapshot is as of the close: the block that tells of it is executed again.
    let mut again = restored(&world.ledger.snapshot_bytes().unwrap(), &world.ledger).unwrap();
    assert_eq!(again.height() + 1, world.ledger.height());
    for block in &world.blocks {
        again.execute(block).unwrap();
    }
    assert_eq!(again.evm().header, world.ledger.evm().header);
    world.next_epoch();
    again.execute(world.blocks.last().unwrap()).unwrap();
    assert_eq!(again.closed_epoch(), world.ledger.closed_epoch());
}
