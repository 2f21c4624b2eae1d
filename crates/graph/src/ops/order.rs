//! `order`: floats enter as integers of the same order, so that comparing them later is exact whatever their size.
//!
//! A number's 31 bits of magnitude, with its sign: `x < y` exactly where `order(x) < order(y)`, and both zeros are 0.

use super::{excluded, floats, integer_tensor, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "order",
    kind: Kind::Boundary,
    reach: Reach::Row,
    inputs: (1, 1),
    attributes: &[],
    shape,
    bounds,
    work: walk::alone,
    meaning,
};

/// The place of the greatest NaN, beyond both infinities.
pub const MOST: i64 = 0x7fc0_0000;

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.expect_element(0, Element::F32)?;
    Ok(Form { element: Element::I32, shape: x.shape.clone() })
}

fn bounds(_: &Site) -> Result<Interval, Refusal> {
    Ok(Interval { low: -MOST, high: MOST })
}

/// The place of a float among all floats; every NaN has the last one.
pub fn place(x: f32) -> i32 {
    let magnitude = (x.to_bits() & 0x7fff_ffff).cast_signed();
    match x {
        x if x.is_nan() => MOST as i32,
        x if x.is_sign_negative() => -magnitude,
        _ => magnitude,
    }
}

/// The float at a place.
pub fn at(place: i32) -> f32 {
    let magnitude = f32::from_bits(place.unsigned_abs() & 0x7fff_ffff);
    if place < 0 { -magnitude } else { magnitude }
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let values = floats("order", inputs, 0)?.iter().map(|&x| place(x).into()).collect();
    integer_tensor("order", Element::I32, inputs.first().ok_or(excluded("order"))?.shape(), values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_rise_as_floats_do_and_lead_back_to_them() {
        let floats =
            [f32::NEG_INFINITY, f32::MIN, -1.5, -1.0, -1e-45, 0.0, 1e-45, 1.0, 1.000_000_1, f32::MAX, f32::INFINITY];
        assert!(floats.windows(2).all(|pair| place(pair[0]) < place(pair[1])));
        assert!(floats.iter().all(|&x| at(place(x)) == x));
        assert_eq!([place(-0.0), place(0.0)], [0, 0]);
        assert!(place(f32::NAN) > place(f32::INFINITY) && place(-f32::NAN) == place(f32::NAN));
    }
}
