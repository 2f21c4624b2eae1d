//! Work of ours that may be too long for a thread that others' answers need: reading and writing large bodies.
//!
//! Short work stays where it is, since changing threads costs more than it.

use api::{ApiError, Code};

/// From so many bytes on work is done aside.
pub const LONG_BYTES: usize = 64 << 10;

/// Does what is about so many bytes.
pub async fn aside<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    if bytes < LONG_BYTES {
        return Ok(work());
    }
    let failed = |_| ApiError::new(Code::Internal, "The request failed inside.");
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn only_long_work_changes_its_thread() {
        let here = thread::current().id();
        assert_eq!(aside(LONG_BYTES - 1, || thread::current().id()).await, Ok(here));
        assert_ne!(aside(LONG_BYTES, || thread::current().id()).await, Ok(here));
        let failed: Result<(), _> = aside(LONG_BYTES, || panic!("told to")).await;
        assert_eq!(failed.unwrap_err().code, Code::Internal);
    }
}
