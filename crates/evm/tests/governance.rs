//! Governance from a proposal to what it does, and every way in which it says no.
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]
#![allow(non_snake_case, reason = "fields are named as in Solidity")]

mod common;
mod stage;

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256, U256, b256, keccak256};
use alloy_sol_types::{SolCall, SolError};
use common::{address, event, refused, told};
use evm::Founding;
use evm::modules::governance::{ADDRESS, Action, FoundTrust, IGovernance, Vendor, trusts, upgrades};
use evm::modules::parameters::{self, FoundLimits, IParameters, Parameter, SetParameter};
use evm::modules::staking::{IStakedVotes, IStaking, Offence};
use evm::modules::votes;
use proptest::prelude::*;
use stage::{Stage, WORKER, opgs, worker};

const DELAY: u64 = 100;
const PERIOD: u64 = 1_000;
const TIMELOCK: u64 = 500;
const GRACE: u64 = 3_600;
const GUARDIAN: u64 = 10;

fn measurement() -> B256 {
    B256::repeat_byte(0x31)
}

/// Three who stake: 3 with 300,000, 4 with 200,000, 5 with 100,000; beside them the 11,000 of the founders.
fn parliament() -> Stage {
    limited(FoundLimits::default())
}

/// The same, where the rules of the network ask something of its numbers.
fn limited(limits: FoundLimits) -> Stage {
    let set = |name: &str, value: u64| SetParameter { name: name.to_owned(), value: value.into() };
    let parameters = vec![
        set("governance.delay_seconds", DELAY),
        set("governance.period_seconds", PERIOD),
        set("governance.timelock_seconds", TIMELOCK),
        set("governance.grace_seconds", GRACE),
        set("governance.upgrade_notice_blocks", 100),
    ];
    let trust = FoundTrust {
        guardian: address(GUARDIAN),
        vendors: vec![Vendor::AwsNitro],
        measurements: vec![(measurement(), Vendor::AwsNitro)],
    };
    let mut stage = Stage::with(Founding { parameters, limits, trust, ..stage::founding() });
    for (from, coins) in [(3, 300_000), (4, 200_000), (5, 100_000)] {
        stage.told(from, &IStaking::delegateCall { node: worker() }, opgs(coins));
    }
    stage
}

fn send<C: SolCall>(stage: &mut Stage, from: u64, call: &C) -> evm::Receipt {
    stage.net.call(from, ADDRESS, call, U256::ZERO)
}

#[track_caller]
fn refuses<C: SolCall, E: SolError>(stage: &mut Stage, from: u64, call: &C, error: &E) {
    refused(&send(stage, from, call), error);
}

fn ask<C: SolCall>(stage: &Stage, call: &C) -> C::Return {
    stage.net.ask(ADDRESS, call).unwrap()
}

fn act(kind: u8, subject: B256, value: u64) -> IGovernance::Action {
    IGovernance::Action { kind, subject, value: U256::from(value) }
}

fn parameter(name: &Parameter, value: u64) -> IGovernance::Action {
    act(1, name.key(), value)
}

fn proposal(actions: Vec<IGovernance::Action>) -> IGovernance::proposeCall {
    IGovernance::proposeCall { actions, description: "why".to_owned() }
}

fn propose(stage: &mut Stage, from: u64, actions: Vec<IGovernance::Action>) -> U256 {
    told::<IGovernance::proposeCall>(&send(stage, from, &proposal(actions)))
}

fn state(stage: &Stage, id: U256) -> u8 {
    ask(stage, &IGovernance::proposalCall { id }).state
}

fn vote(stage: &mut Stage, from: u64, id: U256, support: u8) -> U256 {
    told::<IGovernance::castVoteCall>(&send(stage, from, &IGovernance::castVoteCall { id, support }))
}

/// Made, voted on by 3 and 4, waited for.
fn carried(stage: &mut Stage, actions: Vec<IGovernance::Action>) -> U256 {
    let id = propose(stage, 3, actions);
    stage.net.wait(DELAY + 1);
    vote(stage, 3, id, 1);
    vote(stage, 4, id, 1);
    stage.net.wait(PERIOD + TIMELOCK);
    id
}

fn execute(stage: &mut Stage, id: U256) -> evm::Receipt {
    send(stage, 9, &IGovernance::executeCall { id })
}

#[test]
fn a_parameter_changes_by_vote_after_its_time() {
    let mut stage = parliament();
    let id = propose(&mut stage, 3, vec![parameter(&parameters::LAZY_AUDIT_SHARE, 70_000)]);
    assert_eq!((id, state(&stage, id)), (U256::ONE, 0));
    stage.net.wait(DELAY + 1);
    assert_eq!(state(&stage, id), 1);
    assert_eq!(vote(&mut stage, 3, id, 1), opgs(300_000));
    assert_eq!(vote(&mut stage, 5, id, 0), opgs(100_000));
    let seen = ask(&stage, &IGovernance::ballotCall { id, voter: address(5) });
    assert_eq!((seen.cast, seen.support, seen.votes), (true, 0, opgs(100_000)));
    stage.net.wait(PERIOD);
    assert_eq!(state(&stage, id), 5);
    let early = IGovernance::ProposalState { id, state: 5 };
    refuses(&mut stage, 9, &IGovernance::executeCall { id }, &early);
    stage.net.wait(TIMELOCK);
    assert_eq!(state(&stage, id), 4);
    let receipt = execute(&mut stage, id);
    assert_eq!(event::<IParameters::ParameterSet>(receipt.logs()).value, U256::from(70_000));
    assert_eq!(event::<IGovernance::ProposalExecuted>(receipt.logs()).by, address(9));
    assert_eq!(stage.ask(&IStaking::slashingTableCall {})[5].share, 70_000);
    refuses(&mut stage, 9, &IGovernance::executeCall { id }, &IGovernance::ProposalState { id, state: 7 });
    let record = ask(&stage, &IGovernance::proposalCall { id });
    assert_eq!((record.votesFor, record.votesAgainst), (opgs(300_000), opgs(100_000)));
    assert_eq!((record.proposer, record.descriptionHash), (address(3), keccak256("why")));
    assert_eq!((record.actions.len(), record.actions[0].kind), (1, 1));
    assert_eq!(ask(&stage, &IGovernance::proposalCountCall {}), U256::ONE);
    stage.sound();
}

#[test]
fn votes_are_those_of_the_snapshot() {
    let mut stage = parliament();
    let id = propose(&mut stage, 3, vec![parameter(&parameters::LAZY_AUDIT_SHARE, 70_000)]);
    stage.told(6, &IStaking::delegateCall { node: worker() }, opgs(50_000));
    stage.net.wait(DELAY + 1);
    // Too late to count, and too late to lose.
    stage.told(7, &IStaking::delegateCall { node: worker() }, opgs(900_000));
    stage.told(4, &IStaking::undelegateCall { node: worker(), coins: U256::MAX }, U256::ZERO);
    assert_eq!(vote(&mut stage, 6, id, 1), opgs(50_000));
    assert_eq!(vote(&mut stage, 4, id, 1), opgs(200_000));
    refuses(&mut stage, 7, &IGovernance::castVoteCall { id, support: 1 }, &IGovernance::NoVotes { voter: address(7) });
}

#[test]
fn what_a_slash_took_has_no_vote() {
    let mut stage = parliament();
    let id = propose(&mut stage, 3, vec![parameter(&parameters::LAZY_AUDIT_SHARE, 70_000)]);
    stage.slash(worker(), Offence::RefutedReceipt, 0);
    stage.net.wait(DELAY + 1);
    assert_eq!(vote(&mut stage, 3, id, 1), opgs(150_000));
}

#[test]
fn votes_given_away_are_cast_by_who_has_them() {
    let mut stage = parliament();
    let call = IStakedVotes::delegateCall { delegatee: address(8) };
    assert!(stage.net.call(3, votes::ADDRESS, &call, U256::ZERO).succeeded());
    stage.net.wait(1);
    let id = propose(&mut stage, 8, vec![parameter(&parameters::LAZY_AUDIT_SHARE, 70_000)]);
    stage.net.wait(DELAY + 1);
    assert_eq!(vote(&mut stage, 8, id, 1), opgs(300_000));
    refuses(&mut stage, 3, &IGovernance::castVoteCall { id, support: 0 }, &IGovernance::NoVotes { voter: address(3) });
}

#[test]
fn a_vote_is_refused_for_what_is_wrong_with_it() {
    let mut stage = parliament();
    let cast = |id: u64, support| IGovernance::castVoteCall { id: U256::from(id), support };
    refuses(&mut stage, 3, &cast(1, 1), &IGovernance::ProposalUnknown { id: U256::ONE });
    let id = propose(&mut stage, 3, vec![parameter(&parameters::LAZY_AUDIT_SHARE, 70_000)]);
    refuses(&mut stage, 3, &cast(1, 1), &IGovernance::ProposalState { id, state: 0 });
    stage.net.wait(DELAY + 1);
    refuses(&mut stage, 3, &cast(1, 3), &IGovernance::SupportUnknown { support: 3 });
    let reason = "x".repeat(1_025);
    let long = IGovernance::castVoteWithReasonCall { id, support: 1, reason };
    let error = IGovernance::TextTooLong { bytesFound: U256::from(1_025), most: U256::from(1_024) };
    refuses(&mut stage, 3, &long, &error);
    let reasoned = IGovernance::castVoteWithReasonCall { id, support: 2, reason: "wait".to_owned() };
    let receipt = send(&mut stage, 3, &reasoned);
    assert_eq!(event::<IGovernance::VoteCast>(receipt.logs()).reason, "wait");
    refuses(&mut stage, 3, &cast(1, 1), &IGovernance::VotedAlready { voter: address(3), id });
    stage.net.wait(PERIOD);
    refuses(&mut stage, 4, &cast(1, 1), &IGovernance::ProposalState { id, state: 3 });
}

#[test]
fn a_proposal_is_refused_for_what_is_wrong_with_it() {
    let mut stage = parliament();
    let good = || parameter(&parameters::LAZY_AUDIT_SHARE, 70_000);
    let count = |count: u64| IGovernance::ActionCount { count: U256::from(count), most: U256::from(8) };
    refuses(&mut stage, 3, &proposal(vec![]), &count(0));
    refuses(&mut stage, 3, &proposal(vec![good(); 9]), &count(9));
    let long = IGovernance::proposeCall { description: "x".repeat(8_193), ..proposal(vec![good()]) };
    let error = IGovernance::TextTooLong { bytesFound: U256::from(8_193), most: U256::from(8_192) };
    refuses(&mut stage, 3, &long, &error);
    let few = IGovernance::TooFewVotes { proposer: address(WORKER), votes: opgs(1_000), needed: opgs(100_000) };
    refuses(&mut stage, WORKER, &proposal(vec![good()]), &few);
    let mut wrong = |action: IGovernance::Action, error: &dyn Fn(&evm::Receipt)| {
        let receipt = send(&mut stage, 3, &proposal(vec![good(), action]));
        error(&receipt);
    };
    let name = B256::repeat_byte(9);
    wrong(act(1, name, 1), &|r| refused(r, &IParameters::ParameterUnknown { name }));
    let Parameter { least, most, .. } = parameters::LAZY_AUDIT_SHARE;
    let (least, most) = (U256::from(least), U256::from(most));
    let name = parameters::LAZY_AUDIT_SHARE.key();
    let value = most + U256::ONE;
    wrong(parameter(&parameters::LAZY_AUDIT_SHARE, 1_000_001), &|r| {
        refused(r, &IParameters::ParameterOutOfBounds { name, value, least, most });
    });
    for kind in [0, 8, 255] {
        wrong(act(kind, B256::ZERO, 0), &|r| refused(r, &IGovernance::ActionUnknown { kind }));
    }
    for (kind, subject, value) in [(3, 1, 1), (4, 1, 1), (5, 1, 1), (7, 1, 1)] {
        let action = act(kind, B256::with_last_byte(subject), value);
        wrong(action, &|r| refused(r, &IGovernance::ActionMalformed { kind }));
    }
    wrong(act(7, B256::repeat_byte(1), 0), &|r| refused(r, &IGovernance::ActionMalformed { kind: 7 }));
    let vendor = U256::from(5);
    wrong(act(2, name, 5), &|r| refused(r, &IGovernance::VendorUnknown { vendor }));
    wrong(act(4, B256::ZERO, 5), &|r| refused(r, &IGovernance::VendorUnknown { vendor }));
    wrong(act(3, name, 0), &|r| refused(r, &IGovernance::NotTrusted { subject: name }));
    let subject = U256::from(2).into();
    wrong(act(5, B256::ZERO, 2), &|r| refused(r, &IGovernance::NotTrusted { subject }));
    wrong(act(6, name, 0), &|r| refused(r, &IGovernance::UpgradeUnknown { rules: name }));
    let height = U256::from(50);
    wrong(act(6, name, 50), &|r| {
        let error = IGovernance::UpgradeTooSoon::abi_decode(&r.output).unwrap();
        assert_eq!(error.height, height);
    });
    assert_eq!(ask(&stage, &IGovernance::proposalCountCall {}), U256::ZERO);
}

fn misfit(name: &Parameter, value: u64, other: &str, least: u64) -> IParameters::ParameterMisfit {
    let other = B256::right_padding_from(other.as_bytes());
    IParameters::ParameterMisfit { name: name.key(), value: U256::from(value), other, least: U256::from(least) }
}

#[test]
fn numbers_that_would_not_fit_each_other_are_not_proposed() {
    let (unbonding, key) = (&parameters::UNBONDING_TERMS, &parameters::KEY_TERMS);
    let (seats, minimum) = (&parameters::SEATS, &parameters::SEATS_MIN);
    let mut stage = limited(FoundLimits { unbonding: 12, key_delay: 15 });
    let wrong = [
        (vec![(unbonding, 11)], misfit(unbonding, 11, "rules.vote_epochs", 12)),
        (vec![(unbonding, 20)], misfit(unbonding, 20, key.name, 21)),
        (vec![(key, 7)], misfit(unbonding, 21, key.name, 22)),
        (vec![(unbonding, 30), (key, 16)], misfit(unbonding, 30, key.name, 31)),
        // The last of two counts, as it would when both are done.
        (vec![(unbonding, 30), (unbonding, 20)], misfit(unbonding, 20, key.name, 21)),
        (vec![(minimum, 20), (seats, 19)], misfit(seats, 19, minimum.name, 20)),
    ];
    for (set, error) in wrong {
        let actions = set.into_iter().map(|(name, value)| parameter(name, value)).collect();
        refuses(&mut stage, 3, &proposal(actions), &error);
    }
    propose(&mut stage, 3, vec![parameter(key, 15), parameter(unbonding, 30), parameter(minimum, 5)]);
    // Where the rules ask nothing, keys are for ever.
    propose(&mut parliament(), 3, vec![parameter(unbonding, 1), parameter(key, 1_000_000)]);
}

#[test]
fn numbers_that_do_not_fit_what_was_done_meanwhile_are_not_set() {
    let (unbonding, key) = (&parameters::UNBONDING_TERMS, &parameters::KEY_TERMS);
    let mut stage = limited(FoundLimits { unbonding: 12, key_delay: 15 });
    let first = propose(&mut stage, 3, vec![parameter(key, 10), parameter(unbonding, 25)]);
    let second =
        propose(&mut stage, 4, vec![parameter(&parameters::LAZY_AUDIT_SHARE, 70_000), parameter(unbonding, 22)]);
    stage.net.wait(DELAY + 1);
    for (voter, id) in [(3, first), (4, first), (3, second), (4, second)] {
        vote(&mut stage, voter, id, 1);
    }
    stage.net.wait(PERIOD + TIMELOCK);
    assert!(execute(&mut stage, first).succeeded());
    refuses(&mut stage, 9, &IGovernance::executeCall { id: second }, &misfit(unbonding, 22, key.name, 25));
    assert_eq!(stage.ask(&IStaking::slashingTableCall {})[5].share, 50_000, "no part of it is done");
    assert_eq!(state(&stage, second), 4, "it may be done once they fit, until it expires");
}

#[test]
fn a_proposer_has_one_proposal_open_and_takes_it_back_before_the_voting() {
    let mut stage = parliament();
    let actions = || vec![parameter(&parameters::LAZY_AUDIT_SHARE, 70_000)];
    let id = propose(&mut stage, 3, actions());
    refuses(&mut stage, 3, &proposal(actions()), &IGovernance::ProposalOpen { id });
    let stranger = IGovernance::ProposerOnly { caller: address(4), proposer: address(3) };
    refuses(&mut stage, 4, &IGovernance::cancelCall { id }, &stranger);
    assert!(send(&mut stage, 3, &IGovernance::cancelCall { id }).succeeded());
    assert_eq!(state(&stage, id), 2);
    let second = propose(&mut stage, 3, actions());
    stage.net.wait(DELAY + 1);
    let open = IGovernance::ProposalState { id: second, state: 1 };
    refuses(&mut stage, 3, &IGovernance::cancelCall { id: second }, &open);
    refuses(&mut stage, 3, &proposal(actions()), &IGovernance::ProposalOpen { id: second });
    stage.net.wait(PERIOD);
    propose(&mut stage, 3, actions());
}

#[test]
fn too_few_or_too_many_against_is_defeat() {
    let mut stage = parliament();
    let actions = || vec![parameter(&parameters::LAZY_AUDIT_SHARE, 70_000)];
    // 200,000 of 611,000 are fewer than 33.4 %; abstentions make them enough, but decide nothing.
    for (votes, wanted) in [
        (vec![(4, 1)], 3),
        (vec![(4, 1), (5, 2)], 4),
        (vec![(4, 1), (3, 0)], 3),
        (vec![(4, 1), (5, 1), (3, 0)], 3),
        (vec![(3, 1), (4, 0), (5, 0)], 3),
        (vec![(3, 2), (4, 2)], 3),
        (vec![], 3),
    ] {
        let id = propose(&mut stage, 3, actions());
        stage.net.wait(DELAY + 1);
        for (from, support) in &votes {
            vote(&mut stage, *from, id, *support);
        }
        stage.net.wait(PERIOD + TIMELOCK);
        assert_eq!(state(&stage, id), wanted, "{votes:?}");
        if wanted == 3 {
            refuses(&mut stage, 9, &IGovernance::executeCall { id }, &IGovernance::ProposalState { id, state: 3 });
        }
    }
}

#[test]
fn what_nobody_executes_in_its_time_expires() {
    let mut stage = parliament();
    let id = carried(&mut stage, vec![parameter(&parameters::LAZY_AUDIT_SHARE, 70_000)]);
    stage.net.wait(GRACE);
    assert_eq!(state(&stage, id), 6);
    refuses(&mut stage, 9, &IGovernance::executeCall { id }, &IGovernance::ProposalState { id, state: 6 });
}

#[test]
fn trust_is_given_by_vote_and_taken_by_the_guardian_at_once() {
    let mut stage = parliament();
    let fresh = B256::repeat_byte(0x32);
    assert!(ask(&stage, &IGovernance::isTrustedCall { measurement: measurement() }));
    assert!(trusts(&stage.net.world, &measurement()).unwrap());
    let id = carried(&mut stage, vec![act(2, fresh, 2), act(4, B256::ZERO, 2)]);
    assert!(execute(&mut stage, id).succeeded());
    assert!(ask(&stage, &IGovernance::isTrustedCall { measurement: fresh }));
    let all = IGovernance::measurementsCall { from: U256::ZERO, count: U256::MAX };
    assert_eq!(ask(&stage, &all), [measurement(), fresh]);
    let revoke = IGovernance::revokeMeasurementCall { measurement: fresh };
    let stranger = IGovernance::GuardianOnly { caller: address(3), guardian: address(GUARDIAN) };
    refuses(&mut stage, 3, &revoke, &stranger);
    refuses(&mut stage, 3, &IGovernance::revokeVendorCall { vendor: 1 }, &stranger);
    assert!(send(&mut stage, GUARDIAN, &revoke).succeeded());
    assert!(!trusts(&stage.net.world, &fresh).unwrap());
    let record = ask(&stage, &IGovernance::measurementCall { digest: fresh });
    assert_eq!((record.vendor, record.accepted), (2, false));
    refuses(&mut stage, GUARDIAN, &revoke, &IGovernance::NotTrusted { subject: fresh });
    // Its roots are known whether it is trusted or not, and nobody else's are.
    let roots = ask(&stage, &IGovernance::vendorRootsCall { vendor: 1 });
    assert_eq!(roots, [b256!("641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b")]);
    let all: BTreeSet<B256> = Vendor::ALL.iter().flat_map(|vendor| vendor.roots()).copied().collect();
    assert_eq!(all.len(), 5, "no root is two vendors'");
    let nobodys = IGovernance::vendorRootsCall { vendor: 5 };
    refuses(&mut stage, 3, &nobodys, &IGovernance::VendorUnknown { vendor: U256::from(5) });
    // A vendor takes all of its measurements along.
    let vendor = IGovernance::revokeVendorCall { vendor: 1 };
    assert!(send(&mut stage, GUARDIAN, &vendor).succeeded());
    assert!(!ask(&stage, &IGovernance::isTrustedCall { measurement: measurement() }));
    assert!(!ask(&stage, &IGovernance::isVendorTrustedCall { vendor: 1 }));
    refuses(&mut stage, GUARDIAN, &vendor, &IGovernance::NotTrusted { subject: U256::ONE.into() });
    let unknown = IGovernance::revokeVendorCall { vendor: 9 };
    refuses(&mut stage, GUARDIAN, &unknown, &IGovernance::VendorUnknown { vendor: U256::from(9) });
}

#[test]
fn the_guardian_gives_nothing_and_is_set_by_vote() {
    let mut stage = parliament();
    let actions = || vec![act(2, B256::repeat_byte(0x32), 1)];
    let few = IGovernance::TooFewVotes { proposer: address(GUARDIAN), votes: U256::ZERO, needed: opgs(100_000) };
    refuses(&mut stage, GUARDIAN, &proposal(actions()), &few);
    let id = carried(&mut stage, vec![act(7, address(9).into_word(), 0)]);
    let receipt = execute(&mut stage, id);
    let set: IGovernance::GuardianSet = event(receipt.logs());
    assert_eq!((set.before, set.guardian), (address(GUARDIAN), address(9)));
    assert_eq!(ask(&stage, &IGovernance::guardianCall {}), address(9));
    let id = carried(&mut stage, vec![act(7, B256::ZERO, 0), act(3, measurement(), 0), act(5, B256::ZERO, 1)]);
    assert!(execute(&mut stage, id).succeeded());
    assert_eq!(ask(&stage, &IGovernance::guardianCall {}), Address::ZERO);
    assert!(!ask(&stage, &IGovernance::isTrustedCall { measurement: measurement() }));
}

#[test]
fn new_rules_hold_from_a_height_with_notice() {
    let mut stage = parliament();
    let rules = B256::repeat_byte(0x77);
    let height = stage.net.header.number + 130;
    let id = carried(&mut stage, vec![act(6, rules, height)]);
    assert!(execute(&mut stage, id).succeeded());
    assert_eq!(upgrades(&stage.net.world).unwrap(), [(rules, height)]);
    let later = height + 30;
    let id = carried(&mut stage, vec![act(6, rules, later)]);
    assert!(execute(&mut stage, id).succeeded());
    assert_eq!(upgrades(&stage.net.world).unwrap(), [(rules, later)]);
    let id = carried(&mut stage, vec![act(6, rules, 0)]);
    let receipt = execute(&mut stage, id);
    assert_eq!(event::<IGovernance::UpgradeCanceled>(receipt.logs()).rules, rules);
    assert_eq!(upgrades(&stage.net.world).unwrap(), []);
    let all = ask(&stage, &IGovernance::upgradesCall { from: U256::ZERO, count: U256::MAX });
    assert_eq!((all.len(), all[0].height), (1, U256::ZERO));
}

#[test]
fn blocks_that_are_made_faster_put_new_rules_off_and_do_not_veto_them() {
    let mut stage = parliament();
    let rules = B256::repeat_byte(0x77);
    let asked = stage.net.header.number + 102;
    let id = carried(&mut stage, vec![act(6, rules, asked)]);
    for _ in 0..150 {
        stage.net.wait(0);
    }
    assert!(stage.net.header.number > asked, "the height that was asked for has passed");
    let receipt = execute(&mut stage, id);
    let scheduled: IGovernance::UpgradeScheduled = event(receipt.logs());
    let effective = stage.net.header.number + 100;
    assert_eq!((scheduled.rules, scheduled.height), (rules, U256::from(effective)));
    assert_eq!(upgrades(&stage.net.world).unwrap(), [(rules, effective)]);
    let told = ask(&stage, &IGovernance::upgradesCall { from: U256::ZERO, count: U256::MAX });
    assert_eq!(told[0].height, U256::from(effective), "the view tells what came of it");
    let record = ask(&stage, &IGovernance::proposalCall { id });
    assert_eq!(record.actions[0].value, U256::from(asked), "and the proposal what was asked for");
    // To propose it, notice is needed as ever.
    let late = IGovernance::UpgradeTooSoon::SELECTOR;
    let receipt = send(&mut stage, 3, &proposal(vec![act(6, B256::repeat_byte(0x78), asked)]));
    assert_eq!(receipt.output.first_chunk(), Some(&late));
}

#[test]
fn rules_that_came_into_force_meanwhile_are_not_moved_by_what_was_decided_before() {
    let mut stage = parliament();
    let rules = B256::repeat_byte(0x77);
    let height = stage.net.header.number + 130;
    let first = carried(&mut stage, vec![act(6, rules, height)]);
    let second = carried(&mut stage, vec![act(6, rules, height + 50)]);
    assert!(execute(&mut stage, first).succeeded());
    while stage.net.header.number < height {
        stage.net.wait(0);
    }
    let error = IGovernance::UpgradeInForce { rules, height: U256::from(height) };
    refuses(&mut stage, 9, &IGovernance::executeCall { id: second }, &error);
    assert_eq!(upgrades(&stage.net.world).unwrap(), [(rules, height)]);
}

#[test]
fn what_people_propose_is_what_the_interface_says() {
    let (digest, vendor) = (measurement(), Vendor::IntelTdx);
    let all = [
        Action::SetParameter { name: parameters::SEATS.key(), value: U256::from(7) },
        Action::AcceptMeasurement { measurement: digest, vendor },
        Action::RevokeMeasurement { measurement: digest },
        Action::AcceptVendor(vendor),
        Action::RevokeVendor(vendor),
        Action::Upgrade { rules: digest, height: U256::from(9) },
        Action::CancelUpgrade { rules: digest },
        Action::SetGuardian(address(9)),
    ];
    for action in all {
        assert_eq!(Action::known(&action.written()), Some(action));
    }
    for nothing in [act(0, B256::ZERO, 0), act(4, B256::ZERO, 9), act(7, digest, 0)] {
        assert_eq!(Action::known(&nothing), None);
    }
    for vendor in Vendor::ALL {
        assert_eq!(Vendor::of_number(vendor.number()), Some(*vendor));
        assert_eq!(Vendor::ALL.iter().filter(|other| other.word() == vendor.word()).count(), 1);
    }
    assert_eq!(Vendor::of_number(0), None);
}

#[test]
fn rules_in_force_stay_in_force() {
    let mut stage = parliament();
    let rules = B256::repeat_byte(0x77);
    let height = stage.net.header.number + 110;
    let id = carried(&mut stage, vec![act(6, rules, height)]);
    assert!(execute(&mut stage, id).succeeded());
    while stage.net.header.number < height {
        stage.net.wait(0);
    }
    let error = IGovernance::UpgradeInForce { rules, height: U256::from(height) };
    refuses(&mut stage, 3, &proposal(vec![act(6, rules, height + 1_000)]), &error);
    refuses(&mut stage, 3, &proposal(vec![act(6, rules, 0)]), &error);
}

#[test]
fn a_proposal_is_done_whole_or_not_at_all() {
    let mut stage = parliament();
    let id = carried(&mut stage, vec![parameter(&parameters::LAZY_AUDIT_SHARE, 70_000), act(3, measurement(), 0)]);
    // The guardian was quicker: the second action can no longer be done.
    let revoke = IGovernance::revokeMeasurementCall { measurement: measurement() };
    assert!(send(&mut stage, GUARDIAN, &revoke).succeeded());
    refuses(&mut stage, 9, &IGovernance::executeCall { id }, &IGovernance::NotTrusted { subject: measurement() });
    assert_eq!(stage.ask(&IStaking::slashingTableCall {})[5].share, 50_000);
    assert_eq!(state(&stage, id), 4);
}

#[test]
fn the_rules_of_voting_change_for_later_proposals_only() {
    let mut stage = parliament();
    let id =
        carried(&mut stage, vec![parameter(&parameters::QUORUM, 800_000), parameter(&parameters::VOTING_DELAY, 7)]);
    let open = propose(&mut stage, 4, vec![parameter(&parameters::LAZY_AUDIT_SHARE, 70_000)]);
    assert!(execute(&mut stage, id).succeeded());
    assert_eq!(ask(&stage, &IGovernance::proposalCall { id: open }).quorum, 334_000);
    let later = propose(&mut stage, 5, vec![parameter(&parameters::LAZY_AUDIT_SHARE, 70_000)]);
    let record = ask(&stage, &IGovernance::proposalCall { id: later });
    assert_eq!((record.quorum, record.snapshot.to::<u64>()), (800_000, stage.net.header.timestamp + 7));
}

/// The same votes give the same bytes, for ever.
#[test]
fn a_history_of_governance_has_its_frozen_roots() {
    let mut stage = parliament();
    let mut lines = vec![format!("genesis {}", stage.net.world.root())];
    let height = stage.net.header.number + 200;
    let all = vec![
        parameter(&parameters::LAZY_AUDIT_SHARE, 70_000),
        act(2, B256::repeat_byte(0x32), 2),
        act(3, measurement(), 0),
        act(4, B256::ZERO, 2),
        act(5, B256::ZERO, 1),
        act(6, B256::repeat_byte(0x77), height),
        act(7, address(9).into_word(), 0),
    ];
    let id = carried(&mut stage, all);
    lines.push(format!("carried {}", stage.net.world.root()));
    assert!(execute(&mut stage, id).succeeded());
    lines.push(format!("executed {}", stage.net.world.root()));
    let id = propose(&mut stage, 4, vec![act(6, B256::repeat_byte(0x77), 0)]);
    assert!(send(&mut stage, 4, &IGovernance::cancelCall { id }).succeeded());
    lines.push(format!("canceled {}", stage.net.world.root()));
    assert_eq!(lines.join("\n") + "\n", include_str!("../vectors/governance.txt"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Whatever is moved, given away or slashed while a vote runs: no coin votes twice.
    #[test]
    fn no_coin_votes_twice(steps in prop::collection::vec((3_u64..8, 3_u64..8, 0_u8..3, 0_u8..6), 1..25)) {
        let mut stage = parliament();
        let id = propose(&mut stage, 3, vec![parameter(&parameters::LAZY_AUDIT_SHARE, 70_000)]);
        stage.net.wait(DELAY + 1);
        let snapshot = ask(&stage, &IGovernance::proposalCall { id }).snapshot.to::<U256>();
        for (from, to, support, way) in steps {
            match way {
                0 => drop(stage.send(from, &IStaking::delegateCall { node: worker() }, opgs(1_000))),
                1 => drop(stage.send(from, &IStaking::undelegateCall { node: worker(), coins: opgs(500) }, U256::ZERO)),
                2 => {
                    let call = IStakedVotes::delegateCall { delegatee: address(to) };
                    drop(stage.net.call(from, votes::ADDRESS, &call, U256::ZERO));
                }
                3 => drop(stage.slash(worker(), Offence::FalseVote, 0)),
                _ => drop(send(&mut stage, from, &IGovernance::castVoteCall { id, support })),
            }
            let record = ask(&stage, &IGovernance::proposalCall { id });
            let cast = record.votesFor + record.votesAgainst + record.votesAbstain;
            let all = IStakedVotes::getPastTotalSupplyCall { timepoint: snapshot };
            prop_assert!(cast <= stage.net.ask(votes::ADDRESS, &all).unwrap());
        }
        stage.sound();
    }
}
