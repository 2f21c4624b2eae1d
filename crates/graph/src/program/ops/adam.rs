//! `Adam`: `g' = norm·x + g`, `v' = alpha·v + (1 - alpha)·g'`, `h' = beta·h + (1 - beta)·g'·g'`, `x' = x - r'·(v' / (√h' + epsilon))` with the rate corrected by
//! `√(1 - beta^t) / (1 - alpha^t)` after the first step, `(1 - norm_post)·x'`; each operation rounded.

use super::prelude::*;
use crate::program::training::{Step, optimise};

pub static OPERATOR: Operator = Operator {
    name: "Adam",
    domain: "ai.onnx.preview.training",
    versions: &[1],
    inputs: (3, MANY),
    outputs: (1, MANY),
    attributes: &["alpha", "beta", "epsilon", "norm_coefficient", "norm_coefficient_post"],
    run: |node, inputs, context| {
        let attributes = vec![
            node.float("alpha", 0.9)?,
            node.float("beta", 0.999)?,
            node.float("epsilon", 1e-6)?,
            node.float("norm_coefficient", 0.0)?,
            node.float("norm_coefficient_post", 0.0)?,
        ];
        optimise(inputs, context, (4, attributes), step::<f32>, step::<f64>)
    },
};

fn step<T: Real>(step: &Step<T>, numbers: &[T]) -> [T; 3] {
    let &[alpha, beta, epsilon, norm, norm_post] = &step.attributes[..] else { return [T::NAN; 3] };
    let &[x, gradient, momentum, history] = numbers else { return [T::NAN; 3] };
    let gradient = norm * x + gradient;
    let momentum = alpha * momentum + (T::ONE - alpha) * gradient;
    let history = beta * history + (T::ONE - beta) * (gradient * gradient);
    let power = |base: T| T::of(math::pow(base.wide(), step.updates as f64));
    let rate = match step.updates > 0 {
        true => step.rate * (T::ONE - power(beta)).square_root() / (T::ONE - power(alpha)),
        false => step.rate,
    };
    let x = x - rate * (momentum / (history.square_root() + epsilon));
    [(T::ONE - norm_post) * x, momentum, history]
}
