//! Durable local storage: tables with group commit, sealed secrets, files written whole or not at all.
//!
//! What is acknowledged here survives a crash at any instant. Knows nothing of what it stores.

mod file;
mod sealed;
mod store;

pub use file::{FileError, Incoming, map_file, read_file, write_file};
pub use sealed::{Passphrase, SealError, Sealer, random_bytes};
pub use store::{Change, Durable, Entry, Store, StoreError};
