//! Durable local storage: tables and logs with group commit, sealed secrets, files written whole or not at all.
//!
//! What is acknowledged here survives a crash at any instant. Knows nothing of what it stores.

mod failure;
mod file;
mod log;
mod moment;
mod sealed;
mod simulated;
mod store;

pub use failure::StoreError;
pub use file::{FileError, Incoming, map_file, read_file, write_file};
pub use log::{Log, LogError, Mark, RECORD_BYTES_MAX, SyncData, Ticket};
pub use moment::{Entry, Moment};
pub use sealed::{Passphrase, SealError, Sealer, random_bytes};
pub use simulated::SimulatedStore;
pub use store::{Change, Durable, Store};
