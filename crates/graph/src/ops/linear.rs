//! `linear`: integer activations times a constant int8 matrix, plus an optional constant bias, as i32.
//!
//! `y[r, n] = bias[n] + Σ_k x[r, k] · w[n, k]`. Integer sums are associative, so any order gives these bits.

use std::sync::Arc;

use super::{integer_tensor, integers, sizes_with_width, walk, weights};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    formats::{GROUP_COLUMNS, Packed, TILE_ROWS, Weights},
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "linear",
    kind: Kind::Integer,
    reach: Reach::Row,
    inputs: (2, 3),
    attributes: &[],
    shape,
    bounds,
    work: walk::products,
    meaning,
};

/// No sum may leave [-2^30, 2^30]: half the range of the field that proofs are made over, and far within i32.
pub const ACCUMULATOR_MAX: u128 = 1 << 30;

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.input(0)?;
    if !matches!(x.element, Element::I8 | Element::U8 | Element::I16) {
        return Err(Refusal::Element { input: 0, expected: "i8, u8 or i16", found: x.element });
    }
    site.linear(site.expect_weights(1, Weights::Integer, "packed i8")?, Element::I32)
}

/// Per output: |bias| + max |x| · Σ |w|.
fn bounds(site: &Site) -> Result<Interval, Refusal> {
    let magnitude = u128::from(site.input(0)?.interval.magnitude());
    let norms = norms(site, 1)?;
    site.account.walk(norms.each.len() as u64)?;
    let mut worst = 0;
    for (output, &norm) in norms.each.iter().enumerate() {
        let bias = match site.inputs.get(2).and_then(|fact| fact.constant.as_ref()) {
            Some(bias) => u128::from(bias.integer(output).unwrap_or(0).unsigned_abs()),
            None => 0,
        };
        worst = worst.max(bias + magnitude * u128::from(norm));
    }
    if worst > ACCUMULATOR_MAX {
        let magnitude = u64::try_from(worst).unwrap_or(u64::MAX);
        return Err(Refusal::Overflow { what: "the accumulator's 2^30", magnitude });
    }
    Interval::symmetric(worst, Element::I32)
}

/// Σ |w| of each output of each matrix of integer weights, and the greatest.
pub struct Norms {
    pub each: Vec<u64>,
    pub most: u64,
}

/// Those of the weights at that input, counted once however many nodes share them.
pub(super) fn norms(site: &Site, input: usize) -> Result<Arc<Norms>, Refusal> {
    let weights = site.expect_constant(input)?.as_packed().ok_or(Refusal::NotConstant { input })?;
    site.derived(&[input], || {
        site.account.walk(weights.bytes().len() as u64)?;
        site.account.keep((weights.tiles().count() * TILE_ROWS * size_of::<u64>()) as u64)?;
        let each = norms_of(weights);
        let most = each.iter().copied().max().unwrap_or(0);
        Ok(Norms { each, most })
    })
}

/// Tile by tile: of all weights of a model, so without unpacking.
fn norms_of(weights: &Packed) -> Vec<u64> {
    let mut norms = Vec::new();
    for tile in weights.tiles() {
        let mut sums = [0_u64; TILE_ROWS];
        for group in tile.chunks_exact(TILE_ROWS * GROUP_COLUMNS) {
            for (sum, bytes) in sums.iter_mut().zip(group.chunks_exact(GROUP_COLUMNS)) {
                *sum += bytes.iter().map(|byte| u64::from(byte.cast_signed().unsigned_abs())).sum::<u64>();
            }
        }
        norms.extend(sums);
    }
    // What fills up the last tile of a matrix is no output.
    let matrices = norms.chunks(weights.tiles_of_matrix().max(1) * TILE_ROWS);
    matrices.flat_map(|norms| norms.iter().take(weights.rows())).copied().collect()
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let (x, weights) = (integers("linear", inputs, 0)?, weights("linear", inputs, 1)?);
    let outputs = weights.rows();
    let bias = if inputs.len() == 3 { integers("linear", inputs, 2)? } else { vec![0; outputs] };
    let rows: Vec<Vec<i64>> = (0..outputs).map(|output| weights.integers(output)).collect();
    let mut values = Vec::new();
    for x in x.chunks_exact(weights.columns()) {
        for (weights, bias) in rows.iter().zip(&bias) {
            values.push(bias + x.iter().zip(weights).map(|(x, w)| x * w).sum::<i64>());
        }
    }
    integer_tensor("linear", Element::I32, &sizes_with_width(inputs[0].shape(), outputs), values)
}
