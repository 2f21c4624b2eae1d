//! What `verify` says about the ledger's bundles, with a certificate as the validators would make it.

use blst::min_sig::SecretKey;
use crypto::threshold::{GroupKey, GroupSignature};
use ledger::{Ledger, Rules};
use protocol::{
    Action, Canonical as _, Certificate, Noun as _, Text, Trust, Version,
    epoch::certificate_namespace,
    transaction::{RotateKey, prove_possession},
};
use verify::{Report, verify};

use crate::world::{
    AUDITOR, Answer, CHAIN, OTHER_AUDITOR, VALIDATORS, WORKER, World, challenge, key, node, public, report, vote,
};

const HELD: u8 = 0;
const REFUSED: u8 = 1;
const COULD_NOT_TELL: u8 = 2;

fn network_key() -> SecretKey {
    SecretKey::key_gen(&[5; 32], &[]).unwrap()
}

/// The signature of a quorum, by the key that their shares add up to.
pub fn certified(ledger: &Ledger, epoch: u64) -> Certificate {
    let namespace = certificate_namespace(CHAIN);
    let digest = ledger.epoch(epoch).unwrap().digest();
    let signed = [&[namespace.len() as u8], namespace.as_bytes(), &digest.0].concat();
    let signature = network_key().sign(&signed, b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_", &[]);
    Certificate { epoch, signature: GroupSignature(signature.compress()) }
}

/// What pins that key.
pub fn trust() -> Trust {
    let network_key = GroupKey(network_key().sk_to_pk().compress());
    Trust { version: Version, network: Text::new("test").unwrap(), chain_id: CHAIN, network_key }
}

fn verified(world: &World, answer: &Answer) -> Report {
    let epoch = world.ledger.closed_epoch().unwrap().epoch;
    let bundle = world.ledger.bundle(&answer.id(), epoch, certified(&world.ledger, epoch), None).unwrap();
    verify(&bundle, &trust())
}

#[track_caller]
fn expect(world: &World, answer: &Answer, exit: u8) {
    let report = verified(world, answer);
    assert_eq!(report.exit_code(), exit, "{}", report.lines().join("\n"));
}

#[test]
fn a_receipt_holds_as_soon_as_its_window_is_closed() {
    let mut world = World::new();
    world.epochs(3);
    let answer = world.anchored(WORKER);
    for _ in 0..15 {
        world.next_epoch();
        expect(&world, &answer, COULD_NOT_TELL);
    }
    world.next_epoch();
    expect(&world, &answer, HELD);
    world.epochs(40);
    expect(&world, &answer, HELD);
}

#[test]
fn a_refuted_receipt_is_refused_from_the_verdicts_epoch_on() {
    let mut world = World::new();
    let answer = world.challenged();
    world.next_epoch();
    expect(&world, &answer, COULD_NOT_TELL);
    VALIDATORS[..3].iter().for_each(|validator| world.send(*validator, vote(&answer, true)).unwrap());
    world.next_epoch();
    expect(&world, &answer, REFUSED);
    world.epochs(30);
    expect(&world, &answer, REFUSED);
}

#[test]
fn a_withheld_receipt_is_refused() {
    let mut world = World::new();
    let answer = world.anchored(WORKER);
    world.send(AUDITOR, challenge(&answer, false)).unwrap();
    world.epochs(6);
    expect(&world, &answer, REFUSED);
}

#[test]
fn an_audited_and_an_upheld_receipt_hold() {
    let mut world = World::new();
    let (audited, upheld) = (world.anchored(WORKER), world.anchored(WORKER));
    world.send(OTHER_AUDITOR, report(&audited)).unwrap();
    world.send(AUDITOR, challenge(&upheld, true)).unwrap();
    VALIDATORS[..3].iter().for_each(|validator| world.send(*validator, vote(&upheld, false)).unwrap());
    world.epochs(16);
    expect(&world, &audited, HELD);
    expect(&world, &upheld, HELD);
}

#[test]
fn an_undecided_challenge_keeps_a_receipt_from_ever_holding() {
    let mut world = World::with(Rules { vote_epochs: 20, ..Rules::default() });
    let answer = world.challenged();
    for _ in 0..40 {
        world.next_epoch();
        expect(&world, &answer, COULD_NOT_TELL);
    }
    assert_eq!(world.ledger.challenges().count(), 0, "the challenge lapsed");
}

#[test]
fn a_receipt_that_comes_after_its_key_was_retired_holds_and_one_that_comes_too_late_is_not_anchored() {
    let mut world = World::with(Rules { receipt_age_ms: 10_000, ..Rules::default() });
    let answer = world.answer(WORKER);
    let operator = WORKER + 100;
    let possession = prove_possession(&key(201), CHAIN, &public(operator));
    let rotation = RotateKey { node: node(WORKER), key: public(201), possession };
    world.send(operator, Action::RotateKey(rotation)).unwrap();
    world.epochs(10);
    world.posting(&answer.signed).unwrap();
    world.epochs(16);
    expect(&world, &answer, HELD);
    // The key's whole interval is over by now, and what was anchored in it holds for ever.
    assert!(world.ledger.key(&public(WORKER)).unwrap().valid_until < world.ledger.open_epoch());
    let bundle_epoch = world.ledger.closed_epoch().unwrap().epoch;
    let bundle = world.ledger.bundle(&answer.id(), bundle_epoch, certified(&world.ledger, bundle_epoch), None).unwrap();
    // Whoever shows a key that ended before the anchoring is refused, not believed and no panic.
    let mut early = bundle.clone();
    early.key.valid_until = early.inclusion.epoch.epoch;
    let network_key = GroupKey(network_key().sk_to_pk().compress());
    let trust = Trust { version: Version, network: Text::new("test").unwrap(), chain_id: CHAIN, network_key };
    assert_eq!(verify(&early, &trust).exit_code(), REFUSED);
    assert!(bundle.encode().len() < 4_096, "{}", bundle.encode().len());
}
