//! What becomes of each node: part of a layer, of a sum, of a norm, of attention, of a curve, or a form of its own. Decided from
//! the last node to the first, so that what nobody needs in its own right is never made; on the way each value learns how its
//! users would like it.

use super::attention::{self, Attention};
use super::classical;
use super::curve::{self, Curve};
use super::layer::{self, Layer, Sum};
use super::net::{Net, describe, output};
use super::norm::{self, Norm};
use super::recurrent;
use super::row::Single;
use super::single;
use super::wish::Wish;
use crate::program::{Node, Source};

pub enum Form {
    Layer(Box<Layer>),
    Sum(Sum),
    Norm(Norm),
    Attention(Box<Attention>),
    Curve(Curve),
    /// By the operator's own row.
    Single(&'static Single),
}

/// A form for each node that is needed, and a wish for each slot.
pub struct Plan {
    pub forms: Vec<Option<Form>>,
    pub wishes: Vec<Wish>,
}

/// The plan, or what each node without a form is.
pub fn plan(net: &Net) -> Result<Plan, Vec<String>> {
    let nodes = net.nodes();
    let slots = net.program.slots as usize;
    let mut plan = Plan { forms: nodes.iter().map(|_| None).collect(), wishes: vec![Wish::default(); slots] };
    let mut needed: Vec<bool> = (0..slots).map(|slot| net.is_output(slot as u32)).collect();
    let mut without = Vec::new();
    for (index, node) in nodes.iter().enumerate().rev() {
        if !node.outputs.iter().flatten().any(|&slot| needed[slot as usize]) || !net.is_live(node) {
            continue;
        }
        let Some(form) = choose(net, node) else {
            without.push(describe(node));
            continue;
        };
        for (slot, wish) in reads(net, node, &form, &plan.wishes) {
            needed[slot as usize] = true;
            plan.wishes[slot as usize].join(wish);
        }
        plan.forms[index] = Some(form);
    }
    without.reverse();
    if without.is_empty() { Ok(plan) } else { Err(without) }
}

/// What passes labels on.
static LABELS: Single = Single { name: "labels", wish: None, first: true, emit: classical::labels::pass };

fn choose(net: &Net, node: &Node) -> Option<Form> {
    if !node.operator.domain.is_empty() {
        return classical::find(node).map(Form::Single);
    }
    if classical::labels::passes(net, node) {
        return Some(Form::Single(&LABELS));
    }
    attention::find(net, node)
        .map(|found| Form::Attention(Box::new(found)))
        .or_else(|| norm::find(net, node).map(Form::Norm))
        .or_else(|| layer::find(net, node).map(|found| Form::Layer(Box::new(found))))
        .or_else(|| layer::sum(net, node).map(Form::Sum))
        .or_else(|| single::find(net, node).filter(|single| single.first).map(Form::Single))
        .or_else(|| curve::find(net, node).map(Form::Curve))
        .or_else(|| single::find(net, node).map(Form::Single))
}

/// The slots that a form reads, and how it would like each.
fn reads(net: &Net, node: &Node, form: &Form, wishes: &[Wish]) -> Vec<(u32, Wish)> {
    match form {
        Form::Layer(layer) => vec![(layer.x, if layer.window.is_some() { Wish::IMAGE } else { Wish::EIGHT })],
        Form::Sum(sum) => sum.operands.iter().map(|&slot| (slot, Wish::SIXTEEN)).collect(),
        Form::Norm(norm) => vec![(norm.x, Wish::SIXTEEN)],
        Form::Attention(found) => {
            let operands = [&found.query, &found.key, &found.value];
            let mut reads: Vec<(u32, Wish)> = operands.iter().map(|operand| (operand.slot, Wish::SIGNED)).collect();
            if let Some(attention::Mask::Input { slot, .. }) = found.mask {
                reads.push((slot, Wish::default()));
            }
            reads
        }
        // A change of unit needs no index, and features lose nothing by it.
        Form::Curve(curve) if net.is_classical() && curve.factor(net).is_some() => {
            vec![(curve.root, behind(node, wishes))]
        }
        Form::Curve(curve) => vec![(curve.root, Wish::INDEX)],
        // States that enter may be larger than calibration saw.
        Form::Single(_) if recurrent::is_cell(node) => {
            let wish = |index: usize| if index == 0 { Wish::SIXTEEN } else { Wish::FINE };
            let live = |(index, source): (usize, &Source)| net.live(*source).map(|slot| (slot, wish(index)));
            node.inputs.iter().enumerate().filter_map(live).collect()
        }
        Form::Single(_) if classical::is_forest(node) => {
            let wish = |slot: u32| if net.maker(slot).is_none() { Wish::PLACES } else { Wish::SIXTEEN };
            classical::roots(net, node).into_iter().map(|slot| (slot, wish(slot))).collect()
        }
        Form::Single(single) => {
            // What only moves numbers wishes for its users.
            let wish = single.wish.unwrap_or_else(|| behind(node, wishes));
            net.reads(node).into_iter().map(|slot| (slot, wish)).collect()
        }
    }
}

fn behind(node: &Node, wishes: &[Wish]) -> Wish {
    output(node).map_or(Wish::default(), |slot| wishes[slot as usize])
}
