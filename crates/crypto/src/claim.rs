//! When an Ed25519 signature holds, for one and for many at once: the same answer, whoever asks and in whatever company.
//!
//! A signature `(R, s)` of key `A` over `m` holds where `8 (s B − k A − R) = 0` with `k = SHA-512(R ‖ A ‖ m)`: the equation of RFC 8032
//! §5.1.7 with its cofactor. Neither point may be of small order, and nothing may have a second encoding.
//!
//! The cofactor is what lets many be checked by one equation. Without it, parts of small order that a signer hides in two signatures cancel
//! out in some companies and not in others, and two verifiers that put their batches together differently would disagree.
#![allow(clippy::arithmetic_side_effects, reason = "scalars and points of the curve neither wrap nor panic")]

use std::collections::BTreeMap;

use curve25519_dalek::{
    constants::ED25519_BASEPOINT_POINT,
    edwards::{CompressedEdwardsY, EdwardsPoint},
    scalar::Scalar,
    traits::{IsIdentity as _, VartimeMultiscalarMul as _},
};
use sha2::{Digest as _, Sha512};

use crate::{
    digest::{Digest, Hasher, hash},
    signing::{PublicKey, Signature, signed_bytes},
};

/// Fewer than this are quicker one by one.
const FEW: usize = 4;
/// Where not all of many hold, so many at once are tried before each by itself.
const PART: usize = 64;

/// That the holder of a key signed a message in a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    key: PublicKey,
    signature: Signature,
    signed: [u8; 32],
}

impl Claim {
    pub fn new(key: &PublicKey, domain: &'static str, message: &[u8], signature: &Signature) -> Self {
        Self { key: *key, signature: *signature, signed: signed_bytes(domain, message) }
    }

    /// Whether it is true.
    pub fn holds(&self) -> bool {
        let (Some(key), Some(read)) = (point(&self.key.0), self.read()) else { return false };
        let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&read.challenge, &-key, &read.response);
        (expected - read.nonce).mul_by_cofactor().is_identity()
    }

    /// Which of many are true: what `holds` says of each, sooner.
    pub fn all(claims: &[Self]) -> Vec<bool> {
        let mut verdicts = Vec::with_capacity(claims.len());
        judge(claims, &mut verdicts);
        verdicts
    }

    /// The signature's numbers; `None` where they are none or have another encoding.
    fn read(&self) -> Option<Read> {
        let (nonce, response) = (self.signature.0.first_chunk::<32>()?, self.signature.0.last_chunk::<32>()?);
        let challenge = Sha512::new().chain_update(nonce).chain_update(self.key.0).chain_update(self.signed).finalize();
        Some(Read {
            nonce: point(nonce)?,
            response: Option::from(Scalar::from_canonical_bytes(*response))?,
            challenge: Scalar::from_bytes_mod_order_wide(&challenge.into()),
        })
    }
}

impl PublicKey {
    /// True only if the holder of this key signed `message` in `domain`.
    pub fn verifies(&self, domain: &'static str, message: &[u8], signature: &Signature) -> bool {
        Claim::new(self, domain, message, signature).holds()
    }
}

/// A signature as numbers.
struct Read {
    /// `R`.
    nonce: EdwardsPoint,
    /// `s`.
    response: Scalar,
    /// `k`.
    challenge: Scalar,
}

/// `y` of all points whose order divides eight, as bytes: 0, 1, −1, and that of the order eight with its negative. No other point has
/// one of these.
const SMALL: [[u8; 32]; 5] = [
    [0; 32],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// A point in its one encoding, not of small order.
fn point(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    // 2^255 − 19 and more, whatever the sign. That zero has no sign matters for points of small order only.
    let [lowest, middle @ .., highest] = bytes;
    if *lowest >= 0xed && middle.iter().all(|byte| *byte == 0xff) && highest & 0x7f == 0x7f {
        return None;
    }
    let mut unsigned = *bytes;
    let [.., highest] = &mut unsigned;
    *highest &= 0x7f;
    if SMALL.contains(&unsigned) {
        return None;
    }
    CompressedEdwardsY(*bytes).decompress()
}

fn judge(claims: &[Claim], verdicts: &mut Vec<bool>) {
    if claims.len() >= FEW && hold_together(claims) {
        verdicts.extend(claims.iter().map(|_| true));
    } else if claims.len() > PART {
        claims.chunks(PART).for_each(|part| judge(part, verdicts));
    } else {
        verdicts.extend(claims.iter().map(Claim::holds));
    }
}

/// Whether the sum of all equations holds, each by a weight of its own that nobody could foresee who signed: then each holds, but for one
/// chance in 2^128.
fn hold_together(claims: &[Claim]) -> bool {
    let weights = weights(claims);
    let mut keys: BTreeMap<[u8; 32], Scalar> = BTreeMap::new();
    let mut base = Scalar::ZERO;
    let (mut scalars, mut points) = (Vec::with_capacity(claims.len()), Vec::with_capacity(claims.len()));
    for (claim, weight) in claims.iter().zip(weights) {
        let Some(read) = claim.read() else { return false };
        base -= weight * read.response;
        *keys.entry(claim.key.0).or_insert(Scalar::ZERO) += weight * read.challenge;
        scalars.push(weight);
        points.push(read.nonce);
    }
    // What many have signed with one key is one summand.
    for (key, scalar) in &keys {
        let Some(key) = point(key) else { return false };
        scalars.push(*scalar);
        points.push(key);
    }
    scalars.push(base);
    points.push(ED25519_BASEPOINT_POINT);
    EdwardsPoint::vartime_multiscalar_mul(&scalars, &points).mul_by_cofactor().is_identity()
}

/// A number of 128 bits for each claim, by all of them: no randomness is at hand, and none is needed.
fn weights(claims: &[Claim]) -> impl Iterator<Item = Scalar> {
    let mut all = Hasher::new("og/claims/v1");
    for claim in claims {
        all.update(&claim.key.0).update(&claim.signature.0).update(&claim.signed);
    }
    let all = all.finish();
    (0_u64..).flat_map(move |pair| pair_of_weights(&all, pair))
}

/// A digest has the bits of two.
fn pair_of_weights(all: &Digest, pair: u64) -> [Scalar; 2] {
    let digest = hash("og/claims/weight/v1", &[&all.0, &pair.to_be_bytes()]);
    let (halves, _) = digest.0.as_chunks::<16>();
    let mut halves = halves.iter().map(|half| Scalar::from(u128::from_be_bytes(*half)));
    [(); 2].map(|()| halves.next().unwrap_or(Scalar::ONE))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use curve25519_dalek::constants::EIGHT_TORSION;
    use proptest::prelude::*;

    use super::*;
    use crate::signing::SigningKey;

    const DOMAIN: &str = "og/test";

    /// How a signer may sign.
    #[derive(Clone, Copy, Debug)]
    enum How {
        Honestly,
        /// With parts of small order in key and nonce: multiples of a point of order eight.
        Torn {
            key: usize,
            nonce: usize,
        },
        /// With a nonce, or a key, of small order.
        SmallNonce(usize),
        SmallKey(usize),
        /// `s + ℓ` in place of `s`.
        Wrapped,
        /// The sign of a bit turned.
        Flipped(usize),
        OtherMessage,
    }

    fn claim(seed: u8, message: u8, how: How) -> Claim {
        let signer = SigningKey::from_seed(&[seed; 32]);
        let honest = |message: u8| {
            let signature = signer.sign(DOMAIN, &[message]);
            Claim::new(&signer.public_key(), DOMAIN, &[message], &signature)
        };
        let mut claim = honest(message);
        match how {
            How::Honestly => {}
            How::Torn { key, nonce } => claim = torn(seed, message, EIGHT_TORSION[key], EIGHT_TORSION[nonce]),
            How::SmallNonce(place) => {
                // s = k a fits R = 0, and so does any other R of small order but for the cofactor.
                claim = signed(secret(seed), Scalar::ZERO, message, EIGHT_TORSION[0], EIGHT_TORSION[place]);
            }
            How::SmallKey(place) => {
                claim = signed(Scalar::ZERO, secret(seed), message, EIGHT_TORSION[place], EIGHT_TORSION[0]);
            }
            How::Wrapped => wrap(&mut claim.signature.0),
            How::Flipped(bit) => claim.signature.0[bit / 8 % 64] ^= 1 << (bit % 8),
            How::OtherMessage => claim.signature = honest(message.wrapping_add(1)).signature,
        }
        claim
    }

    fn secret(seed: u8) -> Scalar {
        Scalar::from_bytes_mod_order([seed ^ 0x5a; 32])
    }

    fn torn(seed: u8, message: u8, in_key: EdwardsPoint, in_nonce: EdwardsPoint) -> Claim {
        signed(secret(seed), Scalar::from(u64::from(message) + 77), message, in_key, in_nonce)
    }

    fn signed(secret: Scalar, nonce: Scalar, message: u8, in_key: EdwardsPoint, in_nonce: EdwardsPoint) -> Claim {
        let key = PublicKey((EdwardsPoint::mul_base(&secret) + in_key).compress().0);
        let point = (EdwardsPoint::mul_base(&nonce) + in_nonce).compress().0;
        let mut claim = Claim::new(&key, DOMAIN, &[message], &Signature([0; 64]));
        let challenge = Sha512::new().chain_update(point).chain_update(key.0).chain_update(claim.signed).finalize();
        let challenge = Scalar::from_bytes_mod_order_wide(&challenge.into());
        claim.signature.0[..32].copy_from_slice(&point);
        claim.signature.0[32..].copy_from_slice((nonce + challenge * secret).as_bytes());
        claim
    }

    /// Adds the group's order to `s`, as bytes.
    fn wrap(signature: &mut [u8; 64]) {
        let order: [u8; 32] = {
            let mut bytes = (-Scalar::ONE).to_bytes();
            bytes[0] += 1;
            bytes
        };
        let mut carry = 0_u16;
        for (byte, more) in signature[32..].iter_mut().zip(order) {
            carry += u16::from(*byte) + u16::from(more);
            *byte = carry as u8;
            carry >>= 8;
        }
    }

    fn is_strict(claim: &Claim) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&claim.signature.0);
        ed25519_dalek::VerifyingKey::from_bytes(&claim.key.0)
            .is_ok_and(|key| key.verify_strict(&claim.signed, &signature).is_ok())
    }

    /// What one claim is, alone and in every place of companies of many sizes.
    fn check(of: &Claim, expected: bool, what: &str) {
        assert_eq!(of.holds(), expected, "{what}");
        for company in [FEW - 1, FEW, 9, PART, PART + 3] {
            for place in [0, company / 2, company - 1] {
                let mut claims: Vec<Claim> = (0..company as u8).map(|other| claim(9, other, How::Honestly)).collect();
                claims[place] = *of;
                let verdicts = Claim::all(&claims);
                let wanted: Vec<bool> = (0..company).map(|other| other != place || expected).collect();
                assert_eq!(verdicts, wanted, "{what}, {place} of {company}");
            }
        }
    }

    #[test]
    fn an_honest_signature_holds_in_every_company_and_a_changed_one_in_none() {
        check(&claim(1, 1, How::Honestly), true, "honest");
        check(&claim(1, 1, How::Wrapped), false, "s + l");
        check(&claim(1, 1, How::OtherMessage), false, "another message's");
        for bit in [0, 7, 100, 255, 256, 300, 511] {
            check(&claim(1, 1, How::Flipped(bit)), false, "a bit");
        }
    }

    #[test]
    fn parts_of_small_order_change_nothing_whether_one_or_many_are_checked() {
        for key in 0..8 {
            for nonce in 0..8 {
                let torn = claim(3, 5, How::Torn { key, nonce });
                assert!(torn.holds(), "{key} {nonce}");
                check(&torn, true, "torn");
            }
        }
        // They are what the equation without its cofactor tells apart.
        assert!(!is_strict(&claim(3, 5, How::Torn { key: 0, nonce: 1 })));
    }

    #[test]
    fn parts_of_small_order_never_hide_a_forgery() {
        for place in 0..8 {
            let mut forged = claim(3, 5, How::Torn { key: 0, nonce: place });
            forged.signed[0] ^= 1;
            check(&forged, false, "forged");
        }
    }

    #[test]
    fn points_of_small_order_are_refused_alone_and_in_company() {
        for place in 0..8 {
            check(&claim(4, 1, How::SmallNonce(place)), false, "nonce");
            check(&claim(4, 1, How::SmallKey(place)), false, "key");
        }
    }

    #[test]
    fn second_encodings_are_refused_alone_and_in_company() {
        let mut second = 0;
        for low in 0xed..=0xff {
            for high in [0x7f, 0xff] {
                let mut bytes = [0xff; 32];
                (bytes[0], bytes[31]) = (low, high);
                // Not all of them are points; those that are have another encoding.
                if CompressedEdwardsY(bytes).decompress().is_some_and(|point| !point.is_small_order()) {
                    second += 1;
                }
                assert!(point(&bytes).is_none());
                let mut of_nonce = claim(4, 1, How::Honestly);
                of_nonce.signature.0[..32].copy_from_slice(&bytes);
                check(&of_nonce, false, "nonce");
                let of_key = Claim { key: PublicKey(bytes), ..claim(4, 1, How::Honestly) };
                check(&of_key, false, "key");
            }
        }
        assert!(second > 0);
        let just_below = [&[0xec][..], &[0xff; 30], &[0x7f]].concat();
        let below: [u8; 32] = just_below.try_into().unwrap();
        assert_eq!(CompressedEdwardsY(below).decompress().map(|point| point.compress().0), Some(below));
    }

    /// What `point` says, by computing: the encoding is what is encoded again, and eight times the point is not nothing.
    fn slow(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
        let own = |of: &[u8; 32]| [&of[..31], &[of[31] & 0x7f]].concat();
        let point = CompressedEdwardsY(*bytes).decompress()?;
        (own(&point.compress().0) == own(bytes) && !point.is_small_order()).then_some(point)
    }

    #[test]
    fn the_points_of_small_order_are_those_that_are_told_by_their_bytes() {
        let mut told: Vec<[u8; 32]> = Vec::new();
        for small in EIGHT_TORSION {
            for sign in [0, 0x80] {
                let mut bytes = small.compress().0;
                bytes[31] ^= sign;
                assert!(point(&bytes).is_none() && slow(&bytes).is_none());
                bytes[31] &= 0x7f;
                told.push(bytes);
            }
        }
        assert!(told.iter().all(|bytes| SMALL.contains(bytes)) && SMALL.iter().all(|small| told.contains(small)));
    }

    #[test]
    fn a_point_is_told_by_its_bytes_as_by_computing() {
        let edges = (0..=255).flat_map(|low: u8| [(low, 0), (low, 0xff)]);
        let near = edges.flat_map(|(low, rest)| [0, 0x80].map(|sign| (low, rest, (rest & 0x7f) | sign)));
        let near = near.map(|(low, rest, high)| {
            let mut bytes = [rest; 32];
            (bytes[0], bytes[31]) = (low, high);
            bytes
        });
        // As far from those of small order as one bit.
        let beside = SMALL.iter().flat_map(|small| {
            (0..256).map(move |bit: usize| {
                let mut bytes = *small;
                bytes[bit / 8] ^= 1 << (bit % 8);
                bytes
            })
        });
        let mut points = 0;
        for bytes in near.chain(beside) {
            assert_eq!(point(&bytes), slow(&bytes), "{bytes:?}");
            points += usize::from(point(&bytes).is_some());
        }
        assert!(points > 100);
    }

    #[test]
    fn two_that_would_cancel_out_are_both_refused() {
        // The errors of the two are each other's negative, so that a sum without weights would hold.
        let mut pair = [claim(5, 1, How::Honestly), claim(5, 2, How::Honestly)];
        let shifted = |claim: &Claim, by: Scalar| {
            let response = Scalar::from_canonical_bytes(*claim.signature.0.last_chunk().unwrap()).unwrap();
            (response + by).to_bytes()
        };
        for (claim, by) in pair.iter_mut().zip([Scalar::ONE, -Scalar::ONE]) {
            let response = shifted(claim, by);
            claim.signature.0[32..].copy_from_slice(&response);
        }
        let others = (10..20).map(|message| claim(5, message, How::Honestly));
        let all: Vec<Claim> = pair.into_iter().chain(others).collect();
        let expected: Vec<bool> = (0..all.len()).map(|place| place > 1).collect();
        assert_eq!(Claim::all(&all), expected);
    }

    #[test]
    fn nothing_to_check_is_no_verdict() {
        assert_eq!(Claim::all(&[]), Vec::<bool>::new());
    }

    #[test]
    fn weights_differ_by_place_and_by_every_part_of_a_claim() {
        let claims = [claim(1, 1, How::Honestly), claim(2, 2, How::Honestly)];
        let many: BTreeSet<[u8; 32]> = weights(&claims).take(99).map(|weight| weight.to_bytes()).collect();
        assert!(many.len() == 99 && many.iter().all(|weight| weight[16..] == [0; 16] && weight[..16] != [0; 16]));
        let of = |claims: &[Claim]| weights(claims).take(2).collect::<Vec<_>>();
        let first = of(&claims);
        assert_ne!(first[0], first[1]);
        for changed in [claim(3, 2, How::Honestly), claim(2, 3, How::Honestly), claim(2, 2, How::Flipped(300))] {
            let other = of(&[claims[0], changed]);
            assert!(other.iter().all(|weight| !first.contains(weight)));
        }
    }

    fn how() -> impl Strategy<Value = How> {
        prop_oneof![
            6 => Just(How::Honestly),
            2 => (0_usize..8, 0_usize..8).prop_map(|(key, nonce)| How::Torn { key, nonce }),
            1 => (0_usize..8).prop_map(How::SmallNonce),
            1 => (0_usize..8).prop_map(How::SmallKey),
            1 => Just(How::Wrapped),
            1 => (0_usize..512).prop_map(How::Flipped),
            1 => Just(How::OtherMessage),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn many_at_once_are_judged_as_each_by_itself(
            made in proptest::collection::vec((0_u8..4, any::<u8>(), how()), 0..150),
        ) {
            let claims: Vec<Claim> = made.iter().map(|(seed, message, how)| claim(*seed, *message, *how)).collect();
            let alone: Vec<bool> = claims.iter().map(Claim::holds).collect();
            prop_assert_eq!(Claim::all(&claims), alone);
        }

        #[test]
        fn any_bytes_are_the_point_that_computing_says(bytes in any::<[u8; 32]>()) {
            prop_assert_eq!(point(&bytes), slow(&bytes));
        }

        #[test]
        fn without_parts_of_small_order_it_is_strict_ed25519(seed in any::<u8>(), message in any::<u8>(), how in how()) {
            if !matches!(how, How::Torn { .. }) {
                let claim = claim(seed, message, how);
                prop_assert_eq!(claim.holds(), is_strict(&claim));
            }
        }
    }
}
