//! The heavy arithmetic of calibration and conversion, so that a caller with fast kernels can lend them.
//!
//! Each step has one meaning, so whoever does it, the artefact is the same.

use super::{decoder::Matrix, tables::nearest};

/// Floats in a fixed order.
pub trait Calculator: Sync {
    /// `out[row][output]`: from +0 over the columns in order, each product rounded, then its sum; the bias is added last.
    fn multiply(&self, matrix: &Matrix, x: &[f32]) -> Vec<f32>;

    /// `⌊weight / unit + 1/2⌋` in binary64, within ±127.
    fn quantise(&self, weights: &[f32], unit: f64, out: &mut [i8]);
}

/// In plain words: what fast ones are held against.
pub struct Plain;

/// Rows that share each pass over the weights.
const ROWS: usize = 8;

impl Calculator for Plain {
    fn multiply(&self, matrix: &Matrix, x: &[f32]) -> Vec<f32> {
        let (outputs, inputs) = (matrix.rows, matrix.columns);
        // Inputs outermost, so that one input's products with all outputs lie side by side.
        let turned = |index: usize| matrix.values[index % outputs * inputs + index / outputs];
        let turned: Vec<f32> = (0..outputs * inputs).map(turned).collect();
        let mut sums = vec![0.0_f32; x.len() / inputs * outputs];
        for (rows, sums) in x.chunks(ROWS * inputs).zip(sums.chunks_mut(ROWS * outputs)) {
            for (input, weights) in turned.chunks_exact(outputs).enumerate() {
                for (row, sums) in rows.chunks_exact(inputs).zip(sums.chunks_exact_mut(outputs)) {
                    let x = row[input];
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum += x * weight;
                    }
                }
            }
        }
        for sums in sums.chunks_exact_mut(outputs) {
            matrix.bias.iter().flatten().zip(sums).for_each(|(bias, sum)| *sum += bias);
        }
        sums
    }

    fn quantise(&self, weights: &[f32], unit: f64, out: &mut [i8]) {
        for (out, &weight) in out.iter_mut().zip(weights) {
            *out = nearest(f64::from(weight) / unit).clamp(-127, 127) as i8;
        }
    }
}
