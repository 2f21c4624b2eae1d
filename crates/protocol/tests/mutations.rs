//! Foreign bytes: a flipped, cut, lengthened or overwritten encoding is refused, or is the encoding of another noun.
#![allow(clippy::unwrap_used, reason = "a test stops where it finds what cannot be")]

mod samples;

use protocol::DecodeError;
use samples::{Kind, kinds};

/// Calls `check` with every sample of every kind and its bytes.
fn for_every_sample(check: impl Fn(&Kind, &[u8])) {
    for kind in kinds() {
        for (_, face) in &kind.samples {
            check(kind, &(kind.write)(face).unwrap());
        }
    }
}

/// Whatever decodes must be canonical: it encodes to the very bytes that it was read from.
fn is_refused_or_canonical(kind: &Kind, bytes: &[u8]) {
    if let Ok(again) = (kind.recode)(bytes) {
        assert_eq!(again, bytes, "{}: two encodings of one noun", kind.name);
    }
}

#[test]
fn every_flipped_byte_is_refused_or_another_noun() {
    for_every_sample(|kind, bytes| {
        let mut changed = bytes.to_vec();
        for place in 0..bytes.len() {
            for flip in [1 << (place % 8), 0xff] {
                changed[place] ^= flip;
                is_refused_or_canonical(kind, &changed);
                changed[place] ^= flip;
            }
        }
    });
}

#[test]
fn every_cut_is_refused() {
    for_every_sample(|kind, bytes| {
        for length in 0..bytes.len() {
            let error = (kind.recode)(&bytes[..length]).unwrap_err();
            assert!(matches!(error, DecodeError::Short { .. }), "{}: {error}", kind.name);
        }
    });
}

#[test]
fn every_byte_too_many_is_refused() {
    for_every_sample(|kind, bytes| {
        for extra in [0, 1, 255] {
            let longer = [bytes, &[extra]].concat();
            assert_eq!((kind.recode)(&longer), Err(DecodeError::Trailing { count: 1 }), "{}", kind.name);
        }
    });
}

#[test]
fn every_four_bytes_overwritten_by_a_huge_count_are_refused_or_another_noun() {
    for_every_sample(|kind, bytes| {
        for count in [u32::MAX, 1 << 16] {
            for place in 0..bytes.len().saturating_sub(3) {
                let mut changed = bytes.to_vec();
                changed[place..place + 4].copy_from_slice(&count.to_be_bytes());
                is_refused_or_canonical(kind, &changed);
            }
        }
    });
}

#[test]
fn every_unknown_version_is_refused_by_number() {
    for kind in kinds() {
        let bytes = (kind.write)(&kind.samples[0].1).unwrap();
        if !matches!(
            kind.name,
            "account_proof"
                | "request"
                | "receipt"
                | "opening_request"
                | "transaction"
                | "epoch_record"
                | "bundle"
                | "short_bundle"
                | "trust"
        ) {
            continue;
        }
        let known = if kind.name == "short_bundle" { 2 } else { 1 };
        for version in [0, known + 1, u16::MAX] {
            let mut changed = bytes.clone();
            changed[..2].copy_from_slice(&u16::to_be_bytes(version));
            let error = (kind.recode)(&changed).unwrap_err();
            let DecodeError::Version { field, found, expected } = error else { panic!("{}: {error}", kind.name) };
            assert!(field.ends_with(".version"), "{field}");
            assert_eq!((found, expected), (version, known));
        }
    }
}
