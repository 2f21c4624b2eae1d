//! Products of activations with packed weights, which are read where they lie.
//!
//! Weights lie in tiles of 16 outputs (`graph::formats`), so that a vector holds the same columns of 8 or 16 outputs:
//! kernels run over outputs, and no lane is ever summed with another. Integer sums are exact, and floats take their
//! steps in the order that the graph defines, so every level has the same bits, for any number of rows and threads.
//!
//! - `blocks`: activations quantised by 32, times formats with block scales.
//! - `integer`: activations of 8 and 16 bits times `i8`.
//! - `floats`: binary32 times floating formats, one chain an output.
//! - `windows`: bytes in pieces (the windows of images) times `i8`.
//! - One row reads weights as they are packed; several rows share a `panel`, into which weights are expanded once.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod blocks;
mod floats;
mod halves;
mod integer;
mod matrix;
mod panel;
mod portable;
mod table;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod tiles;
mod ways;
pub mod windows;

pub use blocks::Blocks;
pub use floats::{multiply_float_tiles, multiply_floats};
#[allow(unused_imports, reason = "as for the function")]
pub use integer::multiply_integers;
pub use integer::{Planes, multiply_integer_tiles, multiply_integers_then};
pub use matrix::{Matrix, Output, multiply_block_tiles, multiply_blocks};

/// Outputs of a tile, and rows of activations that lie side by side.
pub const ROWS: usize = 16;
/// Columns that share a scale.
pub const BLOCK: usize = 32;

/// The running sums of 16 outputs.
pub type Chain = [f32; ROWS];

/// Where in the activations a product begins: a group of rows, and a block of columns.
#[derive(Clone, Copy)]
pub struct Corner {
    pub group: usize,
    pub block: usize,
}
