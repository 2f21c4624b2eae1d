//! Between the ledger and Base: settlements and rotations of the network's key carried there, burns read there, calls for payees and senders (`specs/settlement.md`).
//!
//! Trusted by nobody: what is carried is believed by its certificate, what is read is agreed on by the validators. Keeps nothing on disk:
//! where it stands is what the contract and the ledger say, so it may be killed at any moment, and several may run at once.
#![forbid(unsafe_code)]

mod burns;
mod calls;
mod carry;
mod chain;
mod deploy;

pub use burns::{BurnError, BurnReader, Depth};
pub use calls::{BRIDGE, advance, claim, rotate, send_to_base, send_to_ledger};
pub use carry::{Carried, CarryError, Load, Relayer};
pub use chain::{Chain, ChainError, Seen};
pub use deploy::{DeployError, Deployer, Site};
pub use payments::{Address, B256, Bytes, U256, chain::Call, hex, signing::SignerKey};
