//! `add`: the sum of two integer tensors, exact, as i32.

use super::{broadcast, integer_tensor, integers};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "add",
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
    let sum = |one: i64, other: i64| one.saturating_add(other);
    Interval { low: sum(left.low, right.low), high: sum(left.high, right.high) }.within(Element::I32)
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let (left, right) = (integers("add", inputs, 0)?, integers("add", inputs, 1)?);
    let (sizes, pairs) = broadcast::pairs(inputs[0].shape(), inputs[1].shape());
    let values = pairs.into_iter().map(|(one, other)| left[one] + right[other]).collect();
    integer_tensor("add", Element::I32, &sizes, values)
}
