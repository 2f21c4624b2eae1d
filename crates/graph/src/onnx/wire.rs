//! Protobuf's wire format, read forward over a borrowed slice.
//!
//! Written here rather than taken from a library because a foreign file decides every count in it: this reader allocates
//! nothing, never copies weights, has no recursion, and lets its callers check each count before they keep anything.
//! Groups (deprecated, and nestable without bound) are refused.

use super::error::OnnxError;

/// Largest file that is read, in bytes: no protobuf is larger.
pub const FILE_BYTES_MAX: usize = (2 << 30) - 1;
/// Most messages of all kinds in one file, but for the elements of lists of numbers.
pub(super) const ITEMS_MAX: usize = 1 << 21;

/// One field's content, still undecoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Content<'a> {
    /// int32, int64, uint64, enum.
    Varint(u64),
    /// float.
    Fixed32(u32),
    /// double.
    Fixed64(u64),
    /// string, bytes, nested message, packed numbers.
    Bytes(&'a [u8]),
}

/// A field's number and content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Field<'a> {
    pub number: u32,
    pub content: Content<'a>,
    /// Of the message that holds the field; named in errors.
    pub message: &'static str,
}

/// Reads one message's fields in the order in which they lie.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    message: &'static str,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8], message: &'static str) -> Self {
        Self { rest: bytes, message }
    }

    /// The next field, or nothing at the end of the message.
    pub fn next(&mut self) -> Result<Option<Field<'a>>, OnnxError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| self.malformed("a field number beyond 32 bits"))?;
        if number == 0 {
            return Err(self.malformed("field number 0"));
        }
        let content = match tag & 7 {
            0 => Content::Varint(self.varint()?),
            1 => Content::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = self.varint()?;
                Content::Bytes(self.take(length)?)
            }
            5 => Content::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(self.malformed("a group or an unknown wire type")),
        };
        Ok(Some(Field { number, content, message: self.message }))
    }

    /// The next varint, for packed numbers; nothing at the end.
    pub fn packed_varint(&mut self) -> Result<Option<u64>, OnnxError> {
        if self.rest.is_empty() { Ok(None) } else { self.varint().map(Some) }
    }

    fn varint(&mut self) -> Result<u64, OnnxError> {
        let mut value = 0u64;
        for shift in (0..64u32).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(self.malformed("a varint beyond 64 bits"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed("a varint beyond 64 bits"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], OnnxError> {
        let (head, tail) = self.rest.split_first_chunk().ok_or_else(|| self.malformed("an end inside a number"))?;
        self.rest = tail;
        Ok(*head)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], OnnxError> {
        let split = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let (head, tail) =
            split.ok_or(OnnxError::Cut { message: self.message, claimed: length, left: self.rest.len() })?;
        self.rest = tail;
        Ok(head)
    }

    fn malformed(&self, found: &'static str) -> OnnxError {
        OnnxError::Malformed { message: self.message, found }
    }
}

impl<'a> Field<'a> {
    /// The content as an unsigned varint.
    pub fn unsigned(&self) -> Result<u64, OnnxError> {
        match self.content {
            Content::Varint(value) => Ok(value),
            Content::Fixed32(_) | Content::Fixed64(_) | Content::Bytes(_) => Err(self.mistyped("a varint")),
        }
    }

    /// The content as a signed varint (two's complement, as protobuf's int64).
    pub fn signed(&self) -> Result<i64, OnnxError> {
        self.unsigned().map(u64::cast_signed)
    }

    /// The content as an f32.
    pub fn float(&self) -> Result<f32, OnnxError> {
        match self.content {
            Content::Fixed32(bits) => Ok(f32::from_bits(bits)),
            Content::Varint(_) | Content::Fixed64(_) | Content::Bytes(_) => Err(self.mistyped("a float")),
        }
    }

    /// The content as bytes.
    pub fn bytes(&self) -> Result<&'a [u8], OnnxError> {
        match self.content {
            Content::Bytes(bytes) => Ok(bytes),
            Content::Varint(_) | Content::Fixed32(_) | Content::Fixed64(_) => Err(self.mistyped("bytes")),
        }
    }

    /// The content as UTF-8 of at most so many bytes; `what` is said of a longer one.
    pub fn text(&self, what: &'static str, limit: usize) -> Result<&'a str, OnnxError> {
        let bytes = self.bytes()?;
        bounded(what, bytes.len(), limit)?;
        str::from_utf8(bytes)
            .map_err(|_| OnnxError::Malformed { message: self.message, found: "a text that is not UTF-8" })
    }

    fn mistyped(&self, expected: &'static str) -> OnnxError {
        OnnxError::Mistyped { message: self.message, field: self.number, expected }
    }
}

/// Refuses a count above its limit.
pub(super) fn bounded(what: &'static str, found: usize, limit: usize) -> Result<(), OnnxError> {
    if found <= limit { Ok(()) } else { Err(OnnxError::TooMany { what, found, limit }) }
}

/// Keeps a field that may stand once.
pub(super) fn once<T>(slot: &mut Option<T>, value: T, field: &Field<'_>) -> Result<(), OnnxError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(OnnxError::Twice { message: field.message, field: field.number }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> Result<Vec<(u32, Content<'_>)>, OnnxError> {
        let mut reader = Reader::new(bytes, "Test");
        let mut found = Vec::new();
        while let Some(field) = reader.next()? {
            found.push((field.number, field.content));
        }
        Ok(found)
    }

    #[test]
    fn the_four_wire_types_are_read() {
        let bytes = [8, 0x96, 1, 0x15, 0, 0, 0x80, 0x3f, 0x19, 1, 0, 0, 0, 0, 0, 0, 0, 0x22, 2, b'o', b'k'];
        let expected = vec![
            (1, Content::Varint(150)),
            (2, Content::Fixed32(0x3f80_0000)),
            (3, Content::Fixed64(1)),
            (4, Content::Bytes(b"ok")),
        ];
        assert_eq!(fields(&bytes).unwrap(), expected);
    }

    #[test]
    fn what_is_no_wire_format_is_refused() {
        let cases: [(&[u8], &str); 7] = [
            (&[0x0b], "group"),
            (&[0x00, 1], "field number 0"),
            (&[0x08], "end inside a number"),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], "beyond 64 bits"),
            (&[0x15, 0, 0], "end inside a number"),
            (&[0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0], "beyond 32 bits"),
            (&[0x0a, 0x80, 0x80, 0x80, 0x80, 0x04, b'x'], "claims 1073741824 bytes, 1 left"),
        ];
        for (bytes, said) in cases {
            let error = fields(bytes).unwrap_err().to_string();
            assert!(error.contains(said), "{error:?} lacks {said:?}");
        }
    }

    #[test]
    fn a_content_of_another_type_is_refused() {
        let field = Reader::new(&[8, 1], "Test").next().unwrap().unwrap();
        assert!(field.unsigned().is_ok() && field.signed().is_ok());
        for error in [field.float().unwrap_err(), field.bytes().unwrap_err()] {
            assert!(matches!(error, OnnxError::Mistyped { message: "Test", field: 1, .. }));
        }
        let text = Reader::new(&[10, 0], "Test").next().unwrap().unwrap();
        assert!(matches!(text.unsigned().unwrap_err(), OnnxError::Mistyped { .. }));
    }
}
