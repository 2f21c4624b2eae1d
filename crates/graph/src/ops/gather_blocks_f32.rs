//! `gather_blocks_f32`: for each index the row of a table of int8 blocks, multiplied out to f32.

use super::{float_tensor, gather_rows::check_indices, integers, linear_blocks_f32};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    float::from_half,
    operator::{Form, Kind, Operator, Reach, Refusal, Site, no_bounds},
    shape::{Dimension, Shape},
    tensor::{Data, Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "gather_blocks_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (3, 3),
    attributes: &[],
    shape,
    bounds: no_bounds,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    let indices = site.expect_integer(0)?;
    let (rows, width) = linear_blocks_f32::blocks(site)?;
    check_indices(indices.interval, rows)?;
    let sizes = indices.shape.0.iter().copied().chain([Dimension::Fixed(width)]).collect();
    Ok(Form { element: Element::F32, shape: Shape(sizes) })
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let indices = integers("gather_blocks_f32", inputs, 0)?;
    let quants = integers("gather_blocks_f32", inputs, 1)?;
    let Data::F16(scales) = inputs[2].data() else { return Err(super::excluded("gather_blocks_f32")) };
    let (_, width) = inputs[1].rows_and_width();
    let mut values = Vec::new();
    for row in indices {
        for column in 0..width {
            let at = row as usize * width + column;
            // A product of 11 and 8 significant bits: exact.
            values.push(from_half(scales[at / 32]) * quants[at] as f32);
        }
    }
    let shape: Vec<usize> = inputs[0].shape().iter().copied().chain([width]).collect();
    float_tensor("gather_blocks_f32", &shape, values)
}
