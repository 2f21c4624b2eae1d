//! `linear_experts_f32`: `linear_f32` with a matrix of a stack for each slot of a row: that of the slot's expert, or, where
//! no choice is given, the slot's own.

use super::{excluded, float_tensor, floats, integers, weights};
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
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    form(site, Weights::Float, "packed f32, f16 or bf16")
}

/// The output `[…, slots, outputs]` for weights `[experts, outputs, inputs]`. x is `[…, slots, inputs]`, or, with a choice
/// `[…, slots]`, also `[…, inputs]`, the same for all slots.
pub(super) fn form(site: &Site, kind: Weights, expected: &'static str) -> Result<Form, Refusal> {
    let x = site.expect_element(0, Element::F32)?;
    let fact = site.input(1)?;
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
    if site.inputs.len() > 2 {
        let choice = site.expect_element(2, Element::I32)?;
        super::gather_rows::check_indices(choice.interval, experts)?;
        let shared = choice.shape.0.split_last().is_some_and(|(_, outer)| outer == slots.0.as_slice());
        if choice.shape != slots && !shared {
            return Err(site.shape_refusal(2, &format!("{slots}, or that with a size behind")));
        }
        slots = choice.shape.clone();
    } else if slots.0.last() != Some(&Dimension::Fixed(experts)) {
        return Err(site.shape_refusal(0, &format!("a slot for each of {experts} matrices")));
    }
    slots.0.push(Dimension::Fixed(outputs));
    Ok(Form { element: Element::F32, shape: Shape(slots.0) })
}

/// Calls `each` for every slot, in order: its activations and its matrix.
pub(super) fn each_slot(
    name: &'static str,
    inputs: &[&Tensor],
    mut each: impl FnMut(&[f32], usize),
) -> Result<Vec<usize>, Fault> {
    let (x, packed) = (floats(name, inputs, 0)?, weights(name, inputs, 1)?);
    let experts = inputs[1].shape().first().copied().ok_or(excluded(name))?;
    let (mut shape, columns) = (inputs[0].shape().to_vec(), packed.columns());
    shape.pop();
    let choice = if inputs.len() > 2 { Some(integers(name, inputs, 2)?) } else { None };
    let shared = inputs.len() > 2 && inputs[2].shape() != shape;
    let slots = match &choice {
        Some(_) => {
            shape = inputs[2].shape().to_vec();
            if shared { shape.last().copied().unwrap_or(1) } else { 1 }
        }
        None => 1,
    };
    let count: usize = shape.iter().product();
    for slot in 0..count {
        let expert = choice.as_ref().map_or(slot % experts, |choice| choice[slot] as usize);
        each(&x[slot / slots * columns..][..columns], expert);
    }
    shape.push(packed.rows());
    Ok(shape)
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
