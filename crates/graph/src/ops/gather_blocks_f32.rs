//! `gather_blocks_f32`: for each index the row of a packed table, multiplied out to f32.
//!
//! A number of a block is `scale · quant`, which is exact, or `fma(scale, quant, -minimum)`; floats are widened.

use super::{excluded, float_tensor, gather_rows::check_indices, integers, walk, weights};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    formats::Weights,
    operator::{Form, Kind, Operator, Reach, Refusal, Site, no_bounds},
    shape::{Dimension, Shape},
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "gather_blocks_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (2, 2),
    attributes: &[],
    shape,
    bounds: no_bounds,
    work: walk::alone,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    let indices = site.expect_integer(0)?;
    let float = site.expect_weights(1, Weights::Float, "weights in blocks, or packed floats");
    let table = float.or_else(|refusal| site.expect_weights(1, Weights::Blocks, "").map_err(|_| refusal))?;
    check_indices(indices.interval, table.rows())?;
    let sizes = indices.shape.0.iter().copied().chain([Dimension::Fixed(table.columns())]).collect();
    Ok(Form { element: Element::F32, shape: Shape(sizes) })
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let (indices, table) = (integers("gather_blocks_f32", inputs, 0)?, weights("gather_blocks_f32", inputs, 1)?);
    let row = |index: i64| usize::try_from(index).map(|index| table.row(index));
    let rows: Result<Vec<Vec<f32>>, _> = indices.into_iter().map(row).collect();
    let values = rows.map_err(|_| excluded("gather_blocks_f32"))?.concat();
    let shape: Vec<usize> = inputs[0].shape().iter().copied().chain([table.columns()]).collect();
    float_tensor("gather_blocks_f32", &shape, values)
}
