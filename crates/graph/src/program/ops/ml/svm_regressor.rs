//! `SVMRegressor`: the sum from +0 of `coefficient·kernel(x, vector)`, plus rho; for one class the sign of it. Without vectors the coefficients are one
//! line of a linear model.

use super::prelude::*;
use crate::program::support::Kernel;

pub static OPERATOR: Operator = Operator {
    name: "SVMRegressor",
    domain: DOMAIN,
    versions: &[1],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["coefficients", "kernel_params", "kernel_type", "n_supports", "one_class", "post_transform", "rho", "support_vectors"],
    run: |node, inputs, context| match features::is_double(inputs.tensor(0)?) {
        true => regress::<f64>(node, inputs, context),
        false => regress::<f32>(node, inputs, context),
    },
};

fn regress<T: Real>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (rows, features) = features::sizes(inputs)?;
    let vectors = index::size(node.integer("n_supports", 0)?)?;
    let weights = node.floats("coefficients")?.unwrap_or_default();
    let held = node.floats("support_vectors")?.unwrap_or_default();
    let fits = match vectors {
        0 => weights.len() == features,
        _ => weights.len() == vectors && Some(held.len()) == vectors.checked_mul(features),
    };
    if !fits || features == 0 {
        return Err(Problem::Attribute { name: "support_vectors", expected: "a number a feature for each vector" });
    }
    let rho = *node.floats("rho")?.and_then(<[f32]>::first).ok_or(Problem::Attribute { name: "rho", expected: "one number" })?;
    let kernel = if vectors > 0 { Kernel::of(node)? } else { Kernel::linear() };
    context.room(&[rows, 1], Element::F64)?;
    context.spend((rows as u64).saturating_mul((held.len() + features) as u64))?;
    let x: Vec<T> = features::numbers(inputs, 0)?;
    let transform = features::Transform::of(node)?;
    let one_class = node.flag("one_class", false)?;
    let one = |row: &[T]| {
        let lines = held.chunks_exact(features).zip(weights);
        let sum = match vectors {
            0 => kernel.of_pair(row, weights),
            _ => lines.fold(T::ZERO, |sum, (vector, &weight)| sum + T::of(weight.into()) * kernel.of_pair(row, vector)),
        };
        let mut score = [sum + T::of(rho.into())];
        if one_class {
            return if score[0] > T::ZERO { T::ONE } else { -T::ONE };
        }
        transform.apply(&mut score);
        score[0]
    };
    let scores = context.crew().watched(x.chunks_exact(features), held.len() * 4).map(one).collect();
    Ok(vec![features::singles(&[rows, 1], scores)?.into()])
}

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, _: &Context) -> Result<(), Problem> {
    // A linear machine has no kernel.
    if node.integer("n_supports", 0)? > 0 { Kernel::of(node).map(|_| ()) } else { Ok(()) }
}
