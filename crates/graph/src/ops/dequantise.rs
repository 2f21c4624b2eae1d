//! `dequantise`: integers leave as floats, `x · 2^-fraction`, exactly: larger integers than binary32 holds are refused.

use super::{excluded, float_tensor, integers, quantise, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Interval, Kind, NO_BOUNDS, Operator, Reach, Refusal, Site},
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "dequantise",
    kind: Kind::Boundary,
    reach: Reach::Row,
    inputs: (1, 1),
    attributes: &["fraction"],
    shape,
    bounds,
    work: walk::walked,
    meaning,
};

/// All integers up to here are binary32 values.
pub const MAGNITUDE_MAX: u64 = 1 << 24;

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.expect_integer(0)?;
    site.attributes.integer_in("fraction", -quantise::FRACTION_MAX, quantise::FRACTION_MAX)?;
    Ok(Form { element: Element::F32, shape: x.shape.clone() })
}

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    let magnitude = site.input(0)?.interval.magnitude();
    if magnitude > MAGNITUDE_MAX {
        return Err(Refusal::Overflow { what: "the integers that f32 holds", magnitude });
    }
    Ok(NO_BOUNDS)
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let fraction = attributes.integer("fraction").map_err(|_| excluded("dequantise"))?;
    let scale = quantise::power_of_two(-fraction) as f32;
    let values = integers("dequantise", inputs, 0)?.into_iter().map(|x| x as f32 * scale).collect();
    float_tensor("dequantise", inputs[0].shape(), values)
}
