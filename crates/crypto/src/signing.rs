//! Ed25519 signatures (RFC 8032) over a domain and a message, checked strictly.
//!
//! Strict checking refuses small-order points and non-canonical encodings, so that all verifiers agree on every input; `claim` has the
//! equation.

use std::fmt;

use ed25519_dalek::Signer as _;

use crate::digest::{hash, read_hex, write_hex};

/// An Ed25519 public key: 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PublicKey(pub [u8; 32]);

/// An Ed25519 signature: 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl PublicKey {
    pub fn from_hex(text: &str) -> Option<Self> {
        read_hex(text).map(Self)
    }
}

/// A signing key. Its bytes never appear in `Debug`, and the library wipes them on drop.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key of a 32-byte secret seed (RFC 8032 §5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The secret seed, for sealing it into a key file.
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    pub fn sign(&self, domain: &'static str, message: &[u8]) -> Signature {
        Signature(self.0.sign(&signed_bytes(domain, message)).to_bytes())
    }
}

/// What is signed is a digest in its own domain, so a signature for one purpose is none for another.
pub(crate) fn signed_bytes(domain: &'static str, message: &[u8]) -> [u8; 32] {
    hash(domain, &[message]).0
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, formatter)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, formatter)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, formatter)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey({})", self.public_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_key_domain_and_message_only() {
        let key = SigningKey::from_seed(&[7; 32]);
        let signature = key.sign("og/test", b"hello");
        assert!(key.public_key().verifies("og/test", b"hello", &signature));
        assert!(!key.public_key().verifies("og/other", b"hello", &signature));
        assert!(!key.public_key().verifies("og/test", b"hellp", &signature));
        assert!(!SigningKey::from_seed(&[8; 32]).public_key().verifies("og/test", b"hello", &signature));
        let mut flipped = signature;
        flipped.0[63] ^= 0x40;
        assert!(!key.public_key().verifies("og/test", b"hello", &flipped));
    }

    #[test]
    fn a_small_order_key_verifies_nothing() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(!PublicKey(identity).verifies("og/test", b"anything", &Signature(signature)));
    }

    #[test]
    fn a_signing_key_never_shows_its_seed() {
        let key = SigningKey::from_seed(&[0xab; 32]);
        assert!(!format!("{key:?}").contains("abababab"));
    }
}
