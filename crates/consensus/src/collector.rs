//! Collects the partial signatures of one term's committee over epoch roots until they make a certificate: a pure machine.
//!
//! Reads no clock (times are arguments), sends nothing, stores nothing; the caller does what the [`Effect`]s say.
//! A partial over another digest or a false one is refused and counted; it never stops anything. Partials wait for
//! an epoch that we have not closed yet only up to [`EARLY_EPOCHS`] ahead, one per member.

use std::collections::{BTreeMap, BTreeSet};

use commonware_utils::Participant;

use crate::{
    committee::{Partial, Signature, TermKey},
    limits::{EARLY_EPOCHS, RESENDS_PER_TICK},
    message::EpochMessage,
};

/// First wait before a partial is sent again; it doubles up to [`RESEND_MAX_MS`].
const RESEND_FIRST_MS: u64 = 500;
const RESEND_MAX_MS: u64 = 8_000;

/// What the caller has to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Send to every other member.
    Broadcast(EpochMessage),
    /// Store and report.
    Certified { epoch: u64, digest: [u8; 32], signature: Signature },
    /// The sender lacks a certificate that our store may hold: answer with it.
    Serve { epoch: u64 },
}

/// Messages that were refused, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    /// A member signed another root than ours for the same epoch.
    pub other_digest: u64,
    /// A signature that does not hold, or one sent for somebody else.
    pub false_signature: u64,
    /// An epoch too far ahead of ours.
    pub too_early: u64,
}

impl Refused {
    pub fn add(&mut self, other: Self) {
        self.other_digest = self.other_digest.saturating_add(other.other_digest);
        self.false_signature = self.false_signature.saturating_add(other.false_signature);
        self.too_early = self.too_early.saturating_add(other.too_early);
    }
}

/// One epoch that we closed and that has no certificate yet.
struct Open {
    digest: [u8; 32],
    partials: BTreeMap<Participant, Partial>,
    /// Members whose partial for this epoch was false; they get no second try.
    barred: BTreeSet<Participant>,
    resend_at_ms: u64,
    wait_ms: u64,
}

pub(crate) struct Collector {
    term: u64,
    key: TermKey,
    open: BTreeMap<u64, Open>,
    early: BTreeMap<u64, BTreeMap<Participant, ([u8; 32], Partial)>>,
    newest_closed: u64,
    pub refused: Refused,
}

impl Collector {
    pub fn new(term: u64, key: TermKey, newest_closed: u64) -> Self {
        Self { term, key, open: BTreeMap::new(), early: BTreeMap::new(), newest_closed, refused: Refused::default() }
    }

    pub fn key(&self) -> &TermKey {
        &self.key
    }

    pub fn is_open(&self, epoch: u64) -> bool {
        self.open.contains_key(&epoch)
    }

    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    /// We closed `epoch` with `digest`, durably: sign it and tell the others.
    pub fn close(&mut self, epoch: u64, digest: [u8; 32], now_ms: u64) -> Vec<Effect> {
        if self.is_open(epoch) {
            return Vec::new();
        }
        self.newest_closed = self.newest_closed.max(epoch);
        let own = self.key.sign(&digest);
        let open = Open {
            digest,
            partials: own.into_iter().map(|partial| (partial.index, partial)).collect(),
            barred: BTreeSet::new(),
            resend_at_ms: now_ms.saturating_add(RESEND_FIRST_MS),
            wait_ms: RESEND_FIRST_MS,
        };
        self.open.insert(epoch, open);
        let mut effects = self.word(epoch);
        for (_, (digest, partial)) in self.early.remove(&epoch).unwrap_or_default() {
            self.admit(epoch, digest, partial);
        }
        self.early = self.early.split_off(&epoch.saturating_sub(EARLY_EPOCHS));
        effects.extend(self.try_recover(epoch));
        effects
    }

    /// What we say of an epoch that waits: our partials, or a question if we have none.
    fn word(&self, epoch: u64) -> Vec<Effect> {
        let Some(open) = self.open.get(&epoch) else { return Vec::new() };
        let (term, digest) = (self.term, open.digest);
        let own = open.partials.values().filter(|partial| self.key.is_ours(partial.index));
        let say = |partial: &Partial| EpochMessage::Partial { term, epoch, digest, partial: partial.clone() };
        let mut words: Vec<_> = own.map(say).map(Effect::Broadcast).collect();
        if words.is_empty() {
            words.push(Effect::Broadcast(EpochMessage::Question { epoch }));
        }
        words
    }

    /// Says our word again for epochs that wait; whoever has the certificate answers with it.
    pub fn tick(&mut self, now_ms: u64) -> Vec<Effect> {
        let due = self.open.iter_mut().filter(|(_, open)| open.resend_at_ms <= now_ms).take(RESENDS_PER_TICK);
        let again = |(epoch, open): (&u64, &mut Open)| {
            open.wait_ms = open.wait_ms.saturating_mul(2).min(RESEND_MAX_MS);
            open.resend_at_ms = now_ms.saturating_add(open.wait_ms);
            *epoch
        };
        let due: Vec<u64> = due.map(again).collect();
        due.into_iter().flat_map(|epoch| self.word(epoch)).collect()
    }

    /// A partial of a member; `is_its_own` says whether its sender holds the seat that it is of.
    pub fn receive_partial(&mut self, is_its_own: bool, epoch: u64, digest: [u8; 32], partial: Partial) -> Vec<Effect> {
        if !is_its_own {
            self.refused.false_signature += 1;
            return Vec::new();
        }
        let from = partial.index;
        if self.is_open(epoch) {
            self.admit(epoch, digest, partial);
            return self.try_recover(epoch).into_iter().collect();
        }
        if epoch <= self.newest_closed {
            return vec![Effect::Serve { epoch }];
        }
        if epoch > self.newest_closed.saturating_add(EARLY_EPOCHS) {
            self.refused.too_early += 1;
            return Vec::new();
        }
        self.early.entry(epoch).or_default().insert(from, (digest, partial));
        Vec::new()
    }

    /// Takes a partial for an open epoch without checking the signature: see [`Self::try_recover`].
    fn admit(&mut self, epoch: u64, digest: [u8; 32], partial: Partial) {
        let Some(open) = self.open.get_mut(&epoch) else { return };
        if open.digest != digest {
            self.refused.other_digest += 1;
        } else if open.barred.contains(&partial.index) {
            self.refused.false_signature += 1;
        } else {
            open.partials.entry(partial.index).or_insert(partial);
        }
    }

    /// Recovers first and checks the result: with honest members one pairing product instead of one per partial.
    /// Only when the result does not hold are the partials checked one by one and the false ones dropped.
    fn try_recover(&mut self, epoch: u64) -> Option<Effect> {
        let open = self.open.get_mut(&epoch)?;
        while open.partials.len() >= self.key.required() {
            if let Some(signature) = self.key.recover(&open.digest, open.partials.values()) {
                let digest = open.digest;
                self.open.remove(&epoch);
                return Some(Effect::Certified { epoch, digest, signature });
            }
            let held = |_: &Participant, partial: &mut Partial| self.key.holds_partial(&open.digest, partial);
            let before = open.partials.len();
            let mut kept = std::mem::take(&mut open.partials);
            open.barred.extend(kept.extract_if(.., |index, partial| !held(index, partial)).map(|(index, _)| index));
            open.partials = kept;
            let dropped = before.saturating_sub(open.partials.len());
            self.refused.false_signature += u64::try_from(dropped).unwrap_or(u64::MAX);
            if dropped == 0 {
                return None;
            }
        }
        None
    }

    pub fn receive_certificate(&mut self, epoch: u64, signature: Signature) -> Vec<Effect> {
        let Some(open) = self.open.get(&epoch) else { return Vec::new() };
        let digest = open.digest;
        if !self.key.takes(&digest, &signature) {
            self.refused.false_signature += 1;
            return Vec::new();
        }
        self.open.remove(&epoch);
        vec![Effect::Certified { epoch, digest, signature }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        committee::{
            read_keys,
            tests::{CHAIN_ID, place, sign, term_keys, validators},
        },
        deal,
    };
    use commonware_utils::ordered::Set;
    use rand::{SeedableRng, rngs::StdRng};

    const ROOT: [u8; 32] = [1; 32];
    const OTHER: [u8; 32] = [2; 32];

    /// The collector of the first of four members, and the others' keys.
    fn committee() -> (Collector, Vec<TermKey>) {
        let keys = term_keys(4);
        (Collector::new(2, keys[0].clone(), 0), keys)
    }

    fn partial(epoch: u64, digest: [u8; 32], key: &TermKey) -> EpochMessage {
        EpochMessage::Partial { term: 2, epoch, digest, partial: sign(key, &digest) }
    }

    fn receive(collector: &mut Collector, from: &TermKey, message: EpochMessage) -> Vec<Effect> {
        match message {
            EpochMessage::Partial { epoch, digest, partial, .. } => {
                collector.receive_partial(place(from) == partial.index, epoch, digest, partial)
            }
            EpochMessage::Certificate { epoch, signature } => collector.receive_certificate(epoch, signature),
            EpochMessage::Question { .. } => unreachable!("the certifier answers questions"),
        }
    }

    fn is_certified(effects: &[Effect], key: &TermKey) -> bool {
        matches!(effects, [Effect::Certified { digest: ROOT, signature, .. }] if key.holds(&ROOT, signature))
    }

    #[test]
    fn three_of_four_make_a_certificate() {
        let (mut collector, keys) = committee();
        assert!(matches!(collector.close(1, ROOT, 0).as_slice(), [Effect::Broadcast(EpochMessage::Partial { .. })]));
        assert_eq!(receive(&mut collector, &keys[1], partial(1, ROOT, &keys[1])), vec![]);
        let effects = receive(&mut collector, &keys[2], partial(1, ROOT, &keys[2]));
        assert!(is_certified(&effects, &keys[0]));
        assert!(!collector.is_open(1));
        assert_eq!(collector.refused, Refused::default());
    }

    #[test]
    fn partials_that_come_before_the_epoch_is_closed_here_are_kept() {
        let (mut collector, keys) = committee();
        for key in &keys[1..3] {
            assert_eq!(receive(&mut collector, key, partial(1, ROOT, key)), vec![]);
        }
        let effects = collector.close(1, ROOT, 0);
        assert!(is_certified(&effects[1..], &keys[0]), "{effects:?}");
    }

    #[test]
    fn a_partial_over_another_root_is_counted_and_stops_nothing() {
        let (mut collector, keys) = committee();
        collector.close(1, ROOT, 0);
        assert_eq!(receive(&mut collector, &keys[1], partial(1, OTHER, &keys[1])), vec![]);
        assert_eq!(collector.refused.other_digest, 1);
        receive(&mut collector, &keys[2], partial(1, ROOT, &keys[2]));
        let effects = receive(&mut collector, &keys[3], partial(1, ROOT, &keys[3]));
        assert!(is_certified(&effects, &keys[0]));
    }

    #[test]
    fn a_false_partial_is_found_counted_and_left_out() {
        let (mut collector, keys) = committee();
        collector.close(1, ROOT, 0);
        let lie = EpochMessage::Partial { term: 2, epoch: 1, digest: ROOT, partial: sign(&keys[1], &OTHER) };
        assert_eq!(receive(&mut collector, &keys[1], lie.clone()), vec![]);
        assert_eq!(receive(&mut collector, &keys[2], partial(1, ROOT, &keys[2])), vec![]);
        assert_eq!(collector.refused.false_signature, 1);
        assert_eq!(receive(&mut collector, &keys[1], lie), vec![], "no second try");
        assert_eq!(collector.refused.false_signature, 2);
        let effects = receive(&mut collector, &keys[3], partial(1, ROOT, &keys[3]));
        assert!(is_certified(&effects, &keys[0]));
    }

    #[test]
    fn nobody_signs_for_another() {
        let (mut collector, keys) = committee();
        collector.close(1, ROOT, 0);
        assert_eq!(receive(&mut collector, &keys[1], partial(1, ROOT, &keys[2])), vec![]);
        assert_eq!(collector.refused.false_signature, 1);
    }

    #[test]
    fn an_epoch_too_far_ahead_is_counted_and_forgotten() {
        let (mut collector, keys) = committee();
        receive(&mut collector, &keys[1], partial(EARLY_EPOCHS, ROOT, &keys[1]));
        assert_eq!(collector.refused.too_early, 0);
        receive(&mut collector, &keys[1], partial(EARLY_EPOCHS + 1, ROOT, &keys[1]));
        assert_eq!(collector.refused.too_early, 1);
        assert_eq!(collector.early.len(), 1);
    }

    #[test]
    fn a_finished_certificate_closes_the_gap_and_a_false_one_does_not() {
        let (mut collector, keys) = committee();
        collector.close(1, ROOT, 0);
        let signed = |digest| keys[0].recover(&digest, &keys.iter().map(|key| sign(key, &digest)).collect::<Vec<_>>());
        let certificate = |digest| EpochMessage::Certificate { epoch: 1, signature: signed(digest).unwrap() };
        assert_eq!(receive(&mut collector, &keys[1], certificate(OTHER)), vec![]);
        assert_eq!(collector.refused.false_signature, 1);
        assert!(is_certified(&receive(&mut collector, &keys[1], certificate(ROOT)), &keys[0]));
        assert_eq!(receive(&mut collector, &keys[1], certificate(ROOT)), vec![], "late answers are dropped");
    }

    #[test]
    fn whoever_asks_late_is_served() {
        let (mut collector, keys) = committee();
        collector.close(5, ROOT, 0);
        let effects = receive(&mut collector, &keys[3], partial(4, ROOT, &keys[3]));
        assert_eq!(effects, vec![Effect::Serve { epoch: 4 }]);
    }

    #[test]
    fn an_epoch_that_waits_is_sent_again_at_growing_distances() {
        let (mut collector, _) = committee();
        collector.close(1, ROOT, 0);
        let sent: Vec<u64> = (0..40).map(|step| step * 250).filter(|now| !collector.tick(*now).is_empty()).collect();
        assert_eq!(sent, vec![500, 1_500, 3_500, 7_500]);
    }

    #[test]
    fn closing_an_epoch_twice_changes_nothing() {
        let (mut collector, _) = committee();
        collector.close(1, ROOT, 0);
        assert_eq!(collector.close(1, OTHER, 0), vec![]);
    }

    #[test]
    fn who_has_no_share_asks_and_believes_the_answer_that_holds() {
        let keys = term_keys(4);
        let members = Set::from_iter_dedup(read_keys(&validators(4)).unwrap());
        let dealing = deal(&mut StdRng::seed_from_u64(7), &validators(4)).unwrap();
        let key = TermKey::read(CHAIN_ID, &dealing.polynomial, &members).unwrap();
        let mut collector = Collector::new(2, key, 0);
        let question = vec![Effect::Broadcast(EpochMessage::Question { epoch: 1 })];
        assert_eq!(collector.close(1, ROOT, 0), question);
        assert_eq!(collector.tick(500), question);
        assert_eq!(receive(&mut collector, &keys[1], partial(1, ROOT, &keys[1])), vec![]);
        let partials: Vec<_> = keys.iter().map(|key| sign(key, &ROOT)).collect();
        let signature = keys[0].recover(&ROOT, &partials).unwrap();
        assert!(is_certified(&collector.receive_certificate(1, signature), &keys[0]));
    }
}
