//! Panels with AVX2. Up to four rows share a pass over the weights, six where these are nibbles; chains stay in memory.

use std::arch::x86_64::*;

use super::pin;
use crate::dot::{
    BLOCK, Chain, Corner, ROWS,
    blocks::{BIAS, Blocks, Group, STARTS},
    panel::{BLOCK_BYTES, Panel, Steps, Values},
    ways::{Halves, Minimum, Way, Whole},
};

const GROUPS: usize = BLOCK / 4;

/// Takes a chain of 16 outputs for each row of activations through the panel's blocks, from a corner of both on.
///
/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn multiply(panel: &Panel, x: &Blocks, from: Corner, chains: &mut [Chain]) {
    let blocks = panel.checked_blocks();
    for (index, chains) in chains.chunks_mut(ROWS).enumerate() {
        let group = x.group(from.group + index, from.block);
        group.assert_blocks(blocks);
        assert!(chains.len() == group.width, "a chain for every row");
        let pass = if panel.values == Values::Signed { 4 } else { 6 };
        for (index, chains) in chains.chunks_mut(pass).enumerate() {
            // SAFETY: all lengths were asserted, and these rows are among the group's.
            unsafe { by_rows(panel, blocks, &group, index * pass, chains) };
        }
    }
}

macro_rules! by_rows {
    ($($rows:literal)*) => {
        /// # Safety
        /// As `signed`, for any number of chains that is here.
        #[target_feature(enable = "avx2,fma,f16c")]
        unsafe fn by_rows(panel: &Panel, blocks: usize, x: &Group, first: usize, chains: &mut [Chain]) {
            // SAFETY: as the caller promises.
            unsafe {
                match (chains.len(), panel.values, panel.steps) {
                    $(($rows, Values::Nibbles { offset }, Steps::Whole) => {
                        nibbles::<$rows, Whole>(panel, blocks, x, first, offset, chains);
                    }
                    ($rows, Values::Nibbles { offset }, Steps::Minimum) => {
                        nibbles::<$rows, Minimum>(panel, blocks, x, first, offset, chains);
                    }
                    ($rows, Values::Signed, Steps::Whole) => signed::<$rows, Whole>(panel, blocks, x, first, chains),
                    ($rows, Values::Signed, Steps::Minimum) => signed::<$rows, Minimum>(panel, blocks, x, first, chains),
                    ($rows, Values::Signed, Steps::Halves) => signed::<$rows, Halves>(panel, blocks, x, first, chains),)*
                    _ => unreachable!("a pass has at most six rows, and nibbles have one scale a block"),
                }
            }
        }
    };
}
by_rows!(1 2 3 4 5 6);

/// The two halves of 16 floats.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn pair(at: *const f32) -> [__m256; 2] {
    // SAFETY: the caller promises 16 floats.
    unsafe { [_mm256_loadu_ps(at), _mm256_loadu_ps(at.add(8))] }
}

/// # Safety
/// The CPU has the features named; panel and group hold `blocks` blocks; the group's rows from `first` on are at least
/// `R`, and so are the chains.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn signed<const R: usize, W: Way>(panel: &Panel, blocks: usize, x: &Group, first: usize, chains: &mut [Chain]) {
    let ones = _mm256_set1_epi16(1);
    for block in 0..blocks {
        let bytes = panel.bytes.as_ptr().wrapping_add(block * BLOCK_BYTES).cast::<__m256i>();
        let quants = x.quants.as_ptr().wrapping_add((block * x.width + first) * BLOCK).cast::<i32>();
        for step in 0..W::STEPS {
            let mut sums = [[_mm256_setzero_si256(); 2]; R];
            for group in GROUPS / W::STEPS * step..GROUPS / W::STEPS * (step + 1) {
                for half in 0..2 {
                    // SAFETY: a group of 4 columns is two vectors, and a row's block is 8 words of 4 quants.
                    unsafe {
                        let weights = _mm256_loadu_si256(bytes.add(group * 2 + half));
                        let magnitudes = _mm256_abs_epi8(weights);
                        for (row, sums) in sums.iter_mut().enumerate() {
                            let x = _mm256_set1_epi32(quants.add(row * GROUPS + group).read_unaligned());
                            let products = _mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(x, weights));
                            sums[half] = pin(_mm256_add_epi32(sums[half], _mm256_madd_epi16(products, ones)));
                        }
                    }
                }
            }
            // SAFETY: 16 scales a step.
            let scales = unsafe { pair(panel.scales.as_ptr().add((block * W::STEPS + step) * ROWS)) };
            for (row, (chain, sums)) in chains.iter_mut().zip(sums).enumerate() {
                take(chain, scales, x.scales[block * x.width + first + row], sums);
            }
        }
        if W::MINIMUM {
            subtract(&panel.minima[block * ROWS..], &x.sums[block * x.width + first..], chains);
        }
    }
}

/// # Safety
/// As `signed`; no byte of the panel is above 15.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn nibbles<const R: usize, W: Way>(
    panel: &Panel,
    blocks: usize,
    x: &Group,
    first: usize,
    offset: i32,
    chains: &mut [Chain],
) {
    let ones = _mm256_set1_epi16(1);
    for block in 0..blocks {
        let bytes = panel.bytes.as_ptr().wrapping_add(block * BLOCK_BYTES).cast::<__m256i>();
        let quants = x.quants.as_ptr().wrapping_add((block * x.width + first) * BLOCK).cast::<i32>();
        let mut sums = [[_mm256_setzero_si256(); 2]; R];
        for group in 0..GROUPS {
            for half in 0..2 {
                // SAFETY: a group of 4 columns is two vectors, and a row's block is 8 words of 4 quants.
                unsafe {
                    let weights = _mm256_loadu_si256(bytes.add(group * 2 + half));
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let x = _mm256_set1_epi32(quants.add(row * GROUPS + group).read_unaligned());
                        sums[half] = pin(_mm256_add_epi16(sums[half], _mm256_maddubs_epi16(weights, x)));
                    }
                }
            }
        }
        // SAFETY: 16 scales a block.
        let scales = unsafe { pair(panel.scales.as_ptr().add(block * ROWS)) };
        let starts = &x.starts[block * STARTS * x.width + first..];
        for (row, (chain, sums)) in chains.iter_mut().zip(sums).enumerate() {
            let start = _mm256_set1_epi32(starts[row] / BIAS * offset);
            let sums = sums.map(|sums| _mm256_add_epi32(_mm256_madd_epi16(sums, ones), start));
            take(chain, scales, x.scales[block * x.width + first + row], sums);
        }
        if W::MINIMUM {
            subtract(&panel.minima[block * ROWS..], &x.sums[block * x.width + first..], chains);
        }
    }
}

/// `chain = fma(scale · x, sum, chain)`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn take(chain: &mut Chain, scales: [__m256; 2], x: f32, sums: [__m256i; 2]) {
    for half in 0..2 {
        let product = _mm256_mul_ps(scales[half], _mm256_set1_ps(x));
        // SAFETY: a chain is two vectors.
        unsafe {
            let at = chain.as_mut_ptr().add(8 * half);
            _mm256_storeu_ps(at, _mm256_fmadd_ps(product, _mm256_cvtepi32_ps(sums[half]), _mm256_loadu_ps(at)));
        }
    }
}

/// `chain = fma(minimum, sum, chain)` for each row.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn subtract(minima: &[f32], sums: &[f32], chains: &mut [Chain]) {
    assert!(minima.len() >= ROWS, "16 minima");
    // SAFETY: as asserted.
    let minima = unsafe { pair(minima.as_ptr()) };
    for (chain, sum) in chains.iter_mut().zip(sums) {
        for (half, minima) in minima.iter().enumerate() {
            // SAFETY: a chain is two vectors.
            unsafe {
                let at = chain.as_mut_ptr().add(8 * half);
                let stepped = _mm256_fmadd_ps(*minima, _mm256_set1_ps(*sum), _mm256_loadu_ps(at));
                _mm256_storeu_ps(at, stepped);
            }
        }
    }
}
