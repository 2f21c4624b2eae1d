//! `InstanceNormalization`: each channel of each batch by its own moments, then its scale and bias.

use super::group_normalization::grouped;
use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "InstanceNormalization",
    domain: "",
    versions: &[6, 22],
    inputs: (3, 3),
    outputs: (1, 1),
    attributes: &["epsilon"],
    run: |node, inputs, context| {
        let channels = inputs.tensor(0)?.shape().get(1).copied().unwrap_or(0);
        grouped(node, inputs, channels, context)
    },
};
