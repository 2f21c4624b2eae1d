//! What may be claimed about an outcome; each claim names the seed that breaks it.

use protocol::{Canonical as _, Digest, NetworkKeys, NodeRecord, Role, Standing};
use sim::{Outcome, Promise};
use verify::{Report, Verdict};

pub const HELD: u8 = 0;
pub const REFUSED: u8 = 1;
pub const COULD_NOT_TELL: u8 = 2;

/// The promises of the workers at these places.
pub fn of<'a>(outcome: &'a Outcome, workers: &'a [usize]) -> impl Iterator<Item = &'a Promise> {
    outcome.promises.iter().filter(|promise| workers.contains(&promise.worker))
}

pub fn standing(outcome: &Outcome, receipt: &Digest) -> Option<Standing> {
    outcome.status(receipt).map(|status| status.standing)
}

/// How often a receipt lies in an epoch's tree.
fn anchorings(outcome: &Outcome, receipt: &Digest) -> usize {
    let ledger = &outcome.ledgers[0];
    let views = (0..=ledger.open_epoch()).filter_map(|epoch| ledger.epoch_receipts(epoch)).flatten();
    views.filter(|view| view.receipt.receipt.id() == *receipt).count()
}

pub fn anchored_once(outcome: &Outcome, workers: &[usize]) {
    for promise in of(outcome, workers) {
        assert_eq!(anchorings(outcome, &promise.id), 1, "seed {}: receipt {}", outcome.seed, promise.id);
        assert!(!outcome.set_aside.contains(&promise.id), "seed {}: {} was set aside", outcome.seed, promise.id);
    }
}

pub fn all_stand(outcome: &Outcome, workers: &[usize], allowed: &[Standing]) {
    for promise in of(outcome, workers) {
        let standing = standing(outcome, &promise.id);
        let stands = standing.is_some_and(|standing| allowed.contains(&standing));
        assert!(stands, "seed {}: receipt {} is {standing:?}", outcome.seed, promise.id);
    }
}

/// What a validator acknowledged of wallets' transfers is executed on every ledger, and nothing twice.
pub fn acknowledged_are_executed(outcome: &Outcome) {
    let Outcome { seed, transfers, ledgers, .. } = outcome;
    assert!(transfers.iter().any(|transfer| transfer.acknowledged.is_some()), "seed {seed}: nothing acknowledged");
    for transfer in transfers {
        for ledger in ledgers {
            let times = ledger.balance(&transfer.to);
            let is_owed = transfer.acknowledged.is_some();
            assert!(times == 1 || (times == 0 && !is_owed), "seed {seed}: {times} times {transfer:?}");
        }
    }
}

pub fn one_history(outcome: &Outcome) {
    history_of(outcome, sim::VALIDATORS);
}

/// The same where only so many are honest.
pub fn history_of(outcome: &Outcome, honest: usize) {
    let first = &outcome.ledgers[0];
    assert_eq!(outcome.ledgers.len(), honest, "seed {}", outcome.seed);
    for (index, ledger) in outcome.ledgers.iter().enumerate() {
        let epochs = first.open_epoch().min(ledger.open_epoch());
        assert!(epochs > 0, "seed {}: validator {index} closed no epoch", outcome.seed);
        for epoch in 0..epochs {
            let (ours, theirs) = (first.epoch(epoch), ledger.epoch(epoch));
            assert_eq!(ours, theirs, "seed {}: validator {index} has another epoch {epoch}", outcome.seed);
        }
    }
}

pub fn money_is_constant(outcome: &Outcome) {
    for ledger in &outcome.ledgers {
        assert_eq!(ledger.money(), Some(ledger.network().supply), "seed {}: money came or went", outcome.seed);
    }
}

/// The network's keys, from the one that a stranger pinned before everything.
pub fn keys(outcome: &Outcome) -> NetworkKeys {
    let longest = outcome.ledgers.iter().max_by_key(|ledger| ledger.height()).unwrap();
    let rotations: Vec<_> = longest.rotations().cloned().collect();
    NetworkKeys::follow(outcome.trust.chain_id, outcome.trust.network_key, &rotations).unwrap()
}

/// How many of the network's keys have certified an epoch.
pub fn keys_that_signed(outcome: &Outcome) -> usize {
    let signed = |key: &crypto::threshold::GroupKey| {
        let (ledger, certificates) = (&outcome.ledgers[0], &outcome.certificates[0]);
        certificates.iter().any(|(epoch, certificate)| certificate.certifies(&ledger.epoch(*epoch).unwrap(), key))
    };
    keys(outcome).all().filter(|key| signed(key)).count()
}

pub fn certificates_hold(outcome: &Outcome) {
    let keys = keys(outcome);
    for (ledger, certificates) in outcome.ledgers.iter().zip(&outcome.certificates) {
        assert!(!certificates.is_empty(), "seed {}: no certificate", outcome.seed);
        for (epoch, certificate) in certificates {
            let record = ledger.epoch(*epoch).unwrap();
            let holds = keys.all().any(|key| certificate.certifies(&record, key));
            assert!(holds, "seed {}: epoch {epoch} is not signed by the network", outcome.seed);
        }
    }
}

pub fn node(outcome: &Outcome, role: Role, place: usize) -> NodeRecord {
    let ledger = &outcome.ledgers[0];
    let key = |promise: &Promise| promise.receipt.receipt.worker;
    match role {
        Role::Worker => ledger.node(&of(outcome, &[place]).map(key).next().unwrap()).unwrap(),
        Role::Validator | Role::Gateway | Role::Auditor => {
            let mut slashed: Vec<_> = ledger.nodes().filter(|node| node.role == role).collect();
            slashed.sort_by_key(|node| std::cmp::Reverse(node.slashed));
            slashed[place].clone()
        }
    }
}

/// What a stranger who pins the network says about a receipt as of an epoch.
pub fn verified(outcome: &Outcome, receipt: &Digest, as_of: u64) -> Report {
    let short = outcome.bundle(receipt, as_of).unwrap().short().unwrap();
    verify::verify_bytes(&short.encode(), &outcome.trust.encode())
}

#[track_caller]
pub fn told(outcome: &Outcome, receipt: &Digest, as_of: u64, exit: u8) {
    let report = verified(outcome, receipt, as_of);
    assert_eq!(report.exit_code(), exit, "seed {}: {}", outcome.seed, report.lines().join("\n"));
}

/// Inside the window nobody can tell; from its end on the receipt is held.
#[track_caller]
pub fn held_after_its_window_and_not_before(outcome: &Outcome, receipt: &Digest) {
    let anchored = outcome.status(receipt).unwrap().epoch;
    let last = outcome.ledgers[0].epoch(anchored).unwrap().last_challenge_epoch();
    [anchored, last - 1].iter().for_each(|as_of| told(outcome, receipt, *as_of, COULD_NOT_TELL));
    [last, outcome.newest_certified().unwrap()].iter().for_each(|as_of| told(outcome, receipt, *as_of, HELD));
}

/// A receipt that was found false is refused for that, and never held as of any epoch.
#[track_caller]
pub fn refused_and_never_held(outcome: &Outcome, receipt: &Digest) {
    let newest = outcome.newest_certified().unwrap();
    let report = verified(outcome, receipt, newest);
    assert!(
        matches!(&report.verdict, Verdict::Refused { check: "standing", .. }),
        "seed {}: {}",
        outcome.seed,
        report.lines().join("\n")
    );
    never_held(outcome, receipt);
}

/// Nobody was told at any time that the receipt is held.
#[track_caller]
pub fn never_held(outcome: &Outcome, receipt: &Digest) {
    let anchored = outcome.status(receipt).unwrap().epoch;
    for as_of in anchored..=outcome.newest_certified().unwrap() {
        let exit = verified(outcome, receipt, as_of).exit_code();
        assert_ne!(exit, HELD, "seed {}: held as of epoch {as_of}", outcome.seed);
    }
}
