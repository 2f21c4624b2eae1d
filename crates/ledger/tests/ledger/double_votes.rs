//! Two votes of a validator that exclude each other: slashed, tombstoned, once; and nothing else is evidence.

use evm::modules::parameters;
use ledger::{Event, Offence, Refusal, Rules};
use protocol::{Action, Bytes, transaction::ShowDoubleVote};

use crate::world::{ALICE, GATEWAY, STAKE, VALIDATORS, WORKER, World, module_call, node, vote};

/// What each validator of these tests signs against itself, three kinds each; frozen where it is made.
const FROZEN: &str = include_str!("../../../consensus/vectors/double-votes.txt");

/// The validator's seed, and what convicts it.
pub fn conflicts() -> Vec<(u8, Vec<u8>)> {
    let line = |line: &str| {
        let (seed, hex) = line.split_once(' ').unwrap();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (seed.parse().unwrap(), (0..hex.len()).step_by(2).map(byte).collect())
    };
    FROZEN.lines().map(line).collect()
}

pub fn show(evidence: &[u8]) -> Action {
    Action::ShowDoubleVote(ShowDoubleVote { evidence: Bytes::new(evidence.to_vec()).unwrap() })
}

#[test]
fn a_validator_that_votes_twice_loses_everything_and_never_comes_back() {
    for (culprit, evidence) in conflicts() {
        let mut world = World::new();
        let (result, events) = world.tell(GATEWAY, show(&evidence));
        result.unwrap();
        let culprit_node = node(culprit);
        let slashed = Event::Slashed { node: culprit_node, offence: Offence::DoubleVote, amount: STAKE };
        assert!(events.contains(&slashed), "{events:?}");
        assert!(events.contains(&Event::Tombstoned { node: culprit_node, amount: STAKE }));
        let staked = world.ledger.staked(&culprit_node).unwrap();
        assert!(staked.tombstoned && staked.jailed && staked.coins == 0);
        assert_eq!(world.ledger.burned(), STAKE, "nobody earns by it");
        let answer = world.challenged();
        assert_eq!(world.send(culprit, vote(&answer, true)), Err(Refusal::Jailed));

        let unjail = evm::modules::staking::IStaking::unjailCall { node: culprit_node.0.into() };
        let refused = world.send(culprit + 100, module_call(evm::modules::staking::ADDRESS, 0, &unjail)).unwrap_err();
        assert!(matches!(&refused, Refusal::Module(words) if words.starts_with("NodeTombstoned(")), "{refused}");
    }
}

#[test]
fn it_is_slashed_once_whatever_else_it_signed() {
    let mut world = World::new();
    let own: Vec<_> = conflicts().into_iter().filter(|(culprit, _)| *culprit == VALIDATORS[1]).collect();
    assert_eq!(own.len(), 3);
    world.send(GATEWAY, show(&own[0].1)).unwrap();
    for (_, evidence) in &own {
        assert_eq!(world.send(VALIDATORS[0], show(evidence)), Err(Refusal::Tombstoned));
    }
    assert_eq!(world.ledger.burned(), STAKE);
}

#[test]
fn stake_that_is_leaving_answers_too_and_delegators_lose_the_same_share() {
    let mut world = World::governed(Rules::default(), &[(&parameters::EQUIVOCATION_SHARE, 500_000)]);
    let (culprit, evidence) = conflicts().remove(0);
    let module = evm::modules::staking::ADDRESS;
    let id = node(culprit).0.into();
    let delegate = evm::modules::staking::IStaking::delegateCall { node: id };
    world.send(ALICE, module_call(module, STAKE, &delegate)).unwrap();
    let half = alloy_primitives::U256::from(STAKE / 2);
    let leave = evm::modules::staking::IStaking::undelegateCall { node: id, coins: half };
    world.send(ALICE, module_call(module, 0, &leave)).unwrap();
    world.send(GATEWAY, show(&evidence)).unwrap();
    assert_eq!(world.ledger.burned(), STAKE, "half of two stakes, wherever they are");
    assert_eq!(world.stake(culprit), STAKE * 3 / 4);
}

#[test]
fn only_who_has_a_node_shows_votes() {
    let mut world = World::new();
    let (_, evidence) = conflicts().remove(0);
    assert_eq!(world.send(ALICE, show(&evidence)), Err(Refusal::UnknownKey));
    let answer = world.challenged();
    for validator in &VALIDATORS[..3] {
        world.send(*validator, vote(&answer, true)).unwrap();
    }
    assert_eq!(world.send(WORKER, show(&evidence)), Err(Refusal::Jailed));
}

#[test]
fn bytes_that_prove_nothing_slash_nobody() {
    let mut world = World::new();
    let (_, evidence) = conflicts().remove(0);
    let refused = |world: &mut World, bytes: &[u8]| match world.send(GATEWAY, show(bytes)) {
        Err(Refusal::Evidence(_)) => {}
        other => panic!("{other:?}"),
    };
    refused(&mut world, &[]);
    refused(&mut world, &[0; 2_048]);
    for length in (0..evidence.len()).step_by(7) {
        refused(&mut world, &evidence[..length]);
    }
    for bit in (0..evidence.len() * 8).step_by(11) {
        let mut changed = evidence.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        refused(&mut world, &changed);
    }
    let longer = [&evidence[..], &[0]].concat();
    refused(&mut world, &longer);
    assert_eq!(world.ledger.burned(), 0);
    VALIDATORS.iter().for_each(|validator| assert_eq!(world.stake(*validator), STAKE));
}

#[test]
fn votes_of_another_chain_are_no_evidence() {
    let mut genesis = crate::world::genesis(Rules::default());
    genesis.chain_id += 1;
    let mut ledger = ledger::Ledger::new(&genesis).unwrap();
    let (_, evidence) = conflicts().remove(0);
    let sender = crate::world::public(GATEWAY);
    let transaction = protocol::Transaction {
        version: protocol::Version,
        chain_id: genesis.chain_id,
        sender,
        nonce: 0,
        action: show(&evidence),
    };
    let bytes = protocol::Canonical::encode(&transaction.sign(&crate::world::key(GATEWAY)));
    let block =
        ledger::Block { height: 1, time_ms: crate::world::START_MS, proposer: sender, transactions: vec![bytes] };
    let executed = ledger.execute(&block).unwrap().unwrap();
    assert!(matches!(executed.outcomes[0].result, Err(Refusal::Evidence(_))));
}
