//! A Base in memory: one transaction a block, with the keys of a devnet.
#![allow(dead_code, reason = "each test file uses its part of it")]

use alloy_consensus::{Header, SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use alloy_sol_types::{SolCall, SolError, SolEvent};
use devchain::{BaseStart, FundedKey};
use evm::{BlockBuilder, Chain, Genesis, NextBlock, Receipt, Transaction, World};
use k256::ecdsa::SigningKey;

/// Of each funded key, in base units.
pub const OPG: u128 = 1_000_000_000_000_000_000;
pub const START: u64 = 1_800_000_000;
pub const LEDGER: u64 = 10_744;

pub fn key(index: u32) -> FundedKey {
    FundedKey::derive(&[1; 32], index)
}

pub fn account(index: u32) -> Address {
    key(index).address
}

/// Signs a digest as wallets do: 65 bytes.
pub fn sign(index: u32, digest: B256) -> Bytes {
    let signing = SigningKey::from_slice(key(index).secret.as_slice()).unwrap();
    Bytes::from(Signature::from(signing.sign_prehash_recoverable(digest.as_slice()).unwrap()).as_bytes().to_vec())
}

/// A beginning with keys 0 to 3 funded.
pub fn start(network_key: [u8; 192]) -> BaseStart {
    BaseStart {
        timestamp: START,
        funded: (0..4).map(account).collect(),
        coins: U256::from(100 * OPG),
        opg: U256::from(1_000 * OPG),
        dollars: U256::from(1_000_000_000),
        ledger_chain_id: LEDGER,
        network_key,
    }
}

/// The chain, one block after the other.
pub struct Stage {
    pub chain: Chain,
    pub world: World,
    pub header: Header,
    pub now: u64,
}

/// With what a call was reverted, or nothing if it ran out of gas.
pub type Reverted = Bytes;

impl Stage {
    pub fn new(chain_id: u64, genesis: &Genesis) -> Self {
        Self::on(Chain::plain(chain_id), genesis)
    }

    pub fn on(chain: Chain, genesis: &Genesis) -> Self {
        let (world, header) = genesis.build(&chain).unwrap();
        Self { chain, world, header: header.into_inner(), now: START }
    }

    /// The devnet's Base, with a network of no consequence.
    pub fn base() -> Self {
        Self::new(8_453, &start([0; 192]).genesis().unwrap())
    }

    /// What a transaction of key `from` comes to, in a block of its own.
    pub fn transact(&mut self, from: u32, to: TxKind, input: Vec<u8>) -> Receipt {
        let nonce = evm::StateRead::account(&self.world, &account(from)).unwrap().map_or(0, |account| account.nonce);
        let unsigned = TxEip1559 {
            chain_id: self.chain.id,
            nonce,
            gas_limit: 10_000_000,
            max_fee_per_gas: 10_000_000_000,
            max_priority_fee_per_gas: 1,
            to,
            value: U256::ZERO,
            access_list: Default::default(),
            input: input.into(),
        };
        let signature = Signature::try_from(sign(from, unsigned.signature_hash()).as_ref()).unwrap();
        let envelope = TxEnvelope::from(unsigned.into_signed(signature));
        self.now += 1;
        let next = NextBlock { timestamp: self.now, ..NextBlock::default() };
        let (parent, state) = (self.header.clone(), self.world.clone());
        let mut builder = BlockBuilder::begin(&self.chain, &parent, &state, &next).unwrap();
        let transaction = Transaction::from_envelope(envelope, &self.chain).unwrap();
        let receipt = builder.push(transaction).unwrap().clone();
        let executed = builder.finish();
        let root = self.world.apply(&executed.changes).unwrap();
        self.header = executed.seal(root).0.header.into_inner();
        receipt
    }

    /// Calls a method in a transaction; `Err` with what it reverted with.
    pub fn send<C: SolCall>(&mut self, from: u32, to: Address, call: &C) -> Result<Receipt, Reverted> {
        let receipt = self.transact(from, to.into(), call.abi_encode());
        if receipt.succeeded() { Ok(receipt) } else { Err(receipt.output) }
    }

    /// What a method answers, with nothing changed by it.
    pub fn view<C: SolCall>(&self, to: Address, call: &C) -> C::Return {
        let request = alloy_rpc_types_eth::TransactionRequest::default().to(to).input(call.abi_encode().into());
        let snapshot = evm::Snapshot { chain: &self.chain, state: &self.world, header: &self.header };
        let bounds = evm::Bounds { gas: 30_000_000, wanted: &|| true };
        let returned = evm::call(&snapshot, &request, &evm::Overrides::default(), &bounds).unwrap();
        C::abi_decode_returns(&returned.output).unwrap()
    }

    pub fn wait(&mut self, seconds: u64) {
        self.now += seconds;
    }
}

/// It was refused with exactly this error.
#[track_caller]
pub fn refused<E: SolError>(outcome: Result<Receipt, Reverted>, expected: &E) {
    let found = outcome.map(|receipt| receipt.gas_used).unwrap_err();
    assert_eq!(found, Bytes::from(expected.abi_encode()), "expected {}", E::SIGNATURE);
}

/// The events of this kind in a receipt.
pub fn events<E: SolEvent>(receipt: &Receipt) -> Vec<E> {
    receipt.logs().iter().filter_map(|log| E::decode_log(log).ok()).map(|log| log.data).collect()
}
