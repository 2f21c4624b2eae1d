//! `Bernoulli`: 1 where a uniform number by place is below the input, else 0.

use super::prelude::*;
use crate::program::random::Random;

pub static OPERATOR: Operator = Operator {
    name: "Bernoulli",
    domain: "",
    versions: &[15, 22],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["dtype", "seed"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let element = match node.integer_or_none("dtype")? {
        Some(code) => Element::from_code(code).ok_or(Problem::Attribute { name: "dtype", expected: "an element" })?,
        None => x.element(),
    };
    let random = Random::of(node)?;
    context.room(x.shape(), element)?;
    let chances = x.doubles().ok_or_else(|| inputs.element(0, "floats"))?;
    let drawn = context.crew().watched(chances.iter().enumerate(), 8).map(|(place, &chance)| random.uniform(place as u64) < chance);
    let made = match element {
        Element::Bool => Array::bools(x.shape(), drawn.collect()),
        _ => precision!(element, T => T::write(element, x.shape(), drawn.map(|one| if one { T::ONE } else { T::ZERO }).collect()),
            else => Array::wholes(element, x.shape(), drawn.map(i128::from))),
    };
    Ok(vec![made?.into()])
}
