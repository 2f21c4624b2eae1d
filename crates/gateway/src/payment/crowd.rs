//! Who is nobody yet: all of them share one bucket, because a key costs nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};

use network::now_ms;
use payments::{Address, facilitator::Buckets, scheme::Refused};

/// Whose turns those take who are nobody yet.
pub const EVERYBODY: Address = Address::ZERO;

/// Takes a turn out of a bucket that all share: who asks is whoever it says.
pub fn one_for_all(buckets: &Mutex<Buckets>) -> Result<(), Refused> {
    lock(buckets).take(EVERYBODY, now_ms()).map_err(|_| Refused::Crowded)
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here panics while it holds a lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
