//! Random histories of stake: whatever happens in whatever order, the books hold and nobody gains by moving.
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]
#![allow(non_snake_case, reason = "fields are named as in Solidity")]

mod common;
mod stage;

use alloy_primitives::{B256, U256};
use common::address;
use evm::modules::staking::{Collect, IStaking, JailAbsent, Offence, Reward};
use proptest::prelude::*;
use protocol::Role;
use stage::{Stage, founded, id_of, validator, worker};

/// What somebody does: who, at which node, with which other, how much, in which of many ways.
#[derive(Clone, Debug)]
struct Step {
    from: u64,
    node: usize,
    other: usize,
    amount: u64,
    way: u8,
}

fn step(ways: u8) -> impl Strategy<Value = Step> {
    let amount = prop_oneof![1_u64..10, 1_000_000_000_000_000_000_u64..3_000_000_000_000_000_000, Just(u64::MAX)];
    (1_u64..6, 0_usize..3, 0_usize..3, amount, 0..ways).prop_map(|(from, node, other, amount, way)| Step {
        from,
        node,
        other,
        amount,
        way,
    })
}

fn nodes() -> [B256; 3] {
    [validator(), worker(), id_of(B256::repeat_byte(0xa3))]
}

fn network() -> Stage {
    let mut founding = stage::founding();
    founding.nodes.push(founded(address(3), Role::Worker, 0xa3, 1_000));
    let mut stage = Stage::with(founding);
    stage.set("stake.unbonding_terms", 3);
    stage.set("stake.delegation_min", 1);
    stage
}

/// Refusals are part of a history: they must change nothing but the fee.
fn take(stage: &mut Stage, step: &Step) {
    let (node, other, from) = (nodes()[step.node], nodes()[step.other], step.from);
    let value = U256::from(step.amount);
    let coins = if step.amount == u64::MAX { U256::MAX } else { value };
    let zero = U256::ZERO;
    match step.way {
        0 | 1 => drop(stage.send(from, &IStaking::delegateCall { node }, value)),
        2 => drop(stage.send(from, &IStaking::undelegateCall { node, coins }, zero)),
        3 => drop(stage.send(from, &IStaking::redelegateCall { from: node, to: other, coins }, zero)),
        4 => drop(stage.send(from, &IStaking::withdrawCall { most: U256::from(step.amount % 3) }, zero)),
        5 => stage.terms(1),
        6 => slash(stage, node, step),
        7 => drop(stage.send(from, &IStaking::unjailCall { node }, zero)),
        8 => drop(stage.net.system(&JailAbsent { node })),
        9 => drop(stage.net.system(&Reward { node, coins: u128::from(step.amount) })),
        10 => drop(stage.send(from, &IStaking::claimCall { node }, zero)),
        11 => drop(stage.send(from, &IStaking::compoundCall { node }, zero)),
        12 => drop(stage.send(from, &IStaking::claimCommissionCall { node }, zero)),
        13 => drop(stage.net.system(&Collect { node, to: address(11), coins: u128::from(step.amount) }).unwrap()),
        _ => drop(stage.send(from, &IStaking::fundCall {}, value)),
    }
}

fn slash(stage: &mut Stage, node: B256, step: &Step) {
    let offences = [Offence::LazyAudit, Offence::FalseVote, Offence::RefutedReceipt, Offence::Equivocation];
    let offence = offences[usize::try_from(step.amount % 4).unwrap()];
    let term = stage.ask(&IStaking::termCall {});
    let reporter = (step.from > 3).then(|| address(11));
    let mut slash = stage.offence(node, offence, term.saturating_sub(u32::from(step.from.is_multiple_of(2))));
    slash.reporter = reporter;
    drop(stage.net.system(&slash).unwrap());
}

/// All that an account has: free, at work, on its way out.
fn wealth(stage: &Stage, of: u64) -> U256 {
    let at_work = nodes().iter().fold(U256::ZERO, |sum, node| sum + stage.position(of, *node).coins);
    let leaving = stage.unbonding(of).iter().fold(U256::ZERO, |sum, entry| sum + entry.coins);
    stage.net.balance(address(of)) + at_work + leaving
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_books_hold_after_every_step(steps in prop::collection::vec(step(15), 1..40)) {
        let mut stage = network();
        for step in &steps {
            take(&mut stage, step);
            stage.sound();
        }
    }

    /// Moving, leaving, waiting and being slashed never make anybody richer by a single unit.
    #[test]
    fn nobody_gains_without_a_reward(steps in prop::collection::vec(step(9), 1..40)) {
        let mut stage = network();
        for step in &steps {
            let before: Vec<U256> = (1..6).map(|number| wealth(&stage, number)).collect();
            take(&mut stage, step);
            for (number, before) in (1_u64..6).zip(before) {
                prop_assert!(wealth(&stage, number) <= before + rounding(), "account {} after {:?}", number, step);
            }
        }
    }
}

/// What others leave behind as they round against themselves, in up to three pools.
fn rounding() -> U256 {
    U256::from(3)
}

/// The same history gives the same bytes, for ever: sums and root after each step of one that does everything once.
#[test]
fn a_history_of_stake_has_its_frozen_roots() {
    let mut stage = network();
    let [first, second, third] = nodes();
    let mut lines = vec![format!("genesis {}", stage.net.world.root())];
    let mut note = |stage: &Stage, what: &str| {
        let IStaking::totalsReturn { bonded, unbonding, rewards, pool } = stage.totals();
        lines.push(format!("{what} {bonded} {unbonding} {rewards} {pool} {}", stage.net.world.root()));
        stage.sound();
    };
    let (zero, opgs) = (U256::ZERO, stage::opgs);
    stage.told(4, &IStaking::delegateCall { node: second }, opgs(300));
    note(&stage, "delegate");
    stage.told(5, &IStaking::fundCall {}, opgs(50));
    note(&stage, "fund");
    stage.reward(second, 130);
    note(&stage, "reward");
    stage.told(4, &IStaking::redelegateCall { from: second, to: third, coins: opgs(100) }, zero);
    note(&stage, "redelegate");
    stage.told(4, &IStaking::undelegateCall { node: second, coins: opgs(50) }, zero);
    note(&stage, "undelegate");
    stage.told(4, &IStaking::claimCall { node: second }, zero);
    note(&stage, "claim");
    stage.told(2, &IStaking::compoundCall { node: second }, zero);
    note(&stage, "compound");
    stage.told(2, &IStaking::claimCommissionCall { node: second }, zero);
    note(&stage, "commission");
    stage.terms(1);
    note(&stage, "term");
    stage.slash(second, Offence::RefutedReceipt, 0);
    note(&stage, "slash");
    stage.told(2, &IStaking::delegateCall { node: second }, opgs(700));
    stage.terms(4);
    stage.told(2, &IStaking::unjailCall { node: second }, zero);
    note(&stage, "unjail");
    stage.told(4, &IStaking::withdrawCall { most: U256::MAX }, zero);
    note(&stage, "withdraw");
    stage.net.does(&JailAbsent { node: third });
    note(&stage, "absent");
    stage.slash(first, Offence::Equivocation, 3);
    note(&stage, "tombstone");
    stage.net.wait(86_400);
    stage.told(3, &IStaking::setCommissionCall { node: third, commission: 60_000 }, zero);
    note(&stage, "set");
    assert_eq!(lines.join("\n") + "\n", include_str!("../vectors/staking.txt"));
}
