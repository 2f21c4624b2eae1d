//! What the parts of a snapshot share: limits, lists, and what is wrong with one.

use pages::PageError;
use protocol::{Canonical as _, DecodeError};
use thiserror::Error;

/// The wire's own limit: a count is 32 bits, and never more than the bytes that follow it.
pub(crate) const MANY: usize = 4_294_967_295;

/// Why bytes are no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RestoreError {
    #[error("failed to restore ledger: {found} bytes are no snapshot")]
    Short { found: usize },
    #[error("failed to restore ledger: the checksum differs; hint: the file is damaged, start from genesis or a peer")]
    Checksum,
    #[error("failed to restore ledger: {0}")]
    Malformed(#[source] DecodeError),
    #[error("failed to restore ledger: {what} in the snapshot differs from what its content gives")]
    Mismatch { what: &'static str },
    #[error("failed to restore ledger: {0}")]
    Unreadable(#[source] PageError),
}

pub(crate) fn mismatch(what: &'static str) -> RestoreError {
    RestoreError::Mismatch { what }
}

pub(crate) fn ensure(holds: bool, what: &'static str) -> Result<(), RestoreError> {
    if holds { Ok(()) } else { Err(mismatch(what)) }
}

pub(crate) fn write_list<T>(items: &[T], out: &mut Vec<u8>, mut write: impl FnMut(&T, &mut Vec<u8>)) {
    u32::try_from(items.len()).unwrap_or(u32::MAX).write(out);
    items.iter().for_each(|item| write(item, out));
}
