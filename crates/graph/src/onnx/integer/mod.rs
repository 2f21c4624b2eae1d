//! The integer twin of an ordered graph: static scales from calibration, int8 weights per output, tables for curves.
//!
//! `encoding` decides how each value is held, `scale` how real factors become multipliers and shifts, `emit` writes the
//! integer nodes. All arithmetic here is IEEE binary64 in the order written, so the same file and calibration give the
//! same artefact on every machine. None of it runs when a model is served: only its integers remain.

mod emit;
pub(super) mod encoding;
pub(super) mod scale;

use super::error::CompileError;
use crate::graph::{Checked, Graph};
use crate::tensor::Tensor;

/// The ordered operators that have an integer form.
const SUPPORTED: [&str; 11] = [
    "add_f32",
    "clip_f32",
    "concat",
    "exp_f32",
    "linear_f32",
    "multiply_f32",
    "relu_f32",
    "reshape",
    "sigmoid_f32",
    "softmax_f32",
    "tanh_f32",
];

/// Whether every node of an ordered graph has an integer form here.
pub(super) fn covers(ordered: &Graph) -> bool {
    ordered.nodes.iter().all(|node| SUPPORTED.contains(&node.operator.name))
}

/// The integer graph that computes nearly what the ordered one computes on inputs like these.
pub(super) fn quantised(ordered: &Checked, calibration: &[Vec<Tensor>]) -> Result<Graph, CompileError> {
    let nodes = &ordered.graph().nodes;
    let unsupported: Vec<String> = nodes
        .iter()
        .filter(|node| !SUPPORTED.contains(&node.operator.name))
        .map(|node| format!("{:?} ({})", node.name, node.operator.name))
        .collect();
    if !unsupported.is_empty() {
        return Err(CompileError::NoIntegerForm { nodes: unsupported.join(", ") });
    }
    let ranges = encoding::ranges(ordered, calibration)?;
    let plan = encoding::plan(ordered, &ranges);
    emit::emit(ordered, &plan)
}
