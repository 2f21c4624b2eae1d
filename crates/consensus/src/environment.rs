//! What the room asks of its surroundings, so that one start serves both the real and the simulated runtime.

use std::time::SystemTime;

use commonware_runtime::{Clock, Metrics, Spawner, Storage};
use rand_core::CryptoRng;

/// Clock, disk, tasks, metrics and randomness: real (tokio) or simulated (deterministic).
pub(crate) trait Environment: Clock + CryptoRng + Spawner + Storage + Metrics + Send + Sync + 'static {}

impl<E: Clock + CryptoRng + Spawner + Storage + Metrics + Send + Sync + 'static> Environment for E {}

/// Milliseconds since 1970 on the surroundings' clock.
pub(crate) fn now_ms(clock: &impl Clock) -> u64 {
    let since = clock.current().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
