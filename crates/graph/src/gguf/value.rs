//! Values of metadata. Texts and arrays are views of the file; their bounds and their encoding were checked when it was read.

use ::bytes::Bytes;

/// Types of values, with the format's codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueKind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    Array,
    U64,
    I64,
    F64,
}

impl ValueKind {
    const ALL: [Self; 13] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::Bool,
        Self::Text,
        Self::Array,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(code).ok()?).copied()
    }

    pub fn code(self) -> u32 {
        self as u32
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F32 => "f32",
            Self::Bool => "a truth value",
            Self::Text => "text",
            Self::Array => "an array",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F64 => "f64",
        }
    }

    /// Bytes of one value; texts and arrays have no fixed size.
    pub(super) fn width(self) -> Option<usize> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::Text | Self::Array => None,
        }
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    /// UTF-8, as was checked.
    Text(Bytes),
    Array(Array),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// A list of values of one type, still in the file's encoding.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub(super) kind: ValueKind,
    pub(super) count: usize,
    pub(super) bytes: Bytes,
}

impl Value {
    pub fn kind(&self) -> ValueKind {
        match self {
            Self::U8(_) => ValueKind::U8,
            Self::I8(_) => ValueKind::I8,
            Self::U16(_) => ValueKind::U16,
            Self::I16(_) => ValueKind::I16,
            Self::U32(_) => ValueKind::U32,
            Self::I32(_) => ValueKind::I32,
            Self::F32(_) => ValueKind::F32,
            Self::Bool(_) => ValueKind::Bool,
            Self::Text(_) => ValueKind::Text,
            Self::Array(_) => ValueKind::Array,
            Self::U64(_) => ValueKind::U64,
            Self::I64(_) => ValueKind::I64,
            Self::F64(_) => ValueKind::F64,
        }
    }

    /// A value of fixed size from its bytes.
    pub(super) fn fixed(kind: ValueKind, bytes: &[u8]) -> Option<Self> {
        Some(match kind {
            ValueKind::U8 => Self::U8(u8::from_le_bytes(bytes.try_into().ok()?)),
            ValueKind::I8 => Self::I8(i8::from_le_bytes(bytes.try_into().ok()?)),
            ValueKind::U16 => Self::U16(u16::from_le_bytes(bytes.try_into().ok()?)),
            ValueKind::I16 => Self::I16(i16::from_le_bytes(bytes.try_into().ok()?)),
            ValueKind::U32 => Self::U32(u32::from_le_bytes(bytes.try_into().ok()?)),
            ValueKind::I32 => Self::I32(i32::from_le_bytes(bytes.try_into().ok()?)),
            ValueKind::F32 => Self::F32(f32::from_le_bytes(bytes.try_into().ok()?)),
            ValueKind::U64 => Self::U64(u64::from_le_bytes(bytes.try_into().ok()?)),
            ValueKind::I64 => Self::I64(i64::from_le_bytes(bytes.try_into().ok()?)),
            ValueKind::F64 => Self::F64(f64::from_le_bytes(bytes.try_into().ok()?)),
            ValueKind::Bool => Self::Bool(*bytes.first()? != 0),
            ValueKind::Text | ValueKind::Array => return None,
        })
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    pub fn as_array(&self) -> Option<&Array> {
        match self {
            Self::Array(array) => Some(array),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Any integer that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::U8(value) => Some((*value).into()),
            Self::I8(value) => Some((*value).into()),
            Self::U16(value) => Some((*value).into()),
            Self::I16(value) => Some((*value).into()),
            Self::U32(value) => Some((*value).into()),
            Self::I32(value) => Some((*value).into()),
            Self::I64(value) => Some(*value),
            Self::U64(value) => i64::try_from(*value).ok(),
            Self::F32(_) | Self::F64(_) | Self::Bool(_) | Self::Text(_) | Self::Array(_) => None,
        }
    }

    /// A float of either size.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::F32(value) => Some((*value).into()),
            Self::F64(value) => Some(*value),
            _ => None,
        }
    }

    /// What a refusal calls this value.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Array(array) => format!("an array of {} ({} entries)", array.kind.name(), array.count),
            Self::Text(_) => {
                format!("the text {:?}", self.as_text().unwrap_or_default().chars().take(40).collect::<String>())
            }
            Self::Bool(value) => value.to_string(),
            Self::F32(_) | Self::F64(_) => format!("{} ({})", self.as_f64().unwrap_or_default(), self.kind().name()),
            Self::U64(value) => format!("{value} (u64)"),
            _ => format!("{} ({})", self.as_i64().unwrap_or_default(), self.kind().name()),
        }
    }
}

impl Array {
    pub fn kind(&self) -> ValueKind {
        self.kind
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The texts of an array of texts; none of any other.
    pub fn texts(&self) -> Texts<'_> {
        Texts { rest: if self.kind == ValueKind::Text { &self.bytes } else { &[] } }
    }

    /// The values of an array of numbers or truth values; none of any other.
    pub fn values(&self) -> impl Iterator<Item = Value> + '_ {
        let width = self.kind.width().unwrap_or(usize::MAX);
        self.bytes.chunks_exact(width).filter_map(|bytes| Value::fixed(self.kind, bytes))
    }

    /// What `take` makes of every entry, where it makes something of each.
    pub(super) fn all<T>(&self, take: impl Fn(Value) -> Option<T>) -> Option<Vec<T>> {
        let taken: Option<Vec<T>> = self.values().map(take).collect();
        taken.filter(|taken| taken.len() == self.count)
    }
}

/// The texts of an array, in order.
#[derive(Clone)]
pub struct Texts<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Texts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (length, rest) = self.rest.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        self.rest = rest;
        std::str::from_utf8(text).ok()
    }
}
