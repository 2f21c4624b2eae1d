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
mod groups;
mod interleave;
mod layer;
mod linear;
mod moves;
mod net;
mod norm;
mod padding;
mod places;
mod pool;
mod products;
mod recurrent;
mod row;
mod single;
mod transposed;
mod wish;
mod write;

pub use classical::labels::texts as label_texts;
pub use net::{Pick, meanings};

use super::error::CompileError;
use super::names::list_of;
use crate::graph::Graph;
use crate::program::{Element, Family, Node, Program, Source, Type};
use crate::tensor::Tensor;

/// The integer graph that computes nearly what the program computes on inputs like these.
pub fn quantised(program: &Program, calibration: &[Vec<Tensor>], pick: Pick) -> Result<Graph, CompileError> {
    check_supported(program)?;
    check_outputs(program)?;
    let net = net::Net::observe(program, calibration, pick)?;
    let plan = forms::plan(&net).map_err(|nodes| CompileError::NoIntegerForm { nodes: list_of(nodes) })?;
    write::write(&net, &plan)
}

/// Whether a dropout is told, or may be told by a caller, to train: it draws.
fn drops(program: &Program, node: &Node) -> bool {
    let rests = match node.inputs.get(2) {
        None | Some(Source::Nothing) => true,
        Some(Source::Constant(index)) => {
            let told = program.constants.get(*index as usize).and_then(|constant| constant.as_bools());
            told.is_some_and(|told| told.iter().all(|trains| !trains))
        }
        Some(Source::Slot(_)) => false,
    };
    node.operator.name == "Dropout" && !rests
}

/// Numbers leave as f32, i32 or i64: elements that hold fewer values would not be what the file says.
fn check_outputs(program: &Program) -> Result<(), CompileError> {
    let narrow = program.outputs.iter().find_map(|port| match port.kind {
        Type::Tensor { element, .. } => is_narrow(element).then_some((&port.name, element)),
        Type::Sequence(_) | Type::Optional(_) | Type::Map { .. } => None,
    });
    let Some((name, element)) = narrow else { return Ok(()) };
    let problem = format!("is of {element}, which no output of an integer model can be");
    Err(CompileError::Layer { node: format!("output {name:?}"), problem })
}

fn is_narrow(element: Element) -> bool {
    let whole = element.family() == Family::Whole && !matches!(element, Element::I32 | Element::I64);
    whole || matches!(element.family(), Family::Tiny | Family::Complex)
}

/// Operators that others take in: products of attention, layers, and the tests of masks.
const INNER: &[&str] = &["Conv", "ConvTranspose", "Gemm", "IsNaN", "LayerNormalization", "MatMul", "Shape", "Size"];

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
                && (!node.operator.domain.is_empty()
                    || !known(node.operator.name)
                    || is_older(node)
                    || drops(program, node))
        })
        .map(net::describe)
        .collect();
    if unknown.is_empty() { Ok(()) } else { Err(CompileError::NoIntegerForm { nodes: list_of(unknown) }) }
}
