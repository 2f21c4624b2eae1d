//! A chain in a folder of its own, and transactions for it.
#![allow(dead_code, reason = "each test file uses its part of it")]
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::Path;
use std::time::Duration;

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use devchain::{Config, DevChain, FundedKey, OpenError, PoolLimits};
use evm::{Chain, Genesis, GenesisAccount, Transaction};
use k256::ecdsa::SigningKey;
use rpc::{ChainNode as _, SubmitError};
use tokio::task::JoinHandle;

pub const CHAIN: Chain = Chain::plain(8_453);
/// Burns all gas that it is given.
pub const BURNER: Address = Address::repeat_byte(0x11);
pub const GWEI: u128 = 1_000_000_000;

pub fn key(index: u32) -> FundedKey {
    FundedKey::derive(&[1; 32], index)
}

pub fn config(folder: &Path) -> Config {
    let mut genesis = Genesis { timestamp: 1_000, ..Genesis::default() };
    for index in 0..4 {
        let balance = U256::from(100) * U256::from(GWEI) * U256::from(GWEI);
        genesis.accounts.insert(key(index).address, GenesisAccount { balance, ..GenesisAccount::default() });
    }
    let code = Bytes::from_static(&[0xfe]);
    genesis.accounts.insert(BURNER, GenesisAccount { nonce: 1, code, ..GenesisAccount::default() });
    Config {
        chain: CHAIN,
        genesis,
        directory: folder.to_owned(),
        beneficiary: Address::repeat_byte(0xbe),
        clock: || 2_000,
        pool: PoolLimits { transactions: 16, bytes: 1 << 20, per_sender: 8 },
        states: 4,
    }
}

pub struct Started {
    pub chain: DevChain,
    pub running: JoinHandle<()>,
}

impl Started {
    pub async fn with(config: Config) -> Result<Self, OpenError> {
        let (chain, running) = devchain::open(config).await?;
        Ok(Self { chain, running })
    }

    pub async fn at(folder: &Path) -> Self {
        Self::with(config(folder)).await.unwrap()
    }

    /// Ends it, and returns when its file is closed.
    pub async fn stop(self) {
        drop(self.chain);
        self.running.await.unwrap();
        // The store's own thread closes the file just after its last handle is gone.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    pub async fn send(&self, transaction: Transaction) -> Result<(), SubmitError> {
        self.chain.submit(transaction).await
    }
}

/// What a transaction says, with the least that most tests need.
#[derive(Clone, Copy)]
pub struct Wanted {
    pub from: u32,
    pub nonce: u64,
    pub to: Address,
    pub value: u64,
    pub gas: u64,
    pub fee: u128,
    pub tip: u128,
}

pub fn transfer(from: u32, nonce: u64) -> Wanted {
    Wanted { from, nonce, to: Address::repeat_byte(0x77), value: 5, gas: 21_000, fee: 3 * GWEI, tip: GWEI }
}

impl Wanted {
    pub fn signed(self) -> Transaction {
        let unsigned = TxEip1559 {
            chain_id: CHAIN.id,
            nonce: self.nonce,
            gas_limit: self.gas,
            max_fee_per_gas: self.fee,
            max_priority_fee_per_gas: self.tip,
            to: TxKind::Call(self.to),
            value: U256::from(self.value),
            access_list: Default::default(),
            input: Bytes::new(),
        };
        let signing = SigningKey::from_slice(key(self.from).secret.as_slice()).unwrap();
        let signature = signing.sign_prehash_recoverable(unsigned.signature_hash().as_slice()).unwrap();
        let envelope = TxEnvelope::from(unsigned.into_signed(Signature::from(signature)));
        Transaction::from_envelope(envelope, &CHAIN).unwrap()
    }
}
