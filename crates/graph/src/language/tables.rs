//! Constant tables of language graphs: rotation angles, the exponential and SiLU, built from `float`'s wide functions.

use crate::{
    float::{exp_wide, log_wide, sin_cos},
    tensor::{Data, Tensor},
};

use super::decoder::Config;

/// Cosines and sines of the integer rotation count in units of 2^-14.
pub const ROPE_ONE: f64 = 16_384.0;
/// Weights of the integer attention count in units of 2^-14 too.
pub const EXP_ONE: f64 = 16_384.0;
/// Entries of the exponential's table per unit of its argument.
pub const EXP_STEPS: f64 = 256.0;

/// For each position: the cosines of its angles, then the sines.
fn angles(config: &Config) -> impl Iterator<Item = f64> + '_ {
    let half = config.head / 2;
    let rate = log_wide(config.theta);
    let rates: Vec<f64> = (0..half).map(|pair| exp_wide(-rate * (pair as f64 / half as f64))).collect();
    (0..config.context).flat_map(move |position| {
        let turned: Vec<(f64, f64)> = rates.iter().map(|rate| sin_cos(position as f64 * rate)).collect();
        let cosines: Vec<f64> = turned.iter().map(|(_, cosine)| *cosine).collect();
        cosines.into_iter().chain(turned.into_iter().map(|(sine, _)| sine))
    })
}

pub fn rope_f32(config: &Config) -> Tensor {
    Tensor::of(&[config.context, config.head], Data::F32(angles(config).map(|value| value as f32).collect()))
}

pub fn rope(config: &Config) -> Tensor {
    let values = angles(config).map(|value| nearest(value * ROPE_ONE) as i16).collect();
    Tensor::of(&[config.context, config.head], Data::I16(values))
}

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
