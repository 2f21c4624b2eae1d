//! The dealers' signed logs in the order in which the blocks brought them, and the outcome that they make.
//!
//! A function of the logs alone: whoever has the blocks gets the same outcome, a member or not. The first log of a
//! dealer counts; what does not hold is refused and changes nothing.

use std::collections::BTreeSet;

use commonware_codec::{Copying, Decode, DecodeExt, Encode};
use commonware_cryptography::{
    bls12381::{
        dkg::feldman_desmedt::{self, DealerLog, Failure, Logs, Output, SignedDealerLog},
        primitives::variant::MinSig,
    },
    ed25519::PublicKey,
};
use commonware_parallel::Sequential;
use commonware_utils::N3f1;
use rand_core::CryptoRng;

use super::{
    message::MAX_LOG_BYTES,
    round::{Committee, Round, key_list},
};
use crate::block::key_bytes;

/// Why bytes are no log of this round.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LogError {
    #[error("failed to read dealer log: {length} bytes, expected at most {MAX_LOG_BYTES}")]
    Size { length: usize },
    #[error("failed to read dealer log: not the bytes of one")]
    Malformed,
    #[error("failed to record dealer log: its signer deals nothing in this round")]
    Stranger,
    #[error("failed to record dealer log: its signature does not hold for this round")]
    False,
    #[error("failed to record dealer log: its dealer has one already, and the first counts")]
    Repeated,
}

/// What a round leaves to everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Compressed G2 point. The old committee's, if there was one.
    pub group_key: [u8; 96],
    pub committee: Committee,
    /// Those whose dealings make the key.
    pub dealers: Vec<[u8; 32]>,
    /// Players whose shares can be computed from the logs, because they did not acknowledge in time.
    pub revealed: Vec<[u8; 32]>,
}

/// Why a round left the old committee in its place.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RoundFailure {
    #[error("failed to finish round: {found} dealer logs hold, expected {required}")]
    TooFewLogs {
        required: u32,
        found: u32,
        /// Dealers whose own signature proves that they dealt falsely.
        faulty: Vec<[u8; 32]>,
        /// Dealers without a log, or whose log withholds its results because too few players acknowledged.
        silent: Vec<[u8; 32]>,
    },
    #[error("failed to finish round: the logs reveal the shares of {revealed} players, expected at most {allowed}")]
    TooManyRevealed { revealed: usize, allowed: u32 },
}

type Log = DealerLog<MinSig, PublicKey>;

/// The logs of one round.
#[derive(Clone)]
pub struct RoundLogs {
    pub(super) round: Round,
    pub(super) logs: Logs<MinSig, PublicKey, N3f1>,
    recorded: BTreeSet<PublicKey>,
}

impl RoundLogs {
    pub fn new(round: Round) -> Self {
        Self { logs: Logs::new(round.info.clone()), recorded: BTreeSet::new(), round }
    }

    /// Takes a log that a block brought, and says whose it is. What a log claims is checked by [`Self::verify`].
    pub fn record(&mut self, bytes: &[u8]) -> Result<[u8; 32], LogError> {
        let (dealer, log) = self.check(bytes)?;
        self.recorded.insert(dealer.clone());
        self.logs.record(dealer.clone(), log);
        Ok(key_bytes(&dealer))
    }

    /// Whose log this is, if it could be recorded now.
    pub fn dealer_of(&self, bytes: &[u8]) -> Result<[u8; 32], LogError> {
        self.check(bytes).map(|(dealer, _)| key_bytes(&dealer))
    }

    /// Whether a log of this dealer is recorded.
    pub fn has_log_of(&self, dealer: &[u8; 32]) -> bool {
        PublicKey::decode(Copying(dealer)).is_ok_and(|dealer| self.recorded.contains(&dealer))
    }

    fn check(&self, bytes: &[u8]) -> Result<(PublicKey, Log), LogError> {
        if bytes.len() > MAX_LOG_BYTES {
            return Err(LogError::Size { length: bytes.len() });
        }
        // The dealer's key comes first: no points are read, which cost time, of a stranger or a second time.
        let dealer = bytes.first_chunk::<32>().and_then(|key| PublicKey::decode(Copying(key)).ok());
        let dealer = dealer.ok_or(LogError::Malformed)?;
        if self.round.dealers.position(&dealer).is_none() {
            return Err(LogError::Stranger);
        }
        if self.recorded.contains(&dealer) {
            return Err(LogError::Repeated);
        }
        let log = SignedDealerLog::<MinSig, PublicKey>::decode_cfg(Copying(bytes), &self.round.player_limit())
            .map_err(|_| LogError::Malformed)?;
        log.check(&self.round.info).ok_or(LogError::False)
    }

    /// Dealers whose log is recorded.
    pub fn recorded(&self) -> usize {
        self.recorded.len()
    }

    /// Checks what the recorded logs claim, as far as an outcome needs it: so much less is left to do when the round ends. `rng` as in
    /// [`Self::outcome`].
    pub fn verify(&mut self, rng: &mut impl CryptoRng) {
        self.logs.pre_verify(rng, &Sequential);
    }

    /// What the logs make. The randomness weighs signatures and shares that are checked together, and must be such that
    /// no dealer can foresee it; the outcome does not depend on it.
    pub fn outcome(&mut self, rng: &mut impl CryptoRng) -> Result<Outcome, RoundFailure> {
        self.verify(rng);
        let output = feldman_desmedt::observe::<_, _, N3f1>(rng, self.logs.clone(), &Sequential).map_err(failure)?;
        self.judged(&output)
    }

    /// What the logs made, if it may count.
    pub(super) fn judged(&self, output: &Output<MinSig, PublicKey>) -> Result<Outcome, RoundFailure> {
        let allowed = self.round.revealed_max();
        let revealed = output.revealed().len();
        if u32::try_from(revealed).map_or(true, |revealed| revealed > allowed) {
            return Err(RoundFailure::TooManyRevealed { revealed, allowed });
        }
        Ok(outcome(output))
    }
}

fn outcome(output: &Output<MinSig, PublicKey>) -> Outcome {
    let mut group_key = [0; 96];
    group_key.copy_from_slice(&output.public().public().encode());
    let committee = Committee { members: key_list(output.players()), polynomial: output.public().encode().to_vec() };
    Outcome { group_key, committee, dealers: key_list(output.dealers()), revealed: key_list(output.revealed()) }
}

fn failure(failure: Failure<PublicKey>) -> RoundFailure {
    let Failure::InsufficientLogs { required, found, faults, unavailable } = failure;
    RoundFailure::TooFewLogs { required, found, faulty: key_list(faults.keys()), silent: key_list(&unavailable) }
}
