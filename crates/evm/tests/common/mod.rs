//! Keys, transactions and chains for tests.
#![allow(dead_code, reason = "each test file uses its part of it")]

use alloy_consensus::{Header, SignableTransaction, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use evm::{Block, BlockBuilder, Chain, Genesis, GenesisAccount, NextBlock, PushError, Receipt, Transaction, World};
use k256::ecdsa::SigningKey;

/// The network's chain in tests.
pub const CHAIN: Chain = Chain::network(10_744);
pub const OPG: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

/// A key by its number.
pub fn key(number: u64) -> SigningKey {
    SigningKey::from_slice(keccak256(number.to_be_bytes()).as_slice()).unwrap()
}

pub fn address(number: u64) -> Address {
    Address::from_public_key(key(number).verifying_key())
}

pub fn sign_digest(number: u64, digest: B256) -> Signature {
    Signature::from(key(number).sign_prehash_recoverable(digest.as_slice()).unwrap())
}

/// Signs whatever can be signed.
pub fn sign<T: SignableTransaction<Signature>>(number: u64, unsigned: T) -> TxEnvelope
where
    TxEnvelope: From<alloy_consensus::Signed<T>>,
{
    let signature = sign_digest(number, unsigned.signature_hash());
    unsigned.into_signed(signature).into()
}

/// A plain transaction to change before it is signed.
pub fn plain(to: impl Into<TxKind>, nonce: u64) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN.id,
        nonce,
        gas_limit: 1_000_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1,
        to: to.into(),
        value: U256::ZERO,
        access_list: Default::default(),
        input: Bytes::new(),
    }
}

pub fn transaction(number: u64, unsigned: TxEip1559) -> Transaction {
    Transaction::from_envelope(sign(number, unsigned), &CHAIN).unwrap()
}

/// A chain in memory, one block after the other.
pub struct Net {
    pub chain: Chain,
    pub world: World,
    pub header: Header,
}

impl Net {
    /// Eight accounts with a thousand OPG each, and contracts.
    pub fn with(contracts: &[(Address, &[u8])]) -> Self {
        let mut genesis = Genesis { timestamp: 1_000, ..Genesis::default() };
        for number in 0..8 {
            let account = GenesisAccount { balance: OPG * U256::from(1_000), ..GenesisAccount::default() };
            genesis.accounts.insert(address(number), account);
        }
        for (address, code) in contracts {
            let code = Bytes::copy_from_slice(code);
            genesis.accounts.insert(*address, GenesisAccount { nonce: 1, code, ..GenesisAccount::default() });
        }
        let (world, header) = genesis.build(&CHAIN).unwrap();
        Self { chain: CHAIN, world, header: header.into_inner() }
    }

    pub fn next(&self) -> NextBlock {
        NextBlock {
            timestamp: self.header.timestamp + 1,
            beneficiary: Address::repeat_byte(0xbe),
            ..NextBlock::default()
        }
    }

    /// Makes the next block of what is not refused; the refusals beside it.
    pub fn block(&mut self, transactions: Vec<Transaction>) -> (Block, Vec<PushError>) {
        let (parent, next) = (self.header.clone(), self.next());
        let mut refused = Vec::new();
        let state = self.world.clone();
        let mut builder = BlockBuilder::begin(&self.chain, &parent, &state, &next).unwrap();
        for transaction in transactions {
            if let Err(error) = builder.push(transaction) {
                refused.push(error);
            }
        }
        let executed = builder.finish();
        let root = self.world.apply(&executed.changes);
        let (block, _) = executed.seal(root);
        self.header = block.header.inner().clone();
        (block, refused)
    }

    /// The receipt of one transaction in a block of its own.
    pub fn send(&mut self, transaction: Transaction) -> Receipt {
        let (block, refused) = self.block(vec![transaction]);
        assert_eq!(refused, []);
        block.receipts.into_iter().next().unwrap()
    }
}
