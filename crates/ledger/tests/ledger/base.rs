//! The ledger and Base: what is sent there, what came back. That together they never have more than one supply, both sides show in
//! `devchain`'s tests.

use alloy_primitives::{Address, TxKind};
use alloy_sol_types::SolCall as _;
use crypto::threshold::{GroupKey, GroupSignature};
use evm::modules::bridge::IBridge;
use ledger::{BRIDGE, BundleError, Event, LOCKED, OPG, Refusal, address_of};
use protocol::{
    Action, Beneficiary, Burn, CertifiedRotation, Digest, EvmAddress, KeyRotation, List, Noun as _, Payout, PayoutKind,
    SettlementRecord,
    transaction::{NameKey, ReportBurns, Transfer},
};

use crate::{
    bundles::certificate,
    wallets::{WALLET, Wanted, payment, wallet},
    world::{ALICE, BOB, CHAIN, GATEWAY, VALIDATORS, World, public, restored},
};

/// What the test's genesis has on Base.
pub const BRIDGED: u128 = 500 * OPG;

fn sending(nonce: u64, to: EvmAddress, amount: u128) -> Vec<u8> {
    let input = IBridge::sendToBaseCall { to: Address::from(to.0) }.abi_encode().into();
    let to = TxKind::Call(Address::from(BRIDGE.0));
    Wanted { to, input, ..payment(WALLET, nonce, BRIDGE, amount) }.bytes()
}

fn mint(account: EvmAddress, amount: u128) -> Payout {
    Payout { kind: PayoutKind::Mint, account, amount }
}

pub fn burn(serial: u64, to: Beneficiary, amount: u128) -> Burn {
    Burn { serial, from: wallet(9), account: to.account(), amount }
}

pub fn to_bob(serial: u64, amount: u128) -> Burn {
    burn(serial, Beneficiary::Key(public(BOB)), amount)
}

pub fn report(burns: &[Burn]) -> Action {
    Action::ReportBurns(ReportBurns { burns: List::new(burns.to_vec()).unwrap() })
}

pub fn seen(world: &mut World, validators: &[u8], burns: &[Burn]) {
    validators.iter().for_each(|validator| world.send(*validator, report(burns)).unwrap());
}

pub fn group_key(seed: u8) -> GroupKey {
    GroupKey(blst::min_sig::SecretKey::key_gen(&[seed; 32], &[]).unwrap().sk_to_pk().compress())
}

/// The ledger takes what a quorum saw signed, whatever it is: these bytes name who is said to have signed.
pub fn name(serial: u64, seed: u8) -> Action {
    named_by(serial, seed, 0)
}

fn named_by(serial: u64, seed: u8, signer: u8) -> Action {
    Action::NameKey(NameKey { serial, key: group_key(seed), signature: GroupSignature([signer; 48]) })
}

#[test]
fn what_is_sent_to_base_is_settled_with_its_epoch_and_proven_to_its_payee() {
    let mut world = World::new();
    world.raw_block(vec![sending(0, wallet(5), 3 * OPG), sending(1, wallet(6), OPG), sending(2, wallet(5), 4 * OPG)]);
    assert_eq!(world.ledger.balance(&BRIDGE), BRIDGED + 8 * OPG);
    assert_eq!(world.ledger.bridge().owed, 8 * OPG);
    let closed = world.next_epoch();
    let settlement = world.ledger.settlements().next().unwrap().clone();
    assert_eq!((settlement.number, settlement.first_epoch, settlement.last_epoch), (0, 0, 0));
    assert_eq!((settlement.payouts_count, settlement.payouts_sum), (2, 8 * OPG));
    let mut expected = vec![mint(wallet(5), 7 * OPG), mint(wallet(6), OPG)];
    expected.sort_by_key(|payout| payout.account);
    assert_eq!(world.ledger.payouts(0).unwrap(), expected, "one a payee");
    let proven = world.ledger.prove_settlement(0, 0, certificate(0)).unwrap();
    assert_eq!((&proven.record, &proven.as_of), (&settlement, &closed));
    let key = SettlementRecord::state_key(0);
    assert!(proven.proof.holds(&closed.state_root, &key, Some(&protocol::Canonical::encode(&settlement))));
    let payouts = world.ledger.payouts_of(&wallet(5), 0, 10);
    assert_eq!(payouts.len(), 1);
    assert!(payouts[0].holds(&settlement) && payouts[0].payout == mint(wallet(5), 7 * OPG));
    assert_eq!(world.ledger.payouts_of(&wallet(5), 1, 10), []);
    assert_eq!((world.ledger.bridge().owed, world.ledger.credits().count()), (0, 0));
}

#[test]
fn settlements_follow_each_other_and_epochs_that_owe_nothing_make_none() {
    let mut world = World::new();
    world.epochs(3);
    assert_eq!(world.ledger.settlements().count(), 0);
    world.raw_block(vec![sending(0, wallet(5), OPG)]);
    world.epochs(4);
    world.raw_block(vec![sending(1, wallet(5), OPG)]);
    world.next_epoch();
    let made: Vec<_> = world.ledger.settlements().cloned().collect();
    let epochs: Vec<_> = made.iter().map(|record| (record.number, record.first_epoch, record.last_epoch)).collect();
    assert_eq!(epochs, [(0, 0, 3), (1, 4, 7)]);
    assert_eq!(made[1].previous, made[0].digest());
    let newest = world.ledger.prove_settlement(0, 7, certificate(7)).unwrap();
    assert_eq!(newest.record, made[0], "any later epoch proves it");
    let early = world.ledger.prove_settlement(1, 6, certificate(6));
    assert_eq!(early, Err(BundleError::UnknownReceipt));
    assert_eq!(
        world.ledger.prove_settlement(1, 7, certificate(6)),
        Err(BundleError::WrongCertificate { found: 6, as_of: 7 })
    );
}

#[test]
fn a_burn_is_credited_once_a_quorum_has_seen_it_and_in_the_order_of_base() {
    let mut world = World::new();
    let burns = [to_bob(0, OPG), burn(1, Beneficiary::Wallet(wallet(7)), 2 * OPG)];
    let before = world.ledger.balance(&address_of(&public(BOB)));
    seen(&mut world, &VALIDATORS[..3], &burns[1..]);
    assert_eq!(world.ledger.bridge().burns, 0, "the one before is missing");
    seen(&mut world, &VALIDATORS[..2], &burns[..1]);
    assert_eq!(world.ledger.bridge().burns, 0, "two of four are no quorum");
    let (result, events) = world.tell(VALIDATORS[3], report(&burns));
    result.unwrap();
    let credited = |serial, to, amount| Event::BurnCredited { serial, to, amount };
    let expected = [credited(0, address_of(&public(BOB)), OPG), credited(1, wallet(7), 2 * OPG)];
    assert_eq!(events, expected);
    assert_eq!(world.ledger.balance(&address_of(&public(BOB))), before + OPG);
    assert_eq!(world.ledger.balance(&wallet(7)), 2 * OPG);
    assert_eq!(world.ledger.balance(&BRIDGE), BRIDGED - 3 * OPG);
    assert_eq!((world.ledger.bridge().burns, world.ledger.burns().count()), (2, 0));
    world.next_epoch();
    let told = world.ledger.settlements().next().unwrap();
    let chained = burns[1].chained(&burns[0].chained(&Digest::ZERO));
    assert_eq!((told.burns, told.burns_digest, told.payouts_count), (2, chained, 0));
}

#[test]
fn a_liar_among_the_validators_neither_invents_a_burn_nor_keeps_one_away() {
    let mut world = World::new();
    world.send(VALIDATORS[0], report(&[to_bob(0, 400 * OPG)])).unwrap();
    seen(&mut world, &VALIDATORS[1..], &[to_bob(0, OPG)]);
    assert_eq!(world.ledger.balance(&BRIDGE), BRIDGED - OPG);
    assert_eq!(world.ledger.burns().count(), 0, "what was invented is forgotten");
    assert_eq!(world.send(VALIDATORS[0], report(&[to_bob(0, 400 * OPG)])), Err(Refusal::BurnsReported));
}

#[test]
fn a_validators_newest_word_counts_because_base_may_take_a_block_back() {
    let mut world = World::new();
    seen(&mut world, &VALIDATORS[..2], &[to_bob(0, 5 * OPG)]);
    seen(&mut world, &VALIDATORS[..2], &[to_bob(0, OPG)]);
    assert_eq!(world.ledger.burns().count(), 1);
    seen(&mut world, &VALIDATORS[2..3], &[to_bob(0, OPG)]);
    assert_eq!(world.ledger.balance(&BRIDGE), BRIDGED - OPG);
}

#[test]
fn what_was_burnt_for_nobody_is_burnt_here_too() {
    let mut world = World::new();
    let burned = world.ledger.burned();
    for (serial, nobody) in [LOCKED, BRIDGE].into_iter().enumerate() {
        seen(&mut world, &VALIDATORS[..3], &[burn(serial as u64, Beneficiary::Wallet(nobody), OPG)]);
    }
    assert_eq!((world.ledger.burned(), world.ledger.balance(&BRIDGE)), (burned + 2 * OPG, BRIDGED - 2 * OPG));
}

#[test]
fn more_than_is_locked_is_never_given_out_whoever_says_so() {
    let mut world = World::new();
    seen(&mut world, &VALIDATORS, &[to_bob(0, BRIDGED + 1)]);
    assert_eq!((world.ledger.bridge().burns, world.ledger.balance(&BRIDGE)), (0, BRIDGED));
}

#[test]
fn reports_that_say_nothing_or_too_much_are_refused_by_name() {
    let mut world = World::new();
    let refused = |world: &mut World, who, burns: &[Burn]| world.send(who, report(burns)).unwrap_err();
    let first = VALIDATORS[0];
    assert_eq!(refused(&mut world, first, &[]), Refusal::NoBurns);
    assert_eq!(refused(&mut world, first, &[to_bob(0, 0)]), Refusal::NotABurn { serial: 0 });
    let nobody = Burn { account: Digest::ZERO, ..to_bob(0, 1) };
    assert_eq!(refused(&mut world, first, &[nobody]), Refusal::NotABurn { serial: 0 });
    let far = Refusal::BurnTooFar { serial: 256, next: 0, limit: 256 };
    assert_eq!(refused(&mut world, first, &[to_bob(256, 1)]), far);
    let twice = [to_bob(3, 1), to_bob(3, 2)];
    assert_eq!(refused(&mut world, first, &twice), Refusal::RepeatedBurn { serial: 3 });
    world.send(first, report(&[to_bob(0, 1)])).unwrap();
    assert_eq!(refused(&mut world, first, &[to_bob(0, 1)]), Refusal::BurnsReported);
    let gateway = refused(&mut world, GATEWAY, &[to_bob(0, 1)]);
    assert!(matches!(gateway, Refusal::WrongRole { .. }));
    assert_eq!(refused(&mut world, ALICE, &[to_bob(0, 1)]), Refusal::UnknownKey);
    let transfer = Action::Transfer(Transfer { to: BRIDGE, amount: 1 });
    assert_eq!(world.send(ALICE, transfer), Err(Refusal::Receiver(BRIDGE)));
}

#[test]
fn a_quorum_names_the_networks_next_key_and_the_state_says_so_for_ever() {
    let mut world = World::new();
    world.send(VALIDATORS[0], name(1, 9)).unwrap();
    assert_eq!(world.send(VALIDATORS[0], name(1, 9)), Err(Refusal::AlreadyVoted));
    assert_eq!(world.ledger.named_keys().count(), 1);
    world.send(VALIDATORS[0], name(1, 8)).unwrap();
    let named: Vec<_> = world.ledger.named_keys().map(|row| row.rotation.rotation.key).collect();
    assert_eq!(named, [group_key(8)], "what nobody names any more is forgotten");
    world.send(VALIDATORS[1], name(1, 8)).unwrap();
    world.send(VALIDATORS[3], named_by(1, 8, 1)).unwrap();
    assert_eq!(world.ledger.bridge().rotations, 0, "the same key with another signature is another word");
    let (_, events) = world.tell(VALIDATORS[2], name(1, 8));
    assert_eq!(events, [Event::KeyNamed { serial: 1 }]);
    assert_eq!(world.ledger.named_keys().count(), 0);
    let rotation = KeyRotation { version: protocol::Version, chain_id: CHAIN, serial: 1, key: group_key(8) };
    let certified = CertifiedRotation { rotation, signature: GroupSignature([0; 48]) };
    assert_eq!(world.ledger.rotations().collect::<Vec<_>>(), [&certified]);
    world.next_epoch();
    let late = Refusal::RotationNotNext { found: 1, expected: 2 };
    assert_eq!(world.send(VALIDATORS[3], name(1, 8)), Err(late));
    let signature = GroupSignature([0; 48]);
    let no_key = Action::NameKey(NameKey { serial: 2, key: GroupKey([0; 96]), signature });
    assert_eq!(world.send(VALIDATORS[3], no_key), Err(Refusal::NotAGroupKey));
    world.send(VALIDATORS[3], name(2, 7)).unwrap();
}

#[test]
fn a_restart_in_the_middle_of_everything_changes_nothing() {
    let mut world = World::new();
    world.raw_block(vec![sending(0, wallet(5), 3 * OPG)]);
    seen(&mut world, &VALIDATORS[..3], &[to_bob(0, OPG)]);
    seen(&mut world, &VALIDATORS[..2], &[to_bob(1, OPG)]);
    world.send(VALIDATORS[0], name(1, 8)).unwrap();
    world.next_epoch();
    world.raw_block(vec![sending(1, wallet(5), 2 * OPG)]);
    let bytes = world.ledger.snapshot_bytes().unwrap();
    let mut ledger = restored(&bytes, &world.ledger).unwrap();
    assert_eq!(ledger.snapshot_bytes().unwrap(), bytes);
    seen(&mut world, &VALIDATORS[2..3], &[to_bob(1, OPG)]);
    world.epochs(2);
    for block in &world.blocks {
        ledger.execute(block).unwrap();
    }
    assert_eq!(ledger.snapshot_bytes(), world.ledger.snapshot_bytes());
    assert_eq!(ledger.payouts_of(&wallet(5), 0, 9), world.ledger.payouts_of(&wallet(5), 0, 9));
    assert_eq!(ledger.bridge().settlements, 2);
}
