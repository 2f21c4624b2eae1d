//! `quantise`: the caller's floats become integers, `clamp(round(x · 2^fraction), low, high)`, halves to even.
//!
//! Multiplying a binary32 value by a power of two is exact in binary64, so the only rounding is the one to an integer.

use super::{excluded, floats, integer_tensor, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "quantise",
    kind: Kind::Boundary,
    reach: Reach::Row,
    inputs: (1, 1),
    attributes: &["element", "fraction", "high", "low"],
    shape,
    bounds,
    work: walk::walked,
    meaning,
};

/// Bits after the point, in either direction.
pub const FRACTION_MAX: i64 = 62;

/// `2^exponent`, exact, for exponents within ± `FRACTION_MAX`.
pub fn power_of_two(exponent: i64) -> f64 {
    let exponent = exponent.clamp(-FRACTION_MAX, FRACTION_MAX);
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.expect_element(0, Element::F32)?;
    site.attributes.integer_in("fraction", -FRACTION_MAX, FRACTION_MAX)?;
    let code = site.attributes.integer_in("element", 1, 4)?;
    let element = u8::try_from(code).ok().and_then(Element::from_code);
    let element = element.ok_or(Refusal::Attribute { name: "element", expected: "an element's code" })?;
    Ok(Form { element, shape: x.shape.clone() })
}

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    let (low, high) = (site.attributes.integer("low")?, site.attributes.integer("high")?);
    if low > high {
        return Err(Refusal::AttributeRange { name: "low", value: low, low: i64::MIN, high });
    }
    Ok(Interval { low, high })
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let read = |name| attributes.integer(name).map_err(|_| excluded("quantise"));
    let (low, high, scale) = (read("low")?, read("high")?, power_of_two(read("fraction")?));
    let element = Element::from_code(read("element")? as u8).ok_or(excluded("quantise"))?;
    let quantise = |&x: &f32| {
        let rounded = (f64::from(x) * scale).round_ties_even();
        // Comparisons in binary64 are exact for bounds within 32 bits; a NaN, which callers cannot pass, becomes `low`.
        if rounded > low as f64 { if rounded < high as f64 { rounded as i64 } else { high } } else { low }
    };
    let values = floats("quantise", inputs, 0)?.iter().map(quantise).collect();
    integer_tensor("quantise", element, inputs[0].shape(), values)
}
