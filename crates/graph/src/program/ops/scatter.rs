//! `Scatter`: the older name of `ScatterElements`.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Scatter",
    domain: "",
    versions: &[9, 11],
    inputs: (3, 3),
    outputs: (1, 1),
    attributes: &["axis"],
    run: super::scatter_elements::OPERATOR.run,
};
