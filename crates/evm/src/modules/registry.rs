//! Registries: which nodes there are and what they serve, whose each key is in which epochs, which models were published.
//!
//! What stands here is the network's word about nodes and keys, whoever wrote it: a wallet by a method, or the ledger for an ed25519
//! key, by a system call on the same records. The ledger's own tables follow this module's events (`entries`) and are written by
//! nothing else. Stake stays the staking module's and models the models module's: this one reads them, and keeps no second copy.

mod change;
mod entries;
mod keys;
mod models;
mod nodes;

use super::{Method, Module};

pub use super::registered::{ADDRESS, IRegistry, OPEN_END};
pub use change::{BeginEpoch, EnterSeats, FoundRegistry, ListNode, Rotate, is_capability};
pub use entries::{Entry, entries};

/// The module.
pub const MODULE: Module = Module { name: "registry", address: ADDRESS, methods: METHODS };

static METHODS: &[Method] = &[
    nodes::REGISTER,
    nodes::LIST,
    nodes::DESCRIBE,
    nodes::SET_PAYOUT,
    keys::ROTATE,
    keys::EPOCH,
    nodes::NODE_COUNT,
    nodes::NODES,
    nodes::NODE,
    keys::KEY,
    keys::KEYS_OF,
    keys::IS_VALID,
    models::MODEL_COUNT,
    models::MODELS,
    models::MODEL,
];
