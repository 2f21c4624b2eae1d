//! Snapshots: a restarted ledger is the one that never stopped, and a damaged file is none.

use crypto::{Digest, hash};
use ledger::{Ledger, RECENT_EPOCHS, RestoreError, Rules};
use protocol::Standing;

use crate::{
    bundles::{certificate, proofs_hold},
    world::{
        ALICE, AUDITOR, Answer, OTHER_AUDITOR, OTHER_WORKER, VALIDATORS, WORKER, World, challenge, genesis, report,
        respond, restored, vote,
    },
};

/// Something of everything: open and answered challenges, reports, verdicts, an equivocation.
fn eventful() -> (World, Vec<Answer>) {
    let mut world = World::new();
    let answers: Vec<_> = (0..6).map(|_| world.anchored(OTHER_WORKER)).collect();
    world.send(OTHER_AUDITOR, report(&answers[0])).unwrap();
    world.send(AUDITOR, challenge(&answers[1], true)).unwrap();
    world.next_epoch();
    world.send(AUDITOR, challenge(&answers[2], false)).unwrap();
    world.send(VALIDATORS[0], vote(&answers[1], false)).unwrap();
    let worker = world.anchored(WORKER);
    world.posting(&worker.changed(WORKER, |receipt| receipt.output_tokens += 1)).unwrap_err();
    world.next_epoch();
    // After the close, hence not in the snapshot:
    world.send(OTHER_WORKER, respond(&answers[2])).unwrap();
    VALIDATORS[1..3].iter().for_each(|validator| world.send(*validator, vote(&answers[1], false)).unwrap());
    world.send(AUDITOR, challenge(&answers[3], true)).unwrap();
    (world, answers)
}

/// Executes again what came after the snapshot.
fn caught_up(bytes: &[u8], world: &World) -> Ledger {
    let mut ledger = restored(bytes, &world.ledger).unwrap();
    for block in &world.blocks {
        ledger.execute(block).unwrap();
    }
    ledger
}

#[test]
fn a_restored_ledger_is_the_one_that_never_stopped() {
    let (mut world, answers) = eventful();
    let bytes = world.ledger.snapshot_bytes().unwrap();
    let restored = restored(&bytes, &world.ledger).unwrap();
    assert_eq!(restored.height(), world.ledger.closed_epoch().unwrap().last_height);
    assert_eq!(restored.snapshot_bytes().unwrap(), bytes);
    assert_eq!(restored.genesis(), world.ledger.genesis());
    assert_eq!(restored.open_challenges().len(), 2);
    let mut ledger = caught_up(&bytes, &world);
    for _ in 0..30 {
        world.next_epoch();
        let closed = ledger.execute(world.blocks.last().unwrap()).unwrap().unwrap().closed;
        assert_eq!(closed.as_ref(), world.ledger.closed_epoch());
    }
    assert_eq!(ledger.snapshot_bytes(), world.ledger.snapshot_bytes());
    assert_eq!(ledger.status(&answers[1].id()).unwrap().standing, Standing::Upheld);
}

#[test]
fn a_restored_ledger_proves_as_of_the_same_epochs() {
    let (mut world, answers) = eventful();
    world.epochs(RECENT_EPOCHS as u64 + 3);
    let restored = restored(&world.ledger.snapshot_bytes().unwrap(), &world.ledger).unwrap();
    let newest = world.ledger.closed_epoch().unwrap().epoch;
    for as_of in 0..=newest {
        let of = |ledger: &Ledger| ledger.bundle(&answers[0].id(), as_of, certificate(as_of), None);
        let (here, there) = (of(&world.ledger), of(&restored));
        assert_eq!(here, there);
        assert_eq!(here.is_ok(), as_of + RECENT_EPOCHS as u64 > newest, "{as_of} of {newest}");
        assert!(here.is_err() || proofs_hold(&restored, &here.unwrap()));
    }
}

#[test]
fn there_is_no_snapshot_before_the_first_close() {
    let mut world = World::new();
    assert_eq!(world.ledger.snapshot_bytes(), None);
    world.next_epoch();
    let bytes = world.ledger.snapshot_bytes().unwrap();
    assert_eq!(restored(&bytes, &world.ledger).unwrap().height(), 0);
    let other = Ledger::new(&genesis(Rules { vote_epochs: 1, ..Rules::default() })).unwrap();
    assert_ne!(restored(&bytes, &world.ledger).unwrap().genesis(), other.genesis());
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let (world, _) = eventful();
    let bytes = world.ledger.snapshot_bytes().unwrap();
    let refused = |bytes: &[u8]| restored(bytes, &world.ledger).unwrap_err();
    assert_eq!(refused(&[]), RestoreError::Short { found: 0 });
    assert_eq!(refused(&bytes[..31]), RestoreError::Short { found: 31 });
    for length in (32..bytes.len()).step_by(499) {
        assert_eq!(refused(&bytes[..length]), RestoreError::Checksum);
    }
    for place in (0..bytes.len()).step_by(499) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1;
        assert_eq!(refused(&damaged), RestoreError::Checksum);
    }
    assert!(matches!(refused(&sealed(&[0, 1])), RestoreError::Malformed(_)));
}

fn sealed(content: &[u8]) -> Vec<u8> {
    [content, &hash("og/ledger/snapshot/v11", &[content]).0].concat()
}

/// Every row is looked for in the tree, and the newest record in its place, so that a forger gains nothing by a right checksum.
#[test]
fn a_forged_snapshot_is_refused_even_with_a_right_checksum() {
    let (world, _) = eventful();
    let bytes = world.ledger.snapshot_bytes().unwrap();
    let content = &bytes[..bytes.len() - 32];
    let (mut refused, mut accepted) = (0, Vec::new());
    for place in (0..content.len()).step_by(7) {
        let mut forged = content.to_vec();
        forged[place] ^= 1 << (place % 8);
        match restored(&sealed(&forged), &world.ledger) {
            Err(RestoreError::Malformed(_) | RestoreError::Mismatch { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
            Ok(_) => accepted.push(place),
        }
    }
    // Two workers' greatest numbers, and how many there are: they follow from the receipts, and who takes a snapshot from a stranger counts
    // them again.
    let spread = accepted.last().unwrap() - accepted[0];
    assert!(spread < 2 * 80 && refused > 800, "{refused} refused, {accepted:?} accepted");
}

#[test]
fn a_snapshot_beside_another_state_is_refused() {
    let (mut world, _) = eventful();
    let bytes = world.ledger.snapshot_bytes().unwrap();
    let (newer, kept) = (world.ledger.evm().world.clone(), world.ledger.snapshot().unwrap().kept().clone());
    world.next_epoch();
    let mismatch = RestoreError::Mismatch { what: "the state root" };
    assert_eq!(restored(&bytes, &world.ledger).unwrap_err(), mismatch, "of an epoch later");
    let row = RestoreError::Mismatch { what: "a row of the state" };
    assert_eq!(Ledger::restore(&bytes, newer, kept.clone()).unwrap_err(), row, "of a block later");
    assert_eq!(Ledger::restore(&bytes, evm::World::default(), kept).unwrap_err(), row, "of nothing");
}

#[test]
fn a_truncated_content_is_refused_even_with_a_right_checksum() {
    let (world, _) = eventful();
    let bytes = world.ledger.snapshot_bytes().unwrap();
    for length in (0..bytes.len() - 32).step_by(101) {
        assert!(matches!(restored(&sealed(&bytes[..length]), &world.ledger), Err(RestoreError::Malformed(_))));
    }
    let longer = [&bytes[..bytes.len() - 32], &[0]].concat();
    assert!(matches!(restored(&sealed(&longer), &world.ledger), Err(RestoreError::Malformed(_))));
}

#[test]
fn a_snapshot_of_a_long_idle_chain_restores() {
    let mut world = World::new();
    world.epochs(3 * RECENT_EPOCHS as u64);
    world.send(ALICE, report(&Answer::new(WORKER, 0, Digest::ZERO, 0))).unwrap_err();
    let ledger = caught_up(&world.ledger.snapshot_bytes().unwrap(), &world);
    assert_eq!(ledger.height(), world.ledger.height());
    assert_eq!(ledger.snapshot_bytes(), world.ledger.snapshot_bytes());
}
