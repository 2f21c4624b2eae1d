//! What waits for a block, on the disk, by its id and as its bytes: so that a restart finds it.
//!
//! Nothing else can make it anew. Where a node may lose its index of blocks, this table lies in another file.

use evm::{Chain, Transaction};
use rpc::NodeError;
use storage::{Change, Entry, Store};

use crate::index::{broken, entries};

/// What its file must have been opened with.
pub const TABLE: &str = "waiting";

/// What a transaction is known by: the hash or the digest of it.
pub type Id = [u8; 32];

/// What makes a restart find a transaction that waits.
pub fn put(id: &Id, bytes: impl Into<Vec<u8>>) -> Change {
    Change::put(TABLE, id.as_slice(), bytes)
}

/// What makes it forget one.
pub fn remove(id: &Id) -> Change {
    Change::remove(TABLE, id.as_slice())
}

/// All that waited, in no order that matters.
pub fn all(store: &Store) -> Result<Vec<Entry>, NodeError> {
    entries(store, TABLE)
}

/// Those of a chain whose transactions are all wallets'.
pub fn wallets(store: &Store, chain: &Chain) -> Result<Vec<Transaction>, NodeError> {
    all(store)?.iter().map(|(_, raw)| Transaction::decode(raw, chain).map_err(broken)).collect()
}
