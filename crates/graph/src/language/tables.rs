//! Constant tables of language graphs: the exponential, activations and caps, built from `float`'s wide functions.

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
    words(limit, step, unit, |x| x / (1.0 + exp_wide(-x)))
}

/// GELU by tanh, in the same way.
pub fn gelu(limit: i64, step: f64, unit: f64) -> Tensor {
    words(limit, step, unit, gelu_tanh)
}

fn words(limit: i64, step: f64, unit: f64, curve: impl Fn(f64) -> f64) -> Tensor {
    let of = |index: i64| nearest(curve(index as f64 * step) / unit).clamp(-32_767, 32_767) as i16;
    let values: Vec<i16> = (-limit..=limit).map(of).collect();
    Tensor::of(&[values.len()], Data::I16(values))
}

/// `x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³)))`, written with one exponential.
pub fn gelu_tanh(x: f64) -> f64 {
    // √(2/π), rounded.
    let u = f64::from_bits(0x3fe9_8845_33d4_3651) * (x + 0.044_715 * x * x * x);
    x / (1.0 + exp_wide(-2.0 * u))
}

/// How many times its cap a capped number may be before it counts as cut.
const CAP_REACH: f64 = 5.0;

/// The cap of scores: entries for numbers from 0 to five caps, and what one step of the index stands for. The cap itself is
/// 32,767 steps.
pub fn score_cap(cap: f64) -> (Tensor, f64) {
    let step = CAP_REACH * cap / 32_767.0;
    let of = |index: i64| nearest(tanh(index as f64 * step / cap) * 32_767.0) as i16;
    let values: Vec<i16> = (0..=32_767).map(of).collect();
    (Tensor::of(&[values.len()], Data::I16(values)), step)
}

/// The cap of logits: entries for the indices from -32,767 to 32,767, in steps of which one is `unit`; and what one step of
/// the index stands for.
pub fn logit_cap(cap: f64, unit: f64) -> (Tensor, f64) {
    let step = CAP_REACH * cap / 32_767.0;
    let of = |index: i64| nearest(tanh(index as f64 * step / cap) * cap / unit) as i32;
    let values: Vec<i32> = (-32_767..=32_767).map(of).collect();
    (Tensor::of(&[values.len()], Data::I32(values)), step)
}

/// The logistic function of the integers from -32,767 to 32,767, of which one stands for 2^-11, in units of 2^-20.
pub fn sigmoid() -> Tensor {
    let of = |index: i64| nearest(1_048_576.0 / (1.0 + exp_wide(-(index as f64) / 2_048.0))) as i32;
    let values: Vec<i32> = (-32_767..=32_767).map(of).collect();
    Tensor::of(&[values.len()], Data::I32(values))
}

fn tanh(x: f64) -> f64 {
    1.0 - 2.0 / (exp_wide(2.0 * x) + 1.0)
}

/// The nearest integer, halves toward plus infinity.
pub fn nearest(value: f64) -> i64 {
    (value + 0.5).floor() as i64
}
