//! Keys, transactions and chains for tests.
#![allow(dead_code, reason = "each test file uses its part of it")]

use alloy_consensus::{Header, SignableTransaction, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, B256, Bytes, Log, Signature, TxKind, U256, keccak256};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_sol_types::{SolCall, SolError, SolEvent};
use evm::modules::{SystemCall, SystemError};
use evm::{
    Block, BlockBuilder, Bounds, CallError, Chain, Founding, Genesis, GenesisAccount, NextBlock, Overrides, PushError,
    Receipt, Snapshot, StateRead as _, Transaction, World,
};
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
        Self::of(&genesis)
    }

    /// Twelve accounts with a million OPG each, and what a network is founded with.
    pub fn founded(founding: Founding) -> Self {
        Self::founded_with(founding, &[])
    }

    /// The same with contracts.
    pub fn founded_with(founding: Founding, contracts: &[(Address, &[u8])]) -> Self {
        let mut genesis = Genesis { timestamp: 1_000, founding, ..Genesis::default() };
        for (address, code) in contracts {
            let code = Bytes::copy_from_slice(code);
            genesis.accounts.insert(*address, GenesisAccount { nonce: 1, code, ..GenesisAccount::default() });
        }
        for number in 0..12 {
            let account = GenesisAccount { balance: OPG * U256::from(1_000_000), ..GenesisAccount::default() };
            genesis.accounts.insert(address(number), account);
        }
        Self::of(&genesis)
    }

    pub fn of(genesis: &Genesis) -> Self {
        let (world, header) = genesis.build(&CHAIN).unwrap();
        Self { chain: CHAIN, world, header: header.into_inner() }
    }

    /// Lets time pass: an empty block so many seconds later.
    pub fn wait(&mut self, seconds: u64) {
        let next = NextBlock { timestamp: self.header.timestamp + seconds, ..self.next() };
        self.build(&next, |_| ());
    }

    /// What the ledger itself does, in a block of its own.
    pub fn system<C: SystemCall>(&mut self, call: &C) -> Result<(C::Outcome, Vec<Log>), SystemError> {
        let next = self.next();
        self.build(&next, |builder| builder.system(call))
    }

    /// The same, which must succeed.
    pub fn does<C: SystemCall>(&mut self, call: &C) -> C::Outcome {
        self.system(call).unwrap().0
    }

    /// The next block of whatever is put into it.
    pub fn build<R>(&mut self, next: &NextBlock, fill: impl FnOnce(&mut BlockBuilder<'_>) -> R) -> R {
        let (parent, state) = (self.header.clone(), self.world.clone());
        let mut builder = BlockBuilder::begin(&self.chain, &parent, &state, next).unwrap();
        let result = fill(&mut builder);
        let executed = builder.finish();
        let root = self.world.apply(&executed.changes).unwrap();
        self.header = executed.seal(root).0.header.inner().clone();
        result
    }

    /// A module's method, called in a block of its own by whoever has this number.
    pub fn call<C: SolCall>(&mut self, from: u64, to: Address, call: &C, value: U256) -> Receipt {
        let nonce = self.world.account(&address(from)).unwrap().unwrap().nonce;
        let unsigned = TxEip1559 { input: call.abi_encode().into(), value, gas_limit: 5_000_000, ..plain(to, nonce) };
        self.send(transaction(from, unsigned))
    }

    /// What a view says, without a transaction.
    pub fn ask<C: SolCall>(&self, to: Address, call: &C) -> Result<C::Return, CallError> {
        let snapshot = Snapshot { chain: &self.chain, state: &self.world, header: &self.header };
        let request = TransactionRequest::default().to(to).input(Bytes::from(call.abi_encode()).into());
        let bounds = Bounds { gas: 30_000_000, wanted: &|| true };
        let returned = evm::call(&snapshot, &request, &Overrides::default(), &bounds)?;
        Ok(C::abi_decode_returns(&returned.output).unwrap())
    }

    pub fn balance(&self, of: Address) -> U256 {
        self.world.account(&of).unwrap().unwrap_or_default().balance
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
        let root = self.world.apply(&executed.changes).unwrap();
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

/// What a call returned that must have succeeded.
pub fn told<C: SolCall>(receipt: &Receipt) -> C::Return {
    assert!(receipt.succeeded(), "{receipt:?}");
    C::abi_decode_returns(&receipt.output).unwrap()
}

/// A call was refused with this very error and left no log.
#[track_caller]
pub fn refused<E: SolError>(receipt: &Receipt, error: &E) {
    assert!(!receipt.succeeded(), "not refused");
    assert_eq!(receipt.output, Bytes::from(error.abi_encode()));
    assert_eq!(receipt.logs(), []);
}

/// The ledger's own deed was refused with this very error.
#[track_caller]
pub fn system_refused<R: std::fmt::Debug, E: SolError>(result: Result<R, SystemError>, error: &E) {
    assert_eq!(result.err(), Some(SystemError::Refused(error.abi_encode().into())));
}

/// The only event of this kind among logs.
pub fn event<E: SolEvent>(logs: &[Log]) -> E {
    let mut found = logs.iter().filter_map(|log| E::decode_log(log).ok());
    let event = found.next().unwrap().data;
    assert!(found.next().is_none(), "twice");
    event
}

/// A module's table has a row for every function of its interface, and takes coins and writes where that says so.
pub fn table_is_whole(module: &evm::modules::Module, source: &str) {
    assert_eq!(module.methods.len(), source.matches("function ").count(), "{}", module.name);
    let mut selectors: Vec<[u8; 4]> = module.methods.iter().map(|method| method.selector).collect();
    selectors.sort_unstable();
    selectors.dedup();
    assert_eq!(selectors.len(), module.methods.len());
    for method in module.methods {
        assert_eq!(method.selector, keccak256(method.signature)[..4], "{}", method.signature);
        let name = method.signature.split('(').next().unwrap();
        let head = source.split(&format!("function {name}(")).nth(1).unwrap().split(';').next().unwrap();
        let reads = head.contains("view") || head.contains("pure");
        assert_eq!((method.writes, method.takes_value), (!reads, head.contains("payable")), "{name}");
    }
}
