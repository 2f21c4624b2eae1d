//! The dot products with AVX-512 VNNI: `vpdpbusd` on biased bytes, `vpdpwssd` on pairs. Neither saturates.

use std::arch::x86_64::*;

use super::{GROUP, Layout, ROWS, Sums};

const GROUP_BYTES: usize = ROWS * GROUP;

/// # Safety
/// The CPU has the features named; `x` holds `stride` words for each row but the last, and the layout's words a group
/// for that.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub unsafe fn dots(layout: Layout, weights: &[i8], x: &[u32], stride: usize, sums: &mut [Sums]) {
    // SAFETY: as the caller promises.
    unsafe {
        match (layout, sums.len()) {
            (Layout::Biased, 1) => single_biased(weights, x, &mut sums[0]),
            (Layout::Biased, 2) => biased::<2>(weights, x, stride, sums),
            (Layout::Biased, 3) => biased::<3>(weights, x, stride, sums),
            (Layout::Biased, 4) => biased::<4>(weights, x, stride, sums),
            (Layout::Biased, 8) => biased::<8>(weights, x, stride, sums),
            (Layout::Pairs, 1) => single_pairs(weights, x, &mut sums[0]),
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

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn load(weights: &[i8]) -> __m512i {
    assert!(weights.len() >= GROUP_BYTES);
    // SAFETY: a group is 64 bytes.
    unsafe { _mm512_loadu_si512(weights.as_ptr().cast()) }
}

/// The columns 0 and 2, and 1 and 3, of each row of a group as pairs of i16.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn load_pairs(weights: &[i8]) -> [__m512i; 2] {
    let bytes = load(weights);
    [_mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(bytes)), _mm512_srai_epi16::<8>(bytes)]
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn each(word: u32) -> __m512i {
    _mm512_set1_epi32(word.cast_signed())
}

/// One row: four sums side by side, because one alone would wait for itself.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn single_biased(weights: &[i8], x: &[u32], sums: &mut Sums) {
    let mut lanes = [_mm512_setzero_si512(); 4];
    let (four, rest) = weights.as_chunks::<{ 4 * GROUP_BYTES }>();
    for (weights, x) in four.iter().zip(x.chunks_exact(4)) {
        for (index, (lanes, weights)) in lanes.iter_mut().zip(weights.chunks_exact(GROUP_BYTES)).enumerate() {
            *lanes = _mm512_dpbusd_epi32(*lanes, each(x[index]), load(weights));
        }
    }
    for (weights, &word) in rest.chunks_exact(GROUP_BYTES).zip(&x[four.len() * 4..]) {
        lanes[0] = _mm512_dpbusd_epi32(lanes[0], each(word), load(weights));
    }
    let sum = _mm512_add_epi32(_mm512_add_epi32(lanes[0], lanes[1]), _mm512_add_epi32(lanes[2], lanes[3]));
    store(sum, sums);
}

/// One row, sums side by side as above.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn single_pairs(weights: &[i8], x: &[u32], sums: &mut Sums) {
    let mut lanes = [_mm512_setzero_si512(); 4];
    for (group, (weights, words)) in weights.chunks_exact(GROUP_BYTES).zip(x.chunks_exact(2)).enumerate() {
        let [even, odd] = load_pairs(weights);
        let side = group % 2 * 2;
        lanes[side] = _mm512_dpwssd_epi32(lanes[side], even, each(words[0]));
        lanes[side + 1] = _mm512_dpwssd_epi32(lanes[side + 1], odd, each(words[1]));
    }
    let sum = _mm512_add_epi32(_mm512_add_epi32(lanes[0], lanes[1]), _mm512_add_epi32(lanes[2], lanes[3]));
    store(sum, sums);
}

/// # Safety
/// As `dots`, with one word a group, and there are `R` sums.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn biased<const R: usize>(weights: &[i8], x: &[u32], stride: usize, sums: &mut [Sums]) {
    let mut lanes = [_mm512_setzero_si512(); R];
    for (group, weights) in weights.chunks_exact(GROUP_BYTES).enumerate() {
        let weights = load(weights);
        for (row, lanes) in lanes.iter_mut().enumerate() {
            // SAFETY: the caller promises a word for every group of every row.
            let word = unsafe { *x.as_ptr().add(row * stride + group) };
            *lanes = _mm512_dpbusd_epi32(*lanes, each(word), weights);
        }
    }
    lanes.into_iter().zip(sums).for_each(|(lanes, sums)| store(lanes, sums));
}

/// # Safety
/// As `dots`, with two words a group, and there are `R` sums.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn pairs<const R: usize>(weights: &[i8], x: &[u32], stride: usize, sums: &mut [Sums]) {
    let mut lanes = [_mm512_setzero_si512(); R];
    for (group, weights) in weights.chunks_exact(GROUP_BYTES).enumerate() {
        let [even, odd] = load_pairs(weights);
        for (row, lanes) in lanes.iter_mut().enumerate() {
            // SAFETY: the caller promises two words for every group of every row.
            let (low, high) = unsafe {
                let at = x.as_ptr().add(row * stride + group * 2);
                (*at, *at.add(1))
            };
            *lanes = _mm512_dpwssd_epi32(*lanes, even, each(low));
            *lanes = _mm512_dpwssd_epi32(*lanes, odd, each(high));
        }
    }
    lanes.into_iter().zip(sums).for_each(|(lanes, sums)| store(lanes, sums));
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn store(lanes: __m512i, sums: &mut Sums) {
    // SAFETY: 16 sums are one store.
    unsafe { _mm512_storeu_si512(sums.as_mut_ptr().cast(), lanes) };
}
