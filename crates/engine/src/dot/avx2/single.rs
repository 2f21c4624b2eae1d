//! One row of activations with AVX2, the weights as they are packed: bound by memory, so two tiles are read at a time,
//! two streams of memory, each asked for well ahead.

use std::arch::x86_64::*;

use crate::dot::{
    Chain, ROWS,
    blocks::{BIAS, Group, STARTS},
    panel::{BLOCK_BYTES, Tile},
};

/// How far ahead weights are asked for.
const AHEAD: usize = 1024;
const HALF_LINE: usize = 32;

/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn two_q8_0(tiles: [Tile; 2], x: &Group, _: usize, out: &mut [Chain]) {
    // SAFETY: as the caller promises.
    unsafe { run::<2, false>(tiles, x, out) }
}

/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn one_q8_0(tile: Tile, x: &Group, _: usize, out: &mut [Chain]) {
    // SAFETY: as the caller promises.
    unsafe { run::<1, false>([tile], x, out) }
}

/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn two_q4_0(tiles: [Tile; 2], x: &Group, _: usize, out: &mut [Chain]) {
    // SAFETY: as the caller promises.
    unsafe { run::<2, true>(tiles, x, out) }
}

/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn one_q4_0(tile: Tile, x: &Group, _: usize, out: &mut [Chain]) {
    // SAFETY: as the caller promises.
    unsafe { run::<1, true>([tile], x, out) }
}

/// # Safety
/// The CPU has the features named.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn run<const S: usize, const NIBBLES: bool>(tiles: [Tile; S], x: &Group, out: &mut [Chain]) {
    let blocks = tiles[0].total;
    assert!(x.width == 1 && out.len() == S, "one row, and a chain for every tile");
    x.assert_blocks(blocks);
    let block_bytes = if NIBBLES { BLOCK_BYTES / 2 } else { BLOCK_BYTES };
    let quants = tiles.map(|tile| {
        assert!(tile.bytes.len() >= blocks * (block_bytes + 2 * ROWS), "a tile of every block");
        tile.bytes.as_ptr()
    });
    let mut chains = [[_mm256_setzero_ps(); 2]; S];
    for block in 0..blocks {
        for tile in 0..S {
            let at = quants[tile].wrapping_add(block * block_bytes);
            let words = x.quants.as_ptr().wrapping_add(block * 32).cast::<i32>();
            let start = x.starts[block * STARTS] / BIAS * 8;
            // SAFETY: row and tiles hold the block.
            unsafe {
                let sums = if NIBBLES { nibbles(at, words, start) } else { signed(at, words) };
                let scales = quants[tile].add(blocks * block_bytes + block * 2 * ROWS);
                for half in 0..2 {
                    let scale = _mm256_cvtph_ps(_mm_loadu_si128(scales.add(16 * half).cast()));
                    let product = _mm256_mul_ps(scale, _mm256_set1_ps(x.scales[block]));
                    let chain = &mut chains[tile][half];
                    *chain = _mm256_fmadd_ps(product, _mm256_cvtepi32_ps(sums[half]), *chain);
                }
            }
        }
    }
    for (chain, out) in chains.iter().zip(out) {
        // SAFETY: a chain is two vectors.
        unsafe {
            _mm256_storeu_ps(out.as_mut_ptr(), chain[0]);
            _mm256_storeu_ps(out.as_mut_ptr().add(8), chain[1]);
        }
    }
}

/// The sums of a block of bytes, as magnitudes times activations with the weights' signs.
///
/// # Safety
/// There are 512 bytes and 8 words.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn signed(at: *const u8, words: *const i32) -> [__m256i; 2] {
    let ones = _mm256_set1_epi16(1);
    let mut sums = [_mm256_setzero_si256(); 2];
    for group in 0..8 {
        // SAFETY: as the caller promises; prefetching reads nothing.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(AHEAD + group * 64).cast());
            let x = _mm256_set1_epi32(words.add(group).read_unaligned());
            for (half, sum) in sums.iter_mut().enumerate() {
                let weights = _mm256_loadu_si256(at.add((2 * group + half) * HALF_LINE).cast());
                let products = _mm256_maddubs_epi16(_mm256_abs_epi8(weights), _mm256_sign_epi8(x, weights));
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(products, ones));
            }
        }
    }
    sums
}

/// The sums of a block of nibbles less eight, which start at `start`.
///
/// # Safety
/// There are 256 bytes and 8 words.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn nibbles(at: *const u8, words: *const i32, start: i32) -> [__m256i; 2] {
    let (ones, low) = (_mm256_set1_epi16(1), _mm256_set1_epi8(15));
    let mut sums = [_mm256_setzero_si256(); 2];
    for group in 0..4 {
        // SAFETY: as the caller promises; prefetching reads nothing.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(AHEAD + group * 64).cast());
            let one = _mm256_set1_epi32(words.add(group).read_unaligned());
            let other = _mm256_set1_epi32(words.add(group + 4).read_unaligned());
            for (half, sum) in sums.iter_mut().enumerate() {
                let weights = _mm256_loadu_si256(at.add((2 * group + half) * HALF_LINE).cast());
                let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(weights), low);
                let products = _mm256_maddubs_epi16(_mm256_and_si256(weights, low), one);
                *sum = _mm256_add_epi16(*sum, _mm256_add_epi16(products, _mm256_maddubs_epi16(upper, other)));
            }
        }
    }
    sums.map(|sum| _mm256_add_epi32(_mm256_madd_epi16(sum, ones), _mm256_set1_epi32(start)))
}
