//! Every field of a bundle, and of an account's proof, changed once: never held, and refused by the check that the table names.
#![allow(clippy::unwrap_used, reason = "a test stops where it finds what cannot be")]

#[path = "../../protocol/tests/faces/mod.rs"]
mod faces;
mod network;

use faces::{places, replaced};
use network::{Scenario, account, word};
use protocol::{
    AccountProof, Assurance, Bundle, Canonical, Element, EvmAddress, Finish, Privacy, Role, ShortBundle, Speaker,
    Standing, Trust, Value, WrittenBundle, payment::Basis, price::Unit,
};
use verify::{AccountRefused, Outcome, Report, Verdict, verify, verify_account, verify_bytes, verify_parsed};

/// Which step may refuse a change, by the beginning of the field's name; the first row that fits counts.
type Table = &'static [(&'static str, &'static [&'static str])];

const TABLE: Table = &[
    ("chain_id", &["chain"]),
    ("receipt.receipt.chain_id", &["chain"]),
    ("opening.request.chain_id", &["chain"]),
    ("inclusion.epoch.chain_id", &["chain"]),
    ("as_of.chain_id", &["chain"]),
    ("receipt", &["signature"]),
    ("opening", &["opening"]),
    ("inclusion.index", &["inclusion"]),
    ("inclusion.path", &["inclusion"]),
    ("inclusion.epoch.receipts_root", &["inclusion"]),
    // Some other counts fit the same path; then the epoch is not the one in the history.
    ("inclusion.epoch.receipts_count", &["inclusion", "history"]),
    ("inclusion.epoch.receipts_sum", &["inclusion"]),
    ("inclusion.epoch", &["history"]),
    ("history", &["history"]),
    ("as_of.history_root", &["history"]),
    // Some other numbers fit the same path; then the certificate is what refuses.
    ("as_of.epoch", &["history", "certificate"]),
    ("as_of", &["certificate"]),
    ("certificate", &["certificate"]),
    ("key", &["key"]),
    ("status", &["status"]),
    ("rotations", &["certificate"]),
];

/// The same for a short bundle. What a path leads to is not said beside it: a change of either is one of the certified record, or a path that
/// fits nowhere. Inside the anchoring epoch the state's root is part of its record, and what disagrees with it is refused by name.
const SHORT_TABLE: Table = &[
    // Another receipt has another place in the state, which the paths may not reach.
    ("receipt.receipt.chain_id", &["chain", "format"]),
    ("opening.request.chain_id", &["chain"]),
    ("receipt", &["signature", "format"]),
    ("opening", &["opening"]),
    ("inclusion", &["certificate", "format"]),
    ("as_of", &["certificate", "format"]),
    ("certificate", &["certificate"]),
    ("key", &["certificate", "key", "format"]),
    ("status", &["certificate", "key", "format"]),
    ("rotations", &["certificate"]),
];

/// What a whole bundle says and a short one leaves out.
const LEFT_OUT: &[&str] = &[
    "chain_id",
    "inclusion.epoch.chain_id",
    "inclusion.epoch.receipts_root",
    "inclusion.epoch.receipts_sum",
    "as_of.chain_id",
    "as_of.history_root",
    "as_of.state_root",
    "certificate.epoch",
    "key.key",
    "key.node",
    "key.role",
    "key.valid_from",
    "key_proof.found",
    "status.receipt",
    "status.worker",
    "status.epoch",
    "status.index",
    // Above the place where the two ways part, and at that place.
    "status_proof.siblings.0",
    "status_proof.found",
    "rotations.0.rotation.chain_id",
    "rotations.1.rotation.chain_id",
];

/// The same for an account's proof: how the refusal begins.
const ACCOUNT_TABLE: Table = &[
    ("as_of.chain_id", &["chain"]),
    ("as_of", &["certificate"]),
    ("certificate", &["certificate"]),
    ("rotations", &["certificate"]),
    ("evm", &["evm"]),
    ("address", &["account"]),
    ("account", &["account"]),
    ("slot", &["slot"]),
];

fn fits(field: &str, prefix: &str) -> bool {
    field.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '_']))
}

fn expected(table: Table, field: &str) -> &'static [&'static str] {
    table.iter().find(|(prefix, _)| fits(field, prefix)).unwrap_or_else(|| panic!("{field} is in no row")).1
}

/// Other values of the same kind.
fn others(value: &Value) -> Vec<Value> {
    let words = [
        Assurance::WORDS,
        Basis::WORDS,
        Element::WORDS,
        Finish::WORDS,
        Privacy::WORDS,
        Role::WORDS,
        Speaker::WORDS,
        Standing::WORDS,
        Unit::WORDS,
    ];
    match value {
        Value::Null => vec![],
        Value::Flag(flag) => vec![Value::Flag(!flag)],
        Value::Number(number) => {
            vec![
                Value::Number(number + 1),
                Value::Number(number.wrapping_sub(1)),
                Value::Number(0),
                Value::Number(1 << 31),
            ]
        }
        Value::Text(text) => {
            let flipped = |place: usize| {
                let digit = |digit: char| if digit == '0' { '1' } else { '0' };
                text.chars().enumerate().map(|(at, old)| if at == place { digit(old) } else { old }).collect::<String>()
            };
            let number = text.parse::<u128>().ok();
            let texts = [
                flipped(0),
                flipped(text.len().saturating_sub(1)),
                format!("{text}x"),
                format!("{text}00"),
                String::new(),
            ];
            let numbers = [number.and_then(|n| n.checked_add(1)), number.map(|_| 0)].into_iter().flatten();
            let words = words.iter().flat_map(|words| words.iter()).map(|word| (*word).to_owned());
            texts.into_iter().chain(numbers.map(|n| n.to_string())).chain(words).map(Value::Text).collect()
        }
        Value::List(items) => {
            let mut lists =
                vec![[&items[..], &items[..1.min(items.len())]].concat(), items.iter().skip(1).cloned().collect()];
            lists.push(items.iter().rev().cloned().collect());
            lists.into_iter().map(Value::List).collect()
        }
        Value::Record(_) => vec![Value::Null],
    }
}

/// Changes every field of a bundle that holds in every way that is still a bundle; returns how many changes there were.
fn tamper<T: Canonical + PartialEq>(bundle: &T, table: Table, report: impl Fn(&T) -> Report) -> usize {
    assert!(matches!(report(bundle).verdict, Verdict::Held(_)));
    let face = bundle.to_value();
    let mut tried = 0;
    for (place, value) in places(&face) {
        let mut changes = 0;
        for other in others(&value) {
            let Ok(changed) = T::from_value(&replaced(&face, &place, other.clone())) else { continue };
            if changed == *bundle {
                continue;
            }
            changes += 1;
            let report = report(&changed);
            // A bundle may leave its opening out: then it shows less, and all that it shows is true.
            if place.name == "opening" && other == Value::Null {
                assert!(matches!(report.verdict, Verdict::Held(_)));
                continue;
            }
            let Verdict::Refused { check, reason } = &report.verdict else {
                panic!("{}: {:#?}", place.name, report.lines())
            };
            assert!(expected(table, &place.name).contains(check), "{}: {check}: {reason}", place.name);
            assert!(report.hint.is_some() && !reason.is_empty() && report.state.is_none());
            let last_passed = report.checks.iter().take_while(|line| line.name != *check);
            assert!(
                last_passed.into_iter().all(|line| !matches!(line.outcome, Outcome::Failed(_) | Outcome::Unknown(_)))
            );
        }
        let is_leaf = matches!(value, Value::Number(_) | Value::Text(_) | Value::Flag(_));
        assert!(changes > 0 || !is_leaf || place.name.ends_with("version"), "{} was never changed", place.name);
        tried += changes;
    }
    tried
}

fn tamper_whole(scenario: &Scenario) -> usize {
    let (bundle, trust) = scenario.build();
    tamper(&bundle, TABLE, |changed| verify(changed, &trust))
}

fn tamper_short(scenario: &Scenario) -> usize {
    let (bundle, trust) = scenario.build();
    let judge = |short: &ShortBundle| verify_parsed(Ok(WrittenBundle::Short(Box::new(short.clone()))), Ok(&trust));
    tamper(&bundle.short().unwrap(), SHORT_TABLE, judge)
}

#[test]
fn every_changed_field_is_refused_by_the_check_that_the_table_names() {
    let tokens = tamper_whole(&Scenario::default());
    let tensors = tamper_whole(&Scenario { tensors: true, with_opening: true, index: 0, ..Scenario::default() });
    let rotated = tamper_whole(&Scenario { rotations: 2, ..Scenario::default() });
    assert!(tokens > 400 && tensors > 400 && rotated > tokens, "{tokens}, {tensors} and {rotated} changes");
}

#[test]
fn every_changed_field_of_a_short_bundle_is_refused_by_a_check_that_the_table_names() {
    let tokens = tamper_short(&Scenario::default());
    let rotated = tamper_short(&Scenario { rotations: 2, ..Scenario::default() });
    let one_epoch = tamper_short(&Scenario { as_of_epoch: 9, challenge_window: 0, ..Scenario::default() });
    assert!(one_epoch > 200 && tokens > one_epoch && rotated > tokens, "{one_epoch}, {tokens}, {rotated} changes");
}

#[test]
fn a_short_bundle_leads_to_the_whole_one_and_what_it_leaves_out_cannot_be_said_otherwise() {
    let bundle = Scenario { rotations: 2, ..Scenario::default() }.bundle();
    let short = bundle.short().unwrap();
    assert_eq!(short.whole().as_ref(), Ok(&bundle));
    let face = bundle.to_value();
    let mut lies = vec![0; LEFT_OUT.len()];
    for (place, value) in places(&face) {
        for other in others(&value) {
            let Ok(changed) = Bundle::from_value(&replaced(&face, &place, other)) else { continue };
            let left_out = LEFT_OUT.iter().position(|prefix| fits(&place.name, prefix));
            match (left_out.filter(|_| changed != bundle), changed.short()) {
                (Some(_), Some(_)) => panic!("{} was left out, and something else was said", place.name),
                (Some(which), None) => lies[which] += 1,
                // What it says is said in the short one, or it contradicts what is left out.
                (None, Some(short)) => assert_eq!(short.whole(), Ok(changed), "{}", place.name),
                (None, None) => {}
            }
        }
    }
    assert!(lies.iter().all(|count| *count > 0), "{lies:?}");
}

#[test]
fn every_other_version_is_no_bundle_that_this_verifier_reads() {
    let face = Scenario::default().bundle().to_value();
    let versions: Vec<_> = places(&face).into_iter().filter(|(place, _)| place.name.ends_with("version")).collect();
    let names: Vec<_> =
        versions.iter().map(|(place, _)| place.name.as_str()).filter(|name| !name.ends_with("spec_version")).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    for (place, _) in versions.iter().filter(|(place, _)| !place.name.ends_with("spec_version")) {
        let error = Bundle::from_value(&replaced(&face, place, Value::Number(2))).unwrap_err();
        assert_eq!(error.path, place.name);
    }
    // What says that it is of the other version is no bundle of that.
    let short = Scenario::default().bundle().short().unwrap();
    for (face, other) in [(face, 2), (short.to_value(), 1), (short.to_value(), 3)] {
        let version = places(&face).into_iter().find(|(place, _)| place.name == "version").unwrap().0;
        assert!(WrittenBundle::from_value(&face).is_ok());
        assert!(WrittenBundle::from_value(&replaced(&face, &version, Value::Number(other))).is_err());
    }
}

#[test]
fn every_changed_field_of_the_trust_ends_every_hold() {
    let (bundle, trust) = Scenario::default().build();
    let changed = |change: fn(&mut Trust)| {
        let mut trust = trust.clone();
        change(&mut trust);
        verify(&bundle, &trust).verdict
    };
    assert!(matches!(changed(|trust| trust.chain_id = 8), Verdict::Refused { check: "chain", .. }));
    assert!(matches!(changed(|trust| trust.network_key.0[7] ^= 1), Verdict::Refused { check: "certificate", .. }));
    // The network's name is for people: it decides nothing.
    assert!(matches!(changed(|trust| trust.network = protocol::Text::default()), Verdict::Held(_)));
}

#[test]
fn every_flipped_byte_and_every_cut_of_a_bundle_is_refused() {
    let (bundle, trust) = Scenario::default().build();
    let closed = Scenario { with_opening: false, ..Scenario::default() };
    let rotated = Scenario { rotations: 1, ..closed.clone() }.bundle();
    let one_epoch = Scenario { as_of_epoch: 9, challenge_window: 0, ..closed }.bundle();
    for bytes in [bundle.encode(), rotated.short().unwrap().encode(), one_epoch.short().unwrap().encode()] {
        all_changes_are_refused(&bytes, &trust.encode());
    }
}

fn all_changes_are_refused(bytes: &[u8], trust: &[u8]) {
    assert!(matches!(verify_bytes(bytes, trust).verdict, Verdict::Held(_)));
    for place in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[place] ^= 1 << (place % 8);
        let report = verify_bytes(&changed, trust);
        assert!(matches!(report.verdict, Verdict::Refused { .. }), "byte {place}: {:#?}", report.lines());
        let report = verify_bytes(&bytes[..place], trust);
        assert!(matches!(report.verdict, Verdict::Refused { check: "format", .. }), "cut at {place}");
    }
}

/// Changes every field of an account's proof in every way that is still one; returns how many changes there were.
fn tamper_account(scenario: &Scenario) -> usize {
    let ((address, _), trust) = (account(3), scenario.trust());
    let proof = scenario.account_proof(&address, Some(&word(3)));
    assert_eq!(verify_account(&proof, &trust).unwrap().slot(), Some((word(3), word(3))));
    let face = proof.to_value();
    let mut tried = 0;
    for (place, value) in places(&face) {
        let readable = others(&value)
            .into_iter()
            .filter_map(|other| AccountProof::from_value(&replaced(&face, &place, other)).ok());
        let mut changes = 0;
        for changed in readable.filter(|changed| *changed != proof) {
            changes += 1;
            let refused = match verify_account(&changed, &trust) {
                // It shows less, and all that it shows is true.
                Ok(_) if changed.slot.is_none() => continue,
                Ok(held) => panic!("{}: {held:?}", place.name),
                Err(refused) => refused,
            };
            let said = refused.to_string();
            let fits = expected(ACCOUNT_TABLE, &place.name).iter().any(|step| said.starts_with(&format!("{step}: ")));
            assert!(fits && !refused.hint().is_empty(), "{}: {said}", place.name);
        }
        let is_leaf = matches!(value, Value::Number(_) | Value::Text(_) | Value::Flag(_));
        assert!(changes > 0 || !is_leaf || place.name.ends_with("version"), "{} was never changed", place.name);
        tried += changes;
    }
    tried
}

#[test]
fn every_changed_field_of_an_accounts_proof_is_refused_by_the_step_that_the_table_names() {
    let plain = tamper_account(&Scenario::default());
    let rotated = tamper_account(&Scenario { rotations: 2, ..Scenario::default() });
    assert!(plain > 100 && rotated > plain, "{plain} and {rotated} changes");
}

#[test]
fn every_flipped_byte_and_every_cut_of_an_accounts_proof_is_refused() {
    let (scenario, (address, _)) = (Scenario::default(), account(3));
    let (bytes, trust) = (scenario.account_proof(&address, Some(&word(3))).encode(), scenario.trust());
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1 << (place % 8);
        if let Ok(read) = AccountProof::decode(&changed) {
            assert!(verify_account(&read, &trust).is_err(), "byte {place}");
        }
        assert!(AccountProof::decode(&bytes[..place]).is_err(), "cut at {place}");
    }
}

#[test]
fn nobodys_account_and_an_empty_slot_are_proven_and_cannot_be_said_of_somebodys() {
    let scenario = Scenario::default();
    let (trust, (somebody, held)) = (scenario.trust(), account(3));
    let nobody = EvmAddress([200; 20]);
    let proof = scenario.account_proof(&nobody, Some(&word(1)));
    let verified = verify_account(&proof, &trust).unwrap();
    assert_eq!((verified.address(), verified.account(), verified.slot()), (nobody, None, Some((word(1), word(0)))));
    let invented = AccountProof { account: Some(held.clone()), ..proof.clone() };
    let refused = verify_account(&invented, &trust).unwrap_err();
    assert_eq!(refused, AccountRefused::Account { address: nobody, block: proof.evm.number });

    let full = scenario.account_proof(&somebody, Some(&word(3)));
    let verified = verify_account(&full, &trust).unwrap();
    assert_eq!((verified.account(), verified.as_of_epoch(), verified.block()), (Some(&held), 30, full.evm.number));
    let hidden = AccountProof { account: None, ..full.clone() };
    let refused = verify_account(&hidden, &trust).unwrap_err();
    assert_eq!(refused, AccountRefused::Account { address: somebody, block: full.evm.number });
    let mut emptied = full;
    emptied.slot.as_mut().unwrap().value = word(0);
    let refused = verify_account(&emptied, &trust).unwrap_err();
    assert_eq!(refused, AccountRefused::Slot { slot: word(3), block: emptied.evm.number });
}

#[test]
fn an_account_of_a_forged_network_or_of_another_chain_is_refused() {
    let (trust, (address, _)) = (Scenario::default().trust(), account(3));
    let forged = Scenario { network_seed: 2, ..Scenario::default() }.account_proof(&address, None);
    assert!(matches!(verify_account(&forged, &trust), Err(AccountRefused::Certificate(_))));
    let other = Scenario { chain_id: 8, ..Scenario::default() }.account_proof(&address, None);
    assert_eq!(verify_account(&other, &trust), Err(AccountRefused::Chain { found: 8, expected: 7 }));
    // The EVM of another epoch, which was certified too.
    let (now, before) = (Scenario::default(), Scenario { as_of_epoch: 29, ..Scenario::default() });
    let (now, before) = (now.account_proof(&address, None), before.account_proof(&address, None));
    let mixed = AccountProof { evm: before.evm, evm_proof: before.evm_proof, ..now };
    assert_eq!(verify_account(&mixed, &trust), Err(AccountRefused::Evm { epoch: 30 }));
}
