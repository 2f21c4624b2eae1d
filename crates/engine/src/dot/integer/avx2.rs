//! Integer products with AVX2: both sides widened to i16, `vpmaddwd` on pairs. Exact whatever the operands.

use std::arch::x86_64::*;

use super::{
    Planes, ROWS, SPAN, SPAN_BYTES, Sums, Work,
    planes::{Group, Sign},
};

/// Rows of one pass.
const PASS: usize = 4;

/// # Safety
/// The CPU has AVX2.
#[target_feature(enable = "avx2")]
pub unsafe fn multiply(work: Work, x: &Planes, sums: &mut [Sums]) {
    work.check(x, sums);
    let planes = x.signs().len();
    for (index, sums) in sums.chunks_exact_mut(work.rows).enumerate() {
        let tile = &work.tiles[index / planes][..work.spans * SPAN_BYTES];
        for (group, sums) in sums.chunks_mut(ROWS).enumerate() {
            let group = x.group(index % planes, work.group + group, work.span);
            for (pass, sums) in sums.chunks_mut(PASS).enumerate() {
                // SAFETY: the lengths were checked; these rows are among the group's.
                unsafe {
                    match sums.len() {
                        1 => run::<1>(tile, &group, pass * PASS, sums),
                        2 => run::<2>(tile, &group, pass * PASS, sums),
                        3 => run::<3>(tile, &group, pass * PASS, sums),
                        _ => run::<PASS>(tile, &group, pass * PASS, sums),
                    }
                }
            }
        }
    }
}

/// # Safety
/// The CPU has AVX2; the group has every span of the tile, and `R` rows from `first` on; there are `R` sums.
#[target_feature(enable = "avx2")]
unsafe fn run<const R: usize>(tile: &[u8], x: &Group, first: usize, sums: &mut [Sums]) {
    let low = _mm256_set1_epi16(255);
    let signed = x.sign == Sign::Signed;
    let mut lanes = [[_mm256_setzero_si256(); 2]; R];
    for (span, weights) in tile.chunks_exact(SPAN_BYTES).enumerate() {
        for group in 0..SPAN / 4 {
            // The columns 0 and 2, and 1 and 3, of each output as pairs of i16.
            let halves: [[__m256i; 2]; 2] = std::array::from_fn(|half| {
                // SAFETY: a group of 4 columns is two vectors.
                let bytes = unsafe { _mm256_loadu_si256(weights.as_ptr().add(group * 64 + half * 32).cast()) };
                [_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(bytes)), _mm256_srai_epi16::<8>(bytes)]
            });
            for (row, lanes) in lanes.iter_mut().enumerate() {
                let at = (span * x.width + first + row) * SPAN + group * 4;
                // SAFETY: as the caller promises.
                let x = unsafe { _mm256_set1_epi32(x.bytes.as_ptr().add(at).cast::<i32>().read_unaligned()) };
                let [even, odd] = if signed {
                    [_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(x)), _mm256_srai_epi16::<8>(x)]
                } else {
                    [_mm256_and_si256(x, low), _mm256_srli_epi16::<8>(x)]
                };
                for (lanes, weights) in lanes.iter_mut().zip(halves) {
                    let sum = _mm256_add_epi32(_mm256_madd_epi16(weights[0], even), _mm256_madd_epi16(weights[1], odd));
                    *lanes = _mm256_add_epi32(*lanes, sum);
                }
            }
        }
    }
    for (lanes, sums) in lanes.iter().zip(sums) {
        for (half, lanes) in lanes.iter().enumerate() {
            // SAFETY: 16 sums are two vectors.
            unsafe {
                let at = sums.as_mut_ptr().add(8 * half).cast::<__m256i>();
                _mm256_storeu_si256(at, _mm256_add_epi32(_mm256_loadu_si256(at), *lanes));
            }
        }
    }
}
