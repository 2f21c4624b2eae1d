//! `linear_f32`: f32 activations times a constant matrix of floats, plus an optional constant bias.
//!
//! Weights of 16 bits are widened, which is exact. Each sum is one chain of fused multiply-adds from 0 over k = 0, 1, …; the bias is added last, as one IEEE addition.

use super::{float_tensor, floats, sizes_with_width, walk, weights};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    formats::Weights,
    operator::{Form, Kind, Operator, Reach, Refusal, Site, no_bounds},
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
    work: walk::products,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    site.expect_element(0, Element::F32)?;
    site.linear(site.expect_weights(1, Weights::Float, "packed f32, f16 or bf16")?, Element::F32)
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let (x, weights) = (floats("linear_f32", inputs, 0)?, weights("linear_f32", inputs, 1)?);
    let bias = if inputs.len() == 3 { Some(floats("linear_f32", inputs, 2)?) } else { None };
    let rows: Vec<Vec<f32>> = (0..weights.rows()).map(|output| weights.row(output)).collect();
    let mut values = Vec::new();
    for x in x.chunks_exact(weights.columns()) {
        for (output, weights) in rows.iter().enumerate() {
            let sum = x.iter().zip(weights).fold(0.0_f32, |sum, (x, w)| x.mul_add(*w, sum));
            values.push(bias.map_or(sum, |bias| sum + bias[output]));
        }
    }
    float_tensor("linear_f32", &sizes_with_width(inputs[0].shape(), weights.rows()), values)
}
