//! `multiply`: the product of two integer tensors, element by element, exact, as i32.

use super::{broadcast, integer_tensor, integers};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "multiply",
    kind: Kind::Integer,
    reach: Reach::Row,
    inputs: (2, 2),
    attributes: &[],
    shape,
    bounds,
    work: broadcast::work,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    site.expect_integer(0)?;
    site.expect_integer(1)?;
    Ok(Form { element: Element::I32, shape: broadcast::shape(site)? })
}

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    let (left, right) = (site.input(0)?.interval, site.input(1)?.interval);
    let product = |one: i64, other: i64| i128::from(one) * i128::from(other);
    let ends = [
        product(left.low, right.low),
        product(left.low, right.high),
        product(left.high, right.low),
        product(left.high, right.high),
    ];
    let low = ends.into_iter().min().unwrap_or(0);
    let high = ends.into_iter().max().unwrap_or(0);
    match (i64::try_from(low), i64::try_from(high)) {
        (Ok(low), Ok(high)) => Interval { low, high }.within(Element::I32),
        _ => Err(Refusal::Overflow { what: "i32", magnitude: u64::MAX }),
    }
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let (left, right) = (integers("multiply", inputs, 0)?, integers("multiply", inputs, 1)?);
    let (sizes, pairs) = broadcast::pairs(inputs[0].shape(), inputs[1].shape());
    let values = pairs.into_iter().map(|(one, other)| left[one] * right[other]).collect();
    integer_tensor("multiply", Element::I32, &sizes, values)
}
