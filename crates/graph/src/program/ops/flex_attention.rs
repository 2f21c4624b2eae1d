//! `FlexAttention`: the scores of `attention.rs`, what the body `score_mod` makes of them, the softmax of each row, what `prob_mod` makes of
//! that, and the blend of values.

use super::prelude::*;
use super::softmax::softmax;
use crate::program::attention::{Sizes, blend, factor, scores};
use crate::program::heads::Heads;

pub static OPERATOR: Operator = Operator {
    name: "FlexAttention",
    domain: "ai.onnx.preview",
    versions: &[1],
    inputs: (3, 3),
    outputs: (1, 1),
    attributes: &["prob_mod", "scale", "score_mod", "softmax_precision"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (q, k, v) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor(2)?);
    let heads = match q.rank() {
        4 => Heads::of(node, "q_num_heads", q, 0)?,
        _ => return Err(Problem::shape(0, "4 sizes", q.shape())),
    };
    if v.rank() != 4 {
        return Err(Problem::shape(2, "4 sizes", v.shape()));
    }
    let refused = Problem::Attribute { name: "softmax_precision", expected: "an element of floats" };
    let element = match (node.integer_or_none("softmax_precision")?, q.element()) {
        (Some(code), _) => Element::from_code(code).filter(|element| element.is_real()).ok_or(refused)?,
        (None, Element::F64) => Element::F64,
        (None, _) => Element::F32,
    };
    let sizes = Sizes::of(&heads, k, v, element, context)?;
    let root = factor(node, sizes.width)?;
    let all: Vec<f64> = precision!(q.element(), T => {
        let of = |input, array| T::read(array).ok_or_else(|| inputs.element(input, "the floats of input 0"));
        scores(&sizes, (&of(0, q)?, &of(1, k)?), T::of(root.into()), context.crew()).into_iter().map(T::wide).collect()
    }, else => return Err(inputs.element(0, "floats")));
    context.bytes(all.len() as u64 * 8)?;
    precision!(element, S => {
        let made = S::write(element, &sizes.scores(), all.into_iter().map(S::of).collect())?;
        let made = changed(node, "score_mod", made, context)?;
        let mut values = S::read(&made).ok_or(Problem::Excluded)?.into_owned();
        context.crew().rows(&mut values, sizes.places, sizes.places.saturating_mul(32), |_, rows| {
            rows.chunks_exact_mut(sizes.places.max(1)).for_each(softmax);
        });
        let made = changed(node, "prob_mod", S::write(element, &sizes.scores(), values)?, context)?;
        let v: Vec<S> = match (f32::read(v), f64::read(v)) {
            (Some(v), _) => v.iter().map(|&v| S::of(v.into())).collect(),
            (_, Some(v)) => v.iter().map(|&v| S::of(v)).collect(),
            _ => return Err(inputs.element(2, "floats")),
        };
        let y = blend(&sizes, &S::read(&made).ok_or(Problem::Excluded)?, &v, context.crew());
        let narrow = |y: Vec<S>| y.into_iter().map(S::wide);
        let y = precision!(q.element(), T => T::write(q.element(), &sizes.blended(), narrow(y).map(T::of).collect()), else => Err(Problem::Excluded));
        Ok(vec![y?.into()])
    }, else => Err(Problem::Excluded))
}

/// What a body makes of a tensor: one of the same shape and element.
fn changed(node: &Node, name: &'static str, made: Array, context: &mut Context) -> Result<Array, Problem> {
    if !node.attributes.contains_key(name) {
        return Ok(made);
    }
    let (shape, element) = (made.shape().to_vec(), made.element());
    let outputs = context.run_body(node.body(name)?, vec![made.into()])?;
    match outputs.as_slice() {
        [Value::Tensor(array)] if array.shape() == shape && array.element() == element => Ok(array.as_ref().clone()),
        _ => Err(Problem::Attribute { name, expected: "a body that keeps shape and element" }),
    }
}
