//! `LabelEncoder`: the value that stands beside each key, or the default. Version 1: the place of each text in a list, or the text at each place.

use super::prelude::*;
use crate::program::lookup::{self, Key, Places, keys, stated_list};

pub static OPERATOR: Operator = Operator {
    name: "LabelEncoder",
    domain: DOMAIN,
    versions: &[1, 2, 4],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[
        "classes_strings",
        "default_float",
        "default_int64",
        "default_string",
        "default_tensor",
        "keys_floats",
        "keys_int64s",
        "keys_strings",
        "keys_tensor",
        "values_floats",
        "values_int64s",
        "values_strings",
        "values_tensor",
    ],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let (from, to) = lists(node, x.element() == Element::Text, context)?;
    if from.element() != x.element() {
        return Err(inputs.element(0, from.element().name()));
    }
    context.room(x.shape(), to.element())?;
    lookup::room(&from, x, context)?;
    let other = default(node, to.element(), context)?;
    let places = Places::of(keys(&from).ok_or_else(|| inputs.element(0, "numbers or string"))?);
    let found = keys(x).ok_or(Problem::Excluded)?;
    let found: Vec<usize> = found.iter().map(|key: &Key| places.find(key).unwrap_or(usize::MAX)).collect();
    Ok(vec![to.take_or(x.shape(), &found, &other)?.into()])
}

/// What stands for a key that is not listed.
fn default(node: &Node, element: Element, context: &mut Context) -> Result<Array, Problem> {
    if let Some(stated) = stated_list(node, &["default_tensor"], context)? {
        return match (stated.len(), stated.element() == element) {
            (1, true) => Ok(stated),
            _ => Err(Problem::Attribute { name: "default_tensor", expected: "one value of the values' element" }),
        };
    }
    match element {
        Element::Text => Array::texts(&[1], vec![node.text("default_string", "_Unused")?.into()]),
        _ if element.family() == Family::Whole => Array::wholes(element, &[1], std::iter::once(node.integer("default_int64", -1)?.into())),
        _ => {
            let value = node.float("default_float", -0.0)?;
            precision!(element, T => T::write(element, &[1], vec![T::of(value.into())]), else => Array::zeros(element, &[1]))
        }
    }
}

/// What is sought and what is given for it.
fn lists(node: &Node, texts: bool, context: &Context) -> Result<(Array, Array), Problem> {
    let missing = |name| Problem::Attribute { name, expected: "a list" };
    let (from, to) = if node.version == 1 {
        let classes = stated_list(node, &["classes_strings"], context)?.ok_or(missing("classes_strings"))?;
        let numbers = Array::i64s(classes.shape(), (0..classes.len() as i64).collect())?;
        if texts { (classes, numbers) } else { (numbers, classes) }
    } else {
        let from = stated_list(node, &["keys_floats", "keys_int64s", "keys_strings", "keys_tensor"], context)?;
        let to = stated_list(node, &["values_floats", "values_int64s", "values_strings", "values_tensor"], context)?;
        (from.ok_or(missing("keys_tensor"))?, to.ok_or(missing("values_tensor"))?)
    };
    if from.len() != to.len() {
        return Err(Problem::Attribute { name: "values_tensor", expected: "as many as keys" });
    }
    Ok((from, to))
}

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, context: &Context) -> Result<(), Problem> {
    lists(node, true, context).map(|_| ())
}
