//! `RandomNormalLike`: normal numbers by place, of a seed, in the shape of the input.

use super::prelude::*;
use crate::program::random::Random;

pub static OPERATOR: Operator = Operator {
    name: "RandomNormalLike",
    domain: "",
    versions: &[1, 22],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["dtype", "mean", "scale", "seed"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let shape = x.shape().to_vec();
    let default = x.element();
    let element = match node.integer_or_none("dtype")? {
        Some(code) => Element::from_code(code).ok_or(Problem::Attribute { name: "dtype", expected: "an element" })?,
        None => default,
    };
    let (random, total) = (Random::of(node)?, context.room(&shape, element)?);
    let (mean, scale) = (f64::from(node.float("mean", 0.0)?), f64::from(node.float("scale", 1.0)?));
    let number = |place| mean + random.normal(place) * scale;
    let made = precision!(element, T => T::write(element, &shape, (0..total as u64).map(|place| T::of(number(place))).collect()),
        else => Err(Problem::Attribute { name: "dtype", expected: "a float" }));
    Ok(vec![made?.into()])
}
