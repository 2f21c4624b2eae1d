//! Variable parts carry their limit in their type, so that none can be made or decoded beyond it.

use std::ops::Deref;

use crypto::digest::hex;
use thiserror::Error;

use crate::{
    canonical::{Canonical, DecodeError, Reader},
    value::{Value, ValueError},
};

/// More items or bytes than the noun allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{found} is over the limit of {limit}")]
pub struct TooLong {
    pub found: usize,
    pub limit: usize,
}

/// At most `MAX` items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T, const MAX: usize>(Vec<T>);

/// At most `MAX` bytes of UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Text<const MAX: usize>(String);

/// At most `MAX` bytes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Bytes<const MAX: usize>(Vec<u8>);

fn within(found: usize, limit: usize) -> Result<(), TooLong> {
    if found > limit { Err(TooLong { found, limit }) } else { Ok(()) }
}

fn write_count(count: usize, out: &mut Vec<u8>) {
    // Limits are far below 2^32, so the conversion cannot fail for a value that could be made.
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
}

impl<T, const MAX: usize> List<T, MAX> {
    pub fn new(items: Vec<T>) -> Result<Self, TooLong> {
        within(items.len(), MAX).map(|()| Self(items))
    }

    pub fn into_inner(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<const MAX: usize> Text<MAX> {
    pub fn new(text: impl Into<String>) -> Result<Self, TooLong> {
        let text = text.into();
        within(text.len(), MAX).map(|()| Self(text))
    }
}

impl<const MAX: usize> Bytes<MAX> {
    pub fn new(bytes: Vec<u8>) -> Result<Self, TooLong> {
        within(bytes.len(), MAX).map(|()| Self(bytes))
    }

    pub fn into_inner(self) -> Vec<u8> {
        self.0
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<const MAX: usize> Deref for Text<MAX> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> Deref for Bytes<MAX> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<T: Canonical, const MAX: usize> Canonical for List<T, MAX> {
    fn write(&self, out: &mut Vec<u8>) {
        write_count(self.0.len(), out);
        self.0.iter().for_each(|item| item.write(out));
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let field = reader.field();
        let count = reader.count(MAX)?;
        // Nothing before the first has arrived, as an item may be larger in memory than on the wire; then room for as many as there are
        // bytes for if the others are as long. Where they are shorter it grows as they arrive.
        let mut items = Vec::new();
        for left in (0..count).rev() {
            let before = reader.remaining();
            items.push(T::read(reader)?);
            reader.enter(field);
            if items.len() == 1 {
                let each = before.saturating_sub(reader.remaining());
                items.reserve_exact(reader.remaining().checked_div(each).map_or(0, |fit| fit.min(left)));
            }
        }
        Ok(Self(items))
    }
    fn to_value(&self) -> Value {
        Value::List(self.0.iter().map(Canonical::to_value).collect())
    }
    fn from_value(value: &Value) -> Result<Self, ValueError> {
        let items = value.list()?;
        within(items.len(), MAX).map_err(|error| ValueError::new(value.kind(), format!("at most {}", error.limit)))?;
        let read = |(index, item): (usize, &Value)| T::from_value(item).map_err(|e| e.within(&index.to_string()));
        items.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>().map(Self)
    }
}

impl<const MAX: usize> Canonical for Text<MAX> {
    fn write(&self, out: &mut Vec<u8>) {
        write_count(self.0.len(), out);
        out.extend_from_slice(self.0.as_bytes());
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let field = reader.field();
        let count = reader.count(MAX)?;
        let text = std::str::from_utf8(reader.take(count)?).map_err(|_| DecodeError::Utf8 { field })?;
        Ok(Self(text.to_owned()))
    }
    fn to_value(&self) -> Value {
        Value::Text(self.0.clone())
    }
    fn from_value(value: &Value) -> Result<Self, ValueError> {
        let expected = format!("text of at most {MAX} bytes");
        Self::new(value.text(&expected)?).map_err(|_| ValueError::new(value.kind(), expected))
    }
}

impl<const MAX: usize> Canonical for Bytes<MAX> {
    fn write(&self, out: &mut Vec<u8>) {
        write_count(self.0.len(), out);
        out.extend_from_slice(&self.0);
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.count(MAX)?;
        Ok(Self(reader.take(count)?.to_vec()))
    }
    fn to_value(&self) -> Value {
        Value::Text(hex(&self.0))
    }
    fn from_value(value: &Value) -> Result<Self, ValueError> {
        let expected = format!("at most {MAX} bytes in lower-case hexadecimal");
        let text = value.text(&expected)?;
        let bytes = read_bytes(text).filter(|bytes| bytes.len() <= MAX && hex(bytes) == text);
        bytes.map(Self).ok_or_else(|| ValueError::new(value.kind(), expected))
    }
}

fn read_bytes(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| crypto::digest::read_hex::<1>(std::str::from_utf8(pair).ok()?).map(|[byte]| byte)).collect()
}
