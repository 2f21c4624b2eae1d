//! One validator's place: its keys, the others' keys, and what they all start from. Plain bytes in, checked values out.

use commonware_codec::{Copying, Decode as _, DecodeExt};
use commonware_consensus::{Epochable as _, Viewable as _, simplex::types::Finalization, types::Epoch};
use commonware_cryptography::{
    Digested, Signer,
    certificate::Verifier as _,
    ed25519::{PrivateKey, PublicKey},
    sha256::Digest,
};
use commonware_parallel::Sequential;
use commonware_utils::ordered::Set;

use crate::{
    Archive, Block, Genesis, Scheme,
    block::digested,
    committee::{CommitteeError, EpochKey, read_keys, vote_namespace},
};

/// How blocks follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// With nothing pending, a block follows its parent after this time. All validators must have the same.
    pub idle_ms: u64,
}

impl Default for Pacing {
    fn default() -> Self {
        Self { idle_ms: 200 }
    }
}

/// What every validator of a chain must have the same.
#[derive(Clone, Debug)]
pub struct Chain {
    pub chain_id: u64,
    pub genesis: Genesis,
    /// ed25519 public keys; the order does not matter.
    pub validators: Vec<[u8; 32]>,
    /// From [`crate::Dealing`].
    pub polynomial: Vec<u8>,
    pub pacing: Pacing,
}

/// What only this validator has.
#[derive(Clone)]
pub struct Keys {
    /// The ed25519 seed (RFC 8032's private key).
    pub signing_key: [u8; 32],
    /// From [`crate::Dealing`].
    pub share: Vec<u8>,
}

/// A block's digest with the votes that finalized it.
pub(crate) type Finality = Finalization<Scheme, Digest>;

/// [`Chain`] and [`Keys`], read and checked.
#[derive(Clone)]
pub(crate) struct Member {
    pub signer: PrivateKey,
    pub me: PublicKey,
    pub members: Set<PublicKey>,
    pub scheme: Scheme,
    pub epoch_key: EpochKey,
    pub namespace: Vec<u8>,
    pub pacing: Pacing,
    /// Before every name in the store: empty where the store is ours alone.
    pub store_prefix: String,
    pub archive: Archive,
    /// Where to begin, if not at the genesis.
    pub floor: Option<Finality>,
    genesis: Digested<Block>,
}

/// Why keys and chain do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    #[error(transparent)]
    Committee(#[from] CommitteeError),
    #[error(
        "failed to join: the signing key belongs to no validator of this chain; hint: compare key file and genesis"
    )]
    NotAValidator,
    #[error("failed to join: the floor is no finalization by two thirds of the validators; hint: sync from others")]
    Floor,
}

impl Member {
    pub fn read(chain: &Chain, keys: &Keys) -> Result<Self, MemberError> {
        let members = Set::from_iter_dedup(read_keys(&chain.validators)?);
        let signer = PrivateKey::decode(Copying(&keys.signing_key)).map_err(|_| MemberError::NotAValidator)?;
        let me = signer.public_key();
        let namespace = vote_namespace(chain.chain_id);
        let scheme = Scheme::signer(&namespace, members.clone(), signer.clone()).ok_or(MemberError::NotAValidator)?;
        let epoch_key = EpochKey::read(chain.chain_id, &chain.polynomial, &keys.share, &members, &me)?;
        let first = members.get(0).ok_or(CommitteeError::Size { count: 0 })?;
        let genesis = digested(Block::genesis(&chain.genesis, first));
        Ok(Self {
            signer,
            me,
            members,
            scheme,
            epoch_key,
            namespace,
            pacing: chain.pacing,
            store_prefix: String::new(),
            archive: Archive::Whole,
            floor: None,
            genesis,
        })
    }

    /// What finalized a block, read and checked: signed by two thirds of the validators.
    pub fn read_floor(&self, bytes: &[u8]) -> Result<Finality, MemberError> {
        let floor = Finality::decode_cfg(Copying(bytes), &self.scheme.certificate_codec_config());
        let floor = floor.map_err(|_| MemberError::Floor)?;
        let in_epoch = floor.epoch() == Epoch::zero() && !floor.view().is_zero();
        // Signatures are checked together with weights that whoever made them must not know.
        let holds = in_epoch && floor.verify(&mut rand::rng(), &self.scheme, &Sequential);
        holds.then_some(floor).ok_or(MemberError::Floor)
    }

    pub fn genesis(&self) -> Digested<Block> {
        self.genesis.clone()
    }
}

/// The public key that belongs to a signing key.
pub fn public_key(signing_key: &[u8; 32]) -> Option<[u8; 32]> {
    let signer = PrivateKey::decode(Copying(signing_key)).ok()?;
    Some(crate::block::key_bytes(&signer.public_key()))
}
