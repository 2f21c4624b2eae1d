//! What the interface answers from, and what its answers share.

use std::sync::{Arc, Mutex, MutexGuard};

use auditor::Judges;
use consensus::Handle;
use crypto::digest::read_hex;
use ledger::BundleError;
use network::{
    Bytes, Refusal as Answer,
    axum::{extract::State, http::StatusCode},
};
use protocol::{Digest, EvmAddress, EvmWord, GroupKey, NetworkKeys, Trust};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{lock::locked, node::Node};

/// What the interface answers from.
pub(crate) struct Desk {
    pub node: Arc<Node>,
    pub agreement: Handle,
    pub trust: Trust,
    /// The genesis, for those who join: its digest is in every network file.
    pub genesis: Bytes,
    pub judges: Judges,
    /// Places for answers that are as large as an epoch.
    pub epochs: Arc<Semaphore>,
    /// Places for those who wait for what other validators are asked for.
    pub asking: Semaphore,
    /// The keys that the network has had, as far as they were followed.
    pub keys: Mutex<NetworkKeys>,
}

/// Answers as large as an epoch that are made, or on their way, at once.
pub(crate) const EPOCHS_AT_ONCE: usize = 8;

/// Who wait at once for a certificate that another validator has.
pub(crate) const ASKING_AT_ONCE: usize = 4;

/// Keys that an old epoch's certificate is tried with, beside the present one: each costs a pairing, of a false answer all.
const KEYS_TRIED: usize = 32;

pub(crate) type Shared = State<Arc<Desk>>;

impl Desk {
    /// The keys that the network has had, as far as this validator's trust leads. A rotation costs a pairing, once: for threads that may
    /// take their time.
    pub fn network_keys(&self) -> MutexGuard<'_, NetworkKeys> {
        let mut keys = locked(&self.keys);
        let rotations: Vec<_> = {
            let ledger = self.node.ledger();
            let newest = ledger.rotations().last().map(|certified| certified.rotation.key);
            // Usually there is none that was not followed.
            let is_new = newest.is_some_and(|newest| newest != *keys.newest());
            ledger.rotations().filter(|_| is_new).cloned().collect()
        };
        if let Err(error) = keys.follow_on(self.trust.chain_id, &rotations) {
            tracing::warn!(%error, "the network's keys are followed up to there");
        }
        keys
    }

    /// The keys that may have signed for an epoch that ended with this height, the likeliest last.
    pub fn keys_around(&self, height: u64) -> Vec<[u8; 96]> {
        let (newest, rotations) = {
            let ledger = self.node.ledger();
            (ledger.height(), ledger.rotations().count())
        };
        let keys = self.network_keys().all().map(|key| key.0).collect();
        around(keys, rotations, (height, newest))
    }

    /// A place for an answer as large as an epoch.
    pub fn place(&self) -> Result<OwnedSemaphorePermit, Answer> {
        let place = Arc::clone(&self.epochs).try_acquire_owned();
        place.map_err(|_| {
            let words = format!("{EPOCHS_AT_ONCE} answers as large as an epoch are under way");
            Answer::new(StatusCode::TOO_MANY_REQUESTS, "busy", words).with_hint(ASK_ANOTHER).with_retry_after_s(1)
        })
    }

    /// Why nothing is answered, where that is so.
    pub fn closed(&self) -> Option<Answer> {
        self.unreadable().or_else(|| self.ended())
    }

    /// Execution could not read its state: then this node stops with the next block, and what it answers may be wrong.
    pub fn unreadable(&self) -> Option<Answer> {
        let words = "this validator cannot read its state, and stops";
        self.node.has_failed().then(|| Answer::unavailable("state_unreadable", words).with_hint(ASK_ANOTHER))
    }

    /// Agreement has ended here: what was executed last may be long past, and what is taken would wait for ever.
    pub fn ended(&self) -> Option<Answer> {
        let words = "this validator no longer takes part in agreement";
        let has_ended = !self.agreement.is_running();
        has_ended.then(|| Answer::unavailable("agreement_stopped", words).with_hint(ASK_ANOTHER))
    }
}

/// Of so many rotations up to the newest height, the keys around another height, the likeliest last: keys sign for about as many blocks each.
fn around(keys: Vec<[u8; 96]>, rotations: usize, (height, newest): (u64, u64)) -> Vec<[u8; 96]> {
    let since = u128::from(newest.saturating_sub(height)) * rotations as u128;
    let age = usize::try_from(since.checked_div(newest.into()).unwrap_or(0)).unwrap_or(usize::MAX);
    let mut near: Vec<_> = keys.into_iter().rev().enumerate().collect();
    near.sort_by_key(|(behind, _)| behind.abs_diff(age));
    near.truncate(KEYS_TRIED);
    near.into_iter().rev().map(|(_, key)| key).collect()
}

pub(crate) const ASK_ANOTHER: &str = "ask another validator";

/// What is certified here is older than what proofs can be made of: waiting helps nobody, another validator may be ahead.
pub(crate) fn behind(as_of: u64) -> Answer {
    let words = format!("the newest epoch that is certified here is {as_of}, too old for proofs to be made as of it");
    Answer::unavailable("certificates_behind", words).with_hint(ASK_ANOTHER)
}

/// Why something cannot be proven as of the newest certified epoch, though it is there.
pub(crate) fn not_proven(error: &BundleError) -> Answer {
    match error {
        BundleError::TooOld { as_of } => behind(*as_of),
        _ => Answer::new(StatusCode::CONFLICT, "not_certified_yet", "the epoch that holds it is not certified yet")
            .with_hint("epochs are certified about every second")
            .with_retry_after_s(1),
    }
}

/// Whom a proof is for.
#[derive(Deserialize)]
pub(crate) struct Reader {
    /// The network key that they pinned, in hexadecimal.
    pinned: Option<String>,
}

impl Reader {
    pub fn key(&self) -> Result<Option<GroupKey>, Answer> {
        let Some(text) = &self.pinned else { return Ok(None) };
        let key = GroupKey::from_hex(text);
        key.map(Some).ok_or_else(|| Answer::bad_request("bad_key", "a network key is 192 hexadecimal digits"))
    }
}

/// Forty hexadecimal digits behind 0x.
pub(crate) fn address(text: &str) -> Option<EvmAddress> {
    read_hex(text.strip_prefix("0x")?).map(EvmAddress)
}

/// The same, or a refusal that says what an address is.
pub(crate) fn named_address(text: &str) -> Result<EvmAddress, Answer> {
    address(text).ok_or_else(|| Answer::bad_request("bad_address", "an address is 40 hexadecimal digits behind 0x"))
}

/// A slot of an account's storage.
pub(crate) fn named_slot(text: &str) -> Result<EvmWord, Answer> {
    let word = text.strip_prefix("0x").and_then(read_hex).map(EvmWord);
    word.ok_or_else(|| Answer::bad_request("bad_slot", "a slot is 64 hexadecimal digits behind 0x"))
}

pub(crate) fn digest(text: &str) -> Result<Digest, Answer> {
    Digest::from_hex(text).ok_or_else(|| Answer::bad_request("bad_id", "an id is 64 hexadecimal digits"))
}

pub(crate) fn not_certified() -> Answer {
    Answer::new(StatusCode::CONFLICT, "not_certified_yet", "no epoch is certified yet")
        .with_hint("epochs are certified about every second")
        .with_retry_after_s(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proofs_reader_names_a_whole_network_key_or_none() {
        let key = |pinned: Option<String>| Reader { pinned }.key();
        assert_eq!(key(None).unwrap(), None);
        assert_eq!(key(Some("Ab".repeat(96))).unwrap(), Some(GroupKey([0xab; 96])));
        for refused in ["", "ab", &"ab".repeat(97), &"zz".repeat(96)] {
            assert!(key(Some(refused.to_owned())).is_err(), "{refused}");
        }
    }

    #[test]
    fn of_many_keys_those_are_tried_that_signed_about_then_and_the_likeliest_is_last() {
        let tried = |rotations: u16, at: (u64, u64)| -> Vec<u16> {
            let key = |serial: u16| {
                let mut key = [0; 96];
                key[..2].copy_from_slice(&serial.to_be_bytes());
                key
            };
            let around = around((0..=rotations).map(key).collect(), usize::from(rotations), at);
            around.iter().map(|key| u16::from_be_bytes([key[0], key[1]])).collect()
        };
        assert_eq!(tried(0, (0, 0)), [0]);
        assert_eq!(tried(4, (100, 100)), [0, 1, 2, 3, 4]);
        assert_eq!(tried(4, (0, 100)), [4, 3, 2, 1, 0]);
        assert_eq!(tried(4, (50, 100)).last(), Some(&2));
        let of_many = tried(1_000, (250, 1_000));
        assert_eq!((of_many.len(), of_many.last()), (KEYS_TRIED, Some(&250)));
        assert!(of_many.iter().all(|serial| (234..=266).contains(serial)), "{of_many:?}");
    }

    #[test]
    fn addresses_and_slots_have_all_their_digits_behind_0x() {
        assert_eq!(named_address(&format!("0x{}", "0A".repeat(20))).unwrap(), EvmAddress([10; 20]));
        assert_eq!(named_slot(&format!("0x{}", "0A".repeat(32))).unwrap(), EvmWord([10; 32]));
        for refused in ["", "0x", "0x5", &"0a".repeat(32), &format!("0x{}", "0g".repeat(32))] {
            assert_eq!(named_address(refused).unwrap_err().code, "bad_address", "{refused}");
            assert_eq!(named_slot(refused).unwrap_err().code, "bad_slot", "{refused}");
        }
    }

    #[test]
    fn what_cannot_be_proven_yet_is_asked_for_again_and_what_never_can_here_is_asked_of_another() {
        let told = |error: BundleError| {
            let answer = not_proven(&error);
            (answer.status, answer.code)
        };
        assert_eq!(told(BundleError::TooOld { as_of: 7 }), (StatusCode::SERVICE_UNAVAILABLE, "certificates_behind"));
        assert_eq!(told(BundleError::NotClosed { as_of: 7 }), (StatusCode::CONFLICT, "not_certified_yet"));
    }
}
