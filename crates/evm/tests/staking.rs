//! Staking through its Solidity face and through the ledger's deeds: what it does, and every way in which it says no.
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]
#![allow(non_snake_case, reason = "fields are named as in Solidity")]

mod common;
mod stage;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use common::{CHAIN, Net, address, event, system_refused};
use crypto::SigningKey;
use evm::StateRead as _;
use evm::modules::opg;
use evm::modules::staking::{
    ADDRESS, BeginTerm, Collect, FoundNode, IStaking, JailAbsent, Observe, Offence, POSSESSION_DOMAIN, Reward, Slash,
    left, possession_message, staked,
};
use protocol::Role;
use stage::{MILLION, Stage, WORKER, opgs, validator, worker};

/// Registers a worker for account `from`, with everything as it should be but for what `change` changes.
fn registration(from: u64, seed: u8, change: impl FnOnce(&mut IStaking::registerCall)) -> IStaking::registerCall {
    let key = SigningKey::from_seed(&[seed; 32]);
    let message = possession_message(CHAIN.id, address(from), Role::Worker);
    let mut call = IStaking::registerCall {
        role: 2,
        key: key.public_key().0.into(),
        possession: Bytes::copy_from_slice(&key.sign(POSSESSION_DOMAIN, &message).0),
        commission: 50_000,
        commissionMax: 200_000,
        commissionStep: 10_000,
    };
    change(&mut call);
    call
}

#[test]
fn anyone_registers_a_node_whose_key_agrees() {
    let mut stage = Stage::new();
    let call = registration(5, 9, |_| ());
    let node = stage.told(5, &call, opgs(1_000));
    let seen = stage.node(node);
    assert_eq!((seen.operator, seen.role, seen.key), (address(5), 2, call.key));
    assert_eq!((seen.coins, seen.selfCoins, seen.shares), (opgs(1_000), opgs(1_000), opgs(1_000)));
    assert_eq!((seen.commission, seen.commissionMax, seen.commissionStep), (50_000, 200_000, 10_000));
    assert!(!seen.jailed && !seen.tombstoned);
    assert_eq!(stage.ask(&IStaking::nodeCountCall {}), U256::from(3));
    let all = stage.ask(&IStaking::nodesCall { from: U256::from(2), count: U256::from(9) });
    assert_eq!(all, [node]);
    let again = registration(5, 9, |_| ());
    stage.refuses(5, &again, opgs(1_000), &IStaking::KeyRegistered { key: again.key, node });
}

#[test]
fn a_registration_is_refused_for_what_is_wrong_with_it() {
    let mut stage = Stage::new();
    let key = registration(5, 9, |_| ()).key;
    let stake = opgs(1_000);
    for role in [0, 5, 255] {
        stage.refuses(5, &registration(5, 9, |call| call.role = role), stake, &IStaking::RoleUnknown { role });
    }
    let foreign = IStaking::PossessionInvalid { key, operator: address(6) };
    stage.refuses(6, &registration(5, 9, |_| ()), stake, &foreign);
    let other = IStaking::PossessionInvalid { key, operator: address(5) };
    stage.refuses(5, &registration(5, 9, |call| call.role = 4), stake, &other);
    stage.refuses(5, &registration(5, 9, |call| call.possession = vec![1; 63].into()), stake, &other);
    let poor = IStaking::SelfStakeTooSmall { coins: opgs(999), least: stake };
    stage.refuses(5, &registration(5, 9, |_| ()), opgs(999), &poor);
    let out = |commission, most| IStaking::CommissionOutOfBounds { commission, most };
    let above = registration(5, 9, |call| call.commissionMax = 1_000_001);
    stage.refuses(5, &above, stake, &out(1_000_001, 1_000_000));
    stage.refuses(5, &registration(5, 9, |call| call.commission = 200_001), stake, &out(200_001, 200_000));
    stage.refuses(5, &registration(5, 9, |call| call.commissionStep = 200_001), stake, &out(200_001, 200_000));
}

#[test]
fn delegated_coins_come_back_after_the_unbonding_terms() {
    let mut stage = Stage::new();
    let node = worker();
    assert_eq!(stage.told(3, &IStaking::delegateCall { node }, opgs(100)), opgs(100));
    assert_eq!(stage.net.balance(ADDRESS), opgs(12_100));
    assert_eq!(stage.position(3, node).coins, opgs(100));
    let out = stage.told(3, &IStaking::undelegateCall { node, coins: opgs(40) }, U256::ZERO);
    assert_eq!((out.moved, out.releaseTerm), (opgs(40), 21));
    // The same term again is the same entry.
    stage.told(3, &IStaking::undelegateCall { node, coins: U256::MAX }, U256::ZERO);
    let waiting = stage.unbonding(3);
    assert_eq!(waiting.len(), 1);
    assert_eq!((waiting[0].coins, waiting[0].begunTerm, waiting[0].releaseTerm), (opgs(100), 0, 21));
    assert_eq!(stage.ask(&IStaking::positionsCall { delegator: address(3) }), Vec::<B256>::new());
    stage.terms(20);
    assert_eq!(stage.told(3, &IStaking::withdrawCall { most: U256::MAX }, U256::ZERO), U256::ZERO);
    stage.terms(1);
    let before = stage.net.balance(address(3));
    let receipt = stage.send(3, &IStaking::withdrawCall { most: U256::MAX }, U256::ZERO);
    let fee = U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price);
    assert_eq!(stage.net.balance(address(3)), before + opgs(100) - fee);
    assert_eq!(stage.unbonding(3).len(), 0);
    stage.sound();
}

#[test]
fn a_delegation_is_refused_for_what_is_wrong_with_it() {
    let mut stage = Stage::new();
    let (node, nobody) = (worker(), B256::repeat_byte(7));
    let delegate = |node| IStaking::delegateCall { node };
    stage.refuses(3, &delegate(nobody), opgs(1), &IStaking::NodeUnknown { node: nobody });
    let small = IStaking::DelegationTooSmall { coins: opgs(1) - U256::ONE, least: opgs(1) };
    stage.refuses(3, &delegate(node), opgs(1) - U256::ONE, &small);
    stage.net.does(&JailAbsent { node });
    stage.refuses(3, &delegate(node), opgs(1), &IStaking::NodeJailed { node, until: 1 });
    // The operator may fill up its own.
    stage.told(WORKER, &delegate(node), opgs(1));
    stage.slash(node, Offence::Equivocation, 0);
    stage.refuses(WORKER, &delegate(node), opgs(1), &IStaking::NodeTombstoned { node });
    stage.sound();
}

#[test]
fn a_pool_that_lost_everything_takes_nothing() {
    let mut stage = Stage::new();
    let node = worker();
    stage.set("slash.withholding.share", 1_000_000);
    stage.slash(node, Offence::Withholding, 0);
    assert_eq!(stage.node(node).coins, U256::ZERO);
    stage.refuses(WORKER, &IStaking::delegateCall { node }, opgs(1_000), &IStaking::PoolClosed { node });
    let nothing = IStaking::undelegateCall { node, coins: U256::MAX };
    stage.refuses(WORKER, &nothing, U256::ZERO, &IStaking::NothingToMove {});
    stage.sound();
}

#[test]
fn nobody_takes_out_more_than_is_there() {
    let mut stage = Stage::new();
    let node = worker();
    stage.told(3, &IStaking::delegateCall { node }, opgs(10));
    let much = IStaking::StakeTooSmall { coins: opgs(10), needed: opgs(11) };
    stage.refuses(3, &IStaking::undelegateCall { node, coins: opgs(11) }, U256::ZERO, &much);
    let none = IStaking::undelegateCall { node, coins: U256::ZERO };
    stage.refuses(3, &none, U256::ZERO, &IStaking::NothingToMove {});
    let stranger = IStaking::StakeTooSmall { coins: U256::ZERO, needed: U256::ONE };
    stage.refuses(4, &IStaking::undelegateCall { node, coins: U256::ONE }, U256::ZERO, &stranger);
}

#[test]
fn an_operator_that_takes_its_own_stake_out_is_jailed() {
    let mut stage = Stage::new();
    let (node, validator) = (worker(), stage::validator());
    stage.told(WORKER, &IStaking::undelegateCall { node, coins: opgs(1) }, U256::ZERO);
    assert!(stage.node(node).jailed);
    let least = IStaking::SelfStakeTooSmall { coins: opgs(999), least: opgs(1_000) };
    stage.refuses(WORKER, &IStaking::unjailCall { node }, U256::ZERO, &least);
    stage.told(WORKER, &IStaking::delegateCall { node }, opgs(1));
    stage.told(WORKER, &IStaking::unjailCall { node }, U256::ZERO);
    assert!(!stage.node(node).jailed);
    assert_eq!(stage.validators(), [validator]);
    stage.told(stage::VALIDATOR, &IStaking::undelegateCall { node: validator, coins: opgs(1_001) }, U256::ZERO);
    assert_eq!(stage.validators(), Vec::<B256>::new());
}

#[test]
fn jail_ends_when_the_operator_says_so_and_not_before_its_term() {
    let mut stage = Stage::new();
    let (node, unjail) = (worker(), IStaking::unjailCall { node: worker() });
    stage.refuses(WORKER, &unjail, U256::ZERO, &IStaking::NodeNotJailed { node });
    let (_, logs) = stage.net.system(&JailAbsent { node }).unwrap();
    assert_eq!(event::<IStaking::Jailed>(&logs).until, 1);
    stage.refuses(WORKER, &unjail, U256::ZERO, &IStaking::NodeJailed { node, until: 1 });
    stage.terms(1);
    let stranger = IStaking::OperatorOnly { caller: address(3), operator: address(WORKER) };
    stage.refuses(3, &unjail, U256::ZERO, &stranger);
    stage.told(WORKER, &unjail, U256::ZERO);
    // Being away cost nothing but time.
    assert_eq!((stage.node(node).coins, stage.facts(node).slashes), (opgs(1_000), 0));
}

#[test]
fn a_slash_burns_the_same_share_of_everything_that_answers() {
    let mut stage = Stage::new();
    let (node, other) = (worker(), stage::validator());
    for from in [3, 4] {
        stage.told(from, &IStaking::delegateCall { node }, opgs(100));
    }
    stage.told(3, &IStaking::undelegateCall { node, coins: opgs(30) }, U256::ZERO);
    stage.told(4, &IStaking::redelegateCall { from: node, to: other, coins: opgs(40) }, U256::ZERO);
    let burned = opg::supply_and_burned(&stage.net.world).unwrap().1;
    let offence = stage.offence(node, Offence::RefutedReceipt, 0);
    let (slashed, logs) = stage.net.system(&offence).unwrap();
    // Half of 1,130 bonded, 30 unbonding and 40 that moved; half of that to nobody, as nobody reported it.
    assert_eq!(U256::from(slashed.taken), opgs(600));
    assert_eq!(slashed.taken, slashed.burned);
    assert_eq!(opg::supply_and_burned(&stage.net.world).unwrap().1 - burned, opgs(600));
    let event: IStaking::Slashed = event(&logs);
    assert_eq!((event.node, event.offence, event.taken), (node, 3, opgs(600)));
    assert_eq!(stage.position(3, node).coins, opgs(35));
    assert_eq!(stage.unbonding(3)[0].coins, opgs(15));
    assert_eq!((stage.position(4, node).coins, stage.position(4, other).coins), (opgs(30), opgs(20)));
    let facts = stage.facts(node);
    assert_eq!((facts.refuted, facts.slashes, facts.slashed), (1, 1, opgs(600)));
    assert!(stage.node(node).jailed);
    stage.sound();
}

#[test]
fn what_left_before_an_offence_or_was_released_pays_nothing() {
    let mut stage = Stage::new();
    let (node, other) = (worker(), stage::validator());
    stage.told(3, &IStaking::delegateCall { node }, opgs(100));
    stage.told(3, &IStaking::undelegateCall { node, coins: opgs(30) }, U256::ZERO);
    stage.told(3, &IStaking::redelegateCall { from: node, to: other, coins: opgs(40) }, U256::ZERO);
    stage.terms(1);
    stage.slash(node, Offence::RefutedReceipt, 1);
    assert_eq!((stage.unbonding(3)[0].coins, stage.position(3, other).coins), (opgs(30), opgs(40)));
    stage.terms(20);
    // Evidence of the first term comes when everything of it is released.
    stage.slash(node, Offence::RefutedReceipt, 0);
    assert_eq!((stage.unbonding(3)[0].coins, stage.position(3, other).coins), (opgs(30), opgs(40)));
    assert_eq!(stage.position(3, other).lockedShares, U256::ZERO);
    stage.sound();
}

#[test]
fn who_shows_an_offence_earns_its_share_and_never_for_equivocation() {
    let mut stage = Stage::new();
    let (node, reporter) = (worker(), Address::repeat_byte(0x55));
    let call = Slash { reporter: Some(reporter), ..stage.offence(node, Offence::RefutedReceipt, 0) };
    let slashed = stage.net.does(&call);
    assert_eq!((U256::from(slashed.taken), U256::from(slashed.burned)), (opgs(500), opgs(250)));
    assert_eq!(stage.net.balance(reporter), opgs(250));
    let call = Slash { reporter: Some(reporter), ..stage.offence(node, Offence::Equivocation, 0) };
    let slashed = stage.net.does(&call);
    assert_eq!((U256::from(slashed.taken), U256::from(slashed.burned)), (opgs(500), opgs(500)));
    assert_eq!(stage.net.balance(reporter), opgs(250));
    assert!(stage.node(node).tombstoned);
    stage.terms(60);
    stage.refuses(WORKER, &IStaking::unjailCall { node }, U256::ZERO, &IStaking::NodeTombstoned { node });
    stage.sound();
}

/// Takes what the worker's operator owes; what there was of it.
fn collected(stage: &mut Stage, coins: U256) -> U256 {
    let call = Collect { node: worker(), to: Address::repeat_byte(0x66), coins: coins.to() };
    U256::from(stage.net.does(&call))
}

#[test]
fn what_an_operator_owes_is_taken_out_of_its_own_and_never_from_who_delegated() {
    let mut stage = Stage::new();
    let (node, to) = (worker(), Address::repeat_byte(0x66));
    stage.told(3, &IStaking::delegateCall { node }, opgs(500));
    assert_eq!((collected(&mut stage, opgs(100)), stage.net.balance(to)), (opgs(100), opgs(100)));
    let told = stage.node(node);
    assert_eq!((told.selfCoins, told.jailed), (opgs(900), true), "too little of it is its own now");
    assert_eq!(collected(&mut stage, opgs(5_000)), opgs(900), "no more than there is");
    assert_eq!((collected(&mut stage, opgs(1)), stage.net.balance(to)), (U256::ZERO, opgs(1_000)));
    assert_eq!((stage.position(3, node).coins, stage.node(node).coins), (opgs(500), opgs(500)));
    assert_eq!(stage.facts(node).slashes, 0, "a debt is no offence");
    stage.sound();
}

#[test]
fn what_an_operator_owes_follows_what_it_took_out_and_what_it_moved() {
    let mut stage = Stage::new();
    let (node, other) = (worker(), validator());
    stage.told(3, &IStaking::delegateCall { node }, opgs(500));
    let leaves = stage.send(WORKER, &IStaking::undelegateCall { node, coins: opgs(300) }, U256::ZERO);
    let moves = IStaking::redelegateCall { from: node, to: other, coins: opgs(200) };
    let moves = stage.send(WORKER, &moves, U256::ZERO);
    for receipt in [leaves, moves] {
        assert_eq!(left(receipt.logs().iter()), [(node, address(WORKER))]);
    }
    let comes = stage.send(3, &IStaking::delegateCall { node: other }, opgs(1));
    assert!(left(comes.logs().iter()).is_empty());
    stage.told(3, &IStaking::undelegateCall { node, coins: opgs(50) }, U256::ZERO);
    stage.terms(3);
    assert_eq!(collected(&mut stage, opgs(400)), opgs(400));
    assert_eq!((stage.unbonding(WORKER)[0].coins, stage.unbonding(3)[0].coins), (U256::ZERO, opgs(50)));
    assert_eq!((stage.position(WORKER, other).coins, stage.node(node).selfCoins), (opgs(100), opgs(500)));
    stage.sound();
    assert_eq!(collected(&mut stage, opgs(200)), opgs(200), "what is left of that, and its free stake at last");
    assert_eq!((stage.position(WORKER, other).coins, stage.node(node).selfCoins), (U256::ZERO, opgs(400)));
    stage.terms(21);
    assert_eq!(stage.told(WORKER, &IStaking::withdrawCall { most: U256::MAX }, U256::ZERO), U256::ZERO);
    assert_eq!(stage.told(3, &IStaking::withdrawCall { most: U256::MAX }, U256::ZERO), opgs(50));
    stage.sound();
}

#[test]
fn what_came_from_another_node_answers_for_that_and_for_no_debt_here() {
    let mut stage = Stage::new();
    let (node, other) = (worker(), validator());
    stage.told(WORKER, &IStaking::delegateCall { node: other }, opgs(100));
    stage.told(WORKER, &IStaking::redelegateCall { from: other, to: node, coins: opgs(100) }, U256::ZERO);
    let told = staked(&stage.net.world, node).unwrap().unwrap();
    assert_eq!((U256::from(told.own), U256::from(told.free)), (opgs(1_100), opgs(1_000)));
    assert_eq!(collected(&mut stage, opgs(5_000)), opgs(1_000));
    assert_eq!(stage.node(node).selfCoins, opgs(100));
    stage.terms(21);
    let told = staked(&stage.net.world, node).unwrap().unwrap();
    assert_eq!(U256::from(told.free), opgs(100), "it is free once it answers no more");
    stage.sound();
}

#[test]
fn what_leaves_of_an_operators_own_is_slashed_as_others_is() {
    let mut stage = Stage::new();
    let node = worker();
    stage.told(3, &IStaking::delegateCall { node }, opgs(500));
    stage.told(3, &IStaking::undelegateCall { node, coins: opgs(100) }, U256::ZERO);
    stage.told(WORKER, &IStaking::undelegateCall { node, coins: opgs(200) }, U256::ZERO);
    assert_eq!(U256::from(stage.slash(node, Offence::RefutedReceipt, 0).taken), opgs(750), "half of all");
    assert_eq!((stage.unbonding(3)[0].coins, stage.unbonding(WORKER)[0].coins), (opgs(50), opgs(100)));
    stage.sound();
}

#[test]
fn the_ledgers_deeds_are_refused_for_what_is_wrong_with_them() {
    let mut stage = Stage::new();
    let (node, nobody) = (worker(), B256::repeat_byte(7));
    let slash = stage.offence(node, Offence::LazyAudit, 0);
    system_refused(
        stage.net.system(&Slash { term: 1, ..slash }),
        &IStaking::OffenceFromTheFuture { term: 1, current: 0 },
    );
    system_refused(stage.net.system(&Slash { node: nobody, ..slash }), &IStaking::NodeUnknown { node: nobody });
    stage.net.does(&slash);
    let evidence = slash.evidence;
    system_refused(stage.net.system(&slash), &IStaking::EvidenceUsed { evidence });
    let poor = IStaking::RewardPoolTooSmall { pool: opgs(1_000), needed: opgs(1_000) + U256::ONE };
    let reward = Reward { node: stage::validator(), coins: 1_000 * MILLION * MILLION * MILLION + 1 };
    system_refused(stage.net.system(&reward), &poor);
    let until = stage.node(node).jailedUntil;
    system_refused(stage.net.system(&Reward { node, coins: 1 }), &IStaking::NodeJailed { node, until });
    system_refused(stage.net.system(&JailAbsent { node: nobody }), &IStaking::NodeUnknown { node: nobody });
    let seen = Observe { node: nobody, ..Observe::default() };
    system_refused(stage.net.system(&seen), &IStaking::NodeUnknown { node: nobody });
    let poor = FoundNode { coins: 1, ..stage::founding().nodes[0].clone() };
    let poor = FoundNode { key: B256::repeat_byte(1), ..poor };
    let error = IStaking::SelfStakeTooSmall { coins: U256::ONE, least: opgs(10_000) };
    system_refused(stage.net.system(&poor), &error);
    stage.sound();
}

#[test]
fn a_refused_deed_changes_nothing_and_the_block_goes_on() {
    let mut stage = Stage::new();
    let before = stage.net.world.root();
    let (early, good) =
        (stage.offence(worker(), Offence::FalseAudit, 9), stage.offence(worker(), Offence::FalseAudit, 0));
    let next = stage.net.next();
    let (refused, done) =
        stage.net.build(&next, |builder| (builder.system(&early).is_err(), builder.system(&good).is_ok()));
    assert!(refused && done);
    assert_ne!(stage.net.world.root(), before);
    stage.sound();
}

#[test]
fn rewards_are_shared_by_shares_after_the_commission() {
    let mut stage = Stage::new();
    let node = worker();
    stage.told(3, &IStaking::delegateCall { node }, opgs(2_040));
    stage.reward(node, 400);
    // A twentieth to the operator; of the rest an eighth for every coin.
    assert_eq!(stage.node(node).commissionOwed, opgs(20));
    assert_eq!((stage.position(3, node).rewards, stage.position(WORKER, node).rewards), (opgs(255), opgs(125)));
    assert_eq!(stage.told(3, &IStaking::claimCall { node }, U256::ZERO), opgs(255));
    stage.refuses(3, &IStaking::claimCall { node }, U256::ZERO, &IStaking::NothingToMove {});
    assert_eq!(stage.told(WORKER, &IStaking::compoundCall { node }, U256::ZERO), opgs(125));
    assert_eq!(stage.position(WORKER, node).coins, opgs(1_125));
    assert_eq!(stage.told(WORKER, &IStaking::claimCommissionCall { node }, U256::ZERO), opgs(20));
    stage.refuses(WORKER, &IStaking::claimCommissionCall { node }, U256::ZERO, &IStaking::NothingToMove {});
    let stranger = IStaking::OperatorOnly { caller: address(3), operator: address(WORKER) };
    stage.refuses(3, &IStaking::claimCommissionCall { node }, U256::ZERO, &stranger);
    // Who comes later has no part in what was earned before.
    stage.told(4, &IStaking::delegateCall { node }, opgs(10));
    assert_eq!(stage.position(4, node).rewards, U256::ZERO);
    let totals = stage.totals();
    assert_eq!((totals.rewards, totals.pool), (U256::ZERO, opgs(600)));
    stage.refuses(3, &IStaking::fundCall {}, U256::ZERO, &IStaking::NothingToMove {});
    stage.told(3, &IStaking::fundCall {}, opgs(5));
    assert_eq!(stage.totals().pool, opgs(605));
    stage.sound();
}

#[test]
fn many_small_rewards_are_worth_as_much_as_a_large_one() {
    let mut stage = Stage::new();
    let node = worker();
    stage.told(3, &IStaking::delegateCall { node }, opgs(1) * U256::from(7) / U256::from(3));
    for _ in 0..50 {
        stage.net.does(&Reward { node, coins: 7 });
    }
    let owed = stage.position(3, node).rewards + stage.position(WORKER, node).rewards;
    // No commission of seven units is a whole one; 350 units less what two positions round down.
    assert!((U256::from(348)..=U256::from(350)).contains(&owed), "{owed}");
    stage.sound();
}

#[test]
fn moved_stake_may_not_move_again_before_it_is_free() {
    let mut stage = Stage::new();
    let (from, to) = (worker(), stage::validator());
    stage.told(3, &IStaking::delegateCall { node: from }, opgs(100));
    stage.told(3, &IStaking::delegateCall { node: to }, opgs(5));
    let same = IStaking::redelegateCall { from, to: from, coins: opgs(1) };
    stage.refuses(3, &same, U256::ZERO, &IStaking::SameNode { node: from });
    let dust = IStaking::redelegateCall { from, to, coins: U256::ONE };
    stage.refuses(3, &dust, U256::ZERO, &IStaking::DelegationTooSmall { coins: U256::ONE, least: opgs(1) });
    assert_eq!(stage.told(3, &IStaking::redelegateCall { from, to, coins: opgs(60) }, U256::ZERO), opgs(60));
    let position = stage.position(3, to);
    assert_eq!((position.coins, position.lockedShares, position.lockedUntil), (opgs(65), opgs(60), 21));
    let locked = |shares| IStaking::SharesLocked { shares, free: opgs(5), lockedUntil: 21 };
    let back = IStaking::redelegateCall { from: to, to: from, coins: opgs(6) };
    stage.refuses(3, &back, U256::ZERO, &locked(opgs(6)));
    stage.refuses(3, &IStaking::undelegateCall { node: to, coins: opgs(65) }, U256::ZERO, &locked(opgs(65)));
    stage.told(3, &IStaking::undelegateCall { node: to, coins: U256::MAX }, U256::ZERO);
    assert_eq!(stage.position(3, to).coins, opgs(60));
    stage.terms(21);
    stage.told(3, &IStaking::undelegateCall { node: to, coins: U256::MAX }, U256::ZERO);
    assert_eq!(stage.position(3, to).coins, U256::ZERO);
    stage.sound();
}

#[test]
fn a_node_remembers_a_bounded_number_of_moves() {
    let mut stage = Stage::new();
    let (from, to) = (worker(), stage::validator());
    stage.told(3, &IStaking::delegateCall { node: from }, opgs(200));
    let step = IStaking::redelegateCall { from, to, coins: opgs(1) };
    for _ in 0..128 {
        stage.told(3, &step, U256::ZERO);
    }
    stage.refuses(3, &step, U256::ZERO, &IStaking::TooManyRedelegations { from, most: U256::from(128) });
    stage.terms(21);
    // All of them are over, and their places are used again.
    stage.told(3, &step, U256::ZERO);
    stage.slash(from, Offence::RefutedReceipt, 21);
    let one = opgs(1) / U256::from(2);
    assert_eq!(stage.position(3, to).coins, opgs(128) + one);
    stage.sound();
}

#[test]
fn a_delegator_has_a_bounded_number_of_positions() {
    let mut stage = Stage::new();
    let operator = |number: u8| registration(5, 100 + number, |_| ());
    let nodes: Vec<B256> = (0..32).map(|number| stage.told(5, &operator(number), opgs(1_000))).collect();
    let most = IStaking::TooManyPositions { most: U256::from(32) };
    stage.refuses(5, &operator(32), opgs(1_000), &most);
    assert_eq!(stage.ask(&IStaking::positionsCall { delegator: address(5) }), nodes);
    // What is given up whole makes room, and the last one takes its place in the list.
    stage.told(5, &IStaking::undelegateCall { node: nodes[3], coins: U256::MAX }, U256::ZERO);
    stage.told(5, &operator(32), opgs(1_000));
    let after = stage.ask(&IStaking::positionsCall { delegator: address(5) });
    assert_eq!((after.len(), after[3]), (32, nodes[31]));
    stage.told(5, &IStaking::undelegateCall { node: nodes[31], coins: U256::MAX }, U256::ZERO);
    stage.sound();
}

#[test]
fn a_commission_changes_slowly_and_its_history_stays() {
    let mut stage = Stage::new();
    let node = worker();
    let set = |commission| IStaking::setCommissionCall { node, commission };
    let soon = IStaking::CommissionTooSoon { notBefore: U256::from(1_000 + 86_400) };
    stage.refuses(WORKER, &set(55_000), U256::ZERO, &soon);
    stage.net.wait(86_400);
    let stranger = IStaking::OperatorOnly { caller: address(3), operator: address(WORKER) };
    stage.refuses(3, &set(55_000), U256::ZERO, &stranger);
    let most = IStaking::CommissionOutOfBounds { commission: 200_001, most: 200_000 };
    stage.refuses(WORKER, &set(200_001), U256::ZERO, &most);
    let step = IStaking::CommissionStepTooLarge { before: 50_000, commission: 60_001, step: 10_000 };
    stage.refuses(WORKER, &set(60_001), U256::ZERO, &step);
    stage.told(WORKER, &set(60_000), U256::ZERO);
    assert_eq!(stage.node(node).commission, 60_000);
    let all = IStaking::commissionHistoryCall { node, from: U256::ZERO, count: U256::MAX };
    let history: Vec<u32> = stage.ask(&all).iter().map(|change| change.commission).collect();
    assert_eq!(history, [50_000, 60_000]);
}

#[test]
fn facts_about_a_node_add_up() {
    let mut stage = Stage::new();
    let node = worker();
    let seen = Observe { node, proposed: 10, missed: 2, audits_passed: 3, audits_failed: 1, reports: 5 };
    stage.net.does(&seen);
    stage.net.does(&seen);
    stage.net.does(&Observe { node, ..Observe::default() });
    let facts = stage.facts(node);
    assert_eq!((facts.proposed, facts.missed, facts.auditsPassed, facts.auditsFailed), (20, 4, 6, 2));
    assert_eq!((facts.reports, facts.falseReports, facts.slashes), (10, 0, 0));
}

#[test]
fn an_auditors_false_word_is_counted_beside_its_reports_and_no_other_offence_is() {
    let mut stage = Stage::new();
    let node = worker();
    stage.net.does(&Observe { node, reports: 3, ..Observe::default() });
    stage.slash(node, Offence::FalseAudit, 0);
    stage.slash(node, Offence::RefutedReceipt, 0);
    let facts = stage.facts(node);
    assert_eq!((facts.reports, facts.falseReports, facts.refuted, facts.slashes), (3, 1, 1, 2));
}

#[test]
fn the_slashing_table_is_published_and_governed() {
    let mut stage = Stage::new();
    let table = stage.ask(&IStaking::slashingTableCall {});
    let names: Vec<&str> = table.iter().map(|row| row.name.as_str()).collect();
    let expected = [
        "equivocation",
        "invalid proof",
        "refuted receipt",
        "false vote",
        "false audit",
        "lazy audit",
        "withholding",
        "unpaid shares",
    ];
    assert_eq!(names, expected);
    let shares: Vec<u32> = table.iter().map(|row| row.share).collect();
    assert_eq!(shares, [1_000_000, 500_000, 500_000, 100_000, 200_000, 50_000, 500_000, 50_000]);
    let waiting: Vec<u8> = table.iter().filter(|row| !row.inForce).map(|row| row.offence).collect();
    assert_eq!(waiting, [2, 6], "nothing shows these yet");
    assert_eq!((table[0].reporterShare, table[0].tombstones, table[2].tombstones), (0, true, false));
    stage.set("slash.lazy_audit.share", 60_000);
    stage.set("slash.lazy_audit.jail", 0);
    assert_eq!(stage.ask(&IStaking::slashingTableCall {})[5].share, 60_000);
    stage.told(WORKER, &IStaking::delegateCall { node: worker() }, opgs(1_000));
    assert_eq!(U256::from(stage.slash(worker(), Offence::LazyAudit, 0).taken), opgs(120));
    // No terms in jail, and enough of its own left.
    assert!(!stage.node(worker()).jailed);
}

#[test]
fn storage_lies_where_solidity_would_have_it() {
    let mut stage = Stage::new();
    stage.told(3, &IStaking::delegateCall { node: worker() }, opgs(7));
    stage.net.does(&BeginTerm);
    let slot = |slot: u64| stage.net.world.slot(&ADDRESS, &U256::from(slot)).unwrap();
    assert_eq!((slot(0), slot(1)), (U256::ONE, opgs(11_007)));
    assert_eq!(slot(2), opgs(1_000) << 128);
    let base: U256 = keccak256([worker().as_slice(), &U256::from(3).to_be_bytes::<32>()].concat()).into();
    let identity = stage.net.world.slot(&ADDRESS, &base).unwrap();
    assert_eq!(identity, U256::from_be_slice(address(WORKER).as_slice()) | (U256::from(2) << 160));
    let outer = keccak256([address(3).into_word().as_slice(), &U256::from(4).to_be_bytes::<32>()].concat());
    let place: U256 = keccak256([worker().as_slice(), outer.as_slice()].concat()).into();
    assert_eq!(stage.net.world.slot(&ADDRESS, &place).unwrap(), opgs(7));
}

#[test]
fn too_little_gas_undoes_everything() {
    let mut stage = Stage::new();
    let call = IStaking::delegateCall { node: worker() };
    let enough = stage.send(4, &call, opgs(7)).gas_used;
    let root_of = |stage: &Stage| (stage.totals().bonded, stage.net.balance(ADDRESS));
    let before = root_of(&stage);
    for gas in (30_000..enough - 60_000).step_by(9_973) {
        let receipt = stage.send_with(3, &call, opgs(7), gas);
        assert!(!receipt.succeeded() && receipt.output.is_empty(), "{gas} of {enough}");
        assert_eq!(root_of(&stage), before);
    }
}

/// Nobody can make the coins of a delegator that comes second round away.
#[test]
fn the_first_delegator_cannot_inflate_what_a_share_is_worth() {
    let mut stage = Stage::new();
    let node = worker();
    // The operator leaves one unit, and sends coins to the module by all means that there are.
    stage.told(WORKER, &IStaking::undelegateCall { node, coins: opgs(1_000) - U256::ONE }, U256::ZERO);
    let forced = stage.send(WORKER, &IStaking::termCall {}, opgs(100));
    assert!(!forced.succeeded());
    assert_eq!(stage.node(node).shares, U256::ONE);
    // It is jailed: a second delegator is refused, before it could lose anything.
    let until = stage.node(node).jailedUntil;
    stage.refuses(3, &IStaking::delegateCall { node }, opgs(10), &IStaking::NodeJailed { node, until });
    stage.told(WORKER, &IStaking::delegateCall { node }, opgs(1_000));
    stage.told(WORKER, &IStaking::unjailCall { node }, U256::ZERO);
    stage.reward(node, 500);
    assert_eq!(stage.told(3, &IStaking::delegateCall { node }, opgs(10)), opgs(10));
    assert_eq!(stage.position(3, node).coins, opgs(10));
    stage.sound();
}

#[test]
fn a_network_is_founded_with_its_nodes() {
    let net = Net::founded(stage::founding());
    assert_eq!(net.balance(ADDRESS), opgs(12_000));
    let (supply, burned) = opg::supply_and_burned(&net.world).unwrap();
    assert_eq!((supply, burned), (opgs(12_012_000), U256::ZERO));
    let validators = net.ask(ADDRESS, &IStaking::validatorsCall { from: U256::ZERO, count: U256::MAX });
    assert_eq!(validators.unwrap(), [stage::validator()]);
}

/// Calls the module by `kind` with its input and its value, and ends with `end`.
fn caller(kind: u8, end: &[u8]) -> Vec<u8> {
    let mut code = vec![0x36, 0x5f, 0x5f, 0x37, 0x5f, 0x5f, 0x36, 0x5f, 0x34, 0x61, 0x0a, 0x01, 0x5a, kind];
    code.extend(end);
    code
}

const STOP: &[u8] = &[0x00];
const REVERT: &[u8] = &[0x5f, 0x5f, 0xfd];
const CONTRACTS: [Address; 3] = [Address::repeat_byte(0xf0), Address::repeat_byte(0xf1), Address::repeat_byte(0xf2)];

fn with_contracts() -> Stage {
    let (honest, reverter, borrower) = (caller(0xf1, STOP), caller(0xf1, REVERT), caller(0xf2, STOP));
    let [first, second, third] = CONTRACTS;
    Stage::of(Net::founded_with(stage::founding(), &[(first, &honest), (second, &reverter), (third, &borrower)]))
}

#[test]
fn a_contract_stakes_for_itself() {
    let mut stage = with_contracts();
    let (call, node) = (IStaking::delegateCall { node: worker() }, worker());
    assert!(stage.net.call(3, CONTRACTS[0], &call, opgs(5)).succeeded());
    let position = stage.ask(&IStaking::positionCall { delegator: CONTRACTS[0], node });
    assert_eq!((position.coins, stage.totals().bonded), (opgs(5), opgs(11_005)));
    let out = IStaking::undelegateCall { node, coins: opgs(5) };
    assert!(stage.net.call(4, CONTRACTS[0], &out, U256::ZERO).succeeded());
    stage.terms(21);
    // Whoever pokes it, it is paid itself.
    assert!(stage.net.call(5, CONTRACTS[0], &IStaking::withdrawCall { most: U256::ONE }, U256::ZERO).succeeded());
    assert_eq!(stage.net.balance(CONTRACTS[0]), opgs(5));
    stage.sound();
}

#[test]
fn a_frame_that_reverts_undoes_the_stake_and_has_its_coins_back() {
    let mut stage = with_contracts();
    let before = (stage.net.balance(ADDRESS), stage.totals().bonded);
    let call = IStaking::delegateCall { node: worker() };
    assert!(!stage.net.call(3, CONTRACTS[1], &call, opgs(5)).succeeded());
    // By CALLCODE the coins stay with the borrower, and nothing is staked.
    assert!(stage.net.call(3, CONTRACTS[2], &call, opgs(5)).succeeded());
    assert_eq!(stage.net.balance(CONTRACTS[2]), opgs(5));
    assert_eq!((stage.net.balance(ADDRESS), stage.totals().bonded), before);
    stage.sound();
}
