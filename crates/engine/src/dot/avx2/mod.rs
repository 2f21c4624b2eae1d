//! AVX2: 8 outputs a vector. `vpmaddubsw` adds pairs of products in i16 and saturates there, so it is used only where no
//! pair can leave i16: magnitudes of weights (at most 128) times activations (at most 127) with the weight's sign; and
//! nibbles (at most 15) times activations, of which a whole block stays in i16.

pub mod panel;
pub mod single;

use std::arch::{asm, x86_64::__m256i};

/// Nothing at run time. It keeps the compiler from reordering the sums of an unrolled loop until they no longer fit the
/// registers.
#[inline]
#[target_feature(enable = "avx2")]
fn pin(mut sums: __m256i) -> __m256i {
    // SAFETY: there is no instruction.
    unsafe { asm!("/* {0} */", inout(ymm_reg) sums, options(pure, nomem, nostack, preserves_flags)) };
    sums
}
