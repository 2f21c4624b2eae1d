//! Headers: base64 of JSON, bounded before anything is decoded.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use crate::wire::json::{self, WireError};

/// What the server asks for (402), what the client pays with, what the server says came of it.
pub const REQUIRED: &str = "payment-required";
pub const SIGNATURE: &str = "payment-signature";
pub const RESPONSE: &str = "payment-response";
/// The same two in version 1, whose requirements stand in the body.
pub const LEGACY_SIGNATURE: &str = "x-payment";
pub const LEGACY_RESPONSE: &str = "x-payment-response";
/// Of OpenGradient's client: a session that was opened by an earlier payment.
pub const SESSION: &str = "x-upto-session";

/// Longest payment header, in base64.
pub const HEADER_BYTES_MAX: usize = 16 << 10;

/// Reads a header's value.
pub fn read(value: &[u8]) -> Result<Map<String, Value>, WireError> {
    if value.len() > HEADER_BYTES_MAX {
        return Err(WireError::TooLarge { found: value.len(), limit: HEADER_BYTES_MAX });
    }
    let bytes = STANDARD.decode(value).map_err(|error| WireError::Base64(error.to_string()))?;
    json::parse(&bytes)
}

/// Writes a header's value.
pub fn write(value: &Value) -> String {
    STANDARD.encode(value.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let value = json!({ "x402Version": 2, "text": "é" });
        assert_eq!(Value::Object(read(write(&value).as_bytes()).unwrap()), value);
    }

    #[test]
    fn what_is_no_header_is_refused() {
        assert!(matches!(read(&vec![b'A'; HEADER_BYTES_MAX + 4]), Err(WireError::TooLarge { .. })));
        for value in ["{}", "e30", "e30=\n", "e30 ", "_-==", "e30==="] {
            assert!(matches!(read(value.as_bytes()), Err(WireError::Base64(_))), "{value:?}");
        }
        assert!(matches!(read(b"bnVsbA=="), Err(WireError::Json(_))));
        assert_eq!(read(b"e30="), Ok(Map::new()));
    }
}
