//! `OneHotEncoder`: a column a category, 1 at the place of each value's; a value that is none has 0 everywhere, or is refused.

use super::prelude::*;
use crate::program::lookup::{Key, Places, keys, stated_list};

pub static OPERATOR: Operator = Operator {
    name: "OneHotEncoder",
    domain: DOMAIN,
    versions: &[1],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["cats_int64s", "cats_strings", "zeros"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let missing = Problem::Attribute { name: "cats_int64s", expected: "the categories, or cats_strings" };
    let categories = stated_list(node, &["cats_int64s", "cats_strings"], context)?.ok_or(missing)?;
    let shape = [x.shape(), &[categories.len()]].concat();
    let places = context.room(&shape, Element::F32)?;
    context.bytes(categories.weight() + x.weight() + x.len() as u64 * 24)?;
    let known = Places::of(keys(&categories).ok_or(Problem::Excluded)?);
    // Floats stand for the integers that they are.
    let whole = |key: Key| match key {
        Key::Real(bits) => Key::Whole(f64::from_bits(bits) as i128),
        key => key,
    };
    let found = keys(x).ok_or_else(|| inputs.element(0, "numbers or string"))?;
    let mut y = vec![0.0; places];
    let zeros = node.flag("zeros", true)?;
    for (key, row) in found.into_iter().zip(y.chunks_exact_mut(categories.len())) {
        match known.find(&whole(key)) {
            Some(place) => row[place] = 1.0,
            None if zeros => {}
            None => return Err(Problem::value("a value", "one of the categories", "another")),
        }
    }
    Ok(vec![Array::f32s(&shape, y)?.into()])
}

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, context: &Context) -> Result<(), Problem> {
    let missing = Problem::Attribute { name: "cats_int64s", expected: "the categories, or cats_strings" };
    stated_list(node, &["cats_int64s", "cats_strings"], context)?.map(|_| ()).ok_or(missing)
}
