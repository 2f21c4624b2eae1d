//! Frozen vectors: whole bundles with the trust that pins their network, and the report that each must give.
#![allow(clippy::unwrap_used, reason = "a test stops where it finds what cannot be")]

#[path = "../../protocol/tests/faces/mod.rs"]
mod faces;
mod network;

use std::{fs, path::PathBuf};

use faces::{field, from_json, hex, to_json, unhex};
use network::{Scenario, account, word};
use protocol::{AccountProof, Canonical as _, Standing, Trust, Value, WrittenBundle};
use verify::{verify_account, verify_bytes};

const ACCOUNT: &str = "account.json";

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file)
}

/// A file with the exit code and the scenario that it was made from, and whether its bundle is a short one.
struct Case {
    file: &'static str,
    exit_code: u8,
    scenario: Scenario,
    is_short: bool,
}

/// All against the trust of the first.
fn cases() -> impl Iterator<Item = Case> {
    let refuted = Scenario { standing: Standing::Refuted, audits: 0, slashed: 250, ..Scenario::default() };
    let whole = [
        ("held.json", 0, Scenario::default()),
        ("held_without_opening.json", 0, Scenario { with_opening: false, ..Scenario::default() }),
        ("held_after_two_rotations.json", 0, Scenario { rotations: 2, ..Scenario::default() }),
        ("window_open.json", 2, Scenario { as_of_epoch: 12, ..Scenario::default() }),
        ("refuted.json", 1, refuted.clone()),
        ("forged_network.json", 1, Scenario { network_seed: 2, ..Scenario::default() }),
        ("other_chain.json", 1, Scenario { chain_id: 8, ..Scenario::default() }),
    ];
    let short = [
        ("short_held.json", 0, Scenario::default()),
        ("short_held_without_opening.json", 0, Scenario { with_opening: false, ..Scenario::default() }),
        ("short_held_after_two_rotations.json", 0, Scenario { rotations: 2, ..Scenario::default() }),
        ("short_in_its_own_epoch.json", 2, Scenario { as_of_epoch: 9, ..Scenario::default() }),
        ("short_refuted.json", 1, refuted),
        ("short_forged_network.json", 1, Scenario { network_seed: 2, ..Scenario::default() }),
        ("short_other_chain.json", 1, Scenario { chain_id: 8, ..Scenario::default() }),
    ];
    let whole = whole.into_iter().map(|case| (false, case));
    let all = whole.chain(short.into_iter().map(|case| (true, case)));
    all.map(|(is_short, (file, exit_code, scenario))| Case { file, exit_code, scenario, is_short })
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn frozen(case: &Case) -> Value {
    let (whole, trust) = (case.scenario.bundle(), Scenario::default().trust());
    let bundle = match case.is_short {
        true => WrittenBundle::Short(Box::new(whole.short().unwrap())),
        false => WrittenBundle::Whole(Box::new(whole)),
    };
    let report = verify_bytes(&bundle.encode(), &trust.encode());
    let fields = [
        ("trust", trust.to_value()),
        ("trust_bytes", text(&hex(&trust.encode()))),
        ("lines", Value::List(report.lines().iter().map(|line| text(line)).collect())),
        ("report", report.to_value()),
        ("bundle", bundle.to_value()),
        ("bundle_bytes", text(&hex(&bundle.encode()))),
    ];
    record(fields)
}

fn record<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// An account with a slot of its storage, after a rotation of the network's key.
fn frozen_account() -> Value {
    let scenario = Scenario { rotations: 1, ..Scenario::default() };
    let (proof, trust) = (scenario.account_proof(&account(3).0, Some(&word(3))), scenario.trust());
    record([
        ("trust", trust.to_value()),
        ("trust_bytes", text(&hex(&trust.encode()))),
        ("proof", proof.to_value()),
        ("proof_bytes", text(&hex(&proof.encode()))),
    ])
}

/// Writes the vectors that are not there yet. A frozen one is never overwritten: a format change deletes it by hand.
#[test]
#[ignore = "writes into the source tree"]
fn freeze_what_is_new() {
    for case in cases().filter(|case| !path(case.file).exists()) {
        fs::write(path(case.file), to_json(&frozen(&case))).unwrap();
    }
    if !path(ACCOUNT).exists() {
        fs::write(path(ACCOUNT), to_json(&frozen_account())).unwrap();
    }
}

#[test]
fn the_frozen_proof_of_an_account_holds() {
    let frozen = fs::read_to_string(path(ACCOUNT)).unwrap();
    let vector = from_json(&frozen);
    let bytes = |name| unhex(field(&vector, name).text("hexadecimal").unwrap());
    let (proof, trust) = (AccountProof::decode(&bytes("proof_bytes")), Trust::decode(&bytes("trust_bytes")));
    let verified = verify_account(&proof.unwrap(), &trust.unwrap()).unwrap();
    let (address, held) = account(3);
    assert_eq!((verified.address(), verified.account()), (address, Some(&held)));
    assert_eq!((verified.slot(), verified.as_of_epoch()), (Some((word(3), word(3))), 30));
    assert_eq!(AccountProof::from_value(field(&vector, "proof")).unwrap().encode(), bytes("proof_bytes"));
    assert_eq!(Trust::from_value(field(&vector, "trust")).unwrap().encode(), bytes("trust_bytes"));
    assert_eq!(to_json(&frozen_account()), frozen, "made as frozen");
}

#[test]
fn every_frozen_bundle_gives_its_frozen_report() {
    for case in cases() {
        let file = case.file;
        let frozen_text = fs::read_to_string(path(file)).unwrap();
        let vector = from_json(&frozen_text);
        let bytes = |name| unhex(field(&vector, name).text("hexadecimal").unwrap());
        let report = verify_bytes(&bytes("bundle_bytes"), &bytes("trust_bytes"));
        assert_eq!(report.exit_code(), case.exit_code, "{file}");
        let lines: Vec<_> = report.lines().iter().map(|line| text(line)).collect();
        assert_eq!(field(&vector, "lines"), &Value::List(lines), "{file}");
        assert_eq!(field(&vector, "report"), &from_json(&to_json(&report.to_value())), "{file}");
        let bundle = WrittenBundle::from_value(field(&vector, "bundle")).unwrap();
        assert_eq!(bundle.encode(), bytes("bundle_bytes"), "{file}");
        assert_eq!(WrittenBundle::decode(&bytes("bundle_bytes")), Ok(bundle), "{file}");
        assert_eq!(Trust::from_value(field(&vector, "trust")).unwrap().encode(), bytes("trust_bytes"), "{file}");
        assert_eq!(to_json(&frozen(&case)), frozen_text, "{file}: made as frozen");
    }
}
