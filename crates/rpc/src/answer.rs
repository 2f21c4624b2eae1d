//! What a method comes to: the bytes of a result, or a refusal.

use std::io;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::RpcError;

/// No answer is longer, whatever a server's limits say.
pub(crate) const ANSWER_BYTES_MAX: usize = 32 << 20;

pub(crate) type Answer = Result<Box<RawValue>, RpcError>;

/// Turns a result into the bytes of an answer; what grows too long is refused while it is written, not after.
pub(crate) fn answer<T: Serialize>(result: &T) -> Answer {
    let mut written = Bounded { bytes: Vec::new(), is_full: false };
    let failed = |reason: &dyn std::fmt::Display| RpcError::internal(format!("failed to write the answer: {reason}"));
    if let Err(error) = serde_json::to_writer(&mut written, result) {
        return Err(if written.is_full { too_long(ANSWER_BYTES_MAX) } else { failed(&error) });
    }
    let text = String::from_utf8(written.bytes).map_err(|error| failed(&error))?;
    RawValue::from_string(text).map_err(|error| failed(&error))
}

pub(crate) fn too_long(most: usize) -> RpcError {
    RpcError::limit(format!("the answer is longer than {most} bytes: ask for less at once"))
}

/// Bytes up to the longest answer.
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.bytes.len().saturating_add(more.len()) > ANSWER_BYTES_MAX {
            self.is_full = true;
            return Err(io::Error::other("too long"));
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_refused_as_soon_as_it_is_too_long() {
        assert_eq!(answer(&["a", "b"]).unwrap().get(), r#"["a","b"]"#);
        // Written out whole this would be 2^60 bytes.
        struct Endless;
        impl Serialize for Endless {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq((0..1_u64 << 57).map(|_| "aaaaa"))
            }
        }
        assert!(answer(&Endless).unwrap_err().message.contains("the answer is longer than 33554432 bytes"));
    }
}
