//! From a pinned key of the network to those that came after it: each was signed for by the one before (`specs/rotation.md`).
//!
//! Believes nothing but the pinned key. Reads no clock: that a pin is too old to be followed is for its holder to know.

use crypto::threshold::GroupKey;
use thiserror::Error;

use crate::{
    canonical::Noun as _,
    epoch::{Certificate, EpochRecord},
    settlement::CertifiedRotation,
};

/// Rotations that one who follows is shown at once: the newest ones.
pub const ROTATIONS_MAX: usize = 64;

/// Rotations that a bundle carries for nobody in particular: a pin is renewed at least every `key.terms` terms of the ledger, and in
/// these one key begins and the next may be named.
pub const ROTATIONS_USUAL: usize = 2;

/// Why keys do not lead on from the pinned one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RotationRefused {
    #[error("rotation {serial} is of chain {found}, {expected} expected")]
    OtherChain { serial: u64, found: u64, expected: u64 },
    #[error("rotation {found} found where {expected} is next")]
    Gap { found: u64, expected: u64 },
    #[error(
        "rotation {serial} is not signed by the key before it; hint: the pinned key may be of another network, or older than the rotations that are shown: pin a newer one"
    )]
    NotCertified { serial: u64 },
}

/// The namespace in front of what a key signs for the one after it.
pub fn rotation_namespace(chain_id: u64) -> String {
    format!("og-{chain_id}_ROTATION")
}

impl CertifiedRotation {
    /// True only if the key before signed for exactly this one.
    pub fn follows(&self, before: &GroupKey) -> bool {
        let namespace = rotation_namespace(self.rotation.chain_id);
        before.verifies(namespace.as_bytes(), &self.rotation.digest().0, &self.signature)
    }
}

/// Keys of the network in their order, the pinned one first. Only [`Self::follow`] makes more than one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkKeys {
    pinned: GroupKey,
    /// Those after the pinned one.
    later: Vec<GroupKey>,
}

impl NetworkKeys {
    pub fn pinned(key: GroupKey) -> Self {
        Self { pinned: key, later: Vec::new() }
    }

    /// Follows these rotations, which are in order. Those up to the pinned key are passed over, unread.
    pub fn follow(chain_id: u64, pinned: GroupKey, rotations: &[CertifiedRotation]) -> Result<Self, RotationRefused> {
        let mut keys = Self::pinned(pinned);
        keys.follow_on(chain_id, rotations)?;
        Ok(keys)
    }

    /// Follows on from the newest key: rotations up to it are passed over, unread.
    ///
    /// # Errors
    /// The first that does not lead on; the keys before it have been followed.
    pub fn follow_on(&mut self, chain_id: u64, rotations: &[CertifiedRotation]) -> Result<(), RotationRefused> {
        let newest = *self.newest();
        let place = rotations.iter().rposition(|certified| certified.rotation.key == newest);
        let mut before: Option<u64> = None;
        for (index, certified) in rotations.iter().enumerate() {
            let rotation = &certified.rotation;
            let serial = rotation.serial;
            if rotation.chain_id != chain_id {
                return Err(RotationRefused::OtherChain { serial, found: rotation.chain_id, expected: chain_id });
            }
            let expected = before.map_or(Some(serial.max(1)), |before| before.checked_add(1)).unwrap_or(u64::MAX);
            if serial != expected {
                return Err(RotationRefused::Gap { found: serial, expected });
            }
            before = Some(serial);
            if place.is_some_and(|place| index <= place) {
                continue;
            }
            if !certified.follows(self.newest()) {
                return Err(RotationRefused::NotCertified { serial });
            }
            self.later.push(rotation.key);
        }
        Ok(())
    }

    pub fn newest(&self) -> &GroupKey {
        self.later.last().unwrap_or(&self.pinned)
    }

    /// The pinned key and all that followed it.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &GroupKey> {
        std::iter::once(&self.pinned).chain(&self.later)
    }

    /// How many followed the pinned one.
    pub fn followed(&self) -> usize {
        self.later.len()
    }

    /// Those that may sign now: the newest, and the one before, because a key that is named begins a term later.
    pub fn signing(&self) -> impl Iterator<Item = &GroupKey> {
        self.all().rev().take(2)
    }

    /// The key under which a certificate holds, if it is one of those that may sign.
    pub fn certifies(&self, certificate: &Certificate, record: &EpochRecord) -> Option<&GroupKey> {
        self.signing().find(|key| certificate.certifies(record, key))
    }
}
