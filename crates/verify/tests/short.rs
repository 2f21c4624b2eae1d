//! The short bundle: what it costs, and what is refused because it leads to no whole one.
#![allow(clippy::unwrap_used, reason = "a test stops where it finds what cannot be")]

mod network;

use crypto::Digest;
use network::Scenario;
use protocol::{Canonical as _, List, ShortBundle, UnfitPath, WrittenBundle, bundle::SumStep};
use verify::{Verdict, verify_parsed};

/// The bar: what a bundle may come to.
const BYTES_MAX: usize = 4_096;
/// All fields of a short bundle that have one length, and the counts of the lists.
const FIXED: usize = 405;
const RECEIPT: usize = 704;
const STEP: usize = 48;
const SIBLING: usize = 32;
const ROTATION: usize = 152;

/// How long the paths of a network are.
struct Paths {
    /// Of the receipt among those of its epoch, and of that epoch in history.
    receipt: usize,
    history: usize,
    /// Siblings on both ways in the state, each once.
    state: usize,
    rotations: u8,
}

fn list<T: Clone, const MAX: usize>(item: T, count: usize) -> List<T, MAX> {
    List::new(vec![item; count]).unwrap()
}

/// The bytes of a bundle without opening of such a network; it leads nowhere, because the length is all that is asked for.
fn bytes(paths: &Paths) -> usize {
    let scenario = Scenario { with_opening: false, rotations: paths.rotations, ..Scenario::default() };
    let mut short = scenario.bundle().short().unwrap();
    assert_eq!(short.receipt.encode().len(), RECEIPT);
    short.inclusion.path = list(SumStep { digest: Digest::ZERO, sum: 0 }, paths.receipt);
    short.as_of.as_mut().unwrap().history = list(Digest::ZERO, paths.history);
    short.key_path = list(Digest::ZERO, paths.state / 2);
    short.status_path = list(Digest::ZERO, paths.state - paths.state / 2);
    let found = short.encode().len();
    let (receipt, history, state) = (STEP * paths.receipt, SIBLING * paths.history, SIBLING * paths.state);
    assert_eq!(found, FIXED + RECEIPT + receipt + history + state + ROTATION * usize::from(paths.rotations));
    found
}

#[test]
fn a_bundle_of_a_million_leaves_a_thousand_receipts_and_two_rotations_is_within_the_bar() {
    // Ten steps for 1,000 receipts, seventeen for the 86,400 epochs of a day. Of 10^6 leaves, the ways to two have 42.5 siblings together in
    // the mean (log2 and 1.33 each), of which they share three: one above the place where they part, two at it. One pair in a hundred has
    // more than 48.
    let million = |state| Paths { receipt: 10, history: 17, state, rotations: 2 };
    assert_eq!(bytes(&million(40)), 3_717);
    assert_eq!(bytes(&million(48)), 3_973);
    assert_eq!(bytes(&million(51)), 4_069);
    assert!(bytes(&million(51)) <= BYTES_MAX && bytes(&million(52)) > BYTES_MAX);
    // A thousand times as many leaves are twenty siblings more.
    assert_eq!(bytes(&million(60)), 4_357);
}

#[test]
fn a_short_bundle_says_each_thing_once() {
    let bundle = Scenario { rotations: 2, ..Scenario::default() }.bundle();
    let short = bundle.short().unwrap();
    let siblings = bundle.key_proof.siblings.len() + bundle.status_proof.siblings.len();
    let shared = siblings - short.key_path.len() - short.status_path.len();
    assert!(shared >= 2);
    // Fields that follow from others are 430 bytes, and 10 of each rotation.
    assert_eq!(bundle.encode().len() - short.encode().len(), 430 + 20 + SIBLING * shared);
}

#[test]
fn a_path_that_fits_nowhere_is_refused_as_what_it_is() {
    let (bundle, trust) = Scenario::default().build();
    let refused = |change: fn(&mut ShortBundle)| {
        let mut short = bundle.short().unwrap();
        change(&mut short);
        let unfit = short.whole().unwrap_err();
        let report = verify_parsed(Ok(WrittenBundle::Short(Box::new(short))), Ok(&trust));
        let said = Verdict::Refused { check: "format", reason: unfit.to_string() };
        assert_eq!(report.verdict, said);
        unfit
    };
    let beyond = refused(|short| short.inclusion.index = 7);
    assert_eq!(beyond, UnfitPath::Inclusion { steps: 3, index: 7, count: 7 });
    assert!(beyond.to_string().starts_with("inclusion.path: 3 steps do not fit place 7 of 7"));
    let long = refused(|short| short.inclusion.path = list(SumStep { digest: Digest::ZERO, sum: 0 }, 9));
    assert_eq!(long, UnfitPath::Inclusion { steps: 9, index: 4, count: 7 });
    let overflowing = refused(|short| short.inclusion.path = list(SumStep { digest: Digest::ZERO, sum: u128::MAX }, 3));
    assert_eq!(overflowing, UnfitPath::Inclusion { steps: 3, index: 4, count: 7 });
    // Neither an earlier epoch than the anchoring one nor itself is a later one.
    let same = refused(|short| short.as_of.as_mut().unwrap().epoch = 9);
    assert_eq!(same, UnfitPath::History { steps: 5, epoch: 9, as_of: 9 });
    let earlier = refused(|short| short.as_of.as_mut().unwrap().epoch = 8);
    assert_eq!(earlier, UnfitPath::History { steps: 5, epoch: 9, as_of: 8 });
    let cut = refused(|short| short.as_of.as_mut().unwrap().history = List::default());
    assert_eq!(cut, UnfitPath::History { steps: 0, epoch: 9, as_of: 30 });
    let deep = refused(|short| short.status_path = list(Digest::ZERO, 256));
    assert!(matches!(deep, UnfitPath::State { status: 256, .. }), "longer than a key has bits: {deep}");
}

#[test]
fn what_a_passed_rotation_was_signed_with_is_claimed_of_nobody() {
    let scenario = Scenario { rotations: 2, ..Scenario::default() };
    let mut short = scenario.bundle().short().unwrap();
    let mut rotations = short.rotations.to_vec();
    rotations[0].signature.0[0] ^= 1;
    short.rotations = List::new(rotations).unwrap();
    let verdict = |pinned| {
        let bundle = WrittenBundle::Short(Box::new(short.clone()));
        verify_parsed(Ok(bundle), Ok(&scenario.trust_in(pinned))).verdict
    };
    assert!(matches!(verdict(0), Verdict::Refused { check: "certificate", .. }));
    assert!(matches!(verdict(1), Verdict::Held(_)), "whoever pinned that key needs no signature for it");
}
