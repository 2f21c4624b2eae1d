//! Bounded reading and canonical writing of artefact bytes: little-endian numbers, texts with their length in front.
//!
//! A reader never allocates more than the bytes that it was given.

/// Why bytes are no artefact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("{what} ends after {at} bytes, before it is complete")]
    Truncated { what: &'static str, at: usize },
    #[error("{what} is {found}, at most {limit} is allowed")]
    TooMany { what: &'static str, found: u64, limit: u64 },
    #[error("{what} is not valid text")]
    Text { what: &'static str },
    #[error("{what} has the unknown value {found}")]
    Unknown { what: &'static str, found: u64 },
    #[error("there is no operator {name}")]
    UnknownOperator { name: String },
    #[error("{what} is not in its one canonical form")]
    NotCanonical { what: &'static str },
    /// Well written, and nothing that could ever run.
    #[error("{cause}")]
    Refused { cause: String },
    #[error("{count} bytes follow the end of {what}")]
    Trailing { what: &'static str, count: usize },
}

pub struct Reader<'a> {
    what: &'static str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`; refusals call them `what`.
    pub fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, bytes, at: 0 }
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let truncated = Malformed::Truncated { what: self.what, at: self.bytes.len() };
        let end = self.at.checked_add(count).ok_or_else(|| truncated.clone())?;
        let taken = self.bytes.get(self.at..end).ok_or(truncated)?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_le_bytes)
    }

    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_le_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_le_bytes)
    }

    pub fn digest(&mut self) -> Result<crypto::Digest, Malformed> {
        self.array().map(crypto::Digest)
    }

    /// A 32-bit count of things that take at least `least` bytes each, so that it cannot exceed what follows.
    pub fn count(&mut self, what: &'static str, limit: usize, least: usize) -> Result<usize, Malformed> {
        let found = u64::from(self.u32()?);
        let left = self.bytes.len().saturating_sub(self.at).checked_div(least).unwrap_or(limit);
        let limit = limit.min(left) as u64;
        if found > limit { Err(Malformed::TooMany { what, found, limit }) } else { Ok(found as usize) }
    }

    /// A text of at most `limit` bytes, with a 32-bit length in front.
    pub fn text(&mut self, what: &'static str, limit: usize) -> Result<String, Malformed> {
        let count = self.count(what, limit, 1)?;
        let bytes = self.take(count)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Malformed::Text { what })
    }

    pub fn finish(self) -> Result<(), Malformed> {
        match self.bytes.len().saturating_sub(self.at) {
            0 => Ok(()),
            count => Err(Malformed::Trailing { what: self.what, count }),
        }
    }
}

#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    pub fn new() -> Self {
        Self::default()
    }

    /// One with room for so many bytes.
    pub fn with_room(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    pub fn i32(&mut self, value: i32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    pub fn i64(&mut self, value: i64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Counts are bounded far below 2^32 by the limits that readers apply.
    pub fn count(&mut self, count: usize) -> &mut Self {
        self.u32(u32::try_from(count).unwrap_or(u32::MAX))
    }

    pub fn text(&mut self, text: &str) -> &mut Self {
        self.count(text.len()).raw(text.as_bytes())
    }

    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_larger_than_what_follows_is_refused_before_anything_is_allocated() {
        let bytes = [255, 255, 255, 255, 0, 0];
        let refused = Reader::new("test", &bytes).count("things", usize::MAX, 1);
        assert_eq!(refused, Err(Malformed::TooMany { what: "things", found: 0xffff_ffff, limit: 2 }));
        assert!(matches!(Reader::new("test", &bytes[..2]).u32(), Err(Malformed::Truncated { what: "test", at: 2 })));
    }

    #[test]
    fn text_that_is_no_utf8_is_refused() {
        let mut writer = Writer::new();
        writer.count(2).raw(&[0xff, 0xfe]);
        let bytes = writer.finish();
        assert_eq!(Reader::new("test", &bytes).text("name", 10), Err(Malformed::Text { what: "name" }));
    }
}
