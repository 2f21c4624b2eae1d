//! Windows times weights with AVX2: both sides widened to i16, `vpmaddwd` on pairs. Exact whatever the operands.

use std::arch::x86_64::*;

use super::{GROUP, Pieces, ROWS, Sums, Tiles};

/// # Safety
/// The CPU has AVX2; everything lies within its slices, as `Pieces::multiply` asserts.
#[target_feature(enable = "avx2")]
pub unsafe fn multiply(x: &Pieces, tiles: &Tiles, sums: &mut Sums) {
    for tile in 0..tiles.count {
        let weights = &tiles.bytes[tile * tiles.tile_bytes..];
        let mut row = 0;
        while row < x.rows.len() {
            // SAFETY: as the caller promises; there are so many rows.
            row += unsafe {
                match x.rows.len() - row {
                    1 => run::<1>(x, weights, row, tile, sums),
                    2 => run::<2>(x, weights, row, tile, sums),
                    _ => run::<3>(x, weights, row, tile, sums),
                }
            };
        }
    }
}

/// # Safety
/// As `multiply`; there are `R` rows from `first` on.
#[target_feature(enable = "avx2")]
unsafe fn run<const R: usize>(x: &Pieces, weights: &[u8], first: usize, tile: usize, sums: &mut Sums) -> usize {
    let low = _mm256_set1_epi16(255);
    let mut lanes = [[_mm256_setzero_si256(); 2]; R];
    let mut at = weights.as_ptr();
    for &piece in x.pieces {
        for group in 0..x.groups {
            // The columns 0 and 2, and 1 and 3, of each output as pairs of i16.
            let halves: [[__m256i; 2]; 2] = std::array::from_fn(|half| {
                // SAFETY: a group of 4 columns is two vectors, within the tile.
                let bytes = unsafe { _mm256_loadu_si256(at.add(half * 32).cast()) };
                [_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(bytes)), _mm256_srai_epi16::<8>(bytes)]
            });
            // SAFETY: the next group, or the end of the weights.
            at = unsafe { at.add(GROUP) };
            for (row, lanes) in lanes.iter_mut().enumerate() {
                let place = (x.rows[first + row] + piece) as usize + group * 4;
                // SAFETY: as the caller promises.
                let x = unsafe { _mm256_set1_epi32(x.bytes.as_ptr().add(place).cast::<i32>().read_unaligned()) };
                let [even, odd] = [_mm256_and_si256(x, low), _mm256_srli_epi16::<8>(x)];
                for (lanes, weights) in lanes.iter_mut().zip(halves) {
                    let sum = _mm256_add_epi32(_mm256_madd_epi16(weights[0], even), _mm256_madd_epi16(weights[1], odd));
                    *lanes = _mm256_add_epi32(*lanes, sum);
                }
            }
        }
    }
    for (row, lanes) in lanes.iter().enumerate() {
        for (half, lanes) in lanes.iter().enumerate() {
            // SAFETY: 16 sums are two vectors.
            unsafe {
                let at = sums.0[first + row].as_mut_ptr().add(tile * ROWS + 8 * half).cast::<__m256i>();
                _mm256_storeu_si256(at, _mm256_add_epi32(_mm256_loadu_si256(at), *lanes));
            }
        }
    }
    R
}
