//! `PRelu`: x where it is not below 0, else slope·x; the slope broadcasts to x.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "PRelu",
    domain: "",
    versions: &[7, 9, 16],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, slope) = (inputs.tensor(0)?, inputs.tensor(1)?);
    // In one direction only.
    if index::broadcast(x.shape(), slope.shape())? != x.shape() {
        return Err(Problem::shape(1, format!("what broadcasts to {:?}", x.shape()), slope.shape()));
    }
    elementwise::binary(inputs, context, &RULE)
}

const RULE: Arithmetic = Arithmetic {
    single: |x, slope| if x < 0.0 { slope * x } else { x },
    double: |x, slope| if x < 0.0 { slope * x } else { x },
    whole: |x, slope| Ok(if x < 0 { slope.wrapping_mul(x) } else { x }),
};
