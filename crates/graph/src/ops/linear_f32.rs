//! `linear_f32`: f32 activations times a constant f32 matrix, plus an optional constant bias.
//!
//! Each sum is one chain of fused multiply-adds from 0 over k = 0, 1, …; the bias is added last, as one IEEE addition.

use super::{float_tensor, floats, sizes_with_width};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Kind, Operator, Reach, Refusal, Site, no_bounds, with_width},
    shape::Shape,
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "linear_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (2, 3),
    attributes: &[],
    shape,
    bounds: no_bounds,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.expect_element(0, Element::F32)?;
    site.expect_element(1, Element::F32)?;
    let [outputs, columns] = *site.expect_constant(1)?.shape() else {
        return Err(site.shape_refusal(1, "[outputs, inputs]"));
    };
    if site.width(0)? != columns || outputs == 0 {
        return Err(site.shape_refusal(1, &format!("[outputs, {}]", site.width(0)?)));
    }
    if site.inputs.len() == 3 {
        site.expect_element(2, Element::F32)?;
        site.expect_constant(2)?;
        site.expect_shape(2, &Shape::fixed(&[outputs]))?;
    }
    Ok(Form { element: Element::F32, shape: with_width(&x.shape, outputs) })
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let (x, weights) = (floats("linear_f32", inputs, 0)?, floats("linear_f32", inputs, 1)?);
    let bias = if inputs.len() == 3 { Some(floats("linear_f32", inputs, 2)?) } else { None };
    let (outputs, columns) = inputs[1].rows_and_width();
    let mut values = Vec::new();
    for row in x.chunks_exact(columns) {
        for output in 0..outputs {
            let weights = &weights[output * columns..][..columns];
            let sum = row.iter().zip(weights).fold(0.0_f32, |sum, (x, w)| x.mul_add(*w, sum));
            values.push(bias.map_or(sum, |bias| sum + bias[output]));
        }
    }
    float_tensor("linear_f32", &sizes_with_width(inputs[0].shape(), outputs), values)
}
