//! `Imputer`: one value (or NaN) replaced by another, a feature's own or one for all.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Imputer",
    domain: DOMAIN,
    versions: &[1],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["imputed_value_floats", "imputed_value_int64s", "replaced_value_float", "replaced_value_int64"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let (_, features) = features::sizes(inputs)?;
    context.room(x.shape(), x.element())?;
    let refused = Problem::Attribute { name: "imputed_value_floats", expected: "one value, or one a feature" };
    let fits = |count: usize| if count == 1 || count == features { Ok(count) } else { Err(refused.clone()) };
    let made = precision!(x.element(), T => {
        let values = node.floats("imputed_value_floats")?.unwrap_or_default();
        let (count, replaced) = (fits(values.len())?, T::of(node.float("replaced_value_float", 0.0)?.into()));
        let gone = |value: T| value == replaced || value.is_nan() && replaced.is_nan();
        let one = |(place, &value): (usize, &T)| if gone(value) { T::of(values[place % features % count].into()) } else { value };
        T::write(x.element(), x.shape(), T::read(x).ok_or(Problem::Excluded)?.iter().enumerate().map(one).collect())
    }, else => {
        let values = node.integers("imputed_value_int64s")?.unwrap_or_default();
        let (count, replaced) = (fits(values.len())?, node.integer("replaced_value_int64", 0)?);
        let found = x.integers().ok_or_else(|| inputs.element(0, "numbers"))?;
        let one = |(place, value): (usize, i128)| if value == i128::from(replaced) { values[place % features % count].into() } else { value };
        Array::wholes(x.element(), x.shape(), found.into_iter().enumerate().map(one))
    });
    Ok(vec![made?.into()])
}
