//! `CategoryMapper`: the integer of each text, or the text of each integer.

use super::prelude::*;
use crate::program::lookup::{self, Places, keys};

pub static OPERATOR: Operator = Operator {
    name: "CategoryMapper",
    domain: DOMAIN,
    versions: &[1],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["cats_int64s", "cats_strings", "default_int64", "default_string"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let (numbers, texts) = (node.integers("cats_int64s")?.unwrap_or_default(), node.texts("cats_strings")?.unwrap_or_default());
    if numbers.len() != texts.len() {
        return Err(Problem::Attribute { name: "cats_int64s", expected: "as many as cats_strings" });
    }
    let (numbers, texts) = (Array::i64s(&[numbers.len()], numbers.to_vec())?, Array::texts(&[texts.len()], texts.to_vec())?);
    let (from, to, other) = match x.element() {
        Element::Text => (texts, numbers, Array::i64s(&[1], vec![node.integer("default_int64", -1)?])?),
        Element::I64 => {
            let other = node.text("default_string", "_Unused")?.into();
            (numbers, texts, Array::texts(&[1], vec![other])?)
        }
        _ => return Err(inputs.element(0, "string or int64")),
    };
    context.room(x.shape(), to.element())?;
    lookup::room(&from, x, context)?;
    let places = Places::of(keys(&from).ok_or(Problem::Excluded)?);
    let found = keys(x).ok_or(Problem::Excluded)?.iter().map(|key| places.find(key).unwrap_or(usize::MAX)).collect::<Vec<_>>();
    Ok(vec![to.take_or(x.shape(), &found, &other)?.into()])
}

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, _: &Context) -> Result<(), Problem> {
    let numbers = node.integers("cats_int64s")?.map_or(0, <[i64]>::len);
    match numbers == node.texts("cats_strings")?.map_or(0, <[_]>::len) {
        true => Ok(()),
        false => Err(Problem::Attribute { name: "cats_int64s", expected: "as many as cats_strings" }),
    }
}
