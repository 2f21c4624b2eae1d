//! Conflicting votes, as bytes that anyone can check later.
//!
//! Only proven conflicts pass: agreement reports them before the signatures are verified, so this room verifies first.

use std::sync::Arc;

use commonware_actor::Feedback;
use commonware_codec::{Copying, Decode, Encode};
use commonware_consensus::{
    Reporter,
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
