//! One way to take a lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Every holder leaves what it guards whole, so a panic elsewhere does not spoil it.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
