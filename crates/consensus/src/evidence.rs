//! Conflicting votes, as bytes that anyone can check later.
//!
//! Only proven conflicts pass: agreement reports them before the signatures are verified, so this room verifies first.

use std::sync::Arc;

use commonware_actor::Feedback;
use commonware_codec::{Copying, Decode, Encode};
use commonware_consensus::{
    Epochable as _, Reporter,
    simplex::types::{Activity, Attributable, ConflictingFinalize, ConflictingNotarize, NullifyFinalize},
};
use commonware_cryptography::{certificate::Verifier, ed25519::PublicKey, sha256::Digest};
use commonware_parallel::Sequential;
use commonware_utils::{
    Participant,
    ordered::{Quorum, Set},
};
use rand::{SeedableRng, rngs::StdRng};

use crate::{
    Application, Scheme,
    block::key_bytes,
    committee::{CommitteeError, read_keys, vote_namespace},
    counters::Counters,
    limits::MAX_VALIDATORS,
};

pub(crate) type Vote = Activity<Scheme, Digest>;

/// Why bytes prove nothing.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    #[error(transparent)]
    Committee(#[from] CommitteeError),
    #[error("failed to read evidence: not two conflicting votes")]
    Malformed,
    #[error("failed to check evidence: a signature does not hold for this chain and committee")]
    False,
}

/// The validator that `bytes` prove to have signed two votes that exclude each other.
pub fn evidence(chain_id: u64, validators: &[[u8; 32]], bytes: &[u8]) -> Result<[u8; 32], EvidenceError> {
    let members = Set::from_iter_dedup(read_keys(validators)?);
    let verifier = Scheme::verifier(&vote_namespace(chain_id), members.clone());
    let limit = verifier.certificate_codec_config();
    let vote = Vote::decode_cfg(Copying(bytes), &limit).map_err(|_| EvidenceError::Malformed)?;
    let signer = conflict_signer(&vote).ok_or(EvidenceError::Malformed)?;
    let key = members.key(signer).ok_or(EvidenceError::False)?;
    if !holds(&vote, &verifier) {
        return Err(EvidenceError::False);
    }
    Ok(key_bytes(key))
}

/// The term of agreement whose committee's keys the evidence is to be checked with, as it says itself.
pub fn evidence_term(bytes: &[u8]) -> Result<u64, EvidenceError> {
    let limit = usize::try_from(MAX_VALIDATORS).unwrap_or(usize::MAX);
    let vote = Vote::decode_cfg(Copying(bytes), &limit).map_err(|_| EvidenceError::Malformed)?;
    conflict_signer(&vote).ok_or(EvidenceError::Malformed)?;
    Ok(vote.epoch().get())
}

/// Each of the two signatures is checked by itself, which uses no randomness (only batches do).
fn holds(vote: &Vote, scheme: &Scheme) -> bool {
    vote.verify(&mut StdRng::seed_from_u64(0), scheme, &Sequential)
}

fn conflict_signer(vote: &Vote) -> Option<Participant> {
    match vote {
        Activity::ConflictingNotarize(conflict) => Some(ConflictingNotarize::signer(conflict)),
        Activity::ConflictingFinalize(conflict) => Some(ConflictingFinalize::signer(conflict)),
        Activity::NullifyFinalize(conflict) => Some(NullifyFinalize::signer(conflict)),
        Activity::Notarize(_)
        | Activity::Notarization(_)
        | Activity::Certification(_)
        | Activity::Nullify(_)
        | Activity::Nullification(_)
        | Activity::Finalize(_)
        | Activity::Finalization(_) => None,
    }
}

/// Listens to agreement's activity and reports proven conflicts to the application.
#[derive(Clone)]
pub(crate) struct Watch {
    pub scheme: Scheme,
    pub members: Set<PublicKey>,
    pub application: Arc<dyn Application>,
    pub counters: Arc<Counters>,
}

impl Reporter for Watch {
    type Activity = Vote;

    fn report(&mut self, vote: Vote) -> Feedback {
        let culprit = conflict_signer(&vote).and_then(|signer| self.members.key(signer));
        if let Some(culprit) = culprit
            && holds(&vote, &self.scheme)
        {
            self.counters.add_misbehaviour();
            self.application.misbehaviour(key_bytes(culprit), vote.encode().to_vec());
        }
        Feedback::Ok
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        committee::tests::{CHAIN_ID, validators},
        recorder::Recorder,
    };
    use commonware_codec::DecodeExt;
    use commonware_consensus::{
        simplex::types::{Finalize, Notarize, Nullify, Proposal},
        types::{Epoch, Round, View},
    };
    use commonware_cryptography::{Signer as _, ed25519::PrivateKey};

    fn scheme(chain_id: u64, signer: u8) -> Scheme {
        let members = Set::from_iter_dedup(read_keys(&validators(4)).unwrap());
        let key = PrivateKey::decode(Copying(&[signer; 32])).unwrap();
        Scheme::signer(&vote_namespace(chain_id), members, key).unwrap()
    }

    fn proposal(payload: u8) -> Proposal<Digest> {
        Proposal::new(Round::new(Epoch::zero(), View::new(5)), View::new(4), Digest([payload; 32]))
    }

    fn conflicts(scheme: &Scheme) -> Vec<Vote> {
        let notarize = |payload| Notarize::sign(scheme, proposal(payload)).unwrap();
        let finalize = |payload| Finalize::sign(scheme, proposal(payload)).unwrap();
        let nullify = Nullify::sign::<Digest>(scheme, proposal(1).round).unwrap();
        vec![
            Activity::ConflictingNotarize(ConflictingNotarize::new(notarize(1), notarize(2))),
            Activity::ConflictingFinalize(ConflictingFinalize::new(finalize(1), finalize(2))),
            Activity::NullifyFinalize(NullifyFinalize::new(nullify, finalize(1))),
        ]
    }

    fn reported(votes: impl IntoIterator<Item = Vote>) -> Vec<([u8; 32], Vec<u8>)> {
        let application = Arc::new(Recorder::default());
        let members = Set::from_iter_dedup(read_keys(&validators(4)).unwrap());
        let counters = Arc::new(Counters::default());
        let mut watch = Watch {
            scheme: scheme(CHAIN_ID, 1),
            members,
            application: application.clone(),
            counters: counters.clone(),
        };
        votes.into_iter().for_each(|vote| assert_eq!(watch.report(vote), Feedback::Ok));
        let reported = application.record().misbehaviour.clone();
        assert_eq!(counters.read().misbehaviour, u64::try_from(reported.len()).unwrap());
        reported
    }

    #[test]
    fn conflicting_votes_are_reported_with_evidence_that_anyone_can_check() {
        let reports = reported(conflicts(&scheme(CHAIN_ID, 3)));
        assert_eq!(reports.len(), 3);
        for (culprit, bytes) in reports {
            assert_eq!(culprit, validators(4)[2]);
            assert_eq!(evidence(CHAIN_ID, &validators(4), &bytes).unwrap(), culprit);
            assert_eq!(evidence_term(&bytes).unwrap(), 0);
        }
    }

    /// What each of four validators signs against itself, of the keys and the chain that the ledger's tests use.
    #[test]
    fn conflicting_votes_have_the_frozen_bytes() {
        let key = |seed: u8| PrivateKey::decode(Copying(&[seed; 32])).unwrap();
        let members = Set::from_iter_dedup((10..14).map(|seed| key(seed).public_key()));
        let mut text = String::new();
        for seed in 10..14 {
            let scheme = Scheme::signer(&vote_namespace(7), members.clone(), key(seed)).unwrap();
            for vote in conflicts(&scheme) {
                let hex: String = vote.encode().iter().map(|byte| format!("{byte:02x}")).collect();
                text += &format!("{seed} {hex}\n");
            }
        }
        assert_eq!(text, include_str!("../vectors/double-votes.txt"), "what they are now:\n{text}");
    }

    #[test]
    fn forged_conflicts_and_honest_votes_are_not_reported() {
        assert_eq!(reported(conflicts(&scheme(CHAIN_ID + 1, 3))), vec![]);
        let vote = Notarize::sign(&scheme(CHAIN_ID, 3), proposal(1)).unwrap();
        assert_eq!(reported([Activity::Notarize(vote)]), vec![]);
    }

    #[test]
    fn bytes_that_prove_nothing_are_refused() {
        let check = |bytes: &[u8]| evidence(CHAIN_ID, &validators(4), bytes);
        let vote = Notarize::sign(&scheme(CHAIN_ID, 3), proposal(1)).unwrap();
        let one_vote: Vote = Activity::Notarize(vote);
        assert!(matches!(check(&one_vote.encode()), Err(EvidenceError::Malformed)));
        assert!(matches!(evidence_term(&one_vote.encode()), Err(EvidenceError::Malformed)));
        assert!(matches!(evidence_term(&[7]), Err(EvidenceError::Malformed)));
        for conflict in conflicts(&scheme(CHAIN_ID, 3)) {
            let bytes = conflict.encode();
            assert!(matches!(evidence(CHAIN_ID + 1, &validators(4), &bytes), Err(EvidenceError::False)));
            assert!(matches!(evidence(CHAIN_ID, &[], &bytes), Err(EvidenceError::Committee(_))));
            for bit in 0..bytes.len() * 8 {
                let mut changed = bytes.to_vec();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(check(&changed).is_err(), "bit {bit}");
            }
            for length in 0..bytes.len() {
                assert!(matches!(check(&bytes[..length]), Err(EvidenceError::Malformed)), "length {length}");
            }
        }
    }
}
