//! The machine's clock in the protocol's unit, for stamping and judging messages; nothing that is executed reads it.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::Milliseconds;

/// Milliseconds since the Unix epoch; zero on a machine whose clock stands before it.
pub fn now_ms() -> Milliseconds {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Milliseconds::try_from(elapsed.as_millis()).unwrap_or(Milliseconds::MAX)
}
