//! The integer form of CNNs and encoders.
//!
//! `net` runs the program on the calibration inputs and keeps what it saw, `forms` decides what becomes of each node
//! (`layer`, `norm`, `attention` and `curve` recognise what many nodes make together, `single` is the table of all others),
//! `write` and its files make the integer nodes. All arithmetic is binary64 in the order written, and the runs are exact: the
//! same file and calibration give the same artefact on every machine. All sizes but the rows are those of the calibration.

mod attend;
mod attention;
mod classical;
mod curve;
mod emit;
mod encoding;
mod forms;
mod layer;
mod linear;
mod moves;
mod net;
mod norm;
mod pool;
mod products;
mod recurrent;
mod row;
mod single;
mod wish;
mod write;

pub use classical::labels::texts as label_texts;
pub use net::{Pick, meanings};

use super::error::CompileError;
use super::names::list_of;
use crate::graph::Graph;
use crate::program::{Node, Program};
use crate::tensor::Tensor;

/// The integer graph that computes nearly what the program computes on inputs like these.
pub fn quantised(program: &Program, calibration: &[Vec<Tensor>], pick: Pick) -> Result<Graph, CompileError> {
    check_supported(program)?;
    let net = net::Net::observe(program, calibration, pick)?;
    let plan = forms::plan(&net).map_err(|nodes| CompileError::NoIntegerForm { nodes: list_of(nodes) })?;
    write::write(&net, &plan)
}

/// Operators that others take in: products of attention, layers, and the tests of masks.
const INNER: &[&str] = &["Conv", "Gemm", "IsNaN", "LayerNormalization", "MatMul", "Shape", "Size"];

/// Names every node whose operator has no integer form anywhere, before anything runs.
fn check_supported(program: &Program) -> Result<(), CompileError> {
    let live = net::live(program);
    let known = |name: &str| {
        INNER.contains(&name)
            || curve::POINTWISE.contains(&name)
            || net::MOVES.contains(&name)
            || single::SINGLES.iter().any(|single| single.name == name)
    };
    let nodes = program.body.nodes.iter().filter(|node| node.outputs.iter().flatten().any(|&slot| live[slot as usize]));
    // Operands that do not align by themselves: what follows reads constants as later operator sets do.
    let is_older = |node: &Node| node.is_older() || (node.version < 7 && node.operator.name == "PRelu");
    let unknown: Vec<String> = nodes
        .filter(|node| {
            classical::find(node).is_none()
                && (!node.operator.domain.is_empty() || !known(node.operator.name) || is_older(node))
        })
        .map(net::describe)
        .collect();
    if unknown.is_empty() { Ok(()) } else { Err(CompileError::NoIntegerForm { nodes: list_of(unknown) }) }
}
