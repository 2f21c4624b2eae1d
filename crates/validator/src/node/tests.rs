//! What a node does with what agreement and other nodes give it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use consensus::Application as _;
use protocol::{EvmAddress, Role, transaction::Transfer};

use super::{
    keeping::{Room, Waited},
    showing::TURNS_APART_MAX,
    *,
};
use crate::{
    ethereum::tests::{payment, with_wallet},
    relay,
    story::{CHAIN, Chain, START_MS, blocks, genesis, key, posted},
};

fn node(folder: &Path) -> Node {
    Node::new(&genesis(), key(Role::Validator, 0), Some(folder), None, None).unwrap()
}

fn resumed() -> Node {
    Node::resume(Ledger::new(&genesis()).unwrap(), key(Role::Validator, 0), SimulatedStore::default()).unwrap()
}

#[test]
fn a_committee_is_never_named_from_a_state_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path());
    let asked: [(&str, &dyn Fn()); 3] = [
        ("committee", &|| _ = node.committee(2)),
        ("key_clock", &|| _ = node.key_clock()),
        ("named_key", &|| _ = node.named_key()),
    ];
    asked.iter().for_each(|(_, ask)| ask());
    node.lose_state();
    for (what, ask) in asked {
        let reason = catch_unwind(AssertUnwindSafe(ask)).unwrap_err();
        let said = reason.downcast_ref::<String>().unwrap();
        assert!(said.contains("hint: ") && said.contains("start again"), "{what}: {said}");
    }
}

#[test]
fn the_open_epochs_receipts_are_answered_as_the_ledger_has_them() {
    let node = resumed();
    let mut counts = Vec::new();
    for block in &blocks(3) {
        node.ledger().execute(block).unwrap();
        let open = node.ledger().open_epoch();
        let expected = node.ledger().epoch_receipts(open);
        counts.push(expected.as_ref().map_or(0, Vec::len));
        assert_eq!(node.epoch_receipts(open).ok(), Some(expected));
        assert_eq!(node.epoch_receipts(open + 1).ok(), Some(None));
    }
    assert!(counts.iter().any(|count| *count > 1), "{counts:?}");
}

#[test]
fn who_votes_and_proposes_does_not_wait_for_the_ledger() {
    let node = Arc::new(resumed());
    let sent = blocks(1).remove(0).transactions.remove(0);
    node.take(sent.clone()).unwrap();
    let held = node.ledger();
    let (told, asked) = std::sync::mpsc::channel();
    let voter = Arc::clone(&node);
    std::thread::spawn(move || {
        let turn = Turn { parent_height: 0, unfinalized: &[], budget_bytes: 1 << 20 };
        let _ = told.send((voter.propose(&turn), voter.addresses()));
    });
    let (proposed, addresses) = asked.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
    drop(held);
    assert_eq!((proposed, addresses), (vec![sent], Vec::new()));
}

fn transfer(payer: &SigningKey, nonce: u64) -> Vec<u8> {
    let action = Action::Transfer(Transfer { to: EvmAddress([9; 20]), amount: 1 });
    Transaction { version: Version, chain_id: CHAIN, sender: payer.public_key(), nonce, action }.sign(payer).encode()
}

/// The same node once more: the files of the one before close a moment after it.
fn again(folder: &Path) -> Node {
    for _ in 0..1_000 {
        match Node::new(&genesis(), key(Role::Validator, 0), Some(folder), None, None) {
            Ok(node) => return node,
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    }
    panic!("its files stay open");
}

#[test]
fn what_was_taken_waits_after_a_restart_until_it_is_executed_and_receipts_are_left_to_who_posts_them() {
    let folder = tempfile::tempdir().unwrap();
    let (begun, payer) = (node(folder.path()), key(Role::Worker, 0));
    let posted = blocks(1).remove(0).transactions.remove(0);
    let (first, behind_a_gap) = (transfer(&payer, 0), transfer(&payer, 2));
    let kept = |node: &Node, bytes: &[u8]| node.keep(bytes).unwrap().is_some();
    for bytes in [&first, &behind_a_gap, &posted] {
        begun.submit_bytes(bytes.clone()).unwrap();
    }
    assert!(kept(&begun, &first) && kept(&begun, &behind_a_gap));
    assert!(!kept(&begun, &posted) && !kept(&begun, &transfer(&payer, 1)));
    // Known already is answered behind the disk as well.
    assert!(begun.submit_bytes(first.clone()).is_err() && kept(&begun, &first));
    assert_eq!(begun.on_disk().len(), 2);
    drop(begun);

    let node = again(folder.path());
    assert_eq!((node.pending(), node.next_nonce(&payer.public_key())), (2, 1));
    let (time_ms, proposer) = (crate::story::START_MS, key(Role::Validator, 0).public_key());
    let block = ledger::Block { height: 1, time_ms, proposer, transactions: vec![first.clone()] };
    {
        let mut ledger = node.ledger();
        ledger.execute(&block).unwrap();
        node.forget_executed(&ledger);
    }
    assert_eq!((node.pending(), node.on_disk().len()), (1, 1));
    // What still waits is looked at again, until it is executed.
    for _ in 0..2 {
        node.look_within(AMPLE);
        assert_eq!(later(&node), [transfer(&payer, 2)]);
    }
}

const AMPLE: Room = Room { count: 99, bytes: 1 << 20 };

/// What is looked at again, as its bytes.
fn later(node: &Node) -> Vec<Vec<u8>> {
    let bytes = |waited: &Waited| match waited {
        Waited::Native(bytes) => bytes.clone(),
        Waited::Wallet(transaction) => transaction.raw().to_vec(),
    };
    locked(&node.later).transactions.iter().map(|(_, waited)| bytes(waited)).collect()
}

/// A file as a node left it in which these waited.
fn waited(folder: &Path, rows: &[(u8, &[u8])]) {
    let store = storage::Store::open(&folder.join("waiting.redb"), &[blocks::waiting::TABLE]).unwrap();
    store.commit_blocking(rows.iter().map(|(id, bytes)| blocks::waiting::put(&[*id; 32], *bytes)).collect()).unwrap();
    store.close();
}

#[test]
fn what_fits_no_state_yet_is_kept_within_bounds_and_what_never_can_goes() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let rich = Node::new(&with_wallet(genesis()), key(Role::Validator, 0), Some(elsewhere.path()), None, None).unwrap();
    let (poor, stranger) = (payment(&rich.ethereum, 0, 1), SigningKey::from_seed(&[8; 32]));
    let (one, two) = (transfer(&stranger, 0), transfer(&stranger, 1));
    waited(folder.path(), &[(1, &one[..]), (2, &two[..]), (3, &poor.raw()[..]), (4, &[2, 7][..])]);
    let node = again(folder.path());
    // No program reads the last one, and nobody has coins here yet.
    assert_eq!((node.pending(), node.on_disk().len()), (0, 3));
    node.look_within(AMPLE);
    assert_eq!(later(&node), [one.clone(), two.clone(), poor.raw().to_vec()]);
    node.look_within(Room { count: 9, bytes: one.len() + two.len() });
    assert_eq!(later(&node), [one.clone(), two]);
    node.look_within(Room { count: 1, bytes: 1 << 20 });
    assert_eq!((later(&node), node.on_disk()), (vec![one], vec![[1; 32]]));
}

#[test]
fn a_look_comes_after_sixteen_blocks_and_then_each_after_twice_as_many() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = transfer(&SigningKey::from_seed(&[8; 32]), 0);
    waited(folder.path(), &[(1, &bytes[..])]);
    let node = again(folder.path());
    let mut looks = Vec::new();
    for height in 1..=20_000 {
        if locked(&node.later).take_due(height) {
            looks.push(height);
        }
    }
    assert_eq!(looks, [16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 12_288, 16_384]);
    node.look_within(Room { count: 0, bytes: 0 });
    assert!(!locked(&node.later).take_due(40_000), "nothing is left to look at");
}

#[test]
fn what_another_validator_shows_again_is_not_checked_again() {
    let node =
        Node::resume(Ledger::new(&genesis()).unwrap(), key(Role::Validator, 0), SimulatedStore::default()).unwrap();
    let known = transfer(&key(Role::Worker, 0), 0);
    let refused =
        |bytes: &[u8]| relay::messages([bytes.to_vec()]).iter().map(|shown| node.take_shared(shown)).sum::<usize>();
    assert_eq!((refused(&known), refused(&known)), (0, 0));
    assert_eq!((node.pending(), refused(&known[..known.len() - 1])), (1, 1));
}

#[test]
fn receipts_are_held_back_only_where_turns_come_and_shown_once_others_have_room() {
    let (worker, gateway) = (key(Role::Worker, 0), key(Role::Gateway, 0));
    let held_back = |before: u64| {
        let (node, mut chain) = (resumed(), Chain::new(worker.clone(), gateway.public_key()));
        node.height.store(before, Ordering::Relaxed);
        node.led.store(1, Ordering::Relaxed);
        for nonce in 0..8 {
            node.submit_bytes(posted(&gateway, nonce, vec![chain.next(START_MS)])).unwrap();
        }
        node
    };
    let held = |node: &Node| locked(&node.pool).clone().take_held_back(usize::MAX).len();
    let led_lately = held_back(TURNS_APART_MAX + 1);
    assert!(held(&led_lately) > 0);
    assert_eq!(held(&held_back(TURNS_APART_MAX + 2)), 0, "whose turn does not come shows all");

    for (bytes, is_shown) in
        [(0, false), (TRANSACTION_BUDGET_BYTES / 2, false), (TRANSACTION_BUDGET_BYTES / 2 - 1, true)]
    {
        led_lately.show_held_back(bytes);
        assert_eq!(held(&led_lately) == 0, is_shown, "a block of {bytes} bytes");
    }
    let gone_by = held_back(TURNS_APART_MAX + 1);
    gone_by.height.store(TURNS_APART_MAX + 2, Ordering::Relaxed);
    gone_by.show_held_back(0);
    assert_eq!(held(&gone_by), 0);
}

#[test]
fn what_the_disk_has_no_room_for_is_told_and_waits_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (node, sent) = (node(folder.path()), transfer(&key(Role::Worker, 0), 0));
    node.waiting.is_full.store(true, Ordering::Relaxed);
    node.submit_bytes(sent.clone()).unwrap();
    assert!(matches!(node.keep(&sent), Err(SubmitError::DiskBehind)));
    assert_eq!((node.pending(), node.on_disk().len()), (1, 0));
    node.waiting.is_full.store(false, Ordering::Relaxed);
    assert!(node.keep(&sent).unwrap().is_some());
    assert_eq!(node.on_disk().len(), 1);
}
