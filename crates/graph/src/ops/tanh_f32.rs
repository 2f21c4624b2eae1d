//! `tanh_f32`: the hyperbolic tangent, odd but for a zero (`tanh_f32(-0) = 0`): an odd polynomial near 0, the
//! specification's own exp beyond.

use super::{
    map_f32::{apply, shape},
    walk,
};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    float,
    operator::{Kind, Operator, Reach, no_bounds},
    tensor::Tensor,
};

pub static OPERATOR: Operator = Operator {
    name: "tanh_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (1, 1),
    attributes: &[],
    shape,
    bounds: no_bounds,
    work: walk::mapped_alone,
    meaning,
};

/// Coefficients of x^9, x^7, x^5 and x^3 in the series of tanh.
const SERIES: [f32; 4] = [62.0 / 2835.0, -17.0 / 315.0, 2.0 / 15.0, -1.0 / 3.0];

/// Below 1/4 the quotient of exponentials would cancel, and the series is within a unit of the last place.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let size = x.abs();
    let square = x * x;
    let [first, rest @ ..] = SERIES;
    let sum = rest.iter().fold(first, |sum, &coefficient| sum.mul_add(square, coefficient));
    let near = (sum * square).mul_add(x, x);
    let power = float::exp(-2.0 * size);
    let result = (1.0 - power) / (1.0 + power);
    let far = if x < 0.0 { -result } else { result };
    // Both are there before one is chosen, so that many can be computed side by side.
    if size < 0.25 { near } else { far }
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    apply("tanh_f32", inputs, tanh)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tanh_is_odd_and_within_six_units_of_the_last_place() {
        for i in 1..40_000 {
            let x = i as f32 / 2000.0;
            let exact = f64::from(x).tanh();
            assert!((f64::from(tanh(x)) - exact).abs() <= 6.0 * exact * 2_f64.powi(-24), "{x}: {} {exact}", tanh(x));
            assert_eq!(tanh(-x).to_bits(), (-tanh(x)).to_bits(), "{x}");
        }
    }
}
