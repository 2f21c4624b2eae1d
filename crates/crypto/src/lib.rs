//! Digests, signatures and authenticated trees: the small code that everyone who verifies runs.
//!
//! Reads no clock, no disk, no randomness: keys and times are arguments. No function here panics on any input.
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

pub mod claim;
mod climb;
pub mod digest;
pub mod fork;
pub mod history;
pub mod merkle;
pub mod signing;
pub mod sparse;
pub mod threshold;

pub use claim::Claim;
pub use digest::{Digest, Hasher, hash};
pub use signing::{PublicKey, Signature, SigningKey};
