//! `Normalizer`: each row divided by its greatest number, by the sum of its magnitudes from +0, or by the root of the chain of its squares by fma
//! from +0; a row whose divisor is 0 stays.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Normalizer",
    domain: DOMAIN,
    versions: &[1],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["norm"],
    run: |node, inputs, context| match features::is_double(inputs.tensor(0)?) {
        true => normalise::<f64>(node, inputs, context),
        false => normalise::<f32>(node, inputs, context),
    },
};

fn normalise<T: Real>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (_, features) = features::sizes(inputs)?;
    let shape = inputs.tensor(0)?.shape();
    let places = context.room(shape, Element::F64)?;
    context.spend(places as u64 * 3)?;
    let norm: fn(&[T]) -> T = match node.text("norm", "MAX")? {
        "MAX" => |row| row.iter().fold(-T::INFINITY, |most, &x| x.greater(most)),
        "L1" => |row| row.iter().fold(T::ZERO, |sum, &x| sum + x.magnitude()),
        "L2" => |row| row.iter().fold(T::ZERO, |sum, &x| x.fma(x, sum)).square_root(),
        _ => return Err(Problem::Attribute { name: "norm", expected: "MAX, L1 or L2" }),
    };
    let mut values: Vec<T> = features::numbers(inputs, 0)?;
    for row in values.chunks_exact_mut(features.max(1)) {
        let by = norm(row);
        if by != T::ZERO {
            row.iter_mut().for_each(|x| *x = *x / by);
        }
    }
    Ok(vec![features::singles(shape, values)?.into()])
}

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, _: &Context) -> Result<(), Problem> {
    match node.text("norm", "MAX")? {
        "MAX" | "L1" | "L2" => Ok(()),
        _ => Err(Problem::Attribute { name: "norm", expected: "MAX, L1 or L2" }),
    }
}
