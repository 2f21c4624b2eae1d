//! `CastLike`: `Cast` to the element of another tensor.

use super::cast::{Rounding, convert};
use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "CastLike",
    domain: "",
    versions: &[15, 19, 21, 23, 24, 25],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["round_mode", "saturate"],
    run: |node, inputs, context| {
        let rounding = Rounding { saturate: node.flag("saturate", true)?, mode: node.text("round_mode", "up")? };
        Ok(vec![convert(inputs.tensor(0)?, inputs.tensor(1)?.element(), rounding, context)?.into()])
    },
};
