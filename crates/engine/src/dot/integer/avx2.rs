//! The dot products with AVX2: weights widened to i16, `vpmaddwd` on pairs. Exact whatever the operands.

use std::arch::x86_64::*;

use super::{GROUP, ROWS, Sums};

/// # Safety
/// The CPU has AVX2; `x` holds `stride` words for each row but the last, and two words a group for that.
#[target_feature(enable = "avx2")]
pub unsafe fn dots(weights: &[i8], x: &[u32], stride: usize, sums: &mut [Sums]) {
    // SAFETY: as the caller promises.
    unsafe {
        match sums {
            [_] => rows::<1>(weights, x, stride, sums),
            [_, _] => rows::<2>(weights, x, stride, sums),
            [_, _, _] => rows::<3>(weights, x, stride, sums),
            [_, _, _, _] => rows::<4>(weights, x, stride, sums),
            _ => {
                let (one, other) = sums.split_at_mut(4);
                rows::<4>(weights, x, stride, one);
                dots(weights, &x[4 * stride..], stride, other);
            }
        }
    }
}

/// # Safety
/// As `dots`, and there are `R` sums.
#[target_feature(enable = "avx2")]
unsafe fn rows<const R: usize>(weights: &[i8], x: &[u32], stride: usize, sums: &mut [Sums]) {
    let mut lanes = [[_mm256_setzero_si256(); 2]; R];
    for (group, weights) in weights.chunks_exact(ROWS * GROUP).enumerate() {
        for half in 0..2 {
            // SAFETY: a group is 64 bytes, two loads of 32.
            let bytes = unsafe { _mm256_loadu_si256(weights.as_ptr().add(half * 32).cast()) };
            let even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(bytes));
            let odd = _mm256_srai_epi16::<8>(bytes);
            for (row, lanes) in lanes.iter_mut().enumerate() {
                // SAFETY: the caller promises two words for every group of every row.
                let at = unsafe { x.as_ptr().add(row * stride + group * 2) };
                // SAFETY: as above.
                let (low, high) = unsafe { (*at, *at.add(1)) };
                let sum = _mm256_add_epi32(
                    _mm256_madd_epi16(even, _mm256_set1_epi32(low.cast_signed())),
                    _mm256_madd_epi16(odd, _mm256_set1_epi32(high.cast_signed())),
                );
                lanes[half] = _mm256_add_epi32(lanes[half], sum);
            }
        }
    }
    for (lanes, sums) in lanes.iter().zip(sums) {
        // SAFETY: 16 sums are two stores of 8.
        unsafe {
            _mm256_storeu_si256(sums.as_mut_ptr().cast(), lanes[0]);
            _mm256_storeu_si256(sums.as_mut_ptr().add(8).cast(), lanes[1]);
        }
    }
}
