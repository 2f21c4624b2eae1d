//! Reads a body as the endpoint at a path does.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use api::{ApiError, Call, ENDPOINTS};

pub fn read(path: &str, body: &[u8]) -> Result<Call, ApiError> {
    (ENDPOINTS.iter().find(|endpoint| endpoint.path == path).unwrap().read)(body)
}
