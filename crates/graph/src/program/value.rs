//! What flows between the nodes of a program, and what inputs and outputs are declared as.

use std::sync::Arc;

use super::array::Array;
use super::element::{Element, Family};

/// Cheap to copy: tensors are shared.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Tensor(Arc<Array>),
    Sequence(Arc<Vec<Value>>),
    /// An optional that holds nothing; one that holds something is that thing.
    Nothing,
    /// Keys and values, each as many.
    Map(Arc<Array>, Arc<Array>),
}

/// What a value takes beside its elements: its shape, its counts, its place.
const FRAME_BYTES: u64 = 192;

impl Value {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tensor(_) => "a tensor",
            Self::Sequence(_) => "a sequence",
            Self::Nothing => "an optional without content",
            Self::Map(..) => "a map",
        }
    }

    pub fn as_tensor(&self) -> Option<&Arc<Array>> {
        match self {
            Self::Tensor(array) => Some(array),
            Self::Sequence(_) | Self::Nothing | Self::Map(..) => None,
        }
    }

    /// What the value weighs in the accounts of a call.
    pub fn weight(&self) -> u64 {
        match self {
            Self::Tensor(array) => array.weight().saturating_add(FRAME_BYTES),
            Self::Sequence(values) => values.iter().map(Self::weight).sum::<u64>().saturating_add(FRAME_BYTES),
            Self::Nothing => FRAME_BYTES,
            Self::Map(keys, values) => keys.weight().saturating_add(values.weight()).saturating_add(2 * FRAME_BYTES),
        }
    }
}

impl Value {
    /// What the widest form takes in which a meaning may read it.
    pub(crate) fn widening(&self) -> u64 {
        let Self::Tensor(array) = self else { return 0 };
        let each = match array.element().family() {
            Family::Whole | Family::Bool => 16,
            // As f32, then as f64.
            Family::Real32 if array.element() != Element::F32 => 12,
            Family::Tiny => 12,
            Family::Real32 => 8,
            Family::Real64 | Family::Complex | Family::Text => 0,
        };
        (array.len() as u64).saturating_mul(each)
    }
}

impl From<Array> for Value {
    fn from(array: Array) -> Self {
        Self::Tensor(Arc::new(array))
    }
}

/// A size of a declared shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Size {
    Fixed(usize),
    /// Chosen by the call; the name is for readers and binds nothing.
    Free(String),
}

/// What a value is declared as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Tensor { element: Element, shape: Option<Vec<Size>> },
    Sequence(Box<Type>),
    Optional(Box<Type>),
    Map { key: Element, value: Box<Type> },
}

impl Type {
    /// Whether a caller's value is of this type. Fixed sizes bind, free ones do not.
    pub fn admits(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Tensor { element, shape }, Value::Tensor(array)) => {
                array.element() == *element && shape.as_ref().is_none_or(|shape| fits(shape, array.shape()))
            }
            (Self::Sequence(inner), Value::Sequence(values)) => values.iter().all(|value| inner.admits(value)),
            (Self::Optional(_), Value::Nothing) => true,
            (Self::Optional(inner), value) => inner.admits(value),
            (Self::Map { key, value }, Value::Map(keys, values)) => {
                keys.element() == *key
                    && matches!(value.as_ref(), Self::Tensor { element, .. } if *element == values.element())
            }
            _ => false,
        }
    }
}

fn fits(declared: &[Size], found: &[usize]) -> bool {
    let one = |(declared, found): (&Size, &usize)| match declared {
        Size::Fixed(size) => size == found,
        Size::Free(_) => true,
    };
    declared.len() == found.len() && declared.iter().zip(found).all(one)
}

impl std::fmt::Display for Type {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tensor { element, shape: None } => write!(formatter, "tensor({element})"),
            Self::Tensor { element, shape: Some(shape) } => {
                let sizes: Vec<String> = shape
                    .iter()
                    .map(|size| match size {
                        Size::Fixed(size) => size.to_string(),
                        Size::Free(name) if name.is_empty() => "?".to_owned(),
                        Size::Free(name) => name.clone(),
                    })
                    .collect();
                write!(formatter, "tensor({element}) [{}]", sizes.join(", "))
            }
            Self::Sequence(inner) => write!(formatter, "sequence of {inner}"),
            Self::Optional(inner) => write!(formatter, "optional {inner}"),
            Self::Map { key, value } => write!(formatter, "map of {key} to {value}"),
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tensor(array) => write!(formatter, "tensor({}) {:?}", array.element(), array.shape()),
            other => formatter.write_str(other.name()),
        }
    }
}
