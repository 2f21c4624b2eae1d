//! Whose key made a signature: secp256k1, strict about form.

use alloy_primitives::{Address, B256, keccak256};
use secp256k1::{
    Message, SECP256K1, SecretKey,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use thiserror::Error;

/// Why a signature is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    #[error("a signature of {0} bytes, 65 expected")]
    Length(usize),
    #[error("a signature with v = {0}, 27 or 28 expected")]
    Parity(u8),
    #[error("a signature in its second form (s in the upper half), which contracts refuse")]
    Malleable,
    #[error("a signature that no key can have made")]
    Unrecoverable,
}

/// Half of the group's order, rounded down: the greatest `s` that contracts take.
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e,
    0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// The address whose key signed `digest`. What passes here passes the tokens' and Permit2's own checks.
pub fn recover(digest: &B256, signature: &[u8]) -> Result<Address, SignatureError> {
    let (compact, v) = match signature {
        [compact @ .., v] if compact.len() == 64 => (compact, *v),
        _ => return Err(SignatureError::Length(signature.len())),
    };
    let parity = match v {
        27 => RecoveryId::Zero,
        28 => RecoveryId::One,
        other => return Err(SignatureError::Parity(other)),
    };
    if compact.get(32..).is_some_and(|s| s > HALF_ORDER.as_slice()) {
        return Err(SignatureError::Malleable);
    }
    let signature = RecoverableSignature::from_compact(compact, parity).map_err(|_| SignatureError::Unrecoverable)?;
    let key = SECP256K1.recover_ecdsa(Message::from_digest(digest.0), &signature);
    Ok(address_of(&key.map_err(|_| SignatureError::Unrecoverable)?))
}

fn address_of(key: &secp256k1::PublicKey) -> Address {
    let point = key.serialize_uncompressed();
    // The first byte says that both coordinates follow.
    let hash = keccak256(point.get(1..).unwrap_or_default());
    Address::from_slice(hash.get(12..).unwrap_or_default())
}

/// A key that pays or settles. Never shown.
#[derive(Clone)]
pub struct SignerKey(SecretKey);

impl SignerKey {
    /// `None` for the few numbers that are no key.
    pub fn from_secret(secret: [u8; 32]) -> Option<Self> {
        SecretKey::from_byte_array(secret).ok().map(Self)
    }

    pub fn secret(&self) -> [u8; 32] {
        self.0.secret_bytes()
    }

    pub fn address(&self) -> Address {
        address_of(&self.0.public_key(SECP256K1))
    }

    /// r, s and v (27 or 28).
    pub fn sign(&self, digest: &B256) -> [u8; 65] {
        let signature = SECP256K1.sign_ecdsa_recoverable(Message::from_digest(digest.0), &self.0);
        let (parity, compact) = signature.serialize_compact();
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&compact);
        bytes[64] = if parity == RecoveryId::One { 28 } else { 27 };
        bytes
    }
}

impl std::fmt::Debug for SignerKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SignerKey({})", self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SignerKey {
        SignerKey::from_secret([7; 32]).unwrap()
    }

    #[test]
    fn a_signature_leads_to_its_signer_only() {
        let digest = keccak256("one");
        let signature = key().sign(&digest);
        assert_eq!(recover(&digest, &signature), Ok(key().address()));
        assert_ne!(recover(&keccak256("two"), &signature), Ok(key().address()));
        assert!(!format!("{:?}", key()).contains("0707"));
    }

    #[test]
    fn every_form_but_one_is_refused() {
        let digest = keccak256("one");
        let signature = key().sign(&digest);
        assert_eq!(recover(&digest, &signature[..64]), Err(SignatureError::Length(64)));
        assert_eq!(recover(&digest, &[]), Err(SignatureError::Length(0)));
        let mut other = signature;
        for v in [0, 1, 26, 29, 255] {
            other[64] = v;
            assert_eq!(recover(&digest, &other), Err(SignatureError::Parity(v)));
        }
        let mut zero = [0; 65];
        zero[64] = 27;
        assert_eq!(recover(&digest, &zero), Err(SignatureError::Unrecoverable));
    }

    #[test]
    fn the_second_form_of_a_signature_is_refused() {
        const ORDER: &str = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
        let digest = keccak256("one");
        let mut signature = key().sign(&digest);
        let order: alloy_primitives::U256 = ORDER.parse().unwrap();
        let s = alloy_primitives::U256::from_be_slice(&signature[32..64]);
        signature[32..64].copy_from_slice(&(order - s).to_be_bytes::<32>());
        signature[64] ^= 27 ^ 28;
        assert_eq!(recover(&digest, &signature), Err(SignatureError::Malleable));
    }

    #[test]
    fn numbers_that_are_no_key_make_none() {
        assert!(SignerKey::from_secret([0; 32]).is_none());
        assert!(SignerKey::from_secret([0xff; 32]).is_none());
    }
}
