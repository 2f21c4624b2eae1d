//! Real scales as multipliers of fixed point, and matrices as int8 with scales that such multipliers hit exactly.

use super::{CompileRefusal, calculator::Calculator, decoder::Matrix, tables::nearest};
use crate::tensor::{Data, Tensor};

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
    /// A row after the other.
    pub weights: Vec<i8>,
    pub bias: Option<Tensor>,
    pub factors: Vec<Factor>,
}

/// Half of what the accumulator holds.
const BIAS_MAX: i64 = 1 << 29;

/// Bits of the multipliers: few, so that products stay small, at the price of up to 1/64 of the weights' range.
const BITS: u8 = 7;

/// What outputs and inputs of a matrix count in.
#[derive(Clone, Copy)]
pub struct Units<'a> {
    pub input: f64,
    /// One for each output, or one for all.
    pub outputs: &'a [f64],
}

pub fn quantise(
    site: &str,
    matrix: &Matrix,
    units: Units,
    calculator: &dyn Calculator,
) -> Result<Quantised, CompileRefusal> {
    let Units { input, outputs } = units;
    let mut weights = vec![0; matrix.values.len()];
    let (mut factors, mut biases) = (Vec::with_capacity(matrix.rows), Vec::new());
    let rows = matrix.values.chunks_exact(matrix.columns).zip(weights.chunks_exact_mut(matrix.columns));
    for (index, (row, weights)) in rows.enumerate() {
        let bias = matrix.bias.as_ref().and_then(|bias| bias.get(index).copied()).unwrap_or(0.0);
        let output = outputs.get(index % outputs.len().max(1)).copied().unwrap_or(1.0);
        let mut most = row.iter().fold(0.0_f32, |most, weight| most.max(weight.abs()));
        if most == 0.0 {
            // A row of zeros may still have a bias, which then sets the unit.
            most = bias.abs();
        }
        if most == 0.0 {
            biases.push(0);
            factors.push(Factor { multiplier: 0, shift: 0 });
            continue;
        }
        let ratio = input * (f64::from(most) / 127.0) / output;
        let refuse = || CompileRefusal::Scale { site: site.to_owned(), ratio: ratio.to_string() };
        let factor = Factor::above(ratio, BITS).ok_or_else(refuse)?;
        let unit = factor.value() * output / input;
        calculator.quantise(row, unit, weights);
        factors.push(factor);
        // Cut where the accumulator would refuse it; no trained bias comes near.
        biases.push(nearest(f64::from(bias) / (input * unit)).clamp(-BIAS_MAX, BIAS_MAX) as i32);
    }
    let bias = matrix.bias.as_ref().map(|_| Tensor::of(&[matrix.rows], Data::I32(biases)));
    Ok(Quantised { weights, bias, factors })
}

/// `matrix` with column j multiplied by `gain[j]`.
pub fn with_gain(matrix: &Matrix, gain: &[f32]) -> Matrix {
    let values = matrix
        .values
        .chunks_exact(matrix.columns)
        .flat_map(|row| row.iter().zip(gain).map(|(weight, gain)| weight * gain))
        .collect();
    Matrix { values, bias: matrix.bias.clone(), ..*matrix }
}

/// What each column of activations is divided by, and each column of the matrices behind multiplied with, so that columns
/// that are large in one and small in the other share the loss of being cut to 8 bits: `√(activation / weight)`.
pub fn migration(seen: &[f64], matrices: &[&Matrix]) -> Vec<f64> {
    let mut weights = vec![0.0_f64; seen.len()];
    matrices.iter().for_each(|matrix| widest(&mut weights, matrix));
    balance(seen, &weights)
}

/// Raises each column's greatest weight to that of a matrix.
pub fn widest(weights: &mut [f64], matrix: &Matrix) {
    for row in matrix.values.chunks_exact(matrix.columns) {
        weights.iter_mut().zip(row).for_each(|(most, weight)| *most = most.max(f64::from(weight.abs())));
    }
}

/// `migration` for columns of those greatest weights.
pub fn balance(seen: &[f64], weights: &[f64]) -> Vec<f64> {
    let of_column = |(&seen, &weight): (&f64, &f64)| {
        if seen > 0.0 && weight > 0.0 { (seen / weight).sqrt() } else { 1.0 }
    };
    seen.iter().zip(weights).map(of_column).collect()
}

/// `matrix` with column j multiplied by `scales[j]`.
pub fn with_scales(matrix: &Matrix, scales: &[f64]) -> Matrix {
    let scales: Vec<f32> = scales.iter().map(|scale| *scale as f32).collect();
    with_gain(matrix, &scales)
}

#[cfg(test)]
mod tests {
    use super::{super::calculator::Plain, *};

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
        let matrix = Matrix { rows: 2, columns: 3, values: vec![0.5, -1.0, 0.25, 0.0, 0.0, 0.0], bias: None };
        let quantised = quantise("test", &matrix, Units { input: 0.01, outputs: &[0.02] }, &Plain).unwrap();
        let values = quantised.weights;
        assert!(values[1] <= -125 && values[0] >= 62, "{values:?}");
        assert_eq!(quantised.factors[1], Factor { multiplier: 0, shift: 0 });
    }

    #[test]
    fn a_bias_counts_in_units_of_its_accumulator_and_a_row_of_zeros_keeps_its_own() {
        let bias = Some(vec![2.0, -3.0]);
        let matrix = Matrix { rows: 2, columns: 2, values: vec![1.0, -0.5, 0.0, 0.0], bias };
        let quantised = quantise("test", &matrix, Units { input: 0.01, outputs: &[0.02, 0.05] }, &Plain).unwrap();
        let bias = quantised.bias.unwrap().integers().unwrap();
        for ((bias, factor), (real, unit)) in bias.iter().zip(&quantised.factors).zip([(2.0, 0.02), (-3.0, 0.05)]) {
            let said = *bias as f64 * factor.value() * unit;
            assert!((said - real).abs() < 0.02 * f64::abs(real), "{said} for {real}");
        }
    }

    #[test]
    fn migration_makes_columns_of_activations_and_weights_equally_large() {
        let matrix = Matrix { rows: 1, columns: 3, values: vec![0.01, 1.0, 0.0], bias: None };
        let seen = [100.0, 4.0, 5.0];
        let scales = migration(&seen, &[&matrix]);
        assert!((scales[0] - 100.0).abs() < 1e-4 && scales[1..] == [2.0, 1.0], "{scales:?}");
        assert_eq!(with_scales(&matrix, &[100.0, 2.0, 1.0]).values, [1.0, 2.0, 0.0]);
    }
}
