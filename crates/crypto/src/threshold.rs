//! The network's threshold signature: BLS12-381, signatures in G1 (48 bytes), key in G2 (96 bytes).
//!
//! Only checking lives here; signing belongs to the validators. The message form and the ciphersuite are those of
//! `specs/consensus.md`, chosen so that an EVM contract with the EIP-2537 precompiles can check the same bytes.

use std::fmt;

use blst::{BLST_ERROR, min_sig};

use crate::digest::{read_hex, write_hex};

/// Hash-to-curve suite of RFC 9380 with the proof-of-possession tag of the BLS signature draft.
const SUITE: &[u8] = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";

/// The network's public key: a compressed point of G2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupKey(pub [u8; 96]);

/// A threshold signature: a compressed point of G1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupSignature(pub [u8; 48]);

impl GroupKey {
    /// True only if a quorum of the key's holders signed `message` in `namespace`.
    /// Points outside the prime-order subgroups, and the point at infinity, are refused.
    pub fn verifies(&self, namespace: &[u8], message: &[u8], signature: &GroupSignature) -> bool {
        let Ok(key) = min_sig::PublicKey::key_validate(&self.0) else { return false };
        let Ok(signature) = min_sig::Signature::sig_validate(&signature.0, true) else { return false };
        let Some(signed) = namespaced(namespace, message) else { return false };
        signature.verify(false, &signed, SUITE, &[], &key, false) == BLST_ERROR::BLST_SUCCESS
    }
}

impl GroupKey {
    /// Reads 192 hexadecimal digits; anything else is `None`. Whether it is a point at all shows where it verifies.
    pub fn from_hex(text: &str) -> Option<Self> {
        read_hex(text).map(Self)
    }

    /// The point as EVM contracts take it, but without their padding: x.c0, x.c1, y.c0, y.c1, 48 bytes each. `None` for what is no key.
    pub fn uncompressed(&self) -> Option<[u8; 192]> {
        let imaginary_first = min_sig::PublicKey::key_validate(&self.0).ok()?.serialize();
        let mut real_first = [0; 192];
        for (place, coordinate) in real_first.chunks_exact_mut(96).zip(imaginary_first.chunks_exact(96)) {
            let (imaginary, real) = coordinate.split_at_checked(48)?;
            place.iter_mut().zip(real.iter().chain(imaginary)).for_each(|(to, from)| *to = *from);
        }
        Some(real_first)
    }
}

impl fmt::Display for GroupKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, formatter)
    }
}

impl GroupSignature {
    /// The point as EVM contracts take it, but without their padding: x, y, 48 bytes each. `None` for what is no signature.
    pub fn uncompressed(&self) -> Option<[u8; 96]> {
        min_sig::Signature::sig_validate(&self.0, true).ok().map(|signature| signature.serialize())
    }
}

/// `length of namespace (one byte, below 128) ‖ namespace ‖ message`.
fn namespaced(namespace: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let length = u8::try_from(namespace.len()).ok().filter(|length| *length < 0x80)?;
    Some([&[length], namespace, message].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(namespace: &[u8], message: &[u8]) -> (GroupKey, GroupSignature) {
        let secret = min_sig::SecretKey::key_gen(&[5; 32], &[]).unwrap();
        let signature = secret.sign(&namespaced(namespace, message).unwrap(), SUITE, &[]);
        (GroupKey(secret.sk_to_pk().compress()), GroupSignature(signature.compress()))
    }

    #[test]
    fn a_signature_holds_for_its_namespace_and_message_only() {
        let (key, signature) = sign(b"og-7_EPOCH", b"root");
        assert!(key.verifies(b"og-7_EPOCH", b"root", &signature));
        assert!(!key.verifies(b"og-8_EPOCH", b"root", &signature));
        assert!(!key.verifies(b"og-7_EPOCH", b"rooT", &signature));
    }

    #[test]
    fn uncompressed_points_begin_with_the_compressed_ones_but_for_flags_and_order() {
        let (key, signature) = sign(b"n", b"m");
        let (points, point) = (key.uncompressed().unwrap(), signature.uncompressed().unwrap());
        assert_eq!((points[48] | key.0[0] & 0xe0, &points[49..96]), (key.0[0], &key.0[1..48]));
        assert_eq!(points[..48], key.0[48..]);
        assert_eq!((point[0] | signature.0[0] & 0xe0, &point[1..48]), (signature.0[0], &signature.0[1..]));
        assert_eq!(GroupKey([0; 96]).uncompressed(), None);
        assert_eq!(GroupSignature([0xff; 48]).uncompressed(), None);
    }

    #[test]
    fn infinity_and_garbage_are_refused() {
        let (key, signature) = sign(b"n", b"m");
        let mut infinity = [0; 48];
        infinity[0] = 0xc0;
        assert!(!key.verifies(b"n", b"m", &GroupSignature(infinity)));
        assert!(!key.verifies(b"n", b"m", &GroupSignature([0xff; 48])));
        assert!(!GroupKey([0; 96]).verifies(b"n", b"m", &signature));
        assert!(!key.verifies(&[b'n'; 200], b"m", &signature));
    }
}
