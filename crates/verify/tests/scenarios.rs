//! What a bundle shows of what happened on a network, and what `verify` says to it.
#![allow(clippy::unwrap_used, reason = "a test stops where it finds what cannot be")]

mod network;

use network::{Scenario, digest};
use protocol::{Assurance, Canonical as _, NetworkKeys, RotationRefused, Standing};
use verify::{Outcome, Report, Verdict, verify, verify_bytes, verify_parsed, verify_unpinned};

fn check(scenario: &Scenario) -> Report {
    let (bundle, trust) = scenario.build();
    let report = verify(&bundle, &trust);
    assert_eq!(report, verify_bytes(&bundle.encode(), &trust.encode()), "bytes and nouns give one report");
    if let Some(short) = bundle.short() {
        let mut said = verify_bytes(&short.encode(), &trust.encode());
        assert!(said.checks[0].detail.starts_with("bundle version 2, "), "{}", said.checks[0].detail);
        said.checks[0] = report.checks[0].clone();
        assert_eq!(said, report, "the short one says the same");
    }
    report
}

fn outcome(report: &Report, name: &str) -> Outcome {
    report.checks.iter().find(|line| line.name == name).unwrap().outcome.clone()
}

fn passed_all_but(report: &Report, name: &str) -> bool {
    report.checks.iter().all(|line| (line.outcome == Outcome::Passed) != (line.name == name))
}

fn holds_as(scenario: &Scenario, state: &str) {
    let report = check(scenario);
    let Verdict::Held(verified) = &report.verdict else { panic!("{:#?}", report.lines()) };
    assert_eq!(verified.state().to_string(), state);
    assert_eq!(verified.as_of_epoch(), scenario.as_of_epoch);
    assert_eq!(Some(verified.receipt()), report.receipt);
    assert_eq!(report.state, Some(verified.state()));
    assert_eq!((report.exit_code(), report.hint), (0, None));
}

fn refused_by(scenario: &Scenario, name: &str, words: &str) -> Report {
    let report = check(scenario);
    let Verdict::Refused { check, reason } = &report.verdict else { panic!("{:#?}", report.lines()) };
    assert_eq!(*check, name);
    assert!(reason.contains(words), "{reason}");
    assert!(matches!(outcome(&report, name), Outcome::Failed(_)));
    assert_eq!(report.exit_code(), 1);
    report
}

fn cannot_tell(scenario: &Scenario, name: &str, try_again: Option<u64>) -> Report {
    let report = check(scenario);
    let Verdict::CouldNotTell { check, try_again_epoch, .. } = &report.verdict else { panic!("{:#?}", report.lines()) };
    assert_eq!((*check, *try_again_epoch), (name, try_again));
    assert!(passed_all_but(&report, name), "{:#?}", report.lines());
    assert_eq!(report.exit_code(), 2);
    report
}

#[test]
fn a_receipt_holds_once_its_window_is_closed() {
    holds_as(&Scenario::default(), "final (audited)");
    holds_as(&Scenario { as_of_epoch: 24, ..Scenario::default() }, "final (audited)");
    holds_as(&Scenario { tensors: true, ..Scenario::default() }, "final (audited)");
    holds_as(&Scenario { standing: Standing::Upheld, ..Scenario::default() }, "final (upheld)");
    holds_as(&Scenario { assurance: Assurance::Signed, ..Scenario::default() }, "final (audited)");
}

#[test]
fn a_receipt_that_nobody_audited_is_final_and_says_so() {
    let unaudited = Scenario { standing: Standing::Anchored, audits: 0, ..Scenario::default() };
    holds_as(&unaudited, "final (not audited)");
    let report = check(&unaudited);
    let line = report.checks.iter().find(|line| line.name == "assurance").unwrap();
    assert!(line.detail.contains("by no auditor"), "{}", line.detail);
}

#[test]
fn every_place_in_every_small_epoch_can_be_shown() {
    for receipts_in_epoch in 1..=9 {
        for index in 0..receipts_in_epoch {
            holds_as(&Scenario { receipts_in_epoch, index, ..Scenario::default() }, "final (audited)");
        }
    }
}

#[test]
fn every_epoch_can_be_shown_from_every_later_one() {
    for as_of_epoch in 3..=12 {
        for anchoring_epoch in 2..=as_of_epoch {
            let scenario = Scenario { anchoring_epoch, as_of_epoch, challenge_window: 0, ..Scenario::default() };
            holds_as(&scenario, "final (audited)");
        }
    }
}

#[test]
fn a_bundle_without_an_opening_holds_and_says_that_the_answer_is_not_shown() {
    let closed = Scenario { with_opening: false, ..Scenario::default() };
    holds_as(&closed, "final (audited)");
    assert!(matches!(outcome(&check(&closed), "opening"), Outcome::Skipped(_)));
}

#[test]
fn while_the_window_is_open_nobody_can_tell_yet_and_every_other_check_passes() {
    for (as_of_epoch, state, standing, audits) in
        [(9, "anchored", Standing::Anchored, 0), (23, "audited", Standing::Audited, 1)]
    {
        let report =
            cannot_tell(&Scenario { as_of_epoch, standing, audits, ..Scenario::default() }, "window", Some(24));
        assert_eq!(report.state.unwrap().to_string(), state);
    }
}

#[test]
fn a_challenge_that_outlives_the_window_keeps_it_open() {
    let challenged = Scenario { standing: Standing::Challenged, ..Scenario::default() };
    let report = cannot_tell(&challenged, "window", Some(31));
    assert_eq!(report.state.unwrap().to_string(), "challenged");
}

#[test]
fn a_window_beyond_the_last_epoch_never_closes() {
    let scenario = Scenario { challenge_window: u32::MAX, ..Scenario::default() };
    cannot_tell(&scenario, "window", Some(9 + u64::from(u32::MAX)));
}

#[test]
fn a_refuted_or_withheld_receipt_is_refused_inside_the_window_and_after_it() {
    for (standing, word) in [(Standing::Refuted, "refuted"), (Standing::Withheld, "withheld")] {
        for as_of_epoch in [12, 30] {
            let scenario = Scenario { standing, as_of_epoch, slashed: 250, audits: 0, ..Scenario::default() };
            let report = refused_by(&scenario, "standing", word);
            assert_eq!(report.state.unwrap().to_string(), word);
        }
    }
}

#[test]
fn a_key_counts_from_its_first_epoch_until_it_is_retired() {
    for valid_from in [0, 9] {
        holds_as(&Scenario { key_valid_from: valid_from, ..Scenario::default() }, "final (audited)");
    }
    refused_by(&Scenario { key_valid_from: 10, ..Scenario::default() }, "key", "anchored in 9");
    holds_as(&Scenario { key_valid_until: 10, ..Scenario::default() }, "final (audited)");
    refused_by(&Scenario { key_valid_until: 9, ..Scenario::default() }, "key", "anchored in 9");
}

#[test]
fn a_key_of_another_role_or_with_another_start_than_claimed_is_refused() {
    let role = Scenario { key_role: protocol::Role::Gateway, ..Scenario::default() };
    refused_by(&role, "key", "gateway found, worker expected");
    let start = Scenario { claimed_valid_from: Some(3), ..Scenario::default() };
    refused_by(&start, "key", "2 found, 3 expected");
}

#[test]
fn times_that_run_backward_or_ahead_of_the_network_are_refused() {
    refused_by(&Scenario { answered_in_ms: -1, ..Scenario::default() }, "times", "finished_at_ms");
    holds_as(&Scenario { finished_before_ms: -60_000, ..Scenario::default() }, "final (audited)");
    refused_by(&Scenario { finished_before_ms: -60_001, ..Scenario::default() }, "times", "finished_at_ms");
}

#[test]
fn a_level_whose_evidence_a_bundle_cannot_carry_is_not_believed() {
    for assurance in [Assurance::Attested, Assurance::Quorum, Assurance::Proven] {
        let report = cannot_tell(&Scenario { assurance, ..Scenario::default() }, "assurance", None);
        assert_eq!(report.state, None);
    }
}

#[test]
fn an_answer_of_floats_is_signed_for_and_whatever_claims_more_is_refused() {
    let of_floats = Scenario { of_floats: true, standing: Standing::Anchored, audits: 0, ..Scenario::default() };
    let signed = Scenario { assurance: Assurance::Signed, ..of_floats.clone() };
    holds_as(&signed, "final (not audited)");
    let report = check(&signed);
    let line = report.checks.iter().find(|line| line.name == "assurance").unwrap();
    assert!(line.detail.contains("signed") && line.detail.contains("nobody can re-execute"), "{}", line.detail);
    cannot_tell(&Scenario { assurance: Assurance::Attested, ..of_floats.clone() }, "assurance", None);
    for assurance in [Assurance::Audited, Assurance::Quorum, Assurance::Proven] {
        refused_by(&Scenario { assurance, ..of_floats.clone() }, "assurance", "can at most be attested");
    }
}

#[test]
fn a_receipt_from_another_chain_is_refused_by_name() {
    let trust = Scenario::default().trust();
    let report = verify(&Scenario { chain_id: 8, ..Scenario::default() }.bundle(), &trust);
    let Verdict::Refused { check: "chain", reason } = &report.verdict else { panic!("{:#?}", report.lines()) };
    assert!(reason.contains("a receipt from another chain: 8 found, 7 (`miniature`) expected"), "{reason}");
    assert!(matches!(outcome(&report, "standing"), Outcome::Skipped(_)));
    assert_eq!(report.state, None);
}

#[test]
fn a_forged_network_that_agrees_with_itself_in_everything_is_refused() {
    for as_of_epoch in [9, 30] {
        let forged = Scenario { network_seed: 2, as_of_epoch, ..Scenario::default() };
        let report = verify(&forged.bundle(), &Scenario::default().trust());
        assert!(matches!(report.verdict, Verdict::Refused { check: "certificate", .. }), "{:#?}", report.lines());
        assert_eq!((report.exit_code(), report.state), (1, None));
        for name in ["standing", "window", "assurance"] {
            assert!(
                matches!(outcome(&report, name), Outcome::Skipped(_)),
                "{name} means nothing without a certificate"
            );
        }
    }
}

#[test]
fn whoever_pinned_an_earlier_key_follows_to_the_one_that_signed() {
    let rotated = Scenario { rotations: 3, ..Scenario::default() };
    let said = |report: &Report| report.lines().join("\n");
    for (pinned, words) in
        [(0, "that 3 rotations lead to"), (2, "that 1 rotations lead to"), (3, "the pinned network key")]
    {
        let report = verify(&rotated.bundle(), &rotated.trust_in(pinned));
        assert!(matches!(report.verdict, Verdict::Held(_)), "{}", said(&report));
        assert!(said(&report).contains(words), "{}", said(&report));
    }
    // Before the rotations the same receipt was shown under the first key, and is checkable for ever.
    let before = Scenario::default();
    assert!(matches!(verify(&before.bundle(), &rotated.trust()).verdict, Verdict::Held(_)));
    // Not to whom a later key is all that counts: who held the first one may be anybody now.
    let report = verify(&before.bundle(), &rotated.trust_in(1));
    assert!(matches!(report.verdict, Verdict::Refused { check: "certificate", .. }), "{}", said(&report));
}

#[test]
fn a_key_that_is_named_begins_a_term_later_and_until_then_the_one_before_signs() {
    let rotated = Scenario { rotations: 3, ..Scenario::default() };
    let signed_with = |serial, pinned| {
        let mut bundle = rotated.bundle();
        bundle.certificate = rotated.certify_with(serial, &bundle.as_of);
        verify(&bundle, &rotated.trust_in(pinned))
    };
    assert!(matches!(signed_with(2, 0).verdict, Verdict::Held(_)));
    assert!(matches!(signed_with(2, 2).verdict, Verdict::Held(_)));
    for (serial, pinned) in [(1, 0), (0, 0), (2, 3), (4, 0)] {
        let Verdict::Refused { check: "certificate", reason } = signed_with(serial, pinned).verdict else { panic!() };
        assert!(reason.contains("is signed by neither of the last two") || pinned == 3, "{reason}");
    }
}

#[test]
fn rotations_that_do_not_follow_from_the_pinned_key_are_refused_by_name() {
    let rotated = Scenario { rotations: 3, ..Scenario::default() };
    let refused = |change: &dyn Fn(&mut Vec<protocol::CertifiedRotation>)| {
        let mut bundle = rotated.bundle();
        let mut rotations = bundle.rotations.to_vec();
        change(&mut rotations);
        bundle.rotations = protocol::List::new(rotations).unwrap();
        let Verdict::Refused { check: "certificate", reason } = verify(&bundle, &rotated.trust()).verdict else {
            panic!()
        };
        reason
    };
    let elsewhere = refused(&|rotations| rotations[1].rotation.chain_id = 8);
    assert!(elsewhere.contains("rotation 2 is of chain 8, 7 expected"), "{elsewhere}");
    let left_out = refused(&|rotations| _ = rotations.remove(1));
    assert!(left_out.contains("rotation 3 found where 2 is next"), "{left_out}");
    let unsigned = refused(&|rotations| rotations[2].signature = rotations[1].signature);
    assert!(unsigned.contains("rotation 3 is not signed by the key before it"), "{unsigned}");
    let forged = Scenario { network_seed: 2, ..rotated.clone() };
    let strange = refused(&|rotations| rotations[0] = forged.rotation(1));
    assert!(strange.contains("rotation 1 is not signed"), "{strange}");
    let headless = refused(&|rotations| _ = rotations.remove(0));
    assert!(headless.contains("rotation 2 is not signed") && headless.contains("older than"), "{headless}");
    let none = refused(&|rotations| rotations.clear());
    assert!(none.contains("is not signed by the pinned key"), "{none}");
}

#[test]
fn keys_that_were_followed_are_followed_on_from_and_what_does_not_lead_on_changes_nothing_before_it() {
    let scenario = Scenario::default();
    let all: Vec<_> = (1..=4).map(|serial| scenario.rotation(serial)).collect();
    let (chain_id, pinned) = (scenario.chain_id, scenario.trust().network_key);
    let expected = NetworkKeys::follow(chain_id, pinned, &all).unwrap();
    let mut keys = NetworkKeys::follow(chain_id, pinned, &all[..2]).unwrap();
    // What was followed is not checked again.
    let mut shown = all.clone();
    shown[0].signature = all[1].signature;
    shown[3].signature = all[1].signature;
    assert_eq!(keys.follow_on(chain_id, &shown), Err(RotationRefused::NotCertified { serial: 4 }));
    assert_eq!(keys, NetworkKeys::follow(chain_id, pinned, &all[..3]).unwrap());
    keys.follow_on(chain_id, &all).unwrap();
    assert_eq!(keys, expected);
    keys.follow_on(chain_id, &all).unwrap();
    assert_eq!(keys, expected);
}

#[test]
fn without_a_pinned_network_nobody_can_tell_whatever_the_bundle_says() {
    let (bundle, trust) = Scenario::default().build();
    let report = verify_unpinned(&bundle);
    assert!(matches!(report.verdict, Verdict::CouldNotTell { check: "chain", try_again_epoch: None, .. }));
    assert!(matches!(outcome(&report, "certificate"), Outcome::Skipped(_)));
    assert_eq!(outcome(&report, "signature"), Outcome::Passed);
    assert_eq!((report.exit_code(), report.state), (2, None));

    let mut short_trust = trust.encode();
    short_trust.pop();
    let report = verify_bytes(&bundle.encode(), &short_trust);
    let Verdict::CouldNotTell { check: "chain", reason, .. } = &report.verdict else { panic!() };
    assert!(reason.contains("the trust file could not be read: Trust.network_key"), "{reason}");
}

#[test]
fn what_fails_without_a_pinned_network_is_refused_all_the_same() {
    let mut bundle = Scenario::default().bundle();
    bundle.receipt.receipt.charge = 0;
    assert!(matches!(verify_unpinned(&bundle).verdict, Verdict::Refused { check: "signature", .. }));
}

#[test]
fn an_unreadable_bundle_is_refused_with_what_was_wrong_and_nothing_else_runs() {
    let trust = Scenario::default().trust();
    for report in [
        verify_bytes(b"not a bundle", &trust.encode()),
        verify_parsed(Err("line 3: a comma expected".to_owned()), Ok(&trust)),
    ] {
        assert!(matches!(report.verdict, Verdict::Refused { check: "format", .. }));
        assert_eq!((report.receipt, report.as_of_epoch, report.state), (None, None, None));
        assert!(report.checks[1..].iter().all(|line| matches!(line.outcome, Outcome::Skipped(_))));
        assert_eq!(report.checks.len(), 14);
    }
}

#[test]
fn two_paths_that_were_swapped_are_refused() {
    let (bundle, trust) = Scenario::default().build();
    let mut swapped = bundle.clone();
    std::mem::swap(&mut swapped.key_proof, &mut swapped.status_proof);
    assert!(matches!(verify(&swapped, &trust).verdict, Verdict::Refused { check: "key", .. }));

    let other = Scenario { index: 2, ..Scenario::default() }.bundle();
    let mut swapped = bundle.clone();
    swapped.inclusion.path = other.inclusion.path;
    assert!(matches!(verify(&swapped, &trust).verdict, Verdict::Refused { check: "inclusion", .. }));

    let mut swapped = bundle;
    swapped.inclusion.epoch = swapped.as_of.clone();
    assert!(matches!(verify(&swapped, &trust).verdict, Verdict::Refused { check: "inclusion", .. }));
}

#[test]
fn parts_of_two_certified_bundles_do_not_make_a_third() {
    let trust = Scenario::default().trust();
    let refuted = Scenario { standing: Standing::Refuted, audits: 0, ..Scenario::default() }.bundle();
    let before = Scenario { as_of_epoch: 23, ..Scenario::default() }.bundle();

    // The good standing of an earlier epoch beside the certificate of a later one.
    let mut patched = refuted.clone();
    (patched.status, patched.status_proof) = (before.status.clone(), before.status_proof.clone());
    assert!(matches!(verify(&patched, &trust).verdict, Verdict::Refused { check: "status", .. }));

    // An earlier epoch that says it is later.
    let mut patched = before;
    patched.as_of.epoch = 30;
    patched.certificate.epoch = 30;
    assert!(matches!(verify(&patched, &trust).verdict, Verdict::Refused { check: "certificate", .. }));
}

#[test]
fn an_epoch_before_the_anchoring_one_shows_nothing() {
    let (mut bundle, trust) = Scenario { as_of_epoch: 9, challenge_window: 0, ..Scenario::default() }.build();
    let earlier = Scenario { anchoring_epoch: 2, as_of_epoch: 8, ..Scenario::default() }.bundle();
    (bundle.as_of, bundle.certificate) = (earlier.as_of, earlier.certificate);
    let report = verify(&bundle, &trust);
    assert!(matches!(&report.verdict, Verdict::Refused { check: "history", reason } if reason.contains("8 found")));
}

#[test]
fn two_records_of_one_epoch_or_a_path_inside_one_are_refused() {
    let one = Scenario { as_of_epoch: 9, challenge_window: 0, ..Scenario::default() };
    let (mut bundle, trust) = one.build();
    bundle.inclusion.epoch.verdicts_root = digest("another");
    let report = verify(&bundle, &trust);
    assert!(
        matches!(&report.verdict, Verdict::Refused { check: "history", reason } if reason.contains("two different"))
    );

    let mut bundle = one.bundle();
    bundle.history = protocol::List::new(vec![digest("a step")]).unwrap();
    assert!(matches!(verify(&bundle, &trust).verdict, Verdict::Refused { check: "history", .. }));
}

#[test]
fn an_opening_of_another_answer_is_refused_with_the_field() {
    let (mut bundle, trust) = Scenario::default().build();
    bundle.opening = Some(Scenario { tensors: true, ..Scenario::default() }.opening());
    let report = verify(&bundle, &trust);
    assert!(matches!(&report.verdict, Verdict::Refused { check: "opening", reason } if reason.contains("`request`")));
}

fn charge_line(scenario: &Scenario) -> String {
    let report = check(scenario);
    report.checks.iter().find(|line| line.name == "charge").unwrap().detail.clone()
}

#[test]
fn a_charge_is_counted_again_from_terms_and_tokens() {
    // (4 * 1e-6 + 3 * 1e-5) dollars * 1.05 = 35.7 millionths, rounded up; an OPG is ten cents.
    let told = charge_line(&Scenario::default());
    assert!(told.starts_with("36 of at most 700 (metered, terms "), "{told}");
    assert!(told.contains(", 357000000000000 in OPG, by a payer that is not shown"), "{told}");
    holds_as(&Scenario { payment: None, ..Scenario::default() }, "final (audited)");
    assert_eq!(charge_line(&Scenario { payment: None, ..Scenario::default() }), "free: no payment covers it");
}

#[test]
fn a_receipt_shows_of_its_payer_what_its_privacy_says() {
    let told = |privacy| charge_line(&Scenario { privacy, ..Scenario::default() });
    assert!(told(protocol::Privacy::Hashed).ends_with(&format!("by purse {}", network::digest("purse"))));
    assert!(told(protocol::Privacy::Full).ends_with(&format!("by 0x{}", "07".repeat(20))));
}

#[test]
fn a_charge_that_does_not_follow_from_the_receipt_is_refused() {
    let overcharged = Scenario { overcharge: 1, with_opening: false, ..Scenario::default() };
    refused_by(&overcharged, "charge", "357000000000000) follow from its terms and tokens");
    let unagreed = Scenario { payment: None, ..overcharged.clone() };
    refused_by(&unagreed, "charge", "charges 0 (1 OPG units), 0 (0) follow");
    // With the opening at hand it is noticed there.
    refused_by(&Scenario { with_opening: true, ..overcharged }, "opening", "`charge`");
}
