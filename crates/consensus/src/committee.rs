//! Who votes, and the key under which epochs are certified: plain bytes outside, commonware's types inside.
//!
//! Reads no clock and takes its randomness as an argument: the same generator gives the same dealing.

use std::num::NonZeroU32;

use commonware_codec::{Copying, Decode, DecodeExt, Encode};
use commonware_cryptography::{
    Hasher as _, Sha256,
    bls12381::{
        dkg::feldman_desmedt,
        primitives::{
            group::Share,
            ops::{self, threshold},
            sharing::{Mode, ModeVersion, Sharing},
            variant::{MinSig, PartialSignature, Variant},
        },
    },
    ed25519::PublicKey,
};
use commonware_parallel::Sequential;
use commonware_utils::{
    N3f1, Participant,
    ordered::{Quorum, Set},
    union_unique,
};
use rand_core::CryptoRng;

use crate::limits::MAX_VALIDATORS;

pub(crate) type Signature = <MinSig as Variant>::Signature;
pub(crate) type Partial = PartialSignature<MinSig>;

/// Why keys do not make a committee.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CommitteeError {
    #[error("failed to read validator key {index}: not an ed25519 public key")]
    Key { index: usize },
    #[error("failed to form committee: {count} validators, expected 1 to {MAX_VALIDATORS}")]
    Size { count: usize },
    #[error("failed to form committee: validator key {index} appears twice")]
    Repeated { index: usize },
    #[error("failed to read public polynomial: not the bytes of one; hint: deal() writes them into the genesis")]
    Polynomial,
    #[error("failed to use public polynomial: made for {made_for} validators with quorum {quorum}, there are {count}")]
    PolynomialSize { made_for: u32, quorum: u32, count: usize },
    #[error("failed to read key share: not the bytes of one")]
    Share,
    #[error("failed to use key share: it does not belong to this validator under this polynomial")]
    ForeignShare,
    #[error("failed to read group key: not a compressed G2 point")]
    GroupKey,
    #[error("failed to deal key shares: {0}")]
    Deal(String),
}

/// A trusted dealing for devnets and tests: whoever ran it knew the group's secret key.
pub struct Dealing {
    /// Compressed G2 point: all that a light client needs.
    pub group_key: [u8; 96],
    /// The public polynomial, the same for all validators.
    pub polynomial: Vec<u8>,
    /// One secret share per validator, in the order in which the keys were given.
    pub shares: Vec<Vec<u8>>,
}

/// Deals one key share to each validator; any two thirds and one can sign for all.
pub fn deal(rng: &mut impl CryptoRng, validators: &[[u8; 32]]) -> Result<Dealing, CommitteeError> {
    let keys = read_keys(validators)?;
    let set = Set::from_iter_dedup(keys.iter().cloned());
    let (output, shares) = feldman_desmedt::deal::<MinSig, _, N3f1>(rng, Mode::NonZeroCounter, set)
        .map_err(|error| CommitteeError::Deal(error.to_string()))?;
    let shares = keys.iter().filter_map(|key| Some(shares.get_value(key)?.encode().to_vec())).collect();
    let mut group_key = [0; 96];
    group_key.copy_from_slice(&output.public().public().encode());
    Ok(Dealing { group_key, polynomial: output.public().encode().to_vec(), shares })
}

/// Each key, checked; none twice.
pub(crate) fn read_keys(validators: &[[u8; 32]]) -> Result<Vec<PublicKey>, CommitteeError> {
    let count = validators.len();
    if !u32::try_from(count).is_ok_and(|count| (1..=MAX_VALIDATORS).contains(&count)) {
        return Err(CommitteeError::Size { count });
    }
    let mut keys: Vec<PublicKey> = Vec::with_capacity(count);
    for (index, bytes) in validators.iter().enumerate() {
        let key = PublicKey::decode(Copying(bytes)).map_err(|_| CommitteeError::Key { index })?;
        if keys.contains(&key) {
            return Err(CommitteeError::Repeated { index });
        }
        keys.push(key);
    }
    Ok(keys)
}

/// The public polynomial, if it was made for this many members.
pub(crate) fn read_sharing(polynomial: &[u8], members: &Set<PublicKey>) -> Result<Sharing<MinSig>, CommitteeError> {
    let limit = NonZeroU32::new(MAX_VALIDATORS).unwrap_or(NonZeroU32::MIN);
    let sharing: Sharing<MinSig> = Sharing::decode_cfg(Copying(polynomial), &(limit, ModeVersion::v0()))
        .map_err(|_| CommitteeError::Polynomial)?;
    let quorum = members.quorum::<N3f1>();
    if usize::try_from(sharing.total().get()) != Ok(members.len()) || sharing.required() != quorum {
        let (made_for, quorum) = (sharing.total().get(), sharing.required());
        return Err(CommitteeError::PolynomialSize { made_for, quorum, count: members.len() });
    }
    Ok(sharing)
}

/// The key whose shares lie on a public polynomial: its constant, a compressed G2 point.
pub(crate) fn group_key(polynomial: &[u8], members: &Set<PublicKey>) -> Result<[u8; 96], CommitteeError> {
    let mut key = [0; 96];
    key.copy_from_slice(&read_sharing(polynomial, members)?.public().encode());
    Ok(key)
}

/// The secret share, if it is this member's under this polynomial.
pub(crate) fn read_share(
    share: &[u8],
    sharing: &Sharing<MinSig>,
    members: &Set<PublicKey>,
    me: &PublicKey,
) -> Result<Share, CommitteeError> {
    let share = Share::decode(Copying(share)).map_err(|_| CommitteeError::Share)?;
    let owned = Quorum::index(members, me) == Some(share.index)
        && sharing.partial_public(share.index).is_ok_and(|public| public == share.public::<MinSig>());
    owned.then_some(share).ok_or(CommitteeError::ForeignShare)
}

/// The namespace of everything that the validators of one chain sign.
pub(crate) fn vote_namespace(chain_id: u64) -> Vec<u8> {
    format!("og-{chain_id}").into_bytes()
}

fn epoch_namespace(chain_id: u64) -> Vec<u8> {
    format!("og-{chain_id}_EPOCH").into_bytes()
}

fn record_namespace(chain_id: u64) -> Vec<u8> {
    format!("og-{chain_id}_TERM").into_bytes()
}

fn rotation_namespace(chain_id: u64) -> Vec<u8> {
    format!("og-{chain_id}_ROTATION").into_bytes()
}

/// The hash-to-curve tag of an epoch certificate (RFC 9380, suite of the min-sig, proof-of-possession ciphersuite).
pub const EPOCH_DST: &[u8] = MinSig::MESSAGE;

/// The bytes that an epoch certificate signs under [`EPOCH_DST`]: `varint(len(ns)) ‖ ns ‖ digest`, with the namespace
/// `og-<chain id>_EPOCH`.
pub fn epoch_message(chain_id: u64, digest: &[u8; 32]) -> Vec<u8> {
    union_unique(&epoch_namespace(chain_id), digest)
}

/// The bytes that are signed of a term's record under [`EPOCH_DST`], as [`epoch_message`] with the namespace `og-<chain id>_TERM`;
/// `digest` is SHA-256 over the term's number and the record's bytes.
pub fn term_message(chain_id: u64, digest: &[u8; 32]) -> Vec<u8> {
    union_unique(&record_namespace(chain_id), digest)
}

/// What the network's key signs for the one after it: the digest of the record that says which that is (`specs/rotation.md`).
pub fn rotation_digest(chain_id: u64, serial: u64, key: &[u8; 96]) -> [u8; 32] {
    const DOMAIN: &[u8] = b"og/rotation/v1";
    const VERSION: u16 = 1;
    let length = [u8::try_from(DOMAIN.len()).unwrap_or(u8::MAX)];
    let (version, chain, serial) = (VERSION.to_be_bytes(), chain_id.to_be_bytes(), serial.to_be_bytes());
    Sha256::hash(&[length.as_slice(), DOMAIN, &version, &chain, &serial, key]).0
}

/// The bytes that are signed of a rotation under [`EPOCH_DST`], as [`epoch_message`] with the namespace `og-<chain id>_ROTATION`.
pub fn rotation_message(chain_id: u64, digest: &[u8; 32]) -> Vec<u8> {
    union_unique(&rotation_namespace(chain_id), digest)
}

/// Whether the network's key `group_key` signed that `key` comes after it, as its key number `serial`.
pub fn verify_rotation(
    chain_id: u64,
    group_key: &[u8; 96],
    (serial, key): (u64, &[u8; 96]),
    signature: &[u8; 48],
) -> Result<bool, CommitteeError> {
    signed(&rotation_namespace(chain_id), group_key, &rotation_digest(chain_id, serial, key), signature)
}

/// Whether `signature` is the network's over `digest`. Light clients use small code of their own; this is its yardstick.
pub fn verify_epoch(
    chain_id: u64,
    group_key: &[u8; 96],
    digest: &[u8; 32],
    signature: &[u8; 48],
) -> Result<bool, CommitteeError> {
    signed(&epoch_namespace(chain_id), group_key, digest, signature)
}

fn signed(
    namespace: &[u8],
    group_key: &[u8; 96],
    digest: &[u8; 32],
    signature: &[u8; 48],
) -> Result<bool, CommitteeError> {
    let public = <MinSig as Variant>::Public::decode(Copying(group_key)).map_err(|_| CommitteeError::GroupKey)?;
    let Ok(signature) = Signature::decode(Copying(signature)) else { return Ok(false) };
    Ok(ops::verify_message::<MinSig>(&public, namespace, digest, &signature).is_ok())
}

/// A term's public polynomial and our shares on it, one for each of our seats that has one.
#[derive(Clone)]
pub(crate) struct TermKey {
    namespace: Vec<u8>,
    sharing: Sharing<MinSig>,
    shares: Vec<Share>,
    /// Keys before it that may have certified what is older than all that is known here.
    earlier: Vec<<MinSig as Variant>::Public>,
}

impl TermKey {
    /// Reads the bytes that [`deal`] or a round wrote and checks that they fit the committee; without shares it only checks others'.
    pub fn read(chain_id: u64, polynomial: &[u8], members: &Set<PublicKey>) -> Result<Self, CommitteeError> {
        let sharing = read_sharing(polynomial, members)?;
        Ok(Self { namespace: epoch_namespace(chain_id), sharing, shares: Vec::new(), earlier: Vec::new() })
    }

    /// The same key as it signs the records of terms.
    pub fn for_records(mut self, chain_id: u64) -> Self {
        self.namespace = record_namespace(chain_id);
        self
    }

    /// The same key as it signs for the one after it.
    pub fn for_rotations(mut self, chain_id: u64) -> Self {
        self.namespace = rotation_namespace(chain_id);
        self
    }

    /// Takes certificates of these keys too, the last one first: for who begins late, and asks for what was certified before its time.
    pub fn with_earlier(mut self, keys: &[[u8; 96]]) -> Self {
        let read = |key: &[u8; 96]| <MinSig as Variant>::Public::decode(Copying(key)).ok();
        self.earlier = keys.iter().filter_map(read).collect();
        self
    }

    /// What the shares are of: all that whoever pins it has to know.
    pub fn group_key(&self) -> [u8; 96] {
        let mut key = [0; 96];
        key.copy_from_slice(&self.sharing.public().encode());
        key
    }

    /// Adds the share of one of our seats, if it is that seat's.
    pub fn with_share(
        mut self,
        share: &[u8],
        members: &Set<PublicKey>,
        seat: &PublicKey,
    ) -> Result<Self, CommitteeError> {
        self.shares.push(read_share(share, &self.sharing, members, seat)?);
        Ok(self)
    }

    /// How many partial signatures make a certificate.
    pub fn required(&self) -> usize {
        usize::try_from(self.sharing.required()).unwrap_or(usize::MAX)
    }

    /// Whether this is one of our places in the committee.
    pub fn is_ours(&self, place: Participant) -> bool {
        self.shares.iter().any(|share| share.index == place)
    }

    pub fn sign(&self, digest: &[u8; 32]) -> Vec<Partial> {
        let sign = |share| threshold::sign_message::<MinSig>(share, &self.namespace, digest);
        self.shares.iter().map(sign).collect()
    }

    pub fn holds_partial(&self, digest: &[u8; 32], partial: &Partial) -> bool {
        threshold::verify_message::<MinSig>(&self.sharing, &self.namespace, digest, partial).is_ok()
    }

    pub fn holds(&self, digest: &[u8; 32], signature: &Signature) -> bool {
        ops::verify_message::<MinSig>(self.sharing.public(), &self.namespace, digest, signature).is_ok()
    }

    /// The same, or a key before this one has signed.
    pub fn takes(&self, digest: &[u8; 32], signature: &Signature) -> bool {
        let is_earlier = |key| ops::verify_message::<MinSig>(key, &self.namespace, digest, signature).is_ok();
        self.holds(digest, signature) || self.earlier.iter().rev().any(is_earlier)
    }

    /// The group's signature, if the partials make one that holds.
    pub fn recover<'a>(&self, digest: &[u8; 32], partials: impl IntoIterator<Item = &'a Partial>) -> Option<Signature> {
        let signature = threshold::recover::<MinSig, _>(&self.sharing, partials, &Sequential).ok()?;
        self.holds(digest, &signature).then_some(signature)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use commonware_cryptography::{Signer, ed25519::PrivateKey};
    use rand::{SeedableRng, rngs::StdRng};

    pub const CHAIN_ID: u64 = 31_337;
    const VECTOR: &str = include_str!("../vectors/epoch-certificate.txt");
    const ROTATION: &str = include_str!("../vectors/rotation.txt");

    pub fn validators(count: u8) -> Vec<[u8; 32]> {
        (1..=count).map(|seed| crate::public_key(&[seed; 32]).unwrap()).collect()
    }

    /// The keys of a committee whose nodes have a seat each, in the committee's own order.
    pub fn term_keys(count: u8) -> Vec<TermKey> {
        let dealing = deal(&mut StdRng::seed_from_u64(7), &validators(count)).unwrap();
        let mut keys: Vec<_> = (0..count).map(|index| read(&dealing, count, index, index).unwrap()).collect();
        keys.sort_by_key(place);
        keys
    }

    /// The place of one who has a seat.
    pub fn place(key: &TermKey) -> Participant {
        key.shares[0].index
    }

    pub fn sign(key: &TermKey, digest: &[u8; 32]) -> Partial {
        key.sign(digest).remove(0)
    }

    fn read(dealing: &Dealing, count: u8, owner: u8, user: u8) -> Result<TermKey, CommitteeError> {
        let me = PrivateKey::decode(Copying(&[user + 1; 32])).unwrap().public_key();
        read_own(&dealing.polynomial, &dealing.shares[usize::from(owner)], count, &me)
    }

    pub fn read_own(polynomial: &[u8], share: &[u8], count: u8, me: &PublicKey) -> Result<TermKey, CommitteeError> {
        let members = Set::from_iter_dedup(read_keys(&validators(count)).unwrap());
        TermKey::read(CHAIN_ID, polynomial, &members)?.with_share(share, &members, me)
    }

    fn bytes(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    fn vector(name: &str) -> Vec<u8> {
        let line = VECTOR.lines().find(|line| line.split(' ').next() == Some(name)).unwrap();
        bytes(line.split(' ').nth(1).unwrap())
    }

    #[test]
    fn the_frozen_certificate_holds_for_blst_alone() {
        use blst::{
            BLST_ERROR,
            min_sig::{PublicKey, Signature},
        };
        let key = PublicKey::key_validate(&vector("group-key")).unwrap();
        let signature = Signature::sig_validate(&vector("signature"), true).unwrap();
        let message = vector("message");
        let verify = |message: &[u8], tag: &[u8]| signature.verify(true, message, tag, &[], &key, true);
        assert_eq!(verify(&message, b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_"), BLST_ERROR::BLST_SUCCESS);
        assert_ne!(verify(&message, b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"), BLST_ERROR::BLST_SUCCESS);
        assert_ne!(verify(&message[1..], EPOCH_DST), BLST_ERROR::BLST_SUCCESS);
    }

    #[test]
    fn the_frozen_message_is_what_is_signed() {
        let digest: [u8; 32] = vector("digest").try_into().unwrap();
        let namespace = b"og-31337_EPOCH";
        let expected = [&[14], namespace.as_slice(), &digest].concat();
        assert_eq!(epoch_message(CHAIN_ID, &digest), expected);
        assert_eq!(vector("message"), expected);
        let group_key: [u8; 96] = vector("group-key").try_into().unwrap();
        let signature: [u8; 48] = vector("signature").try_into().unwrap();
        assert_eq!(verify_epoch(CHAIN_ID, &group_key, &digest, &signature), Ok(true));
        assert_eq!(verify_epoch(CHAIN_ID + 1, &group_key, &digest, &signature), Ok(false));
        assert_eq!(verify_epoch(CHAIN_ID, &group_key, &digest, &[0; 48]), Ok(false));
        assert_eq!(verify_epoch(CHAIN_ID, &[0; 96], &digest, &signature), Err(CommitteeError::GroupKey));
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_frozen_rotation_is_what_is_signed_and_holds_for_blst_alone() {
        use blst::{
            BLST_ERROR,
            min_sig::{PublicKey, Signature},
        };
        let keys: Vec<TermKey> = term_keys(4).into_iter().map(|key| key.for_rotations(CHAIN_ID)).collect();
        let (old, new) = (keys[0].group_key(), deal(&mut StdRng::seed_from_u64(8), &validators(4)).unwrap().group_key);
        let digest = rotation_digest(CHAIN_ID, 1, &new);
        let partials: Vec<Partial> = keys[1..].iter().map(|key| sign(key, &digest)).collect();
        let signature = crate::store::signature_bytes(&keys[0].recover(&digest, &partials).unwrap());
        let message = rotation_message(CHAIN_ID, &digest);
        let lines = [
            ("key", old.as_slice()),
            ("next-key", &new),
            ("digest", &digest),
            ("message", &message),
            ("signature", &signature),
        ];
        let now: String = lines.iter().map(|(name, bytes)| format!("{name} {}\n", hex(bytes))).collect();
        assert!(ROTATION.ends_with(&now), "now it is:\n{now}");
        assert_eq!(message[..18], [&[17], b"og-31337_ROTATION".as_slice()].concat());
        let (key, point) = (PublicKey::key_validate(&old).unwrap(), Signature::sig_validate(&signature, true).unwrap());
        assert_eq!(point.verify(true, &message, EPOCH_DST, &[], &key, true), BLST_ERROR::BLST_SUCCESS);
        let holds =
            |chain, by: &[u8; 96], serial, next: &[u8; 96]| verify_rotation(chain, by, (serial, next), &signature);
        assert_eq!(holds(CHAIN_ID, &old, 1, &new), Ok(true));
        for (chain, by, serial, next) in [
            (CHAIN_ID + 1, &old, 1, &new),
            (CHAIN_ID, &new, 1, &new),
            (CHAIN_ID, &old, 2, &new),
            (CHAIN_ID, &old, 1, &old),
        ] {
            assert_eq!(holds(chain, by, serial, next), Ok(false));
        }
        assert_eq!(verify_epoch(CHAIN_ID, &old, &digest, &signature), Ok(false), "it is no epoch");
        assert_eq!(holds(CHAIN_ID, &[0; 96], 1, &new), Err(CommitteeError::GroupKey));
    }

    #[test]
    fn a_certificate_of_an_earlier_key_is_taken_by_who_asks_for_it_and_signed_by_nobody() {
        let other = deal(&mut StdRng::seed_from_u64(8), &validators(4)).unwrap();
        let keys = term_keys(4);
        let digest = [3; 32];
        let partials: Vec<Partial> = keys.iter().map(|key| sign(key, &digest)).collect();
        let signature = keys[0].recover(&digest, &partials).unwrap();
        let me = PrivateKey::decode(Copying(&[1; 32])).unwrap().public_key();
        let later = read_own(&other.polynomial, &other.shares[0], 4, &me).unwrap();
        assert!(!later.takes(&digest, &signature));
        let late = later.with_earlier(&[keys[0].group_key(), [0; 96]]);
        assert!(late.takes(&digest, &signature) && !late.takes(&[4; 32], &signature));
        assert!(!late.holds(&digest, &signature));
    }

    #[test]
    fn the_frozen_shares_make_the_frozen_certificate_whichever_three_sign() {
        let digest: [u8; 32] = vector("digest").try_into().unwrap();
        let read = |index: u8| {
            let me = PrivateKey::decode(Copying(&[index + 1; 32])).unwrap().public_key();
            let share = vector(&format!("share-{index}"));
            read_own(&vector("polynomial"), &share, 4, &me).unwrap()
        };
        let keys: Vec<TermKey> = (0..4).map(read).collect();
        for absent in 0..4 {
            let present = keys.iter().enumerate().filter(|(index, _)| *index != absent);
            let partials: Vec<Partial> = present.map(|(_, key)| sign(key, &digest)).collect();
            let signature = keys[0].recover(&digest, &partials).unwrap();
            assert_eq!(crate::store::signature_bytes(&signature).to_vec(), vector("signature"));
            assert!(keys[0].recover(&digest, &partials[..2]).is_none(), "two of four are no quorum");
        }
    }

    #[test]
    fn equal_randomness_deals_equal_shares() {
        let dealt = |seed| {
            let dealing = deal(&mut StdRng::seed_from_u64(seed), &validators(4)).unwrap();
            (dealing.group_key, dealing.polynomial, dealing.shares)
        };
        assert_eq!(dealt(1), dealt(1));
        assert_ne!(dealt(1), dealt(2));
    }

    #[test]
    fn keys_that_make_no_committee_are_refused() {
        let dealt = |keys: &[[u8; 32]]| deal(&mut StdRng::seed_from_u64(1), keys).map(|_| ()).unwrap_err();
        let keys = validators(4);
        assert_eq!(dealt(&[]), CommitteeError::Size { count: 0 });
        assert_eq!(dealt(&vec![keys[0]; 257]), CommitteeError::Size { count: 257 });
        assert_eq!(dealt(&[keys[0], keys[1], keys[0]]), CommitteeError::Repeated { index: 2 });
        let no_point = (0..).map(|byte| [byte; 32]).find(|bytes| PublicKey::decode(Copying(bytes)).is_err()).unwrap();
        assert_eq!(dealt(&[keys[0], no_point]), CommitteeError::Key { index: 1 });
    }

    #[test]
    fn a_share_serves_only_its_owner_under_its_polynomial() {
        let dealing = deal(&mut StdRng::seed_from_u64(7), &validators(4)).unwrap();
        let other = deal(&mut StdRng::seed_from_u64(8), &validators(4)).unwrap();
        assert!(read(&dealing, 4, 2, 2).is_ok());
        assert_eq!(read(&dealing, 4, 2, 3).err(), Some(CommitteeError::ForeignShare));
        let mixed =
            Dealing { polynomial: other.polynomial, ..deal(&mut StdRng::seed_from_u64(7), &validators(4)).unwrap() };
        assert_eq!(read(&mixed, 4, 2, 2).err(), Some(CommitteeError::ForeignShare));
    }

    #[test]
    fn damaged_dealings_are_refused_with_a_typed_error() {
        let dealing = || deal(&mut StdRng::seed_from_u64(7), &validators(4)).unwrap();
        let size = CommitteeError::PolynomialSize { made_for: 4, quorum: 3, count: 7 };
        assert_eq!(read(&dealing(), 7, 0, 0).err(), Some(size));
        let polynomial = dealing().polynomial;
        for length in 0..polynomial.len() {
            let damaged = Dealing { polynomial: polynomial[..length].to_vec(), ..dealing() };
            assert_eq!(read(&damaged, 4, 0, 0).err(), Some(CommitteeError::Polynomial), "length {length}");
        }
        for position in 0..polynomial.len() {
            let mut damaged = dealing();
            damaged.polynomial[position] ^= 1;
            assert!(read(&damaged, 4, 0, 0).is_err(), "byte {position} of the polynomial");
        }
        for position in 0..dealing().shares[0].len() {
            let mut damaged = dealing();
            damaged.shares[0][position] ^= 1;
            assert!(read(&damaged, 4, 0, 0).is_err(), "byte {position} of the share");
            damaged.shares[0].truncate(position);
            assert_eq!(read(&damaged, 4, 0, 0).err(), Some(CommitteeError::Share));
        }
    }
}
