//! Certificates of epochs that were closed before this node's time: asked of the others, a few at once, and believed only if a key of the
//! network signed the root that we have.
//!
//! A question is asked once and forgotten after a while; whoever still wants the certificate asks again.

use std::collections::{BTreeMap, BTreeSet};

use commonware_cryptography::ed25519::PublicKey;

use crate::{
    collector::{Effect, Refused},
    committee::{Signature, TermKey},
    limits::{ASKED_MAX, ASKED_MS},
    message::EpochMessage,
};

struct Question {
    digest: [u8; 32],
    /// Takes what any key of the network signed.
    key: TermKey,
    until_ms: u64,
    /// Who answered falsely; they get no second try.
    barred: BTreeSet<PublicKey>,
}

#[derive(Default)]
pub(crate) struct Asked {
    open: BTreeMap<u64, Question>,
    pub refused: Refused,
}

impl Asked {
    /// Whether an epoch may be asked for now.
    pub fn has_room(&mut self, epoch: u64, now_ms: u64) -> bool {
        self.open.retain(|_, question| now_ms < question.until_ms);
        self.open.len() < ASKED_MAX && !self.open.contains_key(&epoch)
    }

    /// Whether an epoch was asked for when [`Self::has_room`] was asked last, or has been since.
    pub fn is_asked(&self, epoch: u64) -> bool {
        self.open.contains_key(&epoch)
    }

    /// What to say to the others about an epoch with this root.
    pub fn ask(&mut self, epoch: u64, digest: [u8; 32], key: TermKey, now_ms: u64) -> EpochMessage {
        let until_ms = now_ms.saturating_add(ASKED_MS);
        self.open.insert(epoch, Question { digest, key, until_ms, barred: BTreeSet::new() });
        EpochMessage::Question { epoch }
    }

    pub fn receive(&mut self, from: &PublicKey, epoch: u64, signature: Signature) -> Vec<Effect> {
        let Some(question) = self.open.get_mut(&epoch).filter(|question| !question.barred.contains(from)) else {
            return Vec::new();
        };
        let digest = question.digest;
        if !question.key.takes(&digest, &signature) {
            question.barred.insert(from.clone());
            self.refused.false_signature = self.refused.false_signature.saturating_add(1);
            return Vec::new();
        }
        self.open.remove(&epoch);
        vec![Effect::Certified { epoch, digest, signature }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::committee::{
        read_keys,
        tests::{sign, term_keys, validators},
    };

    const ROOT: [u8; 32] = [1; 32];
    const OTHER: [u8; 32] = [2; 32];

    fn signed(keys: &[TermKey], digest: [u8; 32]) -> Signature {
        keys[0].recover(&digest, &keys.iter().map(|key| sign(key, &digest)).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn an_answer_is_believed_if_the_key_signed_our_root_and_a_liar_gets_no_second_try() {
        let (keys, peers) = (term_keys(4), read_keys(&validators(4)).unwrap());
        let mut asked = Asked::default();
        assert!(asked.has_room(7, 0));
        assert_eq!(asked.ask(7, ROOT, keys[0].clone(), 0), EpochMessage::Question { epoch: 7 });
        assert_eq!(asked.receive(&peers[1], 8, signed(&keys, ROOT)), vec![], "nobody asked");
        assert_eq!(asked.receive(&peers[1], 7, signed(&keys, OTHER)), vec![]);
        assert_eq!(asked.refused.false_signature, 1);
        assert_eq!(asked.receive(&peers[1], 7, signed(&keys, ROOT)), vec![]);
        let signature = signed(&keys, ROOT);
        let certified = vec![Effect::Certified { epoch: 7, digest: ROOT, signature }];
        assert_eq!(asked.receive(&peers[2], 7, signature), certified);
        assert_eq!(asked.receive(&peers[3], 7, signature), vec![], "late answers are dropped");
        assert_eq!(asked.refused.false_signature, 1);
    }

    #[test]
    fn so_many_are_asked_for_at_once_each_one_time_and_for_a_while() {
        let (key, mut asked) = (term_keys(4).remove(0), Asked::default());
        for epoch in 0..ASKED_MAX as u64 {
            assert!(asked.has_room(epoch, 0) && !asked.is_asked(epoch));
            asked.ask(epoch, ROOT, key.clone(), 0);
            assert!(!asked.has_room(epoch, ASKED_MS - 1) && asked.is_asked(epoch));
        }
        assert!(!asked.has_room(99, ASKED_MS - 1) && !asked.is_asked(99));
        assert!(asked.has_room(99, ASKED_MS) && asked.has_room(0, ASKED_MS) && !asked.is_asked(0));
    }
}
