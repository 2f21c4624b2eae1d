//! Canonical bytes: integers big-endian and of fixed width, variable parts behind a 32-bit count, records in the
//! order of their fields, a choice behind one byte.

use crypto::{Digest, hash};
use thiserror::Error;

use crate::value::{Value, ValueError};

/// What has one encoding as bytes and one face as a readable value.
pub trait Canonical: Sized {
    fn write(&self, out: &mut Vec<u8>);
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
    fn to_value(&self) -> Value;
    fn from_value(value: &Value) -> Result<Self, ValueError>;

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// Decodes all of `bytes`; what is left over is an error.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Reader::new(bytes).whole()
    }
}

/// A record with a domain of its own, so that it has a digest that no other noun can have.
pub trait Noun: Canonical {
    const DOMAIN: &'static str;

    fn digest(&self) -> Digest {
        hash(Self::DOMAIN, &[&self.encode()])
    }
}

/// Why bytes are not the canonical bytes of a noun.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    #[error("{field}: {wanted} more bytes expected, {left} left")]
    Short { field: &'static str, wanted: usize, left: usize },
    #[error("{count} bytes too many after the end")]
    Trailing { count: usize },
    #[error("{field}: {found} is over the limit of {limit}")]
    Limit { field: &'static str, found: usize, limit: usize },
    #[error("{field}: {found} is none of {expected}")]
    Tag { field: &'static str, found: u8, expected: &'static str },
    #[error("{field}: text is not UTF-8")]
    Utf8 { field: &'static str },
    #[error("{field}: version {found} is unknown, {expected} expected")]
    Version { field: &'static str, found: u16, expected: u16 },
}

/// Reads foreign bytes; remembers the field that it is in, for errors.
pub struct Reader<'a> {
    rest: &'a [u8],
    field: &'static str,
    /// The domain of the nouns whose bytes are noted.
    wanted: Option<&'static str>,
    noted: Vec<&'a [u8]>,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, field: "start", wanted: None, noted: Vec::new() }
    }

    /// Notes beside what it reads from which bytes each noun of this domain was read: what it would be encoded as, because one noun has
    /// one encoding.
    pub fn noting(bytes: &'a [u8], domain: &'static str) -> Self {
        Self { wanted: Some(domain), ..Self::new(bytes) }
    }

    /// Those bytes, in the order in which they came.
    pub fn noted(&self) -> &[&'a [u8]] {
        &self.noted
    }

    /// Reads what all that is left is; what is left over then is an error.
    pub fn whole<T: Canonical>(&mut self) -> Result<T, DecodeError> {
        let value = T::read(self)?;
        match self.remaining() {
            0 => Ok(value),
            count => Err(DecodeError::Trailing { count }),
        }
    }

    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Says that what was read since `before` was left is a record of this domain, if of any.
    pub fn note(&mut self, before: &'a [u8], domain: &[&'static str]) {
        if self.wanted.is_some_and(|wanted| domain.contains(&wanted)) {
            self.noted.extend(before.get(..before.len().saturating_sub(self.rest.len())));
        }
    }

    pub fn enter(&mut self, field: &'static str) {
        self.field = field;
    }

    pub fn field(&self) -> &'static str {
        self.field
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let short = DecodeError::Short { field: self.field, wanted: count, left: self.rest.len() };
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(short)?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let field = self.field;
        let taken = self.take(N)?;
        <[u8; N]>::try_from(taken).map_err(|_| DecodeError::Short { field, wanted: N, left: taken.len() })
    }

    /// A 32-bit count of at most `limit`, and of no more than the bytes that are left: what follows it can be
    /// allocated without trusting the sender.
    pub fn count(&mut self, limit: usize) -> Result<usize, DecodeError> {
        let field = self.field;
        let found = usize::try_from(u32::from_be_bytes(self.array()?)).unwrap_or(usize::MAX);
        if found > limit {
            return Err(DecodeError::Limit { field, found, limit });
        }
        if found > self.rest.len() {
            return Err(DecodeError::Short { field, wanted: found, left: self.rest.len() });
        }
        Ok(found)
    }
}

/// A format version: reads and writes `N`, refuses every other number, so that an old reader never guesses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version<const N: u16>;

impl<const N: u16> Canonical for Version<N> {
    fn write(&self, out: &mut Vec<u8>) {
        N.write(out);
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let field = reader.field();
        match u16::read(reader)? {
            found if found == N => Ok(Self),
            found => Err(DecodeError::Version { field, found, expected: N }),
        }
    }
    fn to_value(&self) -> Value {
        N.to_value()
    }
    fn from_value(value: &Value) -> Result<Self, ValueError> {
        if *value == N.to_value() { Ok(Self) } else { Err(ValueError::new(value.kind(), format!("version {N}"))) }
    }
}
