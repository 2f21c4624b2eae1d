//! Constant tables of language graphs: the exponential and SiLU, built from `float`'s wide functions.

use crate::{
    float::exp_wide,
    tensor::{Data, Tensor},
};

/// Weights of the integer attention count in units of 2^-14 too.
pub const EXP_ONE: f64 = 16_384.0;
/// Entries of the exponential's table per unit of its argument.
pub const EXP_STEPS: f64 = 256.0;

/// `2^14 · e^(-i/256)` for i = 0, 1, … until the entry is 0, that one included.
pub fn exponential() -> Tensor {
    let mut values = Vec::new();
    loop {
        let value = nearest(EXP_ONE * exp_wide(-(values.len() as f64) / EXP_STEPS));
        values.push(value as i16);
        if value == 0 {
            return Tensor::of(&[values.len()], Data::I16(values));
        }
    }
}

/// SiLU of the integers from `-limit` to `limit`, of which one stands for `step`, in units of `unit`.
pub fn silu(limit: i64, step: f64, unit: f64) -> Tensor {
    let of = |index: i64| {
        let x = index as f64 * step;
        nearest(x / (1.0 + exp_wide(-x)) / unit).clamp(-32_767, 32_767) as i16
    };
    let values: Vec<i16> = (-limit..=limit).map(of).collect();
    Tensor::of(&[values.len()], Data::I16(values))
}

/// The nearest integer, halves toward plus infinity.
pub fn nearest(value: f64) -> i64 {
    (value + 0.5).floor() as i64
}
