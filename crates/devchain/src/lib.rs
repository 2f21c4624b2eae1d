//! A chain of one node with instant blocks: what the devnet has in Base's place (`specs/rpc.md`).
//!
//! A block is made as soon as something can be in it. What was acknowledged is durable: blocks with receipts, the state that they
//! led to, and what waits. Nobody agrees with anybody here, so nothing but a devnet or a test should run on it.

mod base;
mod chain;
mod funded;
mod kept;
mod maker;
mod surroundings;

pub use base::{BaseError, BaseStart, canonical_accounts};
pub use blocks::PoolLimits;
pub use chain::{Config, DevChain, Front, OpenError, genesis, open, plain};
pub use funded::FundedKey;
