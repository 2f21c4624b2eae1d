//! `ConcatFromSequence`: the tensors of a sequence joined along an axis, or along a new one.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "ConcatFromSequence",
    domain: "",
    versions: &[11],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["axis", "new_axis"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let values = inputs.sequence(0)?;
    let axis = node.integer_or_none("axis")?.ok_or(Problem::Attribute { name: "axis", expected: "an integer" })?;
    let arrays: Option<Vec<Array>> = values.iter().map(|value| value.as_tensor().map(|array| array.as_ref().clone())).collect();
    let mut arrays = arrays.ok_or(Problem::Kind { input: 0, expected: "tensors", found: "others" })?;
    if node.flag("new_axis", false)? {
        for array in &mut arrays {
            let mut shape = array.shape().to_vec();
            shape.insert(index::axis(axis, shape.len() + 1)?, 1);
            *array = array.reshaped(&shape)?;
        }
    }
    Ok(vec![super::concat::join(&arrays.iter().collect::<Vec<_>>(), axis, context)?.into()])
}
