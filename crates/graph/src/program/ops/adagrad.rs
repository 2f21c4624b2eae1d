//! `Adagrad`: `g' = norm·x + g`, `h' = h + g'·g'`, `x - r / (1 + t·decay)·g' / (√h' + epsilon)`, each operation rounded.

use super::prelude::*;
use crate::program::training::{Step, optimise};

pub static OPERATOR: Operator = Operator {
    name: "Adagrad",
    domain: "ai.onnx.preview.training",
    versions: &[1],
    inputs: (3, MANY),
    outputs: (1, MANY),
    attributes: &["decay_factor", "epsilon", "norm_coefficient"],
    run: |node, inputs, context| {
        let attributes = vec![node.float("decay_factor", 0.0)?, node.float("epsilon", 1e-6)?, node.float("norm_coefficient", 0.0)?];
        optimise(inputs, context, (3, attributes), step::<f32>, step::<f64>)
    },
};

fn step<T: Real>(step: &Step<T>, numbers: &[T]) -> [T; 3] {
    let (&[decay, epsilon, norm], &[x, gradient, history]) = (&step.attributes[..], numbers) else { return [T::NAN; 3] };
    let rate = step.rate / (T::ONE + T::of(step.updates as f64) * decay);
    let gradient = norm * x + gradient;
    let history = history + gradient * gradient;
    [x - rate * gradient / (history.square_root() + epsilon), history, T::ZERO]
}
