//! Integer products with AVX-512 VNNI: `vpdpbusd`, which takes one side unsigned and never saturates. For a signed
//! plane the weights are made unsigned by their top bit, and sums begin below 0 for it.

use std::arch::x86_64::*;

use super::{
    Planes, ROWS, SPAN, SPAN_BYTES, Sums, Work,
    planes::{Group, Sign},
};

/// Rows of one pass over two tiles, or one.
const PASS: usize = 8;
/// How far ahead a row alone asks for weights.
const AHEAD: usize = 2048;

/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub unsafe fn multiply(work: Work, x: &Planes, sums: &mut [Sums]) {
    work.check(x, sums);
    let signs = x.signs();
    if work.rows == 1 {
        // SAFETY: the lengths were checked.
        return unsafe { single(work, x, sums) };
    }
    for (index, sums) in sums.chunks_exact_mut(work.rows).enumerate() {
        let tile = &work.tiles[index / signs.len()][..work.spans * SPAN_BYTES];
        for (group, sums) in sums.chunks_mut(ROWS).enumerate() {
            let group = x.group(index % signs.len(), work.group + group, work.span);
            for (pass, sums) in sums.chunks_mut(PASS).enumerate() {
                // SAFETY: the lengths were checked; these rows are among the group's.
                unsafe { by_rows(tile, &group, pass * PASS, sums) };
            }
        }
    }
}

/// One row times one or two tiles, two streams of memory; all planes in one pass over the weights.
///
/// # Safety
/// The CPU has the features named; the work was checked.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn single(work: Work, x: &Planes, sums: &mut [Sums]) {
    let groups: Vec<Group> = (0..x.signs().len()).map(|plane| x.group(plane, work.group, work.span)).collect();
    // SAFETY: as the caller promises.
    unsafe {
        match (work.count, groups.as_slice()) {
            (1, [one]) => stream::<1, 1>(work, [*one], sums),
            (2, [one]) => stream::<2, 1>(work, [*one], sums),
            (1, [one, other]) => stream::<1, 2>(work, [*one, *other], sums),
            (2, [one, other]) => stream::<2, 2>(work, [*one, *other], sums),
            _ => unreachable!("one or two tiles, one or two planes"),
        }
    }
}

/// # Safety
/// As `single`, for `S` tiles and `P` planes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn stream<const S: usize, const P: usize>(work: Work, planes: [Group; P], sums: &mut [Sums]) {
    let top = _mm512_set1_epi8(-128);
    let mut lanes = [[_mm512_setzero_si512(); P]; S];
    for group in 0..work.spans * SPAN / 4 {
        for (tile, lanes) in work.tiles.iter().zip(lanes.iter_mut()) {
            let at = tile.as_ptr().wrapping_add(group * 64);
            // SAFETY: a group of 4 columns is 64 bytes; prefetching reads nothing.
            let weights = unsafe {
                _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(AHEAD).cast());
                _mm512_loadu_si512(at.cast())
            };
            for (plane, lanes) in planes.iter().zip(lanes) {
                // SAFETY: one row has 4 bytes a group, and as many groups.
                let word = unsafe { plane.bytes.as_ptr().add(group * 4).cast::<i32>().read_unaligned() };
                let x = _mm512_set1_epi32(word);
                *lanes = match plane.sign {
                    Sign::Signed => _mm512_dpbusd_epi32(*lanes, _mm512_xor_si512(weights, top), x),
                    Sign::Unsigned => _mm512_dpbusd_epi32(*lanes, x, weights),
                };
            }
        }
    }
    for (lanes, sums) in lanes.into_iter().flatten().zip(sums) {
        add(lanes, sums);
    }
}

macro_rules! by_rows {
    ($($rows:literal)*) => {
        /// # Safety
        /// As `run`, for any number of sums up to eight.
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
        unsafe fn by_rows(tile: &[u8], x: &Group, first: usize, sums: &mut [Sums]) {
            // SAFETY: as the caller promises.
            unsafe {
                match (sums.len(), x.sign) {
                    $(($rows, Sign::Signed) => run::<$rows, true>(tile, x, first, sums),
                    ($rows, Sign::Unsigned) => run::<$rows, false>(tile, x, first, sums),)*
                    _ => unreachable!("a pass has at most eight rows"),
                }
            }
        }
    };
}
by_rows!(1 2 3 4 5 6 7 8);

/// # Safety
/// The CPU has the features named; the group has every span of the tile, and `R` rows from `first` on; there are `R`
/// sums.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn run<const R: usize, const SIGNED: bool>(tile: &[u8], x: &Group, first: usize, sums: &mut [Sums]) {
    let top = _mm512_set1_epi8(-128);
    let mut lanes = [_mm512_setzero_si512(); R];
    for (span, weights) in tile.chunks_exact(SPAN_BYTES).enumerate() {
        let x = x.bytes.as_ptr().wrapping_add((span * x.width + first) * SPAN);
        for group in 0..SPAN / 4 {
            // SAFETY: a group of 4 columns is 64 bytes.
            let mut weights = unsafe { _mm512_loadu_si512(weights.as_ptr().add(group * 64).cast()) };
            if SIGNED {
                weights = _mm512_xor_si512(weights, top);
            }
            for (row, lanes) in lanes.iter_mut().enumerate() {
                // SAFETY: as the caller promises.
                let word = unsafe { x.add(row * SPAN + group * 4).cast::<i32>().read_unaligned() };
                let x = _mm512_set1_epi32(word);
                *lanes = if SIGNED {
                    _mm512_dpbusd_epi32(*lanes, weights, x)
                } else {
                    _mm512_dpbusd_epi32(*lanes, x, weights)
                };
            }
        }
    }
    lanes.into_iter().zip(sums).for_each(|(lanes, sums)| add(lanes, sums));
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add(lanes: __m512i, sums: &mut Sums) {
    // SAFETY: 16 sums are one vector.
    unsafe {
        let at = sums.as_mut_ptr();
        _mm512_storeu_si512(at.cast(), _mm512_add_epi32(_mm512_loadu_si512(at.cast()), lanes));
    }
}
