//! `RandomUniform`: uniform numbers by place, of a seed.

use super::prelude::*;
use crate::program::random;

pub static OPERATOR: Operator = Operator {
    name: "RandomUniform",
    domain: "",
    versions: &[1, 22],
    inputs: (0, 0),
    outputs: (1, 1),
    attributes: &["dtype", "high", "low", "seed", "shape"],
    run: |node, _, context| random::uniforms(node, context, &random::stated_shape(node)?, Element::F32),
};
