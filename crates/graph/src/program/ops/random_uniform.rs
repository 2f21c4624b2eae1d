//! `RandomUniform`: uniform numbers by place, of a seed.

use super::prelude::*;
use crate::program::random::Random;

pub static OPERATOR: Operator = Operator {
    name: "RandomUniform",
    domain: "",
    versions: &[1, 22],
    inputs: (0, 0),
    outputs: (1, 1),
    attributes: &["dtype", "high", "low", "seed", "shape"],
    run,
};

fn run(node: &Node, _: &Inputs, context: &mut Context) -> Outcome {
    let sizes = node.integers("shape")?.ok_or(Problem::Attribute { name: "shape", expected: "a list of integers" })?;
    let shape: Option<Vec<usize>> = sizes.iter().map(|&size| usize::try_from(size).ok()).collect();
    let shape = shape.ok_or(Problem::Attribute { name: "shape", expected: "sizes from 0" })?;
    let default = Element::F32;
    let element = match node.integer_or_none("dtype")? {
        Some(code) => Element::from_code(code).ok_or(Problem::Attribute { name: "dtype", expected: "an element" })?,
        None => default,
    };
    let (random, total) = (Random::of(node)?, context.room(&shape, element)?);
    let (low, high) = (f64::from(node.float("low", 0.0)?), f64::from(node.float("high", 1.0)?));
    let number = |place| low + random.uniform(place) * (high - low);
    let made = precision!(element, T => T::write(element, &shape, (0..total as u64).map(|place| T::of(number(place))).collect()),
        else => Err(Problem::Attribute { name: "dtype", expected: "a float" }));
    Ok(vec![made?.into()])
}
