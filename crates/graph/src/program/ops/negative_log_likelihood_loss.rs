//! `NegativeLogLikelihoodLoss`: the weighted negative log-probability of the labels.

use super::prelude::*;
use crate::program::loss;

pub static OPERATOR: Operator = Operator {
    name: "NegativeLogLikelihoodLoss",
    domain: "",
    versions: &[12, 13, 22],
    inputs: (2, 3),
    outputs: (1, 1),
    attributes: &["ignore_index", "reduction"],
    run: |node, inputs, context| loss::of_labels(node, inputs, context, inputs.tensor(0)?),
};
