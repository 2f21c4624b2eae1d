//! One call of a native module: what it may do, and what that costs.
//!
//! A precompile is trusted by the machine, so everything that protects a contract is done here by hand: gas is taken before
//! the work, cold access costs what it costs a contract, nothing is written in a static call, no foreign storage or
//! sender is borrowed by DELEGATECALL, no value is kept.

use alloy_evm::precompiles::PrecompileInput;
use alloy_evm::{EvmInternals, EvmInternalsError};
use alloy_primitives::{Address, B256, Bytes, Log, LogData, Signature, U256, keccak256};
use alloy_sol_types::{SolCall, SolError};
use revm::context_interface::cfg::GasParams;
use revm::context_interface::journaled_state::{JournalLoadError, TransferError};
use revm::precompile::{PrecompileError, PrecompileHalt, PrecompileOutput, PrecompileResult};

use crypto::{PublicKey, Signature as NodeSignature};

use super::{IModule, Method, Module};

/// What a contract pays to look at its arguments, more or less.
const ENTRY_GAS: u64 = 100;
const WORD_GAS: u64 = 6;
const LOG_GAS: u64 = 375;
const HASH_GAS: u64 = 30;
const RECOVER_GAS: u64 = 3000;
/// An Ed25519 signature, checked strictly: about the work of a recovery.
const VERIFY_GAS: u64 = 3000;
/// A store needs more than this left (EIP-2200): what a callee may keep to log must not suffice to write.
const STORE_SENTRY_GAS: u64 = 2300;

/// Why a call does not return.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop {
    OutOfGas,
    /// Undone, with what the caller is told; the gas that is left is given back.
    Revert(Bytes),
    /// The state could not be read: nobody's fault, ends the block.
    Fatal(String),
}

impl Stop {
    /// Undone, with one of the errors of a Solidity interface.
    pub fn revert<E: SolError>(error: &E) -> Self {
        Self::Revert(error.abi_encode().into())
    }
}

/// An account as a module sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    pub balance: U256,
    pub is_empty: bool,
}

/// The means of one call.
pub struct Frame<'a> {
    input: PrecompileInput<'a>,
    prices: &'a GasParams,
    module: Address,
    writes: bool,
    used: u64,
    refunded: i64,
}

/// Finds the method and runs it where no machine waits for the answer; with the gas that it took.
pub(crate) fn called(module: &Module, input: PrecompileInput<'_>, prices: &GasParams) -> (Result<Bytes, Stop>, u64) {
    let mut frame = Frame { input, prices, module: module.address, writes: false, used: 0, refunded: 0 };
    let result = frame.enter(module).and_then(|method| (method.run)(&mut frame));
    (result, frame.used)
}

/// Finds the method and runs it.
pub(super) fn run(module: &Module, input: PrecompileInput<'_>, prices: &GasParams) -> PrecompileResult {
    let reservoir = input.reservoir;
    let mut frame = Frame { input, prices, module: module.address, writes: false, used: 0, refunded: 0 };
    match frame.enter(module).and_then(|method| (method.run)(&mut frame)) {
        Ok(bytes) => {
            let mut output = PrecompileOutput::new(frame.used, bytes, reservoir);
            output.gas_refunded = frame.refunded;
            Ok(output)
        }
        Err(Stop::Revert(bytes)) => Ok(PrecompileOutput::revert(frame.used, bytes, reservoir)),
        Err(Stop::OutOfGas) => Ok(PrecompileOutput::halt(PrecompileHalt::OutOfGas, reservoir)),
        Err(Stop::Fatal(reason)) => Err(PrecompileError::Fatal(reason)),
    }
}

impl<'a> Frame<'a> {
    /// The means of the ledger itself, between transactions: the same as a call's, without a bound on gas.
    pub(crate) fn system(internals: EvmInternals<'a>, prices: &'a GasParams) -> Self {
        let input = PrecompileInput {
            data: &[],
            gas: u64::MAX,
            reservoir: 0,
            caller: Address::ZERO,
            value: U256::ZERO,
            target_address: Address::ZERO,
            is_static: false,
            bytecode_address: Address::ZERO,
            internals,
        };
        Self { input, prices, module: Address::ZERO, writes: true, used: 0, refunded: 0 }
    }
}

impl Frame<'_> {
    /// Everything that is refused before the arguments are read.
    fn enter<'m>(&mut self, module: &'m Module) -> Result<&'m Method, Stop> {
        let words = u64::try_from(self.input.data.len().div_ceil(32)).unwrap_or(u64::MAX);
        self.charge(ENTRY_GAS.saturating_add(words.saturating_mul(WORD_GAS)))?;
        if !self.input.is_direct_call() {
            return Err(Stop::revert(&IModule::DirectCallOnly {}));
        }
        let selector = self.selector();
        let method = module.methods.iter().find(|method| method.selector == selector);
        if !self.input.value.is_zero() && !method.is_some_and(|method| method.takes_value) {
            return Err(Stop::revert(&IModule::NotPayable { value: self.input.value }));
        }
        let method = method.ok_or_else(|| Stop::revert(&IModule::UnknownMethod { selector: selector.into() }))?;
        if method.writes && self.input.is_static {
            return Err(Stop::revert(&IModule::WriteInStaticCall { selector: selector.into() }));
        }
        self.writes = method.writes;
        Ok(method)
    }

    fn selector(&self) -> [u8; 4] {
        self.input.data.first_chunk().copied().unwrap_or_default()
    }

    /// The arguments, read strictly.
    pub fn arguments<C: SolCall>(&self) -> Result<C, Stop> {
        let bytes = self.input.data.get(4..).unwrap_or_default();
        C::abi_decode_raw_validate(bytes)
            .map_err(|_| Stop::revert(&IModule::InvalidArguments { selector: self.selector().into() }))
    }

    /// What the method returns, encoded.
    pub fn returns<C: SolCall>(&self, value: &C::Return) -> Result<Bytes, Stop> {
        Ok(C::abi_encode_returns(value).into())
    }

    pub fn caller(&self) -> Address {
        self.input.caller
    }

    /// What was sent with the call; it is in the module's account by now.
    pub fn value(&self) -> U256 {
        self.input.value
    }

    pub fn chain_id(&self) -> u64 {
        self.input.internals.chain_id()
    }

    /// The block's number.
    pub fn number(&self) -> U256 {
        self.input.internals.block_number()
    }

    /// Seconds, as the block says.
    pub fn timestamp(&self) -> U256 {
        self.input.internals.block_timestamp()
    }

    /// Seconds in the width in which modules keep them.
    pub fn now(&self) -> u64 {
        self.timestamp().saturating_to()
    }

    /// Does another module's work inside this call: on its storage, with its coins, and its events are its own.
    pub fn within<R>(&mut self, module: Address, work: impl FnOnce(&mut Self) -> Result<R, Stop>) -> Result<R, Stop> {
        let home = std::mem::replace(&mut self.module, module);
        let result = work(self);
        self.module = home;
        result
    }

    fn left(&self) -> u64 {
        self.input.gas.saturating_sub(self.used)
    }

    /// Takes gas, or ends the call.
    pub fn charge(&mut self, gas: u64) -> Result<(), Stop> {
        if gas > self.left() {
            return Err(Stop::OutOfGas);
        }
        self.used = self.used.saturating_add(gas);
        Ok(())
    }

    /// An account's balance, and whether it exists.
    pub fn look(&mut self, address: Address) -> Result<Seen, Stop> {
        self.charge(self.prices.warm_storage_read_cost())?;
        let cold = self.prices.cold_account_additional_cost();
        let skip_cold = cold > self.left();
        let (is_cold, seen) = {
            let loaded = self.input.internals.load_account_mut_skip_cold_load(address, skip_cold);
            let loaded = loaded.map_err(stopped)?;
            let account = loaded.data.account();
            (loaded.is_cold, Seen { balance: account.info.balance, is_empty: account.is_empty() })
        };
        if is_cold {
            self.charge(cold)?;
        }
        Ok(seen)
    }

    /// A slot of the module's storage.
    pub fn load(&mut self, slot: U256) -> Result<U256, Stop> {
        self.charge(self.prices.warm_storage_read_cost())?;
        let cold = self.prices.cold_storage_additional_cost();
        let skip_cold = cold > self.left();
        // The module's own account is warm from the start, as every precompile's.
        let (is_cold, value) = {
            let account = self.input.internals.load_account_mut_skip_cold_load(self.module, false);
            let mut account = account.map_err(stopped)?;
            let loaded = account.data.sload(slot, skip_cold).map_err(stopped)?;
            (loaded.is_cold, loaded.data.present_value)
        };
        if is_cold {
            self.charge(cold)?;
        }
        Ok(value)
    }

    /// Writes a slot of the module's storage.
    pub fn store(&mut self, slot: U256, value: U256) -> Result<(), Stop> {
        self.must_write()?;
        if self.left() <= STORE_SENTRY_GAS {
            return Err(Stop::OutOfGas);
        }
        self.charge(self.prices.sstore_static_gas())?;
        let skip_cold = self.prices.cold_storage_cost() > self.left();
        let (is_cold, values) = {
            let account = self.input.internals.load_account_mut_skip_cold_load(self.module, false);
            let mut account = account.map_err(stopped)?;
            let stored = account.data.sstore(slot, value, skip_cold).map_err(stopped)?;
            (stored.is_cold, stored.data)
        };
        // What a write costs depends on what was there. If it is too dear, the whole call is undone.
        self.charge(self.prices.sstore_dynamic_gas(true, &values, is_cold))?;
        self.refunded = self.refunded.saturating_add(self.prices.sstore_refund(true, &values));
        Ok(())
    }

    /// Moves coins. Costs what a call with value costs, and what a new account costs if the receiver is one.
    pub fn transfer(&mut self, from: Address, to: Address, value: U256) -> Result<(), Stop> {
        self.must_write()?;
        let is_new = self.look(to)?.is_empty && !value.is_zero();
        self.look(from)?;
        self.charge(self.prices.transfer_value_cost().saturating_sub(self.prices.call_stipend()))?;
        self.charge(self.prices.new_account_cost(true, is_new))?;
        let failed = self.input.internals.transfer(from, to, value).map_err(|error| fatal(&error))?;
        match failed {
            None => Ok(()),
            // The module has looked at the balance; what can still fail is a sum that no supply reaches.
            Some(TransferError::OutOfFunds | TransferError::OverflowPayment | TransferError::CreateCollision) => {
                Err(Stop::Fatal(format!("transfer of {value} from {from} to {to} failed")))
            }
        }
    }

    /// Pays out of the module's account.
    pub fn pay(&mut self, to: Address, value: U256) -> Result<(), Stop> {
        self.transfer(self.module, to, value)
    }

    /// Destroys coins of the module's account; the machine books what disappears as burned.
    pub fn burn(&mut self, value: U256) -> Result<(), Stop> {
        self.must_write()?;
        self.charge(self.prices.transfer_value_cost())?;
        let mut account = self.input.internals.load_account_mut_skip_cold_load(self.module, false).map_err(stopped)?;
        if account.data.decr_balance(value) {
            return Ok(());
        }
        Err(Stop::Fatal(format!("{} cannot burn {value}", self.module)))
    }

    /// Emits an event of the module.
    pub fn log(&mut self, event: LogData) -> Result<(), Stop> {
        self.must_write()?;
        let topics = u8::try_from(event.topics().len()).unwrap_or(u8::MAX);
        let bytes = u64::try_from(event.data.len()).unwrap_or(u64::MAX);
        self.charge(LOG_GAS.saturating_add(self.prices.log_cost(topics, bytes)))?;
        self.input.internals.log(Log { address: self.module, data: event });
        Ok(())
    }

    /// Keccak-256.
    pub fn hash(&mut self, parts: &[&[u8]]) -> Result<B256, Stop> {
        let bytes = parts.concat();
        self.charge(HASH_GAS.saturating_add(self.prices.keccak256_cost(bytes.len())))?;
        Ok(keccak256(bytes))
    }

    /// Where Solidity keeps `mapping[key]` of the mapping at `slot`.
    pub fn mapping(&mut self, slot: U256, key: B256) -> Result<U256, Stop> {
        let hash = self.hash(&[key.as_slice(), &slot.to_be_bytes::<32>()])?;
        Ok(U256::from_be_bytes(hash.0))
    }

    /// Where Solidity keeps the elements of the array at `slot`.
    pub fn elements(&mut self, slot: U256) -> Result<U256, Stop> {
        let hash = self.hash(&[&slot.to_be_bytes::<32>()])?;
        Ok(U256::from_be_bytes(hash.0))
    }

    /// Whether a node's key signed a message in a domain.
    pub fn verifies(
        &mut self,
        key: B256,
        domain: &'static str,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, Stop> {
        self.charge(VERIFY_GAS)?;
        let Ok(signature) = <[u8; 64]>::try_from(signature) else { return Ok(false) };
        Ok(PublicKey(key.0).verifies(domain, message, &NodeSignature(signature)))
    }

    /// Who signed a digest; nobody, if the signature is none or not the one of its two forms that counts.
    pub fn recover(&mut self, digest: B256, signature: Option<Signature>) -> Result<Option<Address>, Stop> {
        self.charge(RECOVER_GAS)?;
        let signature = signature.filter(|signature| signature.normalize_s().is_none());
        Ok(signature.and_then(|signature| signature.recover_address_from_prehash(&digest).ok()))
    }

    /// A method that is declared to read and tries to write is a mistake of ours, not of the caller.
    fn must_write(&self) -> Result<(), Stop> {
        if self.writes { Ok(()) } else { Err(Stop::Fatal("a method that only reads tried to write".to_owned())) }
    }
}

/// A cold load that was skipped because there is no gas for it, or a state that cannot be read.
fn stopped<E: std::fmt::Debug>(error: JournalLoadError<E>) -> Stop {
    match error {
        JournalLoadError::ColdLoadSkipped => Stop::OutOfGas,
        JournalLoadError::DBError(error) => Stop::Fatal(format!("{error:?}")),
    }
}

fn fatal(error: &EvmInternalsError) -> Stop {
    Stop::Fatal(error.to_string())
}
