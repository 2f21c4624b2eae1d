//! What the machine reads of a state, and what a block writes to it.
//!
//! The seam between execution and whatever keeps the state: `World` in memory, overlays of pending changes, and later an
//! authenticated database on disk. Only reads cross it; writes leave as `Changes`, in order.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use thiserror::Error;

/// Code with its analysis, shared.
pub use revm::state::Bytecode as Code;

/// An account without its storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Account {
    pub nonce: u64,
    pub balance: U256,
    pub code_hash: B256,
}

impl Default for Account {
    fn default() -> Self {
        Self { nonce: 0, balance: U256::ZERO, code_hash: KECCAK256_EMPTY }
    }
}

impl Account {
    /// An account that holds nothing does not exist (EIP-161).
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && !self.has_code()
    }

    pub fn has_code(&self) -> bool {
        self.code_hash != KECCAK256_EMPTY && !self.code_hash.is_zero()
    }
}

/// The state could not be read. Never the fault of a transaction.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("failed to read the state: {0}")]
pub struct StateError(pub String);

impl revm::context::DBErrorMarker for StateError {}

/// A state at one moment.
pub trait StateRead {
    /// The account, if there is one.
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError>;
    /// A slot of an account's storage; zero where nothing was written.
    fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StateError>;
    /// Code by its hash; an account names only code that is there.
    fn code(&self, hash: &B256) -> Result<Option<Code>, StateError>;
}

/// What is different after a block, in order. Applying it twice is applying it once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Accounts as they are now; `None` for those that are gone.
    pub accounts: BTreeMap<Address, Option<Account>>,
    /// Slots as they are now; zero for those that are gone.
    pub slots: BTreeMap<(Address, U256), U256>,
    /// New code. Code is never removed: another account may share it.
    pub codes: BTreeMap<B256, Code>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.slots.is_empty() && self.codes.is_empty()
    }
}
