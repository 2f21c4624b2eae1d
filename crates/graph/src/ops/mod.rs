//! The table of operators: one file each, one row each.
//!
//! An operator is added by a file here, a row in [`OPERATORS`], its section in `specs/exact-graph.md` and, where it pays,
//! a kernel of the same name in the engine. Names and meanings never change; a new meaning is a new operator.

pub mod add;
pub mod add_f32;
pub mod add_scaled;
pub mod attend;
pub mod attention;
pub mod attention_f32;
pub mod attention_q8_f32;
mod broadcast;
pub mod choose_experts;
pub mod choose_experts_f32;
pub mod clip_f32;
pub mod combine_experts;
pub mod combine_experts_f32;
pub mod concat;
pub mod convolve;
pub mod dequantise;
pub mod divide_f32;
pub mod exp_f32;
pub mod gather_blocks_f32;
pub mod gather_chosen;
pub mod gather_rows;
pub mod gelu_tanh_f32;
pub mod greatest;
pub mod layer_norm;
pub mod linear;
pub mod linear_blocks_f32;
pub mod linear_experts;
pub mod linear_experts_blocks_f32;
pub mod linear_experts_f32;
pub mod linear_f32;
pub mod lookup;
mod map_f32;
pub mod mean_f32;
pub mod multiply;
pub mod multiply_f32;
pub mod order;
pub mod pool_max;
pub mod pool_sum;
pub mod quantise;
pub mod relu_f32;
pub mod requantise;
pub mod reshape;
pub mod rms_norm;
pub mod rms_norm_f32;
pub mod rope;
pub mod rope_f32;
pub mod share;
pub mod sigmoid_f32;
pub mod silu_f32;
pub mod slice;
pub mod softcap_f32;
pub mod softmax;
pub mod softmax_f32;
pub mod subtract_f32;
pub mod tanh_f32;
pub mod transpose;
pub mod trees;
mod walk;
pub mod weigh;
pub mod weigh_experts_f32;
pub mod window;

use crate::{
    evaluate::Fault,
    formats::Packed,
    operator::{Operator, Refusal, Site},
    tensor::{Data, Element, Tensor},
};

/// Every operator of the exact graph, in the order of their names.
pub static OPERATORS: &[&Operator] = &[
    &add::OPERATOR,
    &add_f32::OPERATOR,
    &add_scaled::OPERATOR,
    &attend::OPERATOR,
    &attention::OPERATOR,
    &attention_f32::OPERATOR,
    &attention_q8_f32::OPERATOR,
    &choose_experts::OPERATOR,
    &choose_experts_f32::OPERATOR,
    &clip_f32::OPERATOR,
    &combine_experts::OPERATOR,
    &combine_experts_f32::OPERATOR,
    &concat::OPERATOR,
    &convolve::OPERATOR,
    &dequantise::OPERATOR,
    &divide_f32::OPERATOR,
    &exp_f32::OPERATOR,
    &gather_blocks_f32::OPERATOR,
    &gather_chosen::OPERATOR,
    &gather_rows::OPERATOR,
    &gelu_tanh_f32::OPERATOR,
    &greatest::OPERATOR,
    &layer_norm::OPERATOR,
    &linear::OPERATOR,
    &linear_blocks_f32::OPERATOR,
    &linear_experts::OPERATOR,
    &linear_experts_blocks_f32::OPERATOR,
    &linear_experts_f32::OPERATOR,
    &linear_f32::OPERATOR,
    &lookup::OPERATOR,
    &mean_f32::OPERATOR,
    &multiply::OPERATOR,
    &multiply_f32::OPERATOR,
    &order::OPERATOR,
    &pool_max::OPERATOR,
    &pool_sum::OPERATOR,
    &quantise::OPERATOR,
    &relu_f32::OPERATOR,
    &requantise::OPERATOR,
    &reshape::OPERATOR,
    &rms_norm::OPERATOR,
    &rms_norm_f32::OPERATOR,
    &rope::OPERATOR,
    &rope_f32::OPERATOR,
    &share::OPERATOR,
    &sigmoid_f32::OPERATOR,
    &silu_f32::OPERATOR,
    &slice::OPERATOR,
    &softcap_f32::OPERATOR,
    &softmax::OPERATOR,
    &softmax_f32::OPERATOR,
    &subtract_f32::OPERATOR,
    &tanh_f32::OPERATOR,
    &transpose::OPERATOR,
    &trees::OPERATOR,
    &weigh::OPERATOR,
    &weigh_experts_f32::OPERATOR,
];

/// The operator of that name.
pub fn find(name: &str) -> Option<&'static Operator> {
    OPERATORS.iter().copied().find(|operator| operator.name == name)
}

// What meanings share. They index freely: shapes were checked before, and an oracle should read like its formula.

fn excluded(operator: &'static str) -> Fault {
    Fault::Excluded { operator }
}

/// The integers of an input, widened to 64 bits.
fn integers(operator: &'static str, inputs: &[&Tensor], index: usize) -> Result<Vec<i64>, Fault> {
    inputs.get(index).and_then(|tensor| tensor.integers()).ok_or(excluded(operator))
}

fn floats<'a>(operator: &'static str, inputs: &[&'a Tensor], index: usize) -> Result<&'a [f32], Fault> {
    inputs.get(index).and_then(|tensor| tensor.floats()).ok_or(excluded(operator))
}

fn weights<'a>(operator: &'static str, inputs: &[&'a Tensor], index: usize) -> Result<&'a Packed, Fault> {
    inputs.get(index).and_then(|tensor| tensor.as_packed()).ok_or(excluded(operator))
}

fn integer_tensor(
    operator: &'static str,
    element: Element,
    shape: &[usize],
    values: Vec<i64>,
) -> Result<Tensor, Fault> {
    Tensor::of_integers(element, shape, values).ok_or(excluded(operator))
}

fn float_tensor(operator: &'static str, shape: &[usize], values: Vec<f32>) -> Result<Tensor, Fault> {
    Tensor::new(shape, Data::F32(values)).ok_or(excluded(operator))
}

/// The element that an operator with a clamp gives.
fn element(site: &Site) -> Result<Element, Refusal> {
    let code = site.attributes.integer_in("element", 1, 4)?;
    let element = u8::try_from(code).ok().and_then(Element::from_code);
    element.ok_or(Refusal::Attribute { name: "element", expected: "an element's code" })
}

/// What it clamps to.
fn clamp(site: &Site) -> Result<(i64, i64), Refusal> {
    let (low, high) = (site.attributes.integer("low")?, site.attributes.integer("high")?);
    if low > high {
        return Err(Refusal::AttributeRange { name: "low", value: low, low: i64::MIN, high });
    }
    Ok((low, high))
}

/// `shape` with another innermost size.
fn sizes_with_width(shape: &[usize], width: usize) -> Vec<usize> {
    let mut sizes = shape.to_vec();
    if let Some(last) = sizes.last_mut() {
        *last = width;
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_in_the_order_of_their_names_and_each_name_is_found() {
        assert!(OPERATORS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for operator in OPERATORS {
            assert_eq!(find(operator.name).unwrap().name, operator.name);
        }
        assert!(find("nothing").is_none());
    }
}
