//! `linear_blocks_f32`: f32 activations times constant weights in scaled blocks, plus an optional constant bias.
//!
//! Activations are quantised by blocks of 32; dots of a scale's columns are integers; each output is one chain of fused
//! multiply-adds from 0 over the groups that share a scale, in their order, each group's minimum right behind its dot.

use super::{float_tensor, floats, sizes_with_width, walk, weights};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    formats::{Group, Weights},
    operator::{Form, Kind, Operator, Reach, Refusal, Site, no_bounds},
    tensor::{Element, Tensor},
};

pub use crate::formats::BLOCK;

pub static OPERATOR: Operator = Operator {
    name: "linear_blocks_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (2, 3),
    attributes: &[],
    shape,
    bounds: no_bounds,
    work: walk::products,
    meaning,
};

/// Adding and subtracting 1.5 · 2^23 rounds to the nearest integer, ties to even.
pub const ROUND: f32 = 12_582_912.0;

fn shape(site: &Site) -> Result<Form, Refusal> {
    site.expect_element(0, Element::F32)?;
    site.linear(site.expect_weights(1, Weights::Blocks, "weights in blocks")?, Element::F32)
}

/// What activations are multiplied by: `127 / most`, or 0 where that is not finite. No quant is beyond ±127 then.
pub fn inverse(most: f32) -> f32 {
    let inverse = 127.0 / most;
    if inverse < f32::INFINITY { inverse } else { 0.0 }
}

/// Activations, 32 or a whole row of a head, as integers from -127 to 127, and their scale.
pub fn quantise(block: &[f32], quants: &mut [i8]) -> f32 {
    // Comparisons, not max: a NaN is passed over here and becomes 0 below.
    let most = block.iter().fold(0.0_f32, |most, x| if x.abs() > most { x.abs() } else { most });
    let inverse = inverse(most);
    for (quant, x) in quants.iter_mut().zip(block) {
        *quant = (x * inverse + ROUND - ROUND) as i8;
    }
    most / 127.0
}

/// A block of activations: integers, their scale, and their sum times the scale.
struct Activations {
    quants: [i8; BLOCK],
    scale: f32,
    sum: f32,
}

fn activations(block: &[f32]) -> Activations {
    let mut quants = [0; BLOCK];
    let scale = quantise(block, &mut quants);
    let sum: i32 = quants.iter().map(|&quant| i32::from(quant)).sum();
    Activations { quants, scale, sum: scale * sum as f32 }
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let (x, weights) = (floats("linear_blocks_f32", inputs, 0)?, weights("linear_blocks_f32", inputs, 1)?);
    let bias = if inputs.len() == 3 { Some(floats("linear_blocks_f32", inputs, 2)?) } else { None };
    let rows: Vec<Vec<Group>> = (0..weights.rows()).map(|output| weights.groups(output)).collect();
    let mut values = Vec::new();
    for x in x.chunks_exact(weights.columns()) {
        let blocks: Vec<Activations> = x.chunks_exact(BLOCK).map(activations).collect();
        for (output, groups) in rows.iter().enumerate() {
            let sum = chain(&blocks, groups);
            values.push(bias.map_or(sum, |bias| sum + bias[output]));
        }
    }
    float_tensor("linear_blocks_f32", &sizes_with_width(inputs[0].shape(), weights.rows()), values)
}

/// What rows of weights make of one row of activations, without a bias.
pub(super) fn output(x: &[f32], rows: impl Iterator<Item = Vec<Group>>) -> Vec<f32> {
    let blocks: Vec<Activations> = x.chunks_exact(BLOCK).map(activations).collect();
    rows.map(|groups| chain(&blocks, &groups)).collect()
}

/// One output. A group has 32 columns, or 16 where two share a block of activations.
fn chain(blocks: &[Activations], groups: &[Group]) -> f32 {
    let mut sum = 0.0_f32;
    let mut column = 0;
    for group in groups {
        let block = &blocks[column / BLOCK];
        let quants = &block.quants[column % BLOCK..];
        let dot: i32 = group.quants.iter().zip(quants).map(|(&w, &x)| i32::from(w) * i32::from(x)).sum();
        sum = (group.scale * block.scale).mul_add(dot as f32, sum);
        if let Some(minimum) = group.minimum {
            sum = (-minimum).mul_add(block.sum, sum);
        }
        column += group.quants.len();
    }
    sum
}
