//! Seats as the state keeps them: two terms ahead, by stake, for as long as anybody may be accused of what it did on one.
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]
#![allow(non_snake_case, reason = "fields are named as in Solidity")]

mod common;
mod stage;

use alloy_primitives::{B256, U256};
use common::{address, event, refused};
use evm::modules::seats::{ADDRESS, Holder, ISeats, holders_of};
use evm::modules::staking::{BeginTerm, IStaking, JailAbsent, Offence};
use protocol::Role;
use stage::{Stage, founded, id_of, opgs};

fn node(number: u8) -> B256 {
    id_of(B256::repeat_byte(0xb0 + number))
}

/// Five validators with equal stake.
fn five() -> Stage {
    let mut founding = stage::founding();
    founding.nodes =
        (0..5).map(|number| founded(address(number.into()), Role::Validator, 0xb0 + number, 10_000)).collect();
    Stage::with(founding)
}

fn seats(stage: &Stage, term: u32, number: u8) -> u32 {
    stage.net.ask(ADDRESS, &ISeats::seatsOfCall { term, node: node(number) }).unwrap()
}

fn all(stage: &Stage, term: u32) -> Vec<Holder> {
    let told = stage.net.ask(ADDRESS, &ISeats::holdersCall { term }).unwrap();
    let holders: Vec<Holder> =
        told.iter().map(|one| Holder { node: one.node, operator: one.operator, seats: one.seats }).collect();
    assert_eq!(holders_of(&stage.net.world, term).unwrap(), holders);
    holders
}

#[test]
fn a_network_begins_with_the_seats_of_three_terms() {
    let stage = five();
    for term in 0..3 {
        let holders = all(&stage, term);
        assert_eq!(holders.iter().map(|holder| holder.seats).sum::<u32>(), 64);
        assert!(holders.iter().all(|holder| (12..=13).contains(&holder.seats)));
        assert!(holders.is_sorted_by_key(|holder| holder.node));
    }
    assert_eq!(stage.net.ask(ADDRESS, &ISeats::decidedUntilCall {}).unwrap(), 2);
}

#[test]
fn stake_that_comes_now_sits_two_terms_later() {
    let mut stage = five();
    stage.told(9, &IStaking::delegateCall { node: node(0) }, opgs(30_000));
    let before = seats(&stage, 2, 0);
    let (_, logs) = stage.net.system(&BeginTerm).unwrap();
    let told: ISeats::SeatsDecided = event(&logs);
    assert_eq!((told.term, told.seats, told.holders, told.kept), (3, 64, 5, false));
    assert_eq!(seats(&stage, 2, 0), before);
    // Half of the stake, but no operator has more than a third of the seats.
    assert_eq!(seats(&stage, 3, 0), 21);
}

#[test]
fn who_is_jailed_or_has_left_gets_no_seat_and_keeps_those_that_it_was_told_of() {
    let mut stage = five();
    stage.net.does(&JailAbsent { node: node(4) });
    stage.terms(1);
    assert!(seats(&stage, 2, 4) > 0);
    assert_eq!(seats(&stage, 3, 4), 0);
    stage.told(4, &IStaking::unjailCall { node: node(4) }, U256::ZERO);
    stage.terms(1);
    assert!(seats(&stage, 4, 4) > 0);
    stage.slash(node(3), Offence::Equivocation, 0);
    stage.terms(1);
    assert_eq!(seats(&stage, 5, 3), 0);
}

#[test]
fn with_too_few_operators_the_committee_stays() {
    let mut stage = five();
    for number in 0..2 {
        stage.net.does(&JailAbsent { node: node(number) });
    }
    let before = all(&stage, 2);
    let (_, logs) = stage.net.system(&BeginTerm).unwrap();
    // Three operators cannot fill four seats if none may have more than a third.
    assert!(event::<ISeats::SeatsDecided>(&logs).kept);
    assert_eq!(all(&stage, 3), before);
}

#[test]
fn a_validator_that_the_rules_ask_more_of_fills_up_or_stands_no_more() {
    let mut stage = five();
    stage.told(0, &IStaking::delegateCall { node: node(0) }, opgs(10_000));
    stage.set("stake.self.validator", stage::units(20_000));
    stage.set("seats.minimum", 1);
    stage.terms(1);
    let holders = all(&stage, 3);
    assert_eq!(holders, [Holder { node: node(0), operator: address(0), seats: 1 }]);
    assert!(stage.node(node(1)).jailed);
    assert_eq!(stage.validators(), [node(0)]);
}

#[test]
fn terms_that_are_not_decided_or_forgotten_are_refused() {
    let mut stage = five();
    let ask = |term| ISeats::holdersCall { term };
    let receipt = stage.net.call(0, ADDRESS, &ask(3), U256::ZERO);
    refused(&receipt, &ISeats::TermUndecided { term: 3, last: 2 });
    stage.terms(70);
    assert_eq!(stage.net.ask(ADDRESS, &ISeats::decidedUntilCall {}).unwrap(), 72);
    let receipt = stage.net.call(0, ADDRESS, &ask(5), U256::ZERO);
    refused(&receipt, &ISeats::TermForgotten { term: 5, first: 6 });
    assert!(!all(&stage, 6).is_empty());
    assert_eq!(holders_of(&stage.net.world, 5).unwrap(), []);
    let receipt = stage.net.call(0, ADDRESS, &ISeats::seatsOfCall { term: 5, node: node(0) }, U256::ZERO);
    refused(&receipt, &ISeats::TermForgotten { term: 5, first: 6 });
}

#[test]
fn without_validators_there_is_no_committee() {
    let mut stage = Stage::with(evm::Founding::default());
    assert_eq!(all(&stage, 2), []);
    stage.terms(1);
    assert_eq!(all(&stage, 3), []);
}
