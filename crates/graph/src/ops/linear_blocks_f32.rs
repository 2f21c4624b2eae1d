//! `linear_blocks_f32`: f32 activations times int8 weights in blocks of 32, each block with a binary16 scale.
//!
//! Activations are quantised per block of 32; block dots are integers; the sum over blocks is one chain of fused
//! multiply-adds in the order of the blocks.

use super::{excluded, float_tensor, floats, integers, sizes_with_width};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    float::from_half,
    operator::{Form, Kind, Operator, Reach, Refusal, Site, no_bounds, with_width},
    shape::Shape,
    tensor::{Data, Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "linear_blocks_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (3, 3),
    attributes: &[],
    shape,
    bounds: no_bounds,
    meaning,
};

/// Weights per scale.
pub const BLOCK: usize = 32;

/// Adding and subtracting 1.5 · 2^23 rounds to the nearest integer, ties to even.
const ROUND: f32 = 12_582_912.0;

/// Rows and width of the weights (inputs 1 and 2), where they are constant int8 blocks with their scales.
pub(super) fn blocks(site: &Site) -> Result<(usize, usize), Refusal> {
    site.expect_element(1, Element::I8)?;
    site.expect_element(2, Element::F16)?;
    site.expect_constant(2)?;
    let [rows, width] = *site.expect_constant(1)?.shape() else {
        return Err(site.shape_refusal(1, "[outputs, inputs]"));
    };
    if rows == 0 || width == 0 || width % BLOCK != 0 {
        return Err(site.shape_refusal(1, "[outputs, a multiple of 32]"));
    }
    site.expect_shape(2, &Shape::fixed(&[rows, width / BLOCK]))?;
    Ok((rows, width))
}

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.expect_element(0, Element::F32)?;
    let (rows, width) = blocks(site)?;
    if site.width(0)? != width {
        return Err(site.shape_refusal(0, &format!("an innermost size of {width}")));
    }
    Ok(Form { element: Element::F32, shape: with_width(&x.shape, rows) })
}

/// 32 activations as integers from -127 to 127, and their scale.
pub fn quantise(block: &[f32], quants: &mut [i8]) -> f32 {
    // Comparisons, not max: a NaN is passed over here and becomes 0 below.
    let most = block.iter().fold(0.0_f32, |most, x| if x.abs() > most { x.abs() } else { most });
    let inverse = if most > 0.0 { 127.0 / most } else { 0.0 };
    for (quant, x) in quants.iter_mut().zip(block) {
        *quant = (x * inverse + ROUND - ROUND) as i8;
    }
    most / 127.0
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let (x, weights) = (floats("linear_blocks_f32", inputs, 0)?, integers("linear_blocks_f32", inputs, 1)?);
    let Data::F16(scales) = inputs[2].data() else { return Err(excluded("linear_blocks_f32")) };
    let (outputs, columns) = inputs[1].rows_and_width();
    let count = columns / BLOCK;
    let mut values = Vec::new();
    for row in x.chunks_exact(columns) {
        let mut quants = vec![0_i8; columns];
        let of_block = |(block, quants): (&[f32], &mut [i8])| quantise(block, quants);
        let row_scales: Vec<f32> = row.chunks_exact(BLOCK).zip(quants.chunks_exact_mut(BLOCK)).map(of_block).collect();
        for output in 0..outputs {
            let mut sum = 0.0_f32;
            for block in 0..count {
                let dot: i64 = (0..BLOCK)
                    .map(|i| i64::from(quants[block * BLOCK + i]) * weights[output * columns + block * BLOCK + i])
                    .sum();
                let scale = from_half(scales[output * count + block]) * row_scales[block];
                sum = scale.mul_add(dot as f32, sum);
            }
            values.push(sum);
        }
    }
    float_tensor("linear_blocks_f32", &sizes_with_width(inputs[0].shape(), outputs), values)
}
