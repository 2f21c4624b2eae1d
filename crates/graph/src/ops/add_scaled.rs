//! `add_scaled`: the sum of two integer tensors of different scales, brought to a third:
//! `clamp(round_shift(a · left + b · right, shift), low, high)`. A negative factor subtracts.

use super::{broadcast, excluded, integer_tensor, integers};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    fixed,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "add_scaled",
    kind: Kind::Integer,
    reach: Reach::Row,
    inputs: (2, 2),
    attributes: &["element", "high", "left", "low", "right", "shift"],
    shape,
    bounds,
    work: broadcast::work,
    meaning,
};

const FACTOR_MAX: i64 = (1 << 31) - 1;

fn shape(site: &Site) -> Result<Form, Refusal> {
    site.expect_integer(0)?;
    site.expect_integer(1)?;
    for name in ["left", "right"] {
        site.attributes.integer_in(name, -FACTOR_MAX, FACTOR_MAX)?;
    }
    site.attributes.integer_in("shift", 0, 62)?;
    let code = site.attributes.integer_in("element", 1, 4)?;
    let element = u8::try_from(code).ok().and_then(Element::from_code);
    let element = element.ok_or(Refusal::Attribute { name: "element", expected: "an element's code" })?;
    Ok(Form { element, shape: broadcast::shape(site)? })
}

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    let read = |name| site.attributes.integer(name);
    let (low, high, shift) = (read("low")?, read("high")?, read("shift")? as u32);
    if low > high {
        return Err(Refusal::AttributeRange { name: "low", value: low, low: i64::MIN, high });
    }
    let mut sum = [0_i128; 2];
    for (input, name) in ["left", "right"].into_iter().enumerate() {
        let (x, factor) = (site.input(input)?.interval, i128::from(read(name)?));
        let ends = [i128::from(x.low) * factor, i128::from(x.high) * factor];
        sum = [sum[0] + ends[0].min(ends[1]), sum[1] + ends[0].max(ends[1])];
    }
    let magnitude = sum[0].unsigned_abs().max(sum[1].unsigned_abs());
    if magnitude > 1 << 61 {
        let magnitude = u64::try_from(magnitude).unwrap_or(u64::MAX);
        return Err(Refusal::Overflow { what: "the sum's 2^61", magnitude });
    }
    let image = |sum: i128| fixed::round_shift(sum as i64, shift).max(low).min(high);
    Ok(Interval { low: image(sum[0]), high: image(sum[1]) })
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let read = |name| attributes.integer(name).map_err(|_| excluded("add_scaled"));
    let (low, high, shift) = (read("low")?, read("high")?, read("shift")? as u32);
    let (left, right) = (read("left")?, read("right")?);
    let element = Element::from_code(read("element")? as u8).ok_or(excluded("add_scaled"))?;
    let (a, b) = (integers("add_scaled", inputs, 0)?, integers("add_scaled", inputs, 1)?);
    let (sizes, pairs) = broadcast::pairs(inputs[0].shape(), inputs[1].shape());
    let values = pairs
        .into_iter()
        .map(|(one, other)| fixed::round_shift(a[one] * left + b[other] * right, shift).max(low).min(high));
    integer_tensor("add_scaled", element, &sizes, values.collect())
}
