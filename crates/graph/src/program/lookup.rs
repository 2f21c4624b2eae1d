//! Finding values of a tensor in a list: integers by value, floats by value (-0 is 0, a NaN is a NaN), texts by their bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::array::Array;
use super::machine::{Attribute, Context, Node};
use super::problem::Problem;

/// What is looked up; ordered, so that a lookup needs no hash.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Key {
    Whole(i128),
    Real(u64),
    Text(Arc<str>),
}

/// The places of keys in their list; of equal ones the first.
pub struct Places(BTreeMap<Key, usize>);

impl Places {
    pub fn of(keys: Vec<Key>) -> Self {
        let mut places = BTreeMap::new();
        for (place, key) in keys.into_iter().enumerate() {
            places.entry(key).or_insert(place);
        }
        Self(places)
    }

    pub fn find(&self, key: &Key) -> Option<usize> {
        self.0.get(key).copied()
    }
}

/// Asks for what it takes to seek some values in a list: a key and a place in a tree for each that is listed, a key and
/// what was found for each that is sought.
pub fn room(listed: &Array, sought: &Array, context: &mut Context) -> Result<(), Problem> {
    context.bytes((listed.len() as u64).saturating_mul(144).saturating_add((sought.len() as u64).saturating_mul(40)))
}

/// The keys that the elements of a tensor are; `None` for elements that are not looked up.
pub fn keys(x: &Array) -> Option<Vec<Key>> {
    let real = |value: f64| Key::Real(if value.is_nan() { u64::MAX } else { (value + 0.0).to_bits() });
    match (x.integers(), x.doubles(), x.as_texts()) {
        (Some(values), _, _) => Some(values.into_iter().map(Key::Whole).collect()),
        (_, Some(values), _) => Some(values.iter().map(|&value| real(value)).collect()),
        (_, _, Some(texts)) => Some(texts.iter().cloned().map(Key::Text).collect()),
        (None, None, None) => None,
    }
}

/// The one list that a node states under one of these names, as a tensor: floats, integers, texts or a tensor.
pub fn stated_list(node: &Node, names: &[&'static str], context: &Context) -> Result<Option<Array>, Problem> {
    let mut found = None;
    for &name in names {
        let list = match node.attributes.get(name) {
            None => continue,
            Some(Attribute::Floats(values)) => Array::f32s(&[values.len()], values.clone())?,
            Some(Attribute::Integers(values)) => Array::i64s(&[values.len()], values.clone())?,
            Some(Attribute::Texts(values)) => Array::texts(&[values.len()], values.clone())?,
            Some(Attribute::Constant(index)) => {
                let value = context.constant(*index)?;
                let array = value.as_tensor().ok_or(Problem::Excluded)?;
                array.reshaped(&[array.len()])?
            }
            Some(_) => return Err(Problem::Attribute { name, expected: "a list" }),
        };
        // Exporters write lists that they do not use as empty ones.
        if list.is_empty() {
            continue;
        }
        if found.replace(list).is_some() {
            return Err(Problem::Attribute { name, expected: "the only one of its kind" });
        }
    }
    Ok(found)
}
