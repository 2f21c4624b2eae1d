//! Windows times weights with AVX-512 VNNI: up to six rows by four tiles stay in registers; `vpdpbusd` never saturates.

use std::arch::x86_64::*;

use super::{GROUP, Pieces, ROWS, Sums, Tiles};

macro_rules! shapes {
    ($x:ident, $tiles:ident, $sums:ident, $(($rows:literal: $($count:literal)*))*) => {
        match ($x.rows.len(), $tiles.count) {
            $($(($rows, $count) => run::<$rows, $count>($x, $tiles, $sums),)*)*
            _ => unreachable!("at most six rows and four tiles"),
        }
    };
}

/// # Safety
/// The CPU has the features named; everything lies within its slices, as `Pieces::multiply` asserts.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub unsafe fn multiply(x: &Pieces, tiles: &Tiles, sums: &mut Sums) {
    // SAFETY: as the caller promises.
    unsafe { shapes!(x, tiles, sums, (1: 1 2 3 4) (2: 1 2 3 4) (3: 1 2 3 4) (4: 1 2 3 4) (5: 1 2 3 4) (6: 1 2 3 4)) }
}

/// # Safety
/// As `multiply`; there are `R` rows and `T` tiles.
#[allow(clippy::needless_range_loop, reason = "arrays in step, each a register a place")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn run<const R: usize, const T: usize>(x: &Pieces, tiles: &Tiles, sums: &mut Sums) {
    let mut lanes = [[_mm512_setzero_si512(); T]; R];
    // SAFETY: all places lie within their slices, as the caller promises.
    unsafe {
        for row in 0..R {
            for tile in 0..T {
                lanes[row][tile] = _mm512_loadu_si512(sums.0[row].as_ptr().add(tile * ROWS).cast());
            }
        }
        let mut weights = tiles.bytes.as_ptr();
        for &piece in x.pieces {
            let rows: [*const u8; R] = std::array::from_fn(|row| x.bytes.as_ptr().add((x.rows[row] + piece) as usize));
            for group in 0..x.groups {
                let mut columns = [_mm512_setzero_si512(); T];
                for tile in 0..T {
                    columns[tile] = _mm512_loadu_si512(weights.add(tile * tiles.tile_bytes).cast());
                }
                weights = weights.add(GROUP);
                for row in 0..R {
                    let x = _mm512_set1_epi32(rows[row].add(group * 4).cast::<i32>().read_unaligned());
                    for tile in 0..T {
                        lanes[row][tile] = _mm512_dpbusd_epi32(lanes[row][tile], x, columns[tile]);
                    }
                }
            }
        }
        for row in 0..R {
            for tile in 0..T {
                _mm512_storeu_si512(sums.0[row].as_mut_ptr().add(tile * ROWS).cast(), lanes[row][tile]);
            }
        }
    }
}
