//! `mean_f32`: the mean over the innermost axis: the sum from the first to the last, divided by their number.
//!
//! The axis stays, with size 1.

use super::{float_tensor, floats, sizes_with_width, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Kind, Operator, Reach, Refusal, Site, no_bounds, with_width},
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "mean_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (1, 1),
    attributes: &[],
    shape,
    bounds: no_bounds,
    work: walk::alone,
    meaning,
};

/// Numbers of elements up to here are exact in f32.
const WIDTH_MAX: usize = 1 << 24;

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.expect_element(0, Element::F32)?;
    if site.width(0)? > WIDTH_MAX {
        return Err(site.shape_refusal(0, "an innermost size up to 2^24"));
    }
    Ok(Form { element: Element::F32, shape: with_width(&x.shape, 1) })
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let x = floats("mean_f32", inputs, 0)?;
    let (_, width) = inputs[0].rows_and_width();
    let mean = |row: &[f32]| row.iter().fold(0.0_f32, |sum, x| sum + x) / width as f32;
    let values = x.chunks_exact(width).map(mean).collect();
    float_tensor("mean_f32", &sizes_with_width(inputs[0].shape(), 1), values)
}
