//! Secrets at rest: XChaCha20-Poly1305 under a key made from a passphrase (Argon2id, RFC 9106) or under a random key.
//!
//! A sealed blob carries its version, its salt and its nonce; the purpose is authenticated, so that a blob sealed for
//! one purpose does not open for another.

use argon2::Argon2;
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead as _, KeyInit as _, Payload},
};
use thiserror::Error;

const VERSION: u8 = 1;
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
const HEADER_BYTES: usize = 1 + NONCE_BYTES;

/// Why a secret could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    #[error("sealed blob is too short or of an unknown version")]
    Format,
    #[error("wrong passphrase or key, another purpose, or a changed blob")]
    Open,
    #[error("the operating system gave no randomness")]
    Randomness,
    #[error("key derivation failed")]
    Derivation,
}

/// What a person or a file holds to open key files. Never shown.
#[derive(Clone)]
pub struct Passphrase(String);

impl Passphrase {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Seals `secret`; slow on purpose (Argon2id, 19 MiB, 2 passes), so use it for key files only.
    pub fn seal(&self, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let salt = random_bytes::<SALT_BYTES>()?;
        let mut sealed = salt.to_vec();
        sealed.extend(Sealer(self.key(&salt)?).seal(purpose, secret)?);
        Ok(sealed)
    }

    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (salt, rest) = sealed.split_at_checked(SALT_BYTES).ok_or(SealError::Format)?;
        Sealer(self.key(salt)?).open(purpose, rest)
    }

    fn key(&self, salt: &[u8]) -> Result<[u8; 32], SealError> {
        let mut key = [0; 32];
        Argon2::default().hash_password_into(self.0.as_bytes(), salt, &mut key).map_err(|_| SealError::Derivation)?;
        Ok(key)
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Passphrase")
    }
}

/// A random data key.
#[derive(Clone)]
pub struct Sealer([u8; 32]);

impl Sealer {
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    pub fn seal(&self, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        self.seal_with(purpose, secret, random_bytes::<NONCE_BYTES>()?)
    }

    /// The same bytes for the same secret and purpose, for what must be a function of its inputs. Whoever sees two blobs learns whether
    /// they hold the same, and nothing else: the nonce is a keyed digest of what is sealed.
    pub fn seal_again(&self, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let parts: [&[u8]; 4] = [&self.0, &purpose.len().to_be_bytes(), purpose.as_bytes(), secret];
        let digest = crypto::hash("og/storage/sealed/nonce/v1", &parts);
        let nonce = digest.0.first_chunk::<NONCE_BYTES>().copied().ok_or(SealError::Format)?;
        self.seal_with(purpose, secret, nonce)
    }

    fn seal_with(&self, purpose: &str, secret: &[u8], nonce: [u8; NONCE_BYTES]) -> Result<Vec<u8>, SealError> {
        let payload = Payload { msg: secret, aad: purpose.as_bytes() };
        let ciphertext = self.cipher().encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::Format)?;
        Ok([&[VERSION], &nonce[..], &ciphertext].concat())
    }

    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (header, ciphertext) = sealed.split_at_checked(HEADER_BYTES).ok_or(SealError::Format)?;
        let Some((&VERSION, nonce)) = header.split_first() else { return Err(SealError::Format) };
        let nonce = <[u8; NONCE_BYTES]>::try_from(nonce).map_err(|_| SealError::Format)?;
        let payload = Payload { msg: ciphertext, aad: purpose.as_bytes() };
        self.cipher().decrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::Open)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.0.into())
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Sealer")
    }
}

/// Randomness of the operating system.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], SealError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| SealError::Randomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_with_its_passphrase_and_purpose_only() {
        let sealed = Passphrase::new("right").seal("og/key", b"secret").unwrap();
        assert_eq!(Passphrase::new("right").open("og/key", &sealed).unwrap(), b"secret");
        assert_eq!(Passphrase::new("wrong").open("og/key", &sealed), Err(SealError::Open));
        assert_eq!(Passphrase::new("right").open("og/evidence", &sealed), Err(SealError::Open));
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
    }

    #[test]
    fn every_changed_or_missing_byte_is_refused() {
        let sealer = Sealer::new([3; 32]);
        let sealed = sealer.seal("p", b"secret").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(sealer.open("p", &changed).is_err(), "byte {at}");
            assert!(sealer.open("p", &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn what_is_sealed_again_is_the_same_and_differs_with_all_that_goes_in() {
        let sealer = Sealer::new([3; 32]);
        let sealed = sealer.seal_again("p", b"secret").unwrap();
        assert_eq!(sealer.open("p", &sealed).unwrap(), b"secret");
        assert_eq!(sealer.seal_again("p", b"secret").unwrap(), sealed);
        let nonce = |sealed: Vec<u8>| sealed[..HEADER_BYTES].to_vec();
        for other in [
            sealer.seal_again("q", b"secret").unwrap(),
            sealer.seal_again("p", b"secreT").unwrap(),
            Sealer::new([4; 32]).seal_again("p", b"secret").unwrap(),
        ] {
            assert_ne!(nonce(other), nonce(sealed.clone()));
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        assert_eq!(format!("{:?} {:?}", Passphrase::new("abc"), Sealer::new([9; 32])), "Passphrase Sealer");
    }
}
