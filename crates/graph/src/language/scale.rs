//! Real scales as multipliers of fixed point, and matrices as int8 with scales that such multipliers hit exactly.

use super::{CompileRefusal, decoder::Matrix, tables::nearest};
use crate::{formats::Packed, tensor::Tensor};

/// A positive factor as `multiplier / 2^shift`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factor {
    pub multiplier: i64,
    pub shift: u8,
}

const SHIFT_MAX: u8 = 46;

impl Factor {
    pub const ONE: Self = Self { multiplier: 1, shift: 0 };

    /// The nearest with a multiplier of `bits` bits.
    pub fn nearest(ratio: f64, bits: u8) -> Option<Self> {
        let (scaled, shift) = normalise(ratio, bits)?;
        Some(Self { multiplier: nearest(scaled), shift })
    }

    /// The least that is not below `ratio`.
    pub fn above(ratio: f64, bits: u8) -> Option<Self> {
        let (scaled, shift) = normalise(ratio, bits)?;
        Some(Self { multiplier: scaled.ceil() as i64, shift })
    }

    pub fn value(self) -> f64 {
        self.multiplier as f64 / (1_u64 << self.shift) as f64
    }
}

/// `ratio · 2^shift`, within [2^(bits-1), 2^bits), and that shift.
fn normalise(ratio: f64, bits: u8) -> Option<(f64, u8)> {
    let (low, high) = ((1_u64 << (bits - 1)) as f64, (1_u64 << bits) as f64);
    let mut scaled = ratio;
    let mut shift = 0;
    while scaled < low && shift < SHIFT_MAX {
        scaled *= 2.0;
        shift += 1;
    }
    // A ratio that needs a larger multiplier, or more shift than there is, comes from a degenerate checkpoint.
    (scaled >= low && scaled < high).then_some((scaled, shift))
}

/// A matrix in int8 whose accumulators a factor per output brings to the output's scale.
pub struct Quantised {
    pub weights: Tensor,
    pub factors: Vec<Factor>,
}

/// Bits of the multipliers: few, so that products stay small, at the price of up to 1/64 of the weights' range.
const BITS: u8 = 7;

/// Quantises rows for inputs in units of `input` and outputs in units of `output`.
pub fn quantise(site: &str, matrix: &Matrix, input: f64, output: f64) -> Result<Quantised, CompileRefusal> {
    let mut values = Vec::with_capacity(matrix.values.len());
    let mut factors = Vec::with_capacity(matrix.rows);
    for row in matrix.values.chunks_exact(matrix.columns) {
        let most = row.iter().fold(0.0_f32, |most, weight| most.max(weight.abs()));
        if most == 0.0 {
            factors.push(Factor { multiplier: 0, shift: 0 });
            values.extend(row.iter().map(|_| 0_i8));
            continue;
        }
        let ratio = input * (f64::from(most) / 127.0) / output;
        let refuse = || CompileRefusal::Scale { site: site.to_owned(), ratio: ratio.to_string() };
        let factor = Factor::above(ratio, BITS).ok_or_else(refuse)?;
        let unit = factor.value() * output / input;
        values.extend(row.iter().map(|&weight| nearest(f64::from(weight) / unit).clamp(-127, 127) as i8));
        factors.push(factor);
    }
    let shape = [matrix.rows, matrix.columns];
    // Import has checked the counts.
    let packed = Packed::of_integers(&shape, &values).unwrap_or_else(|| unreachable!("a matrix of {shape:?} packs"));
    Ok(Quantised { weights: Tensor::packed(&shape, packed), factors })
}

/// `matrix` with column j multiplied by `gain[j]`.
pub fn with_gain(matrix: &Matrix, gain: &[f32]) -> Matrix {
    let values = matrix
        .values
        .chunks_exact(matrix.columns)
        .flat_map(|row| row.iter().zip(gain).map(|(weight, gain)| weight * gain))
        .collect();
    Matrix { values, ..*matrix }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_within_half_a_unit_and_above_means_above() {
        for ratio in [0.9, 1e-3, 7e-9, 63.9, 0.5, 1.0 / 3.0] {
            let near = Factor::nearest(ratio, 15).unwrap();
            assert!((near.value() / ratio - 1.0).abs() < 1.0 / 16_384.0, "{ratio}");
            let above = Factor::above(ratio, 7).unwrap();
            assert!(above.value() >= ratio && above.value() < ratio * (1.0 + 1.0 / 32.0), "{ratio}");
        }
        assert_eq!(Factor::nearest(1e-30, 15), None);
        assert_eq!(Factor::nearest(1e9, 15), None);
    }

    #[test]
    fn a_quantised_row_keeps_its_largest_weight_within_int8() {
        let matrix = Matrix { rows: 2, columns: 3, values: vec![0.5, -1.0, 0.25, 0.0, 0.0, 0.0] };
        let quantised = quantise("test", &matrix, 0.01, 0.02).unwrap();
        let values = quantised.weights.as_packed().unwrap().integers(0);
        assert!(values[1] <= -125 && values[0] * 2 >= 124, "{values:?}");
        assert_eq!(quantised.factors[1], Factor { multiplier: 0, shift: 0 });
    }
}
