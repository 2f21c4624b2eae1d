//! `greatest`: the index of the greatest number along the innermost axis; of equal ones the first.

use super::{integer_tensor, integers, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    shape::Shape,
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "greatest",
    kind: Kind::Integer,
    reach: Reach::Row,
    inputs: (1, 1),
    attributes: &[],
    shape,
    bounds,
    work: walk::alone,
    meaning,
};

/// The widest row, so that an index is an entry of a table.
const WIDTH_MAX: usize = 1 << 16;

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.expect_integer(0)?;
    if site.width(0)? > WIDTH_MAX {
        return Err(site.shape_refusal(0, "an innermost size up to 2^16"));
    }
    let mut sizes = x.shape.0.clone();
    sizes.pop();
    Ok(Form { element: Element::I32, shape: Shape(sizes) })
}

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    Ok(Interval { low: 0, high: site.width(0)? as i64 - 1 })
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let x = integers("greatest", inputs, 0)?;
    let (_, width) = inputs[0].rows_and_width();
    let first = |row: &[i64]| (1..width).fold(0, |best, at| if row[at] > row[best] { at } else { best }) as i64;
    let values = x.chunks_exact(width).map(first).collect();
    let shape = &inputs[0].shape()[..inputs[0].shape().len() - 1];
    integer_tensor("greatest", Element::I32, shape, values)
}
