//! The readable face of a noun: the same fields under the same names, for JSON and for the screen.
//!
//! Integers from 2^53 on and all amounts are decimal text, bytes are hexadecimal text; every field must be there once
//! and no other may be. A noun has one face: a second spelling of the same number is refused.

use thiserror::Error;

/// A readable value; records keep the order of their fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Null,
    Flag(bool),
    Number(u64),
    Text(String),
    List(Vec<Value>),
    Record(Vec<(String, Value)>),
}

/// Why a readable value is not that noun, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}: {found} found, {expected} expected")]
pub struct ValueError {
    /// Fields from the outermost, joined by dots.
    pub path: String,
    pub found: String,
    pub expected: String,
}

/// Largest integer that every JSON reader keeps exact (RFC 7493 §2.2).
pub const EXACT_MAX: u64 = (1 << 53) - 1;

impl ValueError {
    pub fn new(found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { path: String::new(), found: found.into(), expected: expected.into() }
    }

    /// The same error seen from one level further out.
    #[must_use]
    pub fn within(mut self, field: &str) -> Self {
        self.path = if self.path.is_empty() { field.to_owned() } else { format!("{field}.{}", self.path) };
        self
    }
}

impl Value {
    /// What this is, for an error message; never its content.
    pub fn kind(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Flag(_) => "true or false".to_owned(),
            Self::Number(number) => format!("the number {number}"),
            Self::Text(text) => format!("text of {} bytes", text.len()),
            Self::List(items) => format!("a list of {}", items.len()),
            Self::Record(_) => "an object".to_owned(),
        }
    }

    pub fn text(&self, expected: &str) -> Result<&str, ValueError> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Null | Self::Flag(_) | Self::Number(_) | Self::List(_) | Self::Record(_) => {
                Err(ValueError::new(self.kind(), expected))
            }
        }
    }

    pub fn list(&self) -> Result<&[Value], ValueError> {
        match self {
            Self::List(items) => Ok(items),
            Self::Null | Self::Flag(_) | Self::Number(_) | Self::Text(_) | Self::Record(_) => {
                Err(ValueError::new(self.kind(), "a list"))
            }
        }
    }

    /// The fields of a record, which must be exactly `names`, in any order.
    pub fn fields<const N: usize>(&self, names: [&'static str; N]) -> Result<[&Value; N], ValueError> {
        let Self::Record(fields) = self else { return Err(ValueError::new(self.kind(), "an object")) };
        if let Some((name, _)) = fields.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            return Err(ValueError::new("an unknown field", names.join(", ")).within(name));
        }
        let mut found = [&Value::Null; N];
        for (slot, name) in found.iter_mut().zip(names) {
            let mut same = fields.iter().filter(|(field, _)| field == name);
            let Some((_, value)) = same.next() else { return Err(ValueError::new("nothing", "a value").within(name)) };
            if same.next().is_some() {
                return Err(ValueError::new("a field given twice", "one value").within(name));
            }
            *slot = value;
        }
        Ok(found)
    }
}
