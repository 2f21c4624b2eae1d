//! `linear_experts_f32`: `linear_f32` with a matrix of a stack for each slot of a row: that of the slot's expert, or, where
//! no choice is given, the slot's own.

use super::{excluded, float_tensor, floats, integers, walk, weights};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    formats::{Packed, Weights},
    operator::{Form, Kind, Operator, Reach, Refusal, Site, no_bounds},
    shape::{Dimension, Shape},
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "linear_experts_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (2, 3),
    attributes: &[],
    shape,
    bounds: no_bounds,
    work: walk::products,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    form(site, Weights::Float, "packed f32, f16 or bf16")
}

/// The output `[…, slots, outputs]` for weights `[experts, outputs, inputs]`. x is `[…, slots, inputs]`, or, with a choice
/// `[…, slots]`, also `[…, inputs]`, the same for all slots.
pub(super) fn form(site: &Site, kind: Weights, expected: &'static str) -> Result<Form, Refusal> {
    site.expect_element(0, Element::F32)?;
    Ok(Form { element: Element::F32, shape: through(site, kind, expected, 2)? })
}

/// The output's shape; the choice, if there is one, is that input.
pub(super) fn through(site: &Site, kind: Weights, expected: &'static str, choice: usize) -> Result<Shape, Refusal> {
    let (x, fact) = (site.input(0)?, site.input(1)?);
    let packed = site.expect_constant(1)?.as_packed().filter(|packed| packed.format().weights() == kind);
    let packed = packed.ok_or(Refusal::Element { input: 1, expected, found: fact.element })?;
    let (columns, outputs) = (packed.columns(), packed.rows());
    let [Dimension::Fixed(experts), _, _] = *fact.shape.0.as_slice() else {
        return Err(site.shape_refusal(1, "[experts, outputs, inputs]"));
    };
    if outputs == 0 || experts == 0 || site.width(0)? != columns {
        return Err(site.shape_refusal(1, &format!("[experts, outputs, {}]", site.width(0)?)));
    }
    let mut slots = x.shape.clone();
    slots.0.pop();
    if site.inputs.len() > choice {
        let chosen = site.expect_element(choice, Element::I32)?;
        super::gather_rows::check_indices(chosen.interval, experts)?;
        let shared = chosen.shape.0.split_last().is_some_and(|(_, outer)| outer == slots.0.as_slice());
        if chosen.shape != slots && !shared {
            return Err(site.shape_refusal(choice, &format!("{slots}, or that with a size behind")));
        }
        slots = chosen.shape.clone();
    } else if slots.0.last() != Some(&Dimension::Fixed(experts)) {
        return Err(site.shape_refusal(0, &format!("a slot for each of {experts} matrices")));
    }
    slots.0.push(Dimension::Fixed(outputs));
    Ok(slots)
}

/// The output's shape, and for each slot, in order, its row of activations and its matrix.
pub(super) struct Slots {
    pub shape: Vec<usize>,
    pub all: Vec<(usize, usize)>,
}

/// The choice, if there is one, is that input.
pub(super) fn slots(name: &'static str, inputs: &[&Tensor], choice: usize) -> Result<Slots, Fault> {
    let packed = weights(name, inputs, 1)?;
    let experts = inputs[1].shape().first().copied().ok_or(excluded(name))?;
    let mut shape = inputs[0].shape().to_vec();
    shape.pop();
    let mut each = 1;
    let mut chosen = None;
    if inputs.len() > choice {
        if inputs[choice].shape() != shape {
            each = inputs[choice].shape().last().copied().unwrap_or(1);
        }
        shape = inputs[choice].shape().to_vec();
        chosen = Some(integers(name, inputs, choice)?);
    }
    let count: usize = shape.iter().product();
    let expert = |slot: usize| chosen.as_ref().map_or(slot % experts, |chosen| chosen[slot] as usize);
    shape.push(packed.rows());
    Ok(Slots { shape, all: (0..count).map(|slot| (slot / each, expert(slot))).collect() })
}

/// Calls `each` for every slot, in order: its activations and its matrix.
pub(super) fn each_slot(
    name: &'static str,
    inputs: &[&Tensor],
    mut each: impl FnMut(&[f32], usize),
) -> Result<Vec<usize>, Fault> {
    let (x, columns) = (floats(name, inputs, 0)?, weights(name, inputs, 1)?.columns());
    let slots = slots(name, inputs, 2)?;
    slots.all.iter().for_each(|&(row, expert)| each(&x[row * columns..][..columns], expert));
    Ok(slots.shape)
}

/// The rows of one matrix of a stack.
pub(super) fn rows_of(packed: &Packed, expert: usize) -> std::ops::Range<usize> {
    expert * packed.rows()..(expert + 1) * packed.rows()
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let packed = weights("linear_experts_f32", inputs, 1)?;
    let mut values = Vec::new();
    let shape = each_slot("linear_experts_f32", inputs, |x, expert| {
        for row in rows_of(packed, expert) {
            let weights = packed.row(row);
            values.push(x.iter().zip(&weights).fold(0.0_f32, |sum, (x, w)| x.mul_add(*w, sum)));
        }
    })?;
    float_tensor("linear_experts_f32", &shape, values)
}
