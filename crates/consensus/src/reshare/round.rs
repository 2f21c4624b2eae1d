//! What everybody must have the same before a round begins: who deals, who plays, under which key.

use std::num::NonZeroU32;

use commonware_codec::{Copying, Decode, Encode};
use commonware_cryptography::{
    bls12381::{
        dkg::feldman_desmedt::{Info, Output, Reveal},
        primitives::{
            sharing::{Mode, ModeVersion, Sharing},
            variant::MinSig,
        },
    },
    ed25519::PublicKey,
    transcript::{Summary, Transcript, Version},
};
use commonware_utils::{
    N3f1,
    ordered::{Quorum, Set},
};

use crate::{
    block::key_bytes,
    committee::{CommitteeError, read_keys, read_sharing},
    limits::MAX_VALIDATORS,
};

/// Who holds shares of the group's key, and the public polynomial that their shares lie on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committee {
    /// ed25519 public keys; the order does not matter.
    pub members: Vec<[u8; 32]>,
    /// From [`crate::Dealing`] or an earlier [`super::Outcome`].
    pub polynomial: Vec<u8>,
}

/// A round as the chain describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundPlan {
    pub chain_id: u64,
    /// Counts every round of the chain, failed ones too: a number is never used for two plans.
    pub number: u64,
    /// Who deals. Without it the players deal among themselves, and the key is a new one.
    pub from: Option<Committee>,
    /// Who gets shares.
    pub to: Vec<[u8; 32]>,
}

/// [`RoundPlan`], read and checked.
#[derive(Clone)]
pub struct Round {
    pub(super) number: u64,
    pub(super) info: Info<MinSig, PublicKey>,
    pub(super) dealers: Set<PublicKey>,
    pub(super) players: Set<PublicKey>,
    pub(super) previous: Option<Sharing<MinSig>>,
    /// Commits to all of the plan: what a dealer's randomness is bound to.
    pub(super) binding: Summary,
}

impl Round {
    pub fn read(plan: &RoundPlan) -> Result<Self, CommitteeError> {
        let players = Set::from_iter_dedup(read_keys(&plan.to)?);
        let (dealers, previous) = match &plan.from {
            None => (players.clone(), None),
            Some(committee) => {
                let members = Set::from_iter_dedup(read_keys(&committee.members)?);
                let sharing = read_sharing(&committee.polynomial, &members)?;
                (members, Some(sharing))
            }
        };
        let output = previous.as_ref().map(|sharing| output_of(sharing, &dealers));
        let namespace = format!("og-{}_RESHARE", plan.chain_id).into_bytes();
        let info = Info::new::<N3f1>(
            &namespace,
            plan.number,
            output.clone(),
            Mode::NonZeroCounter,
            Reveal::V1,
            dealers.clone(),
            players.clone(),
        )
        .expect("the committees' sizes and the polynomial's were checked, and the dealers are the old members");
        let mut transcript = Transcript::new(b"og_RESHARE_ROUND", Version::V1);
        transcript.commit(namespace.as_slice()).commit(plan.number.to_be_bytes().as_slice());
        transcript.commit(output.encode()).commit(dealers.encode()).commit(players.encode());
        Ok(Self { number: plan.number, info, dealers, players, previous, binding: transcript.summarize() })
    }

    /// How many logs that hold make the outcome.
    pub fn required_logs(&self) -> u32 {
        self.dealers.quorum::<N3f1>()
    }

    /// The most players whose shares may become public before the round counts as failed.
    pub fn revealed_max(&self) -> u32 {
        self.players.max_faults::<N3f1>()
    }

    pub(super) fn player_limit(&self) -> NonZeroU32 {
        u32::try_from(self.players.len()).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
    }

    /// Coefficients of each dealer's polynomial.
    pub(super) fn coefficients(&self) -> NonZeroU32 {
        NonZeroU32::new(self.players.quorum::<N3f1>()).unwrap_or(NonZeroU32::MIN)
    }
}

/// The library wants the earlier round's whole output; all of it that matters later is who holds shares of what. Made
/// here from just that, so that a key from a trusted dealing is handed on like any other.
fn output_of(sharing: &Sharing<MinSig>, members: &Set<PublicKey>) -> Output<MinSig, PublicKey> {
    let mut transcript = Transcript::new(b"og_RESHARE_COMMITTEE", Version::V1);
    let summary = transcript.commit(sharing.encode()).commit(members.encode()).summarize();
    let nobody: Set<PublicKey> = Set::default();
    let mut bytes = summary.encode().to_vec();
    bytes.extend_from_slice(&sharing.encode());
    for set in [members, members, &nobody] {
        bytes.extend_from_slice(&set.encode());
    }
    let limit = NonZeroU32::new(MAX_VALIDATORS).unwrap_or(NonZeroU32::MIN);
    Output::decode_cfg(Copying(&bytes), &(limit, ModeVersion::v0())).expect("its parts were encoded just now")
}

/// The members' keys in the committee's own order.
pub(super) fn key_list(set: &Set<PublicKey>) -> Vec<[u8; 32]> {
    set.iter().map(key_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{committee::tests::validators, deal};
    use rand::{SeedableRng, rngs::StdRng};

    fn dealt() -> Committee {
        let members = validators(4);
        let polynomial = deal(&mut StdRng::seed_from_u64(7), &members).unwrap().polynomial;
        Committee { members, polynomial }
    }

    fn refusal(plan: RoundPlan) -> Option<CommitteeError> {
        Round::read(&plan).err()
    }

    #[test]
    fn plans_that_make_no_round_are_refused() {
        let plan = RoundPlan { chain_id: 1, number: 1, from: Some(dealt()), to: validators(7) };
        assert_eq!(refusal(plan.clone()), None);
        assert_eq!(refusal(RoundPlan { to: vec![], ..plan.clone() }), Some(CommitteeError::Size { count: 0 }));
        let twice = vec![validators(1)[0]; 2];
        assert_eq!(refusal(RoundPlan { to: twice, ..plan.clone() }), Some(CommitteeError::Repeated { index: 1 }));
        let other = Committee { members: validators(5), ..dealt() };
        let size = CommitteeError::PolynomialSize { made_for: 4, quorum: 3, count: 5 };
        assert_eq!(refusal(RoundPlan { from: Some(other), ..plan.clone() }), Some(size));
        let cut = Committee { polynomial: dealt().polynomial[1..].to_vec(), ..dealt() };
        assert_eq!(refusal(RoundPlan { from: Some(cut), ..plan }), Some(CommitteeError::Polynomial));
    }

    #[test]
    fn every_part_of_a_plan_changes_what_randomness_is_bound_to() {
        let plan = RoundPlan { chain_id: 1, number: 1, from: Some(dealt()), to: validators(7) };
        let binding = |plan: RoundPlan| Round::read(&plan).unwrap().binding;
        let variants = [
            plan.clone(),
            RoundPlan { chain_id: 2, ..plan.clone() },
            RoundPlan { number: 2, ..plan.clone() },
            RoundPlan { from: None, ..plan.clone() },
            RoundPlan { to: validators(6), ..plan.clone() },
        ];
        let bindings: std::collections::BTreeSet<_> = variants.into_iter().map(binding).collect();
        assert_eq!(bindings.len(), 5);
        let mut turned = plan.clone();
        turned.to.reverse();
        assert_eq!(binding(turned), binding(plan), "the order of the keys means nothing");
    }
}
