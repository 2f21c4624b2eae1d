//! Votes of staked OPG: whose they are, what a slash does to them, and what was true at a second that is over.
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]
#![allow(non_snake_case, reason = "fields are named as in Solidity")]

mod common;
mod stage;

use alloy_primitives::{Address, U256};
use alloy_sol_types::{Eip712Domain, SolEvent as _, SolStruct as _, sol};
use common::{CHAIN, address, refused, sign_digest};
use evm::modules::staking::{self, IStakedVotes, IStaking, Offence};
use evm::modules::votes::ADDRESS;
use proptest::prelude::*;
use protocol::Role;
use stage::{Stage, WORKER, founded, opgs, validator, worker};

fn votes(stage: &Stage, account: Address) -> U256 {
    stage.net.ask(ADDRESS, &IStakedVotes::getVotesCall { account }).unwrap()
}

fn votes_at(stage: &Stage, account: Address, timepoint: u64) -> U256 {
    let timepoint = U256::from(timepoint);
    stage.net.ask(ADDRESS, &IStakedVotes::getPastVotesCall { account, timepoint }).unwrap()
}

fn all_at(stage: &Stage, timepoint: u64) -> U256 {
    let timepoint = U256::from(timepoint);
    stage.net.ask(ADDRESS, &IStakedVotes::getPastTotalSupplyCall { timepoint }).unwrap()
}

fn give(stage: &mut Stage, from: u64, delegatee: Address) {
    let receipt = stage.net.call(from, ADDRESS, &IStakedVotes::delegateCall { delegatee }, U256::ZERO);
    assert!(receipt.succeeded(), "{receipt:?}");
}

#[test]
fn stake_votes_itself_until_its_votes_are_given_away() {
    let mut stage = Stage::new();
    stage.told(3, &IStaking::delegateCall { node: worker() }, opgs(10));
    stage.told(3, &IStaking::delegateCall { node: validator() }, opgs(5));
    assert_eq!(votes(&stage, address(3)), opgs(15));
    assert_eq!(stage.net.ask(ADDRESS, &IStakedVotes::delegatesCall { account: address(3) }).unwrap(), address(3));
    give(&mut stage, 3, address(9));
    assert_eq!((votes(&stage, address(3)), votes(&stage, address(9))), (U256::ZERO, opgs(15)));
    assert_eq!(stage.net.ask(ADDRESS, &IStakedVotes::delegatesCall { account: address(3) }).unwrap(), address(9));
    // What comes later follows, and what leaves is lost to both.
    stage.told(3, &IStaking::delegateCall { node: worker() }, opgs(2));
    stage.told(3, &IStaking::undelegateCall { node: validator(), coins: opgs(4) }, U256::ZERO);
    assert_eq!(votes(&stage, address(9)), opgs(13));
    give(&mut stage, 3, Address::ZERO);
    assert_eq!((votes(&stage, address(3)), votes(&stage, address(9))), (opgs(13), U256::ZERO));
}

#[test]
fn a_change_of_voter_is_told_and_so_are_the_shares_that_it_moves() {
    let mut stage = Stage::new();
    let call = IStakedVotes::delegateCall { delegatee: address(9) };
    let receipt = stage.net.call(WORKER, ADDRESS, &call, U256::ZERO);
    assert!(receipt.logs().iter().all(|log| log.address == ADDRESS));
    let moved: Vec<_> =
        receipt.logs().iter().filter_map(|log| IStakedVotes::DelegateSharesChanged::decode_log(log).ok()).collect();
    let told: Vec<_> = moved.iter().map(|log| (log.delegate, log.previousShares, log.newShares)).collect();
    assert_eq!(told, [(address(WORKER), opgs(1_000), U256::ZERO), (address(9), U256::ZERO, opgs(1_000))]);
    let changed: IStakedVotes::DelegateChanged = common::event(receipt.logs());
    let expected = (address(WORKER), address(WORKER), address(9));
    assert_eq!((changed.delegator, changed.fromDelegate, changed.toDelegate), expected);
}

sol! {
    struct Delegation {
        address delegatee;
        uint256 nonce;
        uint256 expiry;
    }
}

/// The call of a delegation that `signer` signed for the contract at `contract`.
fn signed(signer: u64, nonce: u64, expiry: u64, contract: Address) -> IStakedVotes::delegateBySigCall {
    let (name, version) = (Some("OpenGradient".into()), Some("1".into()));
    let domain = Eip712Domain::new(name, version, Some(U256::from(CHAIN.id)), Some(contract), None);
    let (delegatee, nonce, expiry) = (address(9), U256::from(nonce), U256::from(expiry));
    let signature = sign_digest(signer, Delegation { delegatee, nonce, expiry }.eip712_signing_hash(&domain));
    let v = 27 + u8::from(signature.v());
    IStakedVotes::delegateBySigCall { delegatee, nonce, expiry, v, r: signature.r().into(), s: signature.s().into() }
}

#[test]
fn votes_are_given_away_by_signature_once_and_in_time() {
    let mut stage = Stage::new();
    stage.told(3, &IStaking::delegateCall { node: worker() }, opgs(10));
    let late = u64::MAX;
    // Somebody else sends it and pays for it.
    let good = signed(3, 0, late, ADDRESS);
    assert!(stage.net.call(7, ADDRESS, &good, U256::ZERO).succeeded());
    assert_eq!((votes(&stage, address(3)), votes(&stage, address(9))), (U256::ZERO, opgs(10)));
    assert_eq!(stage.net.ask(ADDRESS, &IStakedVotes::noncesCall { owner: address(3) }).unwrap(), U256::ONE);
    let again = IStakedVotes::InvalidAccountNonce { account: address(3), currentNonce: U256::ONE };
    refused(&stage.net.call(7, ADDRESS, &good, U256::ZERO), &again);
    let past = signed(3, 1, 1, ADDRESS);
    let expired = IStakedVotes::VotesExpiredSignature { expiry: U256::ONE };
    refused(&stage.net.call(7, ADDRESS, &past, U256::ZERO), &expired);
    let broken = IStakedVotes::delegateBySigCall { v: 26, ..signed(3, 1, late, ADDRESS) };
    refused(&stage.net.call(7, ADDRESS, &broken, U256::ZERO), &IStakedVotes::InvalidSignature {});
}

#[test]
fn a_delegation_that_was_signed_for_another_contract_moves_no_votes_of_its_signers() {
    let mut stage = Stage::new();
    stage.told(3, &IStaking::delegateCall { node: worker() }, opgs(10));
    // To this contract it is the signature of somebody who has no votes.
    let receipt = stage.net.call(7, ADDRESS, &signed(3, 0, u64::MAX, staking::ADDRESS), U256::ZERO);
    assert!(receipt.succeeded());
    assert_eq!((votes(&stage, address(3)), votes(&stage, address(9))), (opgs(10), U256::ZERO));
    assert_eq!(stage.net.ask(ADDRESS, &IStakedVotes::noncesCall { owner: address(3) }).unwrap(), U256::ZERO);
    let domain = stage.net.ask(ADDRESS, &IStakedVotes::eip712DomainCall {}).unwrap();
    assert_eq!((domain.name.as_str(), domain.version.as_str()), ("OpenGradient", "1"));
    assert_eq!((domain.chainId, domain.verifyingContract), (U256::from(CHAIN.id), ADDRESS));
}

#[test]
fn what_a_slash_took_does_not_vote_whoever_votes_with_it() {
    let mut stage = Stage::new();
    stage.told(3, &IStaking::delegateCall { node: worker() }, opgs(10));
    stage.told(4, &IStaking::delegateCall { node: worker() }, opgs(20));
    give(&mut stage, 4, address(9));
    stage.slash(worker(), Offence::RefutedReceipt, 0);
    assert_eq!((votes(&stage, address(3)), votes(&stage, address(9))), (opgs(5), opgs(10)));
    stage.slash(worker(), Offence::Equivocation, 0);
    assert_eq!((votes(&stage, address(3)), votes(&stage, address(9))), (U256::ZERO, U256::ZERO));
}

#[test]
fn the_past_stays_as_it_was() {
    let mut stage = Stage::new();
    let start = stage.net.header.timestamp;
    stage.told(3, &IStaking::delegateCall { node: worker() }, opgs(10));
    let joined = stage.net.header.timestamp;
    stage.net.wait(100);
    stage.slash(worker(), Offence::RefutedReceipt, 0);
    let slashed = stage.net.header.timestamp;
    stage.told(3, &IStaking::undelegateCall { node: worker(), coins: U256::MAX }, U256::ZERO);
    stage.net.wait(100);
    let seen = [start, joined, joined + 50, slashed, slashed + 50].map(|at| votes_at(&stage, address(3), at));
    assert_eq!(seen, [U256::ZERO, opgs(10), opgs(10), opgs(5), U256::ZERO]);
    let all = [start, joined, slashed, slashed + 50].map(|at| all_at(&stage, at));
    assert_eq!(all, [opgs(11_000), opgs(11_010), opgs(10_505), opgs(10_500)]);
    assert_eq!(all_at(&stage, start - 1), U256::ZERO);
}

#[test]
fn a_second_that_is_not_over_has_no_past() {
    let mut stage = Stage::new();
    let clock = stage.net.header.timestamp + 1;
    let timepoint = U256::from(clock);
    let error = IStakedVotes::ERC5805FutureLookup { timepoint, clock: alloy_primitives::Uint::from(clock) };
    let account = address(3);
    let receipt = stage.net.call(3, ADDRESS, &IStakedVotes::getPastVotesCall { account, timepoint }, U256::ZERO);
    refused(&receipt, &error);
    let clock = stage.net.header.timestamp + 1;
    let timepoint = U256::from(clock);
    let error = IStakedVotes::ERC5805FutureLookup { timepoint, clock: alloy_primitives::Uint::from(clock) };
    let receipt = stage.net.call(3, ADDRESS, &IStakedVotes::getPastTotalSupplyCall { timepoint }, U256::ZERO);
    refused(&receipt, &error);
    let told = stage.net.ask(ADDRESS, &IStakedVotes::clockCall {}).unwrap();
    assert_eq!(told.to::<u64>(), stage.net.header.timestamp);
    assert_eq!(stage.net.ask(ADDRESS, &IStakedVotes::CLOCK_MODECall {}).unwrap(), "mode=timestamp");
}

/// A hundred and twenty-nine workers of five operators, founded with the least stake that the bounds allow.
fn crowd() -> Stage {
    let mut founding = stage::founding();
    let set = |name: &str| evm::modules::parameters::SetParameter { name: name.to_owned(), value: stage::units(1) };
    founding.parameters.push(set("stake.self.worker"));
    for number in 0..129_u8 {
        let operator = address(4 + u64::from(number) / 28);
        founding.nodes.push(founded(operator, Role::Worker, number, 1));
    }
    Stage::with(founding)
}

#[test]
fn others_can_give_votes_at_a_bounded_number_of_nodes_and_ones_own_stake_still_has_room() {
    let mut stage = crowd();
    for from in 4..8 {
        give(&mut stage, from, address(3));
    }
    // 112 of 28 each; the next seventeen are one too many.
    let call = IStakedVotes::delegateCall { delegatee: address(3) };
    let receipt = stage.net.call(8, ADDRESS, &call, U256::ZERO);
    refused(&receipt, &IStakedVotes::TooManyNodes { delegate: address(3), most: U256::from(128) });
    assert_eq!(votes(&stage, address(3)), opgs(112));
    for number in 112..129_u8 {
        let node = stage::id_of(alloy_primitives::B256::repeat_byte(number));
        stage.told(3, &IStaking::delegateCall { node }, opgs(1));
    }
    assert_eq!(votes(&stage, address(3)), opgs(129));
    // What nobody can ask about any more makes room.
    give(&mut stage, 4, Address::ZERO);
    let receipt = stage.net.call(8, ADDRESS, &call, U256::ZERO);
    assert!(receipt.succeeded(), "at the nodes of 8 it has votes already");
    stage.net.wait(121 * 86_400);
    let fresh = stage::id_of(alloy_primitives::B256::repeat_byte(0xa1));
    stage.told(9, &IStaking::delegateCall { node: fresh }, opgs(1));
    give(&mut stage, 9, address(3));
    assert_eq!(votes(&stage, address(3)), opgs(129 + 17 - 28 + 1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// All votes together are all stake, but for what rounds down; whoever votes with what.
    #[test]
    fn votes_add_up_to_the_stake(steps in prop::collection::vec((1_u64..6, 0_u64..8, 0_u64..40, any::<bool>(), 0_u8..6), 1..30)) {
        let mut stage = Stage::new();
        for (from, to, amount, other, way) in steps {
            let node = if other { worker() } else { validator() };
            match way {
                0 | 1 => drop(stage.send(from, &IStaking::delegateCall { node }, opgs(amount))),
                2 => drop(stage.send(from, &IStaking::undelegateCall { node, coins: opgs(amount) }, U256::ZERO)),
                3 => {
                    let (from_node, to_node) = if other { (worker(), validator()) } else { (validator(), worker()) };
                    let call = IStaking::redelegateCall { from: from_node, to: to_node, coins: opgs(amount) };
                    drop(stage.send(from, &call, U256::ZERO));
                }
                4 => drop(stage.slash(node, Offence::FalseVote, 0)),
                _ => give(&mut stage, from, address(to)),
            }
            let sum = (0..12).map(|number| votes(&stage, address(number))).fold(U256::ZERO, |sum, votes| sum + votes);
            let bonded = stage.totals().bonded;
            prop_assert!(sum <= bonded && bonded - sum < U256::from(24), "{} of {}", sum, bonded);
        }
        let at = stage.net.header.timestamp;
        let now: Vec<U256> = (0..12).map(|number| votes(&stage, address(number))).collect();
        stage.net.wait(5);
        let then: Vec<U256> = (0..12).map(|number| votes_at(&stage, address(number), at)).collect();
        prop_assert_eq!(now, then);
    }
}
