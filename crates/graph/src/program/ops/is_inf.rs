//! `IsInf`: whether a float is infinite, of the signs that are asked for.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "IsInf",
    domain: "",
    versions: &[10, 20],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["detect_negative", "detect_positive"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    context.room(x.shape(), Element::Bool)?;
    let (negative, positive) = (node.flag("detect_negative", true)?, node.flag("detect_positive", true)?);
    let values = x.doubles().ok_or_else(|| inputs.element(0, "floats"))?;
    let holds = |value: &f64| value.is_infinite() && if *value > 0.0 { positive } else { negative };
    Ok(vec![Array::bools(x.shape(), values.iter().map(holds).collect())?.into()])
}
