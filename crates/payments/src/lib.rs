//! Payments (`specs/payments.md`): x402 on the wire, the schemes' checks, prices and splits, the books and their journal.
//!
//! Checks and books are functions of their arguments: time, randomness and what a chain says come in from outside. The till adds a lock
//! and a journal. Opens no socket; believes no echo of its own offers; charges no more than was signed, reserved and delivered.
#![forbid(unsafe_code)]
pub mod books;
pub mod chain;
pub mod facilitator;
pub mod payer;
pub mod price;
pub mod scheme;
pub mod signing;
mod till;
pub mod wire;

pub use alloy_primitives::{Address, B256, Bytes, U256, address, hex, keccak256};
pub use till::{Ended, MARK_TOKENS, Reservation, Till, TillError, UNPAID_TOKENS_MAX};
