//! The table of fast kernels: a file for each operator that has one, with the operator's name.
//!
//! Operators without a row run by their reference meaning.

pub mod add;
pub mod add_f32;
pub mod add_scaled;
pub mod attend;
pub mod attention;
pub mod attention_f32;
pub mod attention_q8_f32;
mod bytewise;
pub mod choose_experts;
pub mod choose_experts_f32;
pub mod combine_experts;
pub mod combine_experts_f32;
pub mod concat;
pub mod convolve;
pub mod dequantise;
mod experts;
mod gated;
pub mod gather_blocks_f32;
pub mod gather_chosen;
pub mod gather_rows;
pub mod gelu_tanh_f32;
mod images;
pub mod layer_norm;
pub mod linear;
pub mod linear_blocks_f32;
pub mod linear_experts;
pub mod linear_experts_blocks_f32;
pub mod linear_experts_f32;
pub mod linear_f32;
pub mod lookup;
mod map;
pub mod multiply;
pub mod multiply_f32;
mod pairwise;
mod pieces;
pub mod pool_max;
pub mod pool_sum;
mod pools;
pub mod quantise;
mod queries;
mod reference;
pub mod requantise;
pub mod reshape;
pub mod rms_norm;
pub mod rms_norm_f32;
pub mod rope;
pub mod rope_f32;
mod scales;
pub mod sigmoid_f32;
pub mod silu_f32;
pub mod slice;
pub mod softcap_f32;
pub mod softmax_f32;
pub mod transpose;
pub mod trees;
pub mod weigh;
pub mod weigh_experts_f32;

pub use gated::make as gated;
use graph::Node;

use crate::kernel::{Kernel, Make, Making};

/// Operators with fast kernels, in the order of their names.
pub static KERNELS: &[(&str, Make)] = &[
    ("add", add::make),
    ("add_f32", add_f32::make),
    ("add_scaled", add_scaled::make),
    ("attend", attend::make),
    ("attention", attention::make),
    ("attention_f32", attention_f32::make),
    ("attention_q8_f32", attention_q8_f32::make),
    ("choose_experts", choose_experts::make),
    ("choose_experts_f32", choose_experts_f32::make),
    ("combine_experts", combine_experts::make),
    ("combine_experts_f32", combine_experts_f32::make),
    ("concat", concat::make),
    ("convolve", convolve::make),
    ("dequantise", dequantise::make),
    ("gather_blocks_f32", gather_blocks_f32::make),
    ("gather_chosen", gather_chosen::make),
    ("gather_rows", gather_rows::make),
    ("gelu_tanh_f32", gelu_tanh_f32::make),
    ("layer_norm", layer_norm::make),
    ("linear", linear::make),
    ("linear_blocks_f32", linear_blocks_f32::make),
    ("linear_experts", linear_experts::make),
    ("linear_experts_blocks_f32", linear_experts_blocks_f32::make),
    ("linear_experts_f32", linear_experts_f32::make),
    ("linear_f32", linear_f32::make),
    ("lookup", lookup::make),
    ("multiply", multiply::make),
    ("multiply_f32", multiply_f32::make),
    ("pool_max", pool_max::make),
    ("pool_sum", pool_sum::make),
    ("quantise", quantise::make),
    ("requantise", requantise::make),
    ("reshape", reshape::make),
    ("rms_norm", rms_norm::make),
    ("rms_norm_f32", rms_norm_f32::make),
    ("rope", rope::make),
    ("rope_f32", rope_f32::make),
    ("sigmoid_f32", sigmoid_f32::make),
    ("silu_f32", silu_f32::make),
    ("slice", slice::make),
    ("softcap_f32", softcap_f32::make),
    ("softmax_f32", softmax_f32::make),
    ("transpose", transpose::make),
    ("trees", trees::make),
    ("weigh", weigh::make),
    ("weigh_experts_f32", weigh_experts_f32::make),
];

/// Operators whose kernels take a tail.
pub const TAILED: &[&str] = &["add", "attention", "linear", "multiply", "rms_norm", "rope"];

/// The fast kernel for a node, if there is one.
pub fn fast(node: &Node, making: &Making) -> Option<Box<dyn Kernel>> {
    KERNELS.iter().find(|(name, _)| *name == node.operator.name).and_then(|(_, make)| make(making))
}

/// The kernel for a node: fast where there is one, else the reference meaning.
pub fn make(node: &Node, making: &Making) -> Box<dyn Kernel> {
    fast(node, making).unwrap_or_else(|| reference::make(node, making))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_has_an_operator_and_stands_in_its_order() {
        assert!(KERNELS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(KERNELS.iter().all(|(name, _)| graph::ops::find(name).is_some()));
    }
}
