//! `Gelu`: x·Φ(x) by the error function, or its approximation by tanh.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Gelu",
    domain: "",
    versions: &[20],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["approximate"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    match node.text("approximate", "none")? {
        "none" => elementwise::by(inputs, context, exact),
        "tanh" => elementwise::by(inputs, context, approximate),
        other => Err(Problem::value("attribute approximate", "none or tanh", other)),
    }
}

fn exact(x: f64) -> f64 {
    0.5 * x * (1.0 + math::erf(x / std::f64::consts::SQRT_2))
}

fn approximate(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
    0.5 * x * (1.0 + math::tanh(inner))
}
