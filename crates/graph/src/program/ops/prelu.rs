//! `PRelu`: x where it is not below 0, else slope·x; the slope broadcasts to x. Before version 7 it is one for all or one a channel.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "PRelu",
    domain: "",
    versions: &[6, 7, 9, 16],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, slope) = (inputs.tensor(0)?, inputs.tensor(1)?);
    if node.version < 7 && slope.len() != 1 {
        let channels = x.shape().get(1).copied().unwrap_or(1);
        if slope.shape() != [channels] {
            return Err(Problem::shape(1, format!("[1] or [{channels}]"), slope.shape()));
        }
        let shape = [&[channels][..], &vec![1; x.rank().saturating_sub(2)]].concat();
        let aligned = Inputs(vec![Some(Value::Tensor(x.clone())), Some(slope.reshaped(&shape)?.into())]);
        return elementwise::binary(&aligned, context, &RULE);
    }
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
