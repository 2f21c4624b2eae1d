//! A sample or two of every noun that stands alone on the wire, and what can be done with a noun of any kind.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test stops where it finds what cannot be")]

mod messages;
pub mod records;
mod settlement;

use std::sync::LazyLock;

use protocol::{Canonical, DecodeError, Digest, Noun, Value, ValueError};

/// What every kind of noun can do, as plain functions, so that one test runs over all kinds.
pub struct Kind {
    pub name: &'static str,
    /// Names and faces of the samples.
    pub samples: Vec<(&'static str, Value)>,
    /// Face to bytes.
    pub write: fn(&Value) -> Result<Vec<u8>, ValueError>,
    /// Bytes to face.
    pub read: fn(&[u8]) -> Result<Value, DecodeError>,
    /// Bytes to the noun and back to bytes.
    pub recode: fn(&[u8]) -> Result<Vec<u8>, DecodeError>,
    /// Bytes to digest, for nouns that have one.
    pub digest: Option<fn(&[u8]) -> Digest>,
}

fn write<T: Canonical>(face: &Value) -> Result<Vec<u8>, ValueError> {
    T::from_value(face).map(|noun| noun.encode())
}

fn read<T: Canonical>(bytes: &[u8]) -> Result<Value, DecodeError> {
    T::decode(bytes).map(|noun| noun.to_value())
}

fn recode<T: Canonical>(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    T::decode(bytes).map(|noun| noun.encode())
}

/// A noun that is only ever part of another, or is signed as a whole.
fn plain<T: Canonical>(name: &'static str, samples: Vec<(&'static str, T)>) -> Kind {
    let samples = samples.into_iter().map(|(name, sample)| (name, sample.to_value())).collect();
    Kind { name, samples, write: write::<T>, read: read::<T>, recode: recode::<T>, digest: None }
}

/// A noun with a digest of its own.
fn noun<T: Noun>(name: &'static str, samples: Vec<(&'static str, T)>) -> Kind {
    Kind { digest: Some(|bytes| T::decode(bytes).unwrap().digest()), ..plain(name, samples) }
}

/// Every kind of noun with its samples.
pub fn kinds() -> &'static [Kind] {
    static KINDS: LazyLock<Vec<Kind>> =
        LazyLock::new(|| records::kinds().into_iter().chain(messages::kinds()).chain(settlement::kinds()).collect());
    &KINDS
}
