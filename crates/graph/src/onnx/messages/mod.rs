//! The messages of `onnx.proto`, whole: every element type, subgraphs, functions, sequences, optionals and maps.
//!
//! Reads no field twice where it may stand once: where two readers could understand a file differently, it is refused.
//! Every list is bounded before it grows, nesting has an end, and all items of a file together are counted, so that a
//! small file cannot become large in memory.

mod graph;
mod model;
mod tensor;
mod types;
mod values;

pub(super) use graph::{Content, Graph, Node};
pub(super) use model::{Function, Model, read_model};
pub use values::read_value;

pub(super) use super::wire::bounded;

use super::error::OnnxError;
use super::external::{Sidecars, Taken};
use super::wire::{Content as Wire, Field, ITEMS_MAX, Reader, once};

/// Deepest nesting of graphs, types and sequences.
pub(super) const DEPTH_MAX: usize = 16;
/// Most numbers in a list that is not a tensor's.
pub(super) const LIST_MAX: usize = 1 << 24;
/// Longest name, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 1024;
/// Longest text of an attribute, in bytes.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// What reading a file has used so far.
#[derive(Default)]
pub(super) struct Account {
    items: usize,
    depth: usize,
    taken: Taken,
}

impl Account {
    /// Of a file with others beside it.
    fn of(sidecars: &Sidecars) -> Self {
        Self { taken: Taken::of(sidecars), ..Self::default() }
    }

    /// Counts one more item of a list.
    fn item(&mut self) -> Result<(), OnnxError> {
        self.items += 1;
        bounded("items in the file", self.items, ITEMS_MAX)
    }

    /// Reads something one level deeper.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, OnnxError>) -> Result<T, OnnxError> {
        self.depth += 1;
        bounded("levels of nesting", self.depth, DEPTH_MAX)?;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn push<T>(&mut self, list: &mut Vec<T>, value: T) -> Result<(), OnnxError> {
        self.item()?;
        list.push(value);
        Ok(())
    }
}

fn text<'a>(field: &Field<'a>, limit: usize) -> Result<&'a str, OnnxError> {
    field.text("bytes in a text", limit)
}

fn name<'a>(field: &Field<'a>) -> Result<&'a str, OnnxError> {
    text(field, NAME_BYTES_MAX)
}

/// A repeated integer: one varint a field, or packed.
fn push_integers(list: &mut Vec<i64>, field: &Field<'_>, limit: usize) -> Result<(), OnnxError> {
    let mut push = |value: u64| {
        bounded("integers of a list", list.len() + 1, limit)?;
        list.push(value.cast_signed());
        Ok(())
    };
    match field.content {
        Wire::Varint(value) => push(value),
        Wire::Bytes(bytes) => {
            let mut reader = Reader::new(bytes, field.message);
            while let Some(value) = reader.packed_varint()? {
                push(value)?;
            }
            Ok(())
        }
        Wire::Fixed32(_) | Wire::Fixed64(_) => field.signed().map(|_| ()),
    }
}

/// A repeated float: one a field, or packed.
fn push_floats(list: &mut Vec<f32>, field: &Field<'_>, limit: usize) -> Result<(), OnnxError> {
    match field.content {
        Wire::Bytes(bytes) => {
            let (chunks, rest) = bytes.as_chunks::<4>();
            if !rest.is_empty() {
                return Err(OnnxError::Malformed { message: field.message, found: "an end inside a number" });
            }
            list.extend(chunks.iter().map(|&chunk| f32::from_le_bytes(chunk)));
        }
        _ => list.push(field.float()?),
    }
    bounded("floats of a list", list.len(), limit)
}

/// A repeated double: one a field, or packed.
fn push_doubles(list: &mut Vec<f64>, field: &Field<'_>, limit: usize) -> Result<(), OnnxError> {
    match field.content {
        Wire::Bytes(bytes) => {
            let (chunks, rest) = bytes.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(OnnxError::Malformed { message: field.message, found: "an end inside a number" });
            }
            list.extend(chunks.iter().map(|&chunk| f64::from_le_bytes(chunk)));
        }
        Wire::Fixed64(bits) => list.push(f64::from_bits(bits)),
        _ => return Err(OnnxError::Mistyped { message: field.message, field: field.number, expected: "a double" }),
    }
    bounded("doubles of a list", list.len(), limit)
}

/// The standard's main domain has two names; here it has one.
pub(in crate::onnx) fn standard(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}
