//! `gather_rows`: for each index the row of a constant table, as an embedding does.

use super::{excluded, integers, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    shape::{Dimension, Shape},
    tensor::Tensor,
};

pub static OPERATOR: Operator = Operator {
    name: "gather_rows",
    kind: Kind::Movement,
    reach: Reach::Row,
    inputs: (2, 2),
    attributes: &[],
    shape,
    bounds,
    work: walk::beside,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    let indices = site.expect_integer(0)?;
    let table = site.expect_constant(1)?;
    let [rows, _] = table.shape() else { return Err(site.shape_refusal(1, "[table rows, width]")) };
    let width = site.width(1)?;
    check_indices(indices.interval, *rows)?;
    let sizes = indices.shape.0.iter().copied().chain([Dimension::Fixed(width)]).collect();
    Ok(Form { element: table.element(), shape: Shape(sizes) })
}

/// Refuses indices that could point outside of a table of `rows` rows.
pub(super) fn check_indices(indices: Interval, rows: usize) -> Result<(), Refusal> {
    let last = i64::try_from(rows).unwrap_or(i64::MAX).saturating_sub(1);
    if indices.low < 0 || indices.high > last {
        return Err(Refusal::Overflow { what: "the rows of the table", magnitude: indices.magnitude() });
    }
    Ok(())
}

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    Ok(site.input(1)?.interval)
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let indices = integers("gather_rows", inputs, 0)?;
    let (_, width) = inputs[1].rows_and_width();
    let row_bytes = width * inputs[1].element().bytes();
    let table = inputs[1].to_bytes();
    let bytes: Vec<u8> =
        indices.iter().flat_map(|&row| table[row as usize * row_bytes..][..row_bytes].iter().copied()).collect();
    let shape: Vec<usize> = inputs[0].shape().iter().copied().chain([width]).collect();
    Tensor::from_bytes(inputs[1].element(), &shape, &bytes).ok_or(excluded("gather_rows"))
}
