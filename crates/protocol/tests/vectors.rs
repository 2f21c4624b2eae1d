//! Frozen vectors: the face, the bytes and the digest of every noun, as they were when version 1 was frozen.
#![allow(clippy::unwrap_used, reason = "a test stops where it finds what cannot be")]

mod faces;
mod samples;

use std::{fs, path::PathBuf};

use faces::{field, from_json, hex, to_json, unhex};
use protocol::Value;
use samples::{Kind, kinds};

const FILES: &[&str] = &[
    "account_proof.json",
    "allocation_record.json",
    "bridge_record.json",
    "bundle.json",
    "burn.json",
    "certificate.json",
    "certified_epoch.json",
    "certified_rotation.json",
    "challenge_view.json",
    "dues_record.json",
    "epoch_record.json",
    "frame.json",
    "gateway_credit.json",
    "key_record.json",
    "key_rotation.json",
    "model_record.json",
    "node_record.json",
    "opening.json",
    "opening_request.json",
    "payout.json",
    "proven_payout.json",
    "proven_settlement.json",
    "receipt.json",
    "receipt_status.json",
    "receipt_view.json",
    "request.json",
    "settlement_record.json",
    "share_record.json",
    "short_bundle.json",
    "signed_job.json",
    "signed_opening_request.json",
    "signed_receipt.json",
    "signed_transaction.json",
    "transaction.json",
    "trust.json",
    "verdict_record.json",
];

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file)
}

fn file(kind: &Kind) -> String {
    format!("{}.json", kind.name)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn record<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn digest(kind: &Kind, bytes: &[u8]) -> Value {
    kind.digest.map_or(Value::Null, |digest| text(&digest(bytes).to_string()))
}

/// Writes the vectors that are not there yet. A frozen one is never overwritten: a format change deletes it by hand.
#[test]
#[ignore = "writes into the source tree"]
fn freeze_what_is_new() {
    for kind in kinds().iter().filter(|kind| !path(&file(kind)).exists()) {
        let case = |(name, face): &(&str, Value)| {
            let bytes = (kind.write)(face).unwrap();
            let (digest, bytes) = (digest(kind, &bytes), text(&hex(&bytes)));
            record([("name", text(name)), ("digest", digest), ("bytes", bytes), ("face", face.clone())])
        };
        let cases = Value::List(kind.samples.iter().map(case).collect());
        let frozen = record([("noun", text(kind.name)), ("cases", cases)]);
        fs::write(path(&file(kind)), to_json(&frozen)).unwrap();
    }
}

#[test]
fn every_noun_is_frozen_and_every_frozen_noun_is_tested() {
    let mut expected: Vec<_> = kinds().iter().map(file).collect();
    expected.sort();
    assert_eq!(FILES, expected);
    let mut found: Vec<_> = fs::read_dir(path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    found.sort();
    assert_eq!(found, FILES);
}

#[test]
fn face_bytes_and_digest_of_every_noun_are_as_frozen() {
    for kind in kinds() {
        let frozen = from_json(&fs::read_to_string(path(&file(kind))).unwrap());
        let cases = field(&frozen, "cases").list().unwrap();
        assert_eq!(cases.len(), kind.samples.len(), "{}", kind.name);
        for (case, (name, sample)) in cases.iter().zip(&kind.samples) {
            let bytes = unhex(field(case, "bytes").text("hexadecimal").unwrap());
            assert_eq!(field(case, "name"), &text(name), "{}", kind.name);
            assert_eq!((kind.write)(sample).unwrap(), bytes, "{}: sample to bytes", kind.name);
            assert_eq!((kind.write)(field(case, "face")).unwrap(), bytes, "{}: face to bytes", kind.name);
            assert_eq!((kind.read)(&bytes).unwrap(), *sample, "{}: bytes to face", kind.name);
            assert_eq!(field(case, "digest"), &digest(kind, &bytes), "{}: digest", kind.name);
        }
    }
}
