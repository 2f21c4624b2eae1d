//! `LinearRegressor`: the sums of `features::linear`, then the transform of each row.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "LinearRegressor",
    domain: DOMAIN,
    versions: &[1],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["coefficients", "intercepts", "post_transform", "targets"],
    run: |node, inputs, context| match features::is_double(inputs.tensor(0)?) {
        true => regress::<f64>(node, inputs, context),
        false => regress::<f32>(node, inputs, context),
    },
};

fn regress<T: Real>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (rows, features) = features::sizes(inputs)?;
    let targets = index::size(node.integer("targets", 1)?)?;
    let (weights, bias) = (node.floats("coefficients")?.unwrap_or_default(), node.floats("intercepts")?.unwrap_or_default());
    if Some(weights.len()) != targets.checked_mul(features) || !(bias.is_empty() || bias.len() == targets) {
        return Err(Problem::Attribute { name: "coefficients", expected: "a line of a coefficient a feature for each target" });
    }
    let places = context.room(&[rows, targets], Element::F64)?;
    context.spend((places as u64).saturating_mul(features as u64))?;
    let mut scores: Vec<T> = features::linear(&features::numbers(inputs, 0)?, features, (weights, bias), targets, context.crew());
    let transform = features::Transform::of(node)?;
    scores.chunks_exact_mut(targets.max(1)).for_each(|row| transform.apply(row));
    Ok(vec![features::singles(&[rows, targets], scores)?.into()])
}
