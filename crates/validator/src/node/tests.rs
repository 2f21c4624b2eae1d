//! What a node does with what agreement and other nodes give it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use consensus::Application as _;
use protocol::Role;

use super::*;
use crate::story::{blocks, genesis, key};

fn node(folder: &Path) -> Node {
    Node::new(&genesis(), key(Role::Validator, 0), Some(folder), None, None).unwrap()
}

#[test]
fn a_committee_is_never_named_from_a_state_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path());
    let asked: [(&str, &dyn Fn()); 3] = [
        ("committee", &|| _ = node.committee(2)),
        ("key_terms", &|| _ = node.key_terms()),
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
    let node = Node::resume(Ledger::new(&genesis()).unwrap(), key(Role::Validator, 0)).unwrap();
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
    let node = Arc::new(Node::resume(Ledger::new(&genesis()).unwrap(), key(Role::Validator, 0)).unwrap());
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
