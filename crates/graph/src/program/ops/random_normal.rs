//! `RandomNormal`: normal numbers by place, of a seed.

use super::prelude::*;
use crate::program::random;

pub static OPERATOR: Operator = Operator {
    name: "RandomNormal",
    domain: "",
    versions: &[1, 22],
    inputs: (0, 0),
    outputs: (1, 1),
    attributes: &["dtype", "mean", "scale", "seed", "shape"],
    run: |node, _, context| random::normals(node, context, &random::stated_shape(node)?, Element::F32),
};
