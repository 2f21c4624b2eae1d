//! The dot products with AVX-512 VNNI: `vpdpbusd` on biased bytes, `vpdpwssd` on pairs. Neither saturates.

use std::arch::x86_64::*;

use super::{GROUP, Layout, ROWS, Sums};

/// # Safety
/// The CPU has the features named; `x` holds `stride` words for each row but the last, and the layout's words a group
/// for that.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub unsafe fn dots(layout: Layout, weights: &[i8], x: &[u32], stride: usize, sums: &mut [Sums]) {
    // SAFETY: as the caller promises.
    unsafe {
        match (layout, sums.len()) {
            (Layout::Biased, 1) => biased::<1>(weights, x, stride, sums),
            (Layout::Biased, 2) => biased::<2>(weights, x, stride, sums),
            (Layout::Biased, 3) => biased::<3>(weights, x, stride, sums),
            (Layout::Biased, 4) => biased::<4>(weights, x, stride, sums),
            (Layout::Biased, 8) => biased::<8>(weights, x, stride, sums),
            (Layout::Pairs, 1) => pairs::<1>(weights, x, stride, sums),
            (Layout::Pairs, 2) => pairs::<2>(weights, x, stride, sums),
            (Layout::Pairs, 3) => pairs::<3>(weights, x, stride, sums),
            (Layout::Pairs, 4) => pairs::<4>(weights, x, stride, sums),
            (Layout::Pairs, 8) => pairs::<8>(weights, x, stride, sums),
            _ => {
                let (one, other) = sums.split_at_mut(4);
                dots(layout, weights, x, stride, one);
                dots(layout, weights, &x[4 * stride..], stride, other);
            }
        }
    }
}

/// # Safety
/// As `dots`, with one word a group, and there are `R` sums.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn biased<const R: usize>(weights: &[i8], x: &[u32], stride: usize, sums: &mut [Sums]) {
    let mut lanes = [_mm512_setzero_si512(); R];
    for (group, weights) in weights.chunks_exact(ROWS * GROUP).enumerate() {
        // SAFETY: a group is 64 bytes.
        let weights = unsafe { _mm512_loadu_si512(weights.as_ptr().cast()) };
        for (row, lanes) in lanes.iter_mut().enumerate() {
            // SAFETY: the caller promises a word for every group of every row.
            let x = unsafe { *x.as_ptr().add(row * stride + group) };
            *lanes = _mm512_dpbusd_epi32(*lanes, _mm512_set1_epi32(x.cast_signed()), weights);
        }
    }
    store(&lanes, sums);
}

/// # Safety
/// As `dots`, with two words a group, and there are `R` sums.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn pairs<const R: usize>(weights: &[i8], x: &[u32], stride: usize, sums: &mut [Sums]) {
    let mut lanes = [_mm512_setzero_si512(); R];
    for (group, weights) in weights.chunks_exact(ROWS * GROUP).enumerate() {
        // SAFETY: a group is 64 bytes.
        let bytes = unsafe { _mm512_loadu_si512(weights.as_ptr().cast()) };
        let even = _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(bytes));
        let odd = _mm512_srai_epi16::<8>(bytes);
        for (row, lanes) in lanes.iter_mut().enumerate() {
            // SAFETY: the caller promises two words for every group of every row.
            let (low, high) = unsafe {
                let at = x.as_ptr().add(row * stride + group * 2);
                (*at, *at.add(1))
            };
            *lanes = _mm512_dpwssd_epi32(*lanes, even, _mm512_set1_epi32(low.cast_signed()));
            *lanes = _mm512_dpwssd_epi32(*lanes, odd, _mm512_set1_epi32(high.cast_signed()));
        }
    }
    store(&lanes, sums);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn store(lanes: &[__m512i], sums: &mut [Sums]) {
    for (lanes, sums) in lanes.iter().zip(sums) {
        // SAFETY: 16 sums are one store.
        unsafe { _mm512_storeu_si512(sums.as_mut_ptr().cast(), *lanes) };
    }
}
