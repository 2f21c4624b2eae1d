//! Consensus, ledger and its read interface, as one node.
//!
//! `Node` is what runs on top of agreement: it holds the ledger and the pool and reads no clock, so that a simulation
//! can drive it as production does. `Validator` adds sockets, disk and the re-execution of challenged receipts.

mod beginning;
mod burns;
mod desk;
mod ethereum;
mod failure;
mod front;
mod lock;
mod naming;
mod node;
mod offer;
mod pages;
mod pool;
mod proofs;
mod questions;
mod reading;
mod relay;
mod routes;
mod seats;
mod service;
mod settlements;
mod snapshot;
#[cfg(test)]
mod story;
mod sync;
mod vote;
mod waiting;

pub use burns::Base;
pub use failure::NodeError;
pub use node::{Node, SubmitError};
pub use pool::{Pool, PoolRefusal};
pub use service::{Config, Validator, ValidatorError, windows};
pub use sync::SyncError;
