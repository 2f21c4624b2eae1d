//! `Where`: the second where the first is true, else the third.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Where",
    domain: "",
    versions: &[9, 16],
    inputs: (3, 3),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    inputs.bools(0)?;
    let chosen = elementwise::choose(inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor(2)?, context)?;
    Ok(vec![chosen.into()])
}
