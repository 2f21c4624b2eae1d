//! `LinearClassifier`: the sums of `features::linear`, the transform of each row, and the label of the greatest. One line of coefficients tells two
//! classes apart: the first one's score is the second's with the other sign.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "LinearClassifier",
    domain: DOMAIN,
    versions: &[1],
    inputs: (1, 1),
    outputs: (2, 2),
    attributes: &["classlabels_ints", "classlabels_strings", "coefficients", "intercepts", "multi_class", "post_transform"],
    run: |node, inputs, context| match features::is_double(inputs.tensor(0)?) {
        true => classify::<f64>(node, inputs, context),
        false => classify::<f32>(node, inputs, context),
    },
};

fn classify<T: Real>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (rows, features) = features::sizes(inputs)?;
    let (weights, bias) = (node.floats("coefficients")?.unwrap_or_default(), node.floats("intercepts")?.unwrap_or_default());
    let lines = weights.len().checked_div(features).unwrap_or(0);
    let fits = lines > 0 && lines * features == weights.len() && (bias.is_empty() || bias.len() == lines);
    let labels = features::Labels::of(node, &["classlabels_ints", "classlabels_strings"], lines, context)?;
    let mirrored = lines == 1 && labels.count() == 2;
    if !fits || !(mirrored || labels.count() == lines) {
        return Err(Problem::Attribute { name: "coefficients", expected: "a line of a coefficient a feature for each class" });
    }
    let columns = if mirrored { 2 } else { lines };
    features::classified(rows, columns, context)?;
    context.spend((rows as u64).saturating_mul(weights.len() as u64))?;
    let sums: Vec<T> = features::linear(&features::numbers(inputs, 0)?, features, (weights, bias), lines, context.crew());
    let transform = features::Transform::of(node)?;
    let (mut classes, mut scores) = (Vec::new(), Vec::new());
    for sums in sums.chunks_exact(lines) {
        let mut row = if mirrored { vec![-sums[0], sums[0]] } else { sums.to_vec() };
        transform.apply(&mut row);
        let middle = if transform == features::Transform::None { T::ZERO } else { T::of(0.5) };
        classes.push(if columns == 1 { usize::from(row[0] >= middle) } else { features::best(&row) });
        scores.extend(row);
    }
    Ok(vec![labels.given(&classes)?.into(), features::singles(&[rows, columns], scores)?.into()])
}
