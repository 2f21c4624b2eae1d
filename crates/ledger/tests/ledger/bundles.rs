//! Bundles, checked the way a stranger would.

use crypto::{
    digest::Digest,
    history,
    merkle::{self, SumNode},
    threshold::GroupSignature,
};
use ledger::{BundleError, Ledger, RECENT_EPOCHS};
use protocol::{
    Action, Bundle, Canonical as _, Certificate, KeyRecord, Noun as _, ReceiptStatus, Standing,
    registry::state_key,
    transaction::{RotateKey, prove_possession},
};

use crate::base::{group_key, name};
use crate::world::{AUDITOR, CHAIN, VALIDATORS, WORKER, World, challenge, key, node, public, vote};

pub fn certificate(epoch: u64) -> Certificate {
    Certificate { epoch, signature: GroupSignature([0; 48]) }
}

/// Every proof of the bundle, from the receipt up to the record that a certificate would sign; and nothing is lost where it is written short.
pub fn proofs_hold(ledger: &Ledger, bundle: &Bundle) -> bool {
    let (record, inclusion) = (&bundle.as_of, &bundle.inclusion);
    let receipt = &bundle.receipt.receipt;
    let leaf = SumNode::leaf(&receipt.id(), receipt.charge);
    let siblings: Vec<_> = inclusion.path.iter().map(SumNode::from).collect();
    let root = merkle::climb(&leaf, inclusion.index, inclusion.epoch.receipts_count, &siblings).unwrap();
    let anchoring = &inclusion.epoch;
    let in_history = if anchoring.epoch == record.epoch {
        anchoring == record && bundle.history.is_empty()
    } else {
        history::climb(&anchoring.digest(), anchoring.epoch, record.epoch, &bundle.history) == Some(record.history_root)
    };
    let status_key = state_key::receipt(&receipt.id());
    let signing_key = state_key::signing_key(&receipt.worker_key);
    ledger.epoch(record.epoch).as_ref() == Some(record)
        && (root.digest, root.sum) == (anchoring.receipts_root, anchoring.receipts_sum)
        && in_history
        && bundle.status_proof.holds(&record.state_root, &status_key, Some(&bundle.status.encode()))
        && bundle.key_proof.holds(&record.state_root, &signing_key, Some(&bundle.key.encode()))
        && (bundle.status.receipt, bundle.key.key) == (receipt.id(), receipt.worker_key)
        && bundle.short().is_some_and(|short| short.whole().as_ref() == Ok(bundle))
}

fn bundled(world: &World, id: &Digest, as_of: u64) -> Bundle {
    let bundle = world.ledger.bundle(id, as_of, certificate(as_of), None).unwrap();
    assert!(proofs_hold(&world.ledger, &bundle));
    bundle
}

#[test]
fn a_bundle_carries_the_rotations_that_its_reader_needs() {
    let mut world = World::new();
    let answer = world.anchored(WORKER);
    for serial in 1..=3 {
        VALIDATORS[..3].iter().for_each(|seed| world.send(*seed, name(serial, serial as u8)).unwrap());
        world.next_epoch();
    }
    let as_of = world.ledger.closed_epoch().unwrap().epoch;
    let carried = |pinned: Option<u8>| {
        let pinned = pinned.map(group_key);
        let bundle = world.ledger.bundle(&answer.id(), as_of, certificate(as_of), pinned.as_ref()).unwrap();
        bundle.rotations.iter().map(|certified| certified.rotation.serial).collect::<Vec<_>>()
    };
    assert_eq!(carried(None), [2, 3], "for nobody in particular");
    assert_eq!(carried(Some(3)), [0; 0]);
    assert_eq!(carried(Some(2)), [3]);
    assert_eq!(carried(Some(1)), [2, 3]);
    assert_eq!(carried(Some(9)), [1, 2, 3], "the first key, or one of another network: the verifier tells");
}

#[test]
fn a_bundle_says_what_stood_at_each_epoch() {
    let mut world = World::new();
    world.epochs(3);
    let answer = world.anchored(WORKER);
    let other = world.anchored(WORKER);
    world.next_epoch();
    world.send(AUDITOR, challenge(&answer, true)).unwrap();
    world.next_epoch();
    VALIDATORS[..3].iter().for_each(|validator| world.send(*validator, vote(&answer, true)).unwrap());
    world.next_epoch();
    let standing = |as_of| bundled(&world, &answer.id(), as_of).status.standing;
    assert_eq!(standing(3), Standing::Anchored);
    assert_eq!(standing(4), Standing::Challenged);
    assert_eq!(standing(5), Standing::Refuted);
    let other = |as_of| bundled(&world, &other.id(), as_of).status.standing;
    assert_eq!((other(4), other(5)), (Standing::Anchored, Standing::Challenged), "its worker was slashed");
}

#[test]
fn what_happens_after_the_close_is_not_in_the_bundle() {
    let mut world = World::new();
    let answer = world.anchored(WORKER);
    world.next_epoch();
    world.send(AUDITOR, challenge(&answer, true)).unwrap();
    assert_eq!(world.ledger.status(&answer.id()).unwrap().standing, Standing::Challenged);
    assert_eq!(bundled(&world, &answer.id(), 0).status.standing, Standing::Anchored);
}

#[test]
fn a_bundle_shows_the_key_as_of_its_epoch() {
    let mut world = World::new();
    let answer = world.anchored(WORKER);
    world.next_epoch();
    let operator = WORKER + 100;
    let possession = prove_possession(&key(201), CHAIN, &public(operator));
    let rotation = Action::RotateKey(RotateKey { node: node(WORKER), key: public(201), possession });
    world.send(operator, rotation).unwrap();
    world.next_epoch();
    let until = |as_of| {
        let KeyRecord { valid_until, .. } = bundled(&world, &answer.id(), as_of).key;
        valid_until
    };
    assert_eq!((until(0), until(1)), (u64::MAX, 2 + ledger::Rules::default().retired_epochs()));
}

#[test]
fn a_bundle_that_cannot_be_made_is_refused_with_the_reason() {
    let mut world = World::new();
    world.next_epoch();
    let unknown = world.ledger.bundle(&Digest::ZERO, 0, certificate(0), None);
    assert_eq!(unknown, Err(BundleError::UnknownReceipt));
    let answer = world.anchored(WORKER);
    let bundle = |world: &World, as_of, epoch| world.ledger.bundle(&answer.id(), as_of, certificate(epoch), None);
    assert_eq!(bundle(&world, 0, 0), Err(BundleError::NotCovered { anchored: 1, as_of: 0 }));
    assert_eq!(bundle(&world, 1, 1), Err(BundleError::NotClosed { as_of: 1 }));
    world.next_epoch();
    assert_eq!(bundle(&world, 1, 2), Err(BundleError::WrongCertificate { found: 2, as_of: 1 }));
    world.epochs(RECENT_EPOCHS as u64 - 1);
    bundled(&world, &answer.id(), 1);
    world.next_epoch();
    assert_eq!(bundle(&world, 1, 1), Err(BundleError::TooOld { as_of: 1 }));
    assert_eq!(bundle(&world, 0, 0), Err(BundleError::TooOld { as_of: 0 }), "and not that it covers too little");
    bundled(&world, &answer.id(), 2);
}

#[test]
fn what_is_handed_out_is_the_short_bundle_and_none_where_the_records_are_of_another_receipt() {
    let mut world = World::new();
    let answer = world.anchored(WORKER);
    world.anchored(WORKER);
    world.next_epoch();
    let (status, as_of) = (world.ledger.status(&answer.id()).unwrap(), world.ledger.closed_epoch().unwrap().epoch);
    let short = |status| world.ledger.bundled(status, as_of, certificate(as_of)).unwrap().short(None);
    let right = short(status.clone()).unwrap();
    assert_eq!(right.whole(), Ok(bundled(&world, &answer.id(), as_of)));
    let other = ReceiptStatus { index: 1, ..status };
    assert_eq!(short(other), Err(BundleError::OtherRecords));
}
