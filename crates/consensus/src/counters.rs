//! What went wrong without stopping anything, counted for whoever watches the validator.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::collector::Refused;

/// A snapshot of the counters of one validator since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Partial signatures over another root than ours for the same epoch.
    pub other_digest: u64,
    /// Partial signatures or certificates that do not hold.
    pub false_signature: u64,
    /// Partial signatures for an epoch too far ahead.
    pub too_early: u64,
    /// Messages that do not decode.
    pub malformed: u64,
    /// Second roots that our own application gave for an epoch.
    pub contradictions: u64,
    /// Conflicting votes that were proven and reported.
    pub misbehaviour: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    other_digest: AtomicU64,
    false_signature: AtomicU64,
    too_early: AtomicU64,
    malformed: AtomicU64,
    contradictions: AtomicU64,
    misbehaviour: AtomicU64,
}

impl Counters {
    pub fn set_refused(&self, refused: Refused) {
        self.other_digest.store(refused.other_digest, Ordering::Relaxed);
        self.false_signature.store(refused.false_signature, Ordering::Relaxed);
        self.too_early.store(refused.too_early, Ordering::Relaxed);
    }

    pub fn add_malformed(&self) {
        self.malformed.fetch_add(1, Ordering::Relaxed);
    }

    pub fn add_contradiction(&self) {
        self.contradictions.fetch_add(1, Ordering::Relaxed);
    }

    pub fn add_misbehaviour(&self) {
        self.misbehaviour.fetch_add(1, Ordering::Relaxed);
    }

    pub fn read(&self) -> Counts {
        Counts {
            other_digest: self.other_digest.load(Ordering::Relaxed),
            false_signature: self.false_signature.load(Ordering::Relaxed),
            too_early: self.too_early.load(Ordering::Relaxed),
            malformed: self.malformed.load(Ordering::Relaxed),
            contradictions: self.contradictions.load(Ordering::Relaxed),
            misbehaviour: self.misbehaviour.load(Ordering::Relaxed),
        }
    }
}
