//! Keys that a devnet makes for itself and gives coins to. Never well-known ones: what they sign is valid on the real chain of
//! the same id as well.

use alloy_primitives::{Address, B256, keccak256};
use k256::ecdsa::SigningKey;

/// A key with its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FundedKey {
    pub address: Address,
    /// The secret itself: whoever has it has the coins.
    pub secret: B256,
}

impl FundedKey {
    /// The `index`-th key of a secret seed.
    pub fn derive(seed: &[u8; 32], index: u32) -> Self {
        let mut round = 0_u32;
        loop {
            let parts = [b"og/devchain/key/v1".as_slice(), seed, &index.to_be_bytes(), &round.to_be_bytes()];
            let secret = keccak256(parts.concat());
            // One of 2^128 hashes is no key.
            if let Ok(key) = SigningKey::from_slice(secret.as_slice()) {
                return Self { address: Address::from_public_key(key.verifying_key()), secret };
            }
            round = round.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_keys_and_each_index_another() {
        let seed = [7; 32];
        assert_eq!(FundedKey::derive(&seed, 0), FundedKey::derive(&seed, 0));
        assert_ne!(FundedKey::derive(&seed, 0), FundedKey::derive(&seed, 1));
        assert_ne!(FundedKey::derive(&seed, 0), FundedKey::derive(&[8; 32], 0));
    }
}
