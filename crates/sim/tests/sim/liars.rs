//! Everyone who can lie does: workers, auditors, validators, and whole networks.

use ledger::OPG;
use protocol::{Role, Standing};
use sim::{Auditing, Scenario};
use verify::verify;
use worker::Adversary;

use crate::{facts, run};

const ALL: [usize; 3] = [0, 1, 2];
const HONEST: [usize; 2] = [0, 1];

fn honest(seed: u64) -> Scenario {
    Scenario { workers: vec![None; 3], ..Scenario::calm(seed) }
}

#[test]
fn an_auditor_that_challenges_a_true_receipt_loses_its_bond_and_the_receipt_is_upheld() {
    let auditors = vec![Auditing::Honest, Auditing::ChallengesTheTruth];
    let outcome = run(Scenario { auditors, ..honest(31) });
    facts::anchored_once(&outcome, &ALL);
    facts::all_stand(&outcome, &ALL, &[Standing::Audited, Standing::Upheld]);
    let upheld = facts::of(&outcome, &ALL)
        .filter(|promise| facts::standing(&outcome, &promise.id) == Some(Standing::Upheld))
        .collect::<Vec<_>>();
    assert_eq!(upheld.len(), 1);
    facts::held_after_its_window_and_not_before(&outcome, &upheld[0].id);
    assert_eq!(facts::node(&outcome, Role::Auditor, 0).slashed, 10 * OPG);
    assert_eq!(facts::node(&outcome, Role::Auditor, 1).slashed, 0, "the honest auditor");
    assert_eq!(facts::node(&outcome, Role::Worker, upheld[0].worker).slashed, 0);
    facts::money_is_constant(&outcome);
}

#[test]
fn a_worker_that_is_said_to_withhold_opens_its_receipt_on_the_ledger_and_is_upheld() {
    let outcome = run(Scenario { auditors: vec![Auditing::Honest, Auditing::AsksInVain], ..honest(32) });
    facts::all_stand(&outcome, &ALL, &[Standing::Audited, Standing::Upheld]);
    let is_upheld = |id| facts::standing(&outcome, id) == Some(Standing::Upheld);
    assert!(facts::of(&outcome, &ALL).any(|promise| is_upheld(&promise.id)));
    outcome.ledgers[0].nodes().for_each(|node| assert_eq!(node.slashed, 0, "{node:?}"));
    facts::money_is_constant(&outcome);
}

#[test]
fn a_worker_that_opens_nothing_is_slashed_as_if_its_receipts_were_false() {
    let outcome = run(Scenario { workers: vec![None, None, Some(Adversary::Withhold)], ..Scenario::calm(33) });
    facts::all_stand(&outcome, &HONEST, &[Standing::Audited]);
    let anchored: Vec<_> = facts::of(&outcome, &[2]).filter(|promise| outcome.status(&promise.id).is_some()).collect();
    assert!(!anchored.is_empty());
    for promise in anchored {
        assert_eq!(facts::standing(&outcome, &promise.id), Some(Standing::Withheld));
        facts::refused_and_never_held(&outcome, &promise.id);
    }
    assert!(facts::node(&outcome, Role::Worker, 2).slashed > 0);
    facts::money_is_constant(&outcome);
}

#[test]
fn a_validator_that_votes_against_the_truth_is_slashed_and_the_verdict_stands() {
    let outcome = run(Scenario { false_voter: Some(1), ..Scenario::calm(34) });
    facts::all_stand(&outcome, &HONEST, &[Standing::Audited]);
    for promise in facts::of(&outcome, &[2]).filter(|promise| outcome.status(&promise.id).is_some()) {
        assert_eq!(facts::standing(&outcome, &promise.id), Some(Standing::Refuted));
    }
    assert!(facts::node(&outcome, Role::Validator, 0).slashed > 0);
    assert_eq!(facts::node(&outcome, Role::Validator, 1).slashed, 0, "only the one that lied");
    facts::one_history(&outcome);
    facts::money_is_constant(&outcome);
}

#[test]
fn a_language_models_false_answers_are_refuted_and_its_true_ones_are_held() {
    let artefact = include_bytes!("../../../../models/demo/demo-integer.ogm").as_slice().into();
    let outcome = run(Scenario { artefact, requests: 6, ..Scenario::calm(36) });
    facts::anchored_once(&outcome, &ALL);
    facts::all_stand(&outcome, &HONEST, &[Standing::Audited]);
    facts::all_stand(&outcome, &[2], &[Standing::Refuted]);
    let tokens = |promise: &sim::Promise| promise.receipt.receipt.output_tokens;
    assert!(outcome.promises.iter().all(|promise| tokens(promise) > 0), "answers of no token say nothing");
    facts::of(&outcome, &HONEST).for_each(|promise| facts::held_after_its_window_and_not_before(&outcome, &promise.id));
    facts::of(&outcome, &[2]).for_each(|promise| facts::refused_and_never_held(&outcome, &promise.id));
}

#[test]
fn a_bundle_of_a_forged_network_is_never_held() {
    let honest = run(honest(35));
    let forged = run(Scenario { dealing: 1, ..Scenario::calm(35) });
    assert_ne!(honest.trust, forged.trust);
    for promise in &forged.promises {
        let Some(status) = forged.status(&promise.id) else { continue };
        for as_of in status.epoch..=forged.newest_certified().unwrap() {
            let bundle = forged.bundle(&promise.id, as_of).unwrap();
            assert_eq!(verify(&bundle, &honest.trust).exit_code(), facts::REFUSED);
            assert_ne!(verify::verify_unpinned(&bundle).exit_code(), facts::HELD);
        }
    }
}
