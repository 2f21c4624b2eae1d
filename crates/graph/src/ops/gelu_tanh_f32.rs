//! `gelu_tanh_f32`: the Gaussian error unit by its tanh: `h = 0.5·x`, `y = h·tanh(u) + h` as one fused step.

use super::{
    map_f32::{apply, shape},
    walk,
};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Kind, Operator, Reach, no_bounds},
    tensor::Tensor,
};

pub static OPERATOR: Operator = Operator {
    name: "gelu_tanh_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (1, 1),
    attributes: &[],
    shape,
    bounds: no_bounds,
    work: walk::mapped,
    meaning,
};

/// √(2/π), and the cubic term's coefficient.
const RATE: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

/// `u = x·√(2/π)·(1 + 0.044715·x²)`, products left to right.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    let inner = x * RATE * (x * x).mul_add(CUBIC, 1.0);
    let half = 0.5 * x;
    half.mul_add(super::tanh_f32::tanh(inner), half)
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    apply("gelu_tanh_f32", inputs, gelu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gelu_is_near_the_same_formula_in_wide_floats() {
        for i in -8000..8000 {
            let x = i as f32 / 1000.0;
            let wide = f64::from(x);
            let exact = 0.5 * wide * (1.0 + (0.797_884_560_802_865_4 * (wide + 0.044_715 * wide * wide * wide)).tanh());
            assert!((f64::from(gelu(x)) - exact).abs() < 1e-6, "{x}: {} {exact}", gelu(x));
        }
    }
}
