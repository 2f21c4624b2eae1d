//! Execution of Ethereum blocks (`specs/evm.md`): the network's ledger and the devnet's Base chain both run on it.
//!
//! Functions of their arguments: no clock, no disk, no randomness, no order by hash. Foreign bytes become a `Transaction` or a
//! `Refusal` here and nowhere else; a block that names a refused transaction is no block. What may take long takes
//! `Bounds` and asks the caller whether to go on.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::panic,
        clippy::expect_used,
        clippy::unwrap_used,
        clippy::wildcard_enum_match_arm
    )
)]

mod access_list;
mod block;
mod call;
mod chain;
mod estimate;
mod failure;
mod genesis;
mod history;
mod machine;
pub mod modules;
mod overlay;
mod overrides;
mod receipt;
mod refusal;
mod simulation;
mod state;
mod system;
mod trace;
mod transaction;
mod watch;
mod world;

pub use access_list::{ListedAccess, create_access_list};
pub use block::{Block, BlockBuilder, BlockError, Executed, NextBlock, PushError, base_fee_after, execute};
pub use call::{Returned, call};
pub use chain::Chain;
pub use estimate::estimate_gas;
pub use failure::{CallError, revert_reason};
pub use genesis::{Founding, Genesis, GenesisAccount, GenesisError};
pub use history::{HISTORY_WINDOW, block_hash};
pub use receipt::Receipt;
pub use refusal::Refusal;
pub use simulation::{Bounds, Overrides, Snapshot};
pub use state::{Account, Changes, Code, StateError, StateRead};
pub use system::{Done, ModuleCall, Moment, perform, perform_call};
pub use trace::{TraceError, trace_call, trace_transaction};
pub use transaction::{LEDGER, TRANSACTION_BYTES_MAX, Transaction, hash_of};
pub use world::{
    Arriving, Base, Cache, PAGE_BYTES_MAX, Reader, Row, STATE_CODES, STATE_PAGES, STATE_TABLES, STATE_USES, World,
    account_digest, account_key, slot_digest, slot_key,
};
