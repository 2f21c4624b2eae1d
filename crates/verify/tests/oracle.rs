//! Whatever happened on a network: the verdict is the one that a few lines of plain reasoning give.
#![allow(clippy::unwrap_used, reason = "a test stops where it finds what cannot be")]

mod network;

use network::Scenario;
use proptest::prelude::*;
use protocol::{Assurance, Canonical as _, Role, Standing, registry::OPEN_END};
use verify::{verify, verify_bytes};

fn any_scenario() -> impl Strategy<Value = Scenario> {
    let when = (0_u64..20, 0_u64..25, 0_u32..20, 1_u64..12, any::<prop::sample::Index>());
    let key =
        (0_u64..14, prop_oneof![3 => Just(OPEN_END), 1 => 5_u64..25], 0_u8..8, prop::option::weighted(0.1, 0_u64..14));
    let times = (-2_i64..2_000, -70_000_i64..70_000);
    let says = (prop::sample::select(Standing::ALL), 0_u32..3, prop::sample::select(Assurance::ALL));
    (when, key, says, times, any::<(bool, bool)>(), 0_u8..10).prop_map(|(when, key, says, times, flags, forged)| {
        let (anchoring_epoch, later, challenge_window, receipts_in_epoch, place) = when;
        Scenario {
            network_seed: if forged == 0 { 2 } else { 1 },
            anchoring_epoch,
            as_of_epoch: anchoring_epoch + later,
            challenge_window,
            receipts_in_epoch,
            index: place.index(receipts_in_epoch as usize) as u64,
            key_valid_from: key.0,
            key_valid_until: key.1,
            key_role: if key.2 == 0 { Role::Auditor } else { Role::Worker },
            claimed_valid_from: key.3,
            standing: says.0,
            audits: says.1,
            assurance: if flags.0 { Assurance::Audited } else { says.2 },
            answered_in_ms: times.0,
            finished_before_ms: times.1,
            tensors: flags.1,
            with_opening: !flags.0,
            ..Scenario::default()
        }
    })
}

fn key_is_named(scenario: &Scenario) -> bool {
    scenario.claimed_valid_from.is_none_or(|claimed| claimed == scenario.key_valid_from)
}

/// The exit code that the scenario deserves.
fn expected(scenario: &Scenario) -> u8 {
    let anchoring = scenario.anchoring_epoch;
    let foreign = scenario.network_seed != 1;
    let key_counts = scenario.key_valid_from <= anchoring && anchoring < scenario.key_valid_until;
    let possible = scenario.answered_in_ms >= 0 && scenario.finished_before_ms >= -60_000;
    let is_open = scenario.as_of_epoch < anchoring + u64::from(scenario.challenge_window);
    let is_shown = matches!(scenario.assurance, Assurance::Signed | Assurance::Audited);
    if foreign || !key_counts || !key_is_named(scenario) || scenario.key_role != Role::Worker || !possible {
        return 1;
    }
    match scenario.standing {
        Standing::Refuted | Standing::Withheld => 1,
        Standing::Challenged => 2,
        Standing::Anchored | Standing::Audited | Standing::Upheld => u8::from(is_open || !is_shown) * 2,
    }
}

proptest! {
    #[test]
    fn the_verdict_is_what_the_scenario_deserves(scenario in any_scenario()) {
        let (bundle, trust) = (scenario.bundle(), Scenario::default().trust());
        let report = verify(&bundle, &trust);
        prop_assert_eq!(report.exit_code(), expected(&scenario), "{:#?}", report.lines());
        // A ledger anchors under no key of another role or another start: only of these there is no short one.
        let short = bundle.short();
        prop_assert_eq!(short.is_some(), scenario.key_role == Role::Worker && key_is_named(&scenario));
        if let Some(short) = short {
            let said = verify_bytes(&short.encode(), &trust.encode());
            prop_assert_eq!(&said.verdict, &report.verdict);
            prop_assert_eq!(&said.checks[1..], &report.checks[1..]);
        }
        let stands_open = report.state.is_some_and(|state| state.is_final) && report.exit_code() != 0;
        prop_assert!(!stands_open, "final without being held: {:#?}", report.lines());
    }
}
