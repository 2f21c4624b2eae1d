//! Writes the integer graph: inputs, form after form, outputs.

use super::super::error::CompileError;
use super::emit::Emitter;
use super::forms::{Form, Plan};
use super::net::Net;
use super::{attend, linear};
use crate::graph::Graph;
use crate::program::Node;

pub fn write(net: &Net, plan: &Plan) -> Result<Graph, CompileError> {
    let mut emitter = Emitter::new(net, &plan.wishes);
    for (index, &slot) in net.program.body.inputs.iter().enumerate() {
        emitter.input(index, slot)?;
    }
    for (index, node) in net.nodes().iter().enumerate() {
        if let Some(form) = plan.forms.get(index).and_then(Option::as_ref) {
            write_form(&mut emitter, node, form)?;
        }
    }
    for (port, source) in net.program.outputs.iter().zip(&net.program.body.outputs) {
        emitter.output(&port.name, *source)?;
    }
    // What only led to something that a later form took in is left out.
    Ok(emitter.graph.pruned())
}

fn write_form(emitter: &mut Emitter, node: &Node, form: &Form) -> Result<(), CompileError> {
    match form {
        Form::Layer(layer) => linear::layer(emitter, node, layer),
        Form::Sum(sum) => linear::sum(emitter, node, sum),
        Form::Norm(norm) => linear::norm(emitter, node, norm),
        Form::Attention(found) => attend::attention(emitter, node, found),
        Form::Curve(curve) => attend::curve(emitter, node, curve),
        Form::Single(single) => (single.emit)(emitter, node),
    }
}
