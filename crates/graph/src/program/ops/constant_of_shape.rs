//! `ConstantOfShape`: a tensor of one value, float 0 where none is given.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "ConstantOfShape",
    domain: "",
    versions: &[9, 20, 21, 23, 24, 25],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["value"],
    run: |node, inputs, context| {
        let shape: Result<Vec<usize>, Problem> = inputs.integers(0)?.into_iter().map(index::size).collect();
        let shape = shape?;
        let expected = Problem::Attribute { name: "value", expected: "a tensor of one element" };
        let value = match node.attributes.get("value") {
            None => Array::f32s(&[1], vec![0.0])?.into(),
            Some(Attribute::Constant(index)) => context.constant(*index)?,
            Some(_) => return Err(expected),
        };
        let value = value.as_tensor().filter(|value| value.len() == 1).ok_or(expected)?;
        let places = context.room(&shape, value.element())?;
        context.bytes(places as u64 * 8)?;
        Ok(vec![value.take(&shape, &vec![0; places])?.into()])
    },
};

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, context: &Context) -> Result<(), Problem> {
    let fits = match node.attributes.get("value") {
        None => true,
        Some(Attribute::Constant(index)) => context.constant(*index)?.as_tensor().is_some_and(|value| value.len() == 1),
        Some(_) => false,
    };
    if fits { Ok(()) } else { Err(Problem::Attribute { name: "value", expected: "a tensor of one element" }) }
}
