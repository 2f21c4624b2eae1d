//! `reshape`: the same elements in the same order under other sizes. Where the input has rows outermost, they stay
//! outermost, so that a row still depends on no other row.

use super::{excluded, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    shape::{Dimension, Shape},
    tensor::Tensor,
};

pub static OPERATOR: Operator = Operator {
    name: "reshape",
    kind: Kind::Movement,
    reach: Reach::Row,
    inputs: (1, 1),
    attributes: &["sizes"],
    shape,
    bounds,
    work: walk::beside,
    meaning,
};

const SIZES: Refusal = Refusal::Attribute {
    name: "sizes",
    expected: "positive sizes, 0 standing for the rows as the outermost, with as many elements as the input",
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.input(0)?;
    let mut sizes = Vec::new();
    for (index, &size) in site.attributes.integers("sizes")?.iter().enumerate() {
        let size = usize::try_from(size).map_err(|_| SIZES)?;
        sizes.push(match (index, size) {
            (0, 0) => Dimension::Rows,
            (_, 0) => return Err(SIZES),
            _ => Dimension::Fixed(size),
        });
    }
    let shape = Shape(sizes);
    let rows_stay = match (x.shape.0.first(), shape.0.first()) {
        (Some(Dimension::Rows), Some(Dimension::Rows)) => true,
        (_, found) => !x.shape.has_rows() && found != Some(&Dimension::Rows),
    };
    if rows_stay && x.shape.count(1).is_some() && shape.count(1) == x.shape.count(1) {
        Ok(Form { element: x.element, shape })
    } else {
        Err(SIZES)
    }
}

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    Ok(site.input(0)?.interval)
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let sizes = attributes.integers("sizes").map_err(|_| excluded("reshape"))?;
    let rows = inputs[0].shape().first().copied().unwrap_or(1);
    let shape: Vec<usize> = sizes.iter().map(|&size| if size == 0 { rows } else { size as usize }).collect();
    inputs[0].reshaped(&shape).ok_or(excluded("reshape"))
}
