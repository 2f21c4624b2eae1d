//! A sparse tree (`crypto::sparse`) in pages, some in memory, the others on a disk (`specs/evm.md`, *Where the state lies*).
//!
//! What stands at a leaf is the caller's, and so is the disk, which comes in as a function. What that gives is believed only if it is what
//! the root commits to. Roots and proofs are the plain tree's. Reads no clock and opens no file; no bytes make it panic.
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

mod arriving;
mod base;
mod change;
mod difference;
mod failure;
mod leaf;
mod page;
mod path;
mod prove;
mod recent;
mod replaced;
#[cfg(test)]
mod tests;
mod tree;

pub use arriving::{Arriving, Giver};
pub use base::{Base, Cache, Reader};
pub use change::Change;
pub use difference::Row;
pub use failure::PageError;
pub use leaf::{Leaf, take};
pub use page::BUCKET_MAX;
pub use recent::Recent;
pub use replaced::Replaced;
pub use tree::Tree;
