//! The Solidity contracts of the network and of what its Base carries: where each lies, its code, its interface.
//!
//! Holds no logic of its own: sources are in `contracts/`, and what they compile to is written down beside them, so that nothing here
//! needs a compiler. No contract has immutables: its code is the same on every chain, and domains of signatures are made of the chain
//! and address at hand.
#![forbid(unsafe_code)]

pub mod abi;
pub mod addresses;
mod artefact;
mod canonical;
mod storage;

pub use artefact::Artefact;
pub use canonical::{CANONICAL, Canonical};
pub use storage::{SettlementStart, bridged_opg, settlement, token};
