//! The settings of a node: integers, lists of integers, and floats, each under a short name.
//!
//! Kept in the order of their names, so that a node has one encoding.

use std::collections::BTreeMap;

use crate::refusal::Refusal;

#[derive(Clone, PartialEq, Debug)]
pub enum Attribute {
    Integer(i64),
    Integers(Vec<i64>),
    /// Never a NaN in a checked graph.
    Float(f32),
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Attributes(BTreeMap<String, Attribute>);

impl Attributes {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Attribute>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Attribute)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub fn get(&self, name: &str) -> Option<&Attribute> {
        self.0.get(name)
    }

    pub fn integer(&self, name: &'static str) -> Result<i64, Refusal> {
        match self.0.get(name) {
            Some(Attribute::Integer(value)) => Ok(*value),
            _ => Err(Refusal::Attribute { name, expected: "an integer" }),
        }
    }

    /// An integer from `low` to `high`.
    pub fn integer_in(&self, name: &'static str, low: i64, high: i64) -> Result<i64, Refusal> {
        let value = self.integer(name)?;
        if (low..=high).contains(&value) { Ok(value) } else { Err(Refusal::AttributeRange { name, value, low, high }) }
    }

    /// A count or size from 1 to `high`.
    pub fn size(&self, name: &'static str, high: usize) -> Result<usize, Refusal> {
        let value = self.integer_in(name, 1, i64::try_from(high).unwrap_or(i64::MAX))?;
        usize::try_from(value).map_err(|_| Refusal::Attribute { name, expected: "a size" })
    }

    pub fn integers(&self, name: &'static str) -> Result<&[i64], Refusal> {
        match self.0.get(name) {
            Some(Attribute::Integers(values)) => Ok(values),
            _ => Err(Refusal::Attribute { name, expected: "a list of integers" }),
        }
    }

    pub fn float(&self, name: &'static str) -> Result<f32, Refusal> {
        match self.0.get(name) {
            Some(Attribute::Float(value)) if value.is_finite() => Ok(*value),
            _ => Err(Refusal::Attribute { name, expected: "a finite float" }),
        }
    }
}

impl From<i64> for Attribute {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<Vec<i64>> for Attribute {
    fn from(values: Vec<i64>) -> Self {
        Self::Integers(values)
    }
}

impl From<f32> for Attribute {
    fn from(value: f32) -> Self {
        Self::Float(value)
    }
}
