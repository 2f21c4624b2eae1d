//! EIP-712: the digest of a typed struct under a domain.
//!
//! Structs are written out as words of 32 bytes; their type hashes stand beside them as text, so that a reader can compare
//! them with the contracts'. A domain is hashed once and kept.

use alloy_primitives::{Address, B256, Keccak256, U256, keccak256};

/// A contract's domain separator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain(pub B256);

impl Domain {
    /// With name, version, chain and contract, as tokens and the x402 contracts have it.
    pub fn new(name: &str, version: &str, chain_id: u64, contract: Address) -> Self {
        let mut words =
            Words::new("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        words.text(name).text(version).number(U256::from(chain_id)).address(contract);
        Self(words.hash())
    }

    /// Without a contract, for what no contract checks.
    pub fn of_no_contract(name: &str, version: &str, chain_id: u64) -> Self {
        let mut words = Words::new("EIP712Domain(string name,string version,uint256 chainId)");
        words.text(name).text(version).number(U256::from(chain_id));
        Self(words.hash())
    }

    /// Without a version, as Permit2 has it.
    pub fn unversioned(name: &str, chain_id: u64, contract: Address) -> Self {
        let mut words = Words::new("EIP712Domain(string name,uint256 chainId,address verifyingContract)");
        words.text(name).number(U256::from(chain_id)).address(contract);
        Self(words.hash())
    }
}

/// A struct being hashed, word by word.
pub struct Words(Keccak256);

impl Words {
    /// Begins a struct of this type, as `encodeType` spells it.
    pub fn new(of_type: &str) -> Self {
        Self::of_hash(keccak256(of_type))
    }

    pub fn of_hash(type_hash: B256) -> Self {
        let mut hasher = Keccak256::new();
        hasher.update(type_hash);
        Self(hasher)
    }

    pub fn address(&mut self, address: Address) -> &mut Self {
        self.word(address.into_word())
    }

    pub fn number(&mut self, number: U256) -> &mut Self {
        self.word(number.into())
    }

    pub fn text(&mut self, text: &str) -> &mut Self {
        self.word(keccak256(text))
    }

    pub fn word(&mut self, word: B256) -> &mut Self {
        self.0.update(word);
        self
    }

    pub fn hash(self) -> B256 {
        self.0.finalize()
    }
}

/// What is signed.
pub fn digest(domain: &Domain, of_struct: B256) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update([0x19, 0x01]);
    hasher.update(domain.0);
    hasher.update(of_struct);
    hasher.finalize()
}
