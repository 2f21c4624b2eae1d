//! `combine_experts_f32`: what the chosen experts say, each times its weight: one chain of fused multiply-adds from +0 in
//! the order of the choice.

use super::{float_tensor, floats, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Kind, Operator, Reach, Refusal, Site, no_bounds, with_width},
    shape::{Dimension, Shape},
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "combine_experts_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (2, 2),
    attributes: &[],
    shape,
    bounds: no_bounds,
    work: walk::beside,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    let said = site.expect_element(0, Element::F32)?;
    let weights = site.expect_element(1, Element::F32)?;
    let width = site.width(0)?;
    site.width(1)?;
    let sizes = weights.shape.0.iter().copied().chain([Dimension::Fixed(width)]).collect();
    if said.shape != Shape(sizes) {
        return Err(site.shape_refusal(0, &format!("that of {} with one size behind", weights.shape)));
    }
    Ok(Form { element: Element::F32, shape: with_width(&weights.shape, width) })
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let (said, weights) = (floats("combine_experts_f32", inputs, 0)?, floats("combine_experts_f32", inputs, 1)?);
    let ((_, width), (_, count)) = (inputs[0].rows_and_width(), inputs[1].rows_and_width());
    let mut values = Vec::new();
    for (said, weights) in said.chunks_exact(count * width).zip(weights.chunks_exact(count)) {
        for column in 0..width {
            let terms = weights.iter().zip(said.iter().skip(column).step_by(width));
            values.push(terms.fold(0.0_f32, |sum, (weight, said)| weight.mul_add(*said, sum)));
        }
    }
    float_tensor("combine_experts_f32", &super::sizes_with_width(inputs[1].shape(), width), values)
}
