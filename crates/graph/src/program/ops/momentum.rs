//! `Momentum`: `g' = norm·x + g`, `v' = alpha·v + beta·g'` (beta is 1 in the first step), `x - r·v'`, or with `nesterov` `x - r·(g' + alpha·v')`; each
//! operation rounded.

use super::prelude::*;
use crate::program::training::{Step, optimise};

pub static OPERATOR: Operator = Operator {
    name: "Momentum",
    domain: "ai.onnx.preview.training",
    versions: &[1],
    inputs: (3, MANY),
    outputs: (1, MANY),
    attributes: &["alpha", "beta", "mode", "norm_coefficient"],
    run: |node, inputs, context| {
        let stated = |name| node.float_or_none(name)?.ok_or(Problem::Attribute { name, expected: "a float" });
        let (alpha, beta) = (stated("alpha")?, stated("beta")?);
        let nesterov = match node.text("mode", "standard")? {
            "standard" => 0.0,
            "nesterov" => 1.0,
            _ => return Err(Problem::Attribute { name: "mode", expected: "standard or nesterov" }),
        };
        let attributes = vec![alpha, beta, node.float("norm_coefficient", 0.0)?, nesterov];
        optimise(inputs, context, (3, attributes), step::<f32>, step::<f64>)
    },
};

fn step<T: Real>(step: &Step<T>, numbers: &[T]) -> [T; 3] {
    let (&[alpha, beta, norm, nesterov], &[x, gradient, velocity]) = (&step.attributes[..], numbers) else {
        return [T::NAN; 3];
    };
    let gradient = norm * x + gradient;
    let beta = if step.updates > 0 { beta } else { T::ONE };
    let velocity = alpha * velocity + beta * gradient;
    let change = if nesterov == T::ZERO { velocity } else { gradient + alpha * velocity };
    [x - step.rate * change, velocity, T::ZERO]
}
