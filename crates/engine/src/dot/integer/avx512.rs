//! Integer products with AVX-512 VNNI: `vpdpbusd`, which takes one side unsigned and never saturates. For a signed
//! plane the weights are made unsigned by their top bit, and sums begin below 0 for it.

use std::arch::x86_64::*;

use super::{
    Planes, ROWS, SPAN, SPAN_BYTES, Sums, Work,
    planes::{Group, Sign},
};

/// Rows of one pass over two tiles, or one.
const PASS: usize = 8;
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
    let planes = signs.len();
    // The check has seen that there are sums of every tile, plane and row.
    let all = sums.as_mut_ptr();
    for plane in 0..planes {
        for (group, start) in (0..work.rows).step_by(ROWS).enumerate() {
            let x = x.group(plane, work.group + group, work.span);
            let end = work.rows.min(start + ROWS);
            for from in (start..end).step_by(PASS) {
                let rows = from..end.min(from + PASS);
                let place = |tile: usize| all.wrapping_add((tile * planes + plane) * work.rows + from);
                let places = [place(0), place(work.count - 1)];
                let ahead = if plane == 0 { Ahead::of(work, &rows) } else { Ahead::NOTHING };
                let pass = Pass { tiles: work.tiles, spans: work.spans, x, first: from - start, places, ahead };
                // SAFETY: the lengths were checked; these rows are among the group's.
                unsafe { by_rows(&pass, rows.len(), work.count) };
            }
        }
    }
}

/// Weights to ask for during a pass: some lines of each of two tiles.
#[derive(Clone, Copy)]
struct Ahead {
    tiles: [*const u8; 2],
    lines: usize,
}

impl Ahead {
    const NOTHING: Self = Self { tiles: [std::ptr::null(); 2], lines: 0 };

    /// A share of the next weights, so that all passes over these rows ask for all of them.
    fn of(work: Work, rows: &std::ops::Range<usize>) -> Self {
        let passes = work.rows.div_ceil(PASS);
        let least = work.next.map(<[u8]>::len).into_iter().min().unwrap_or(0) / 64;
        let lines = least.div_ceil(passes);
        let first = rows.start / PASS * lines;
        let tiles = work.next.map(|tile| tile.as_ptr().wrapping_add(first * 64));
        Self { tiles, lines: lines.min(least.saturating_sub(first)) }
    }
}

/// Rows of a group, from one on, times one or two tiles.
struct Pass<'a> {
    tiles: [&'a [u8]; 2],
    spans: usize,
    x: Group<'a>,
    first: usize,
    /// Sums of these rows, of each tile.
    places: [*mut Sums; 2],
    ahead: Ahead,
}

/// One row times each tile; all planes in one pass over the weights.
///
/// # Safety
/// The CPU has the features named; the work was checked.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn single(work: Work, x: &Planes, sums: &mut [Sums]) {
    let plane = |plane: usize| x.group(plane, work.group, work.span);
    let planes = x.signs().len();
    for (tile, sums) in work.tiles.iter().take(work.count).zip(sums.chunks_exact_mut(planes)) {
        // SAFETY: as the caller promises.
        unsafe {
            match planes {
                1 => stream::<1, 4>(tile, work.spans, [plane(0)], sums),
                _ => stream::<2, 2>(tile, work.spans, [plane(0), plane(1)], sums),
            }
        }
    }
}

/// Sums run in `C` chains a plane: a product waits for the one before it in its chain, and one chain alone is hardly faster than memory. Memory is asked for nothing
/// ahead: tiles follow each other, and the hardware follows one plain stream better than it does with our help.
///
/// # Safety
/// As `single`, for one tile and `P` planes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn stream<const P: usize, const C: usize>(tile: &[u8], spans: usize, planes: [Group; P], sums: &mut [Sums]) {
    const { assert!((SPAN / 4).is_multiple_of(C), "chains go round in a span") };
    let top = _mm512_set1_epi8(-128);
    let mut lanes = [[_mm512_setzero_si512(); C]; P];
    for first in (0..spans * SPAN / 4).step_by(C) {
        for chain in 0..C {
            let group = first + chain;
            let at = tile.as_ptr().wrapping_add(group * 64);
            // SAFETY: a group of 4 columns is 64 bytes.
            let weights = unsafe { _mm512_loadu_si512(at.cast()) };
            for (plane, lanes) in planes.iter().zip(&mut lanes) {
                // SAFETY: one row has 4 bytes a group, and as many groups.
                let word = unsafe { plane.bytes.as_ptr().add(group * 4).cast::<i32>().read_unaligned() };
                let (x, lanes) = (_mm512_set1_epi32(word), &mut lanes[chain]);
                *lanes = match plane.sign {
                    Sign::Signed => _mm512_dpbusd_epi32(*lanes, _mm512_xor_si512(weights, top), x),
                    Sign::Unsigned => _mm512_dpbusd_epi32(*lanes, x, weights),
                };
            }
        }
    }
    for (chains, sums) in lanes.into_iter().zip(sums) {
        chains.into_iter().for_each(|lanes| add(lanes, sums));
    }
}

macro_rules! by_rows {
    ($($rows:literal)*) => {
        /// # Safety
        /// As `run`, for so many rows, up to eight, and one tile or two.
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
        unsafe fn by_rows(pass: &Pass, rows: usize, tiles: usize) {
            // SAFETY: as the caller promises.
            unsafe {
                match (rows, tiles, pass.x.sign) {
                    $(($rows, 1, Sign::Signed) => run::<$rows, 1, true>(pass),
                    ($rows, 1, Sign::Unsigned) => run::<$rows, 1, false>(pass),
                    ($rows, _, Sign::Signed) => run::<$rows, 2, true>(pass),
                    ($rows, _, Sign::Unsigned) => run::<$rows, 2, false>(pass),)*
                    _ => unreachable!("a pass has at most eight rows"),
                }
            }
        }
    };
}
by_rows!(1 2 3 4 5 6 7 8);

/// Eight rows times two tiles: 16 sums stay in registers, enough that two products can begin in each cycle, and ten loads
/// serve 16 of them.
///
/// # Safety
/// The CPU has the features named; `S` tiles and the group have every span, and the group `R` rows from the first on;
/// there are `R` sums of each tile, and no others hold them.
#[allow(clippy::needless_range_loop, reason = "arrays in step, each a register a place")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn run<const R: usize, const S: usize, const SIGNED: bool>(pass: &Pass) {
    let top = _mm512_set1_epi8(-128);
    let mut lanes = [[_mm512_setzero_si512(); R]; S];
    let mut wanted = 0;
    for span in 0..pass.spans {
        let x = pass.x.bytes.as_ptr().wrapping_add((span * pass.x.width + pass.first) * SPAN);
        for group in 0..SPAN / 4 {
            if wanted < pass.ahead.lines {
                for tile in pass.ahead.tiles {
                    // Reads nothing, so it may point anywhere.
                    _mm_prefetch::<_MM_HINT_T1>(tile.wrapping_add(wanted * 64).cast());
                }
                wanted += 1;
            }
            let mut weights = [top; S];
            for tile in 0..S {
                // SAFETY: a group of 4 columns is 64 bytes, and tiles have every span.
                let loaded =
                    unsafe { _mm512_loadu_si512(pass.tiles[tile].as_ptr().add(span * SPAN_BYTES + group * 64).cast()) };
                weights[tile] = if SIGNED { _mm512_xor_si512(loaded, top) } else { loaded };
            }
            for row in 0..R {
                // SAFETY: as the caller promises.
                let word = unsafe { x.add(row * SPAN + group * 4).cast::<i32>().read_unaligned() };
                let x = _mm512_set1_epi32(word);
                for tile in 0..S {
                    lanes[tile][row] = if SIGNED {
                        _mm512_dpbusd_epi32(lanes[tile][row], weights[tile], x)
                    } else {
                        _mm512_dpbusd_epi32(lanes[tile][row], x, weights[tile])
                    };
                }
            }
        }
    }
    for tile in 0..S {
        for row in 0..R {
            // SAFETY: as the caller promises.
            unsafe { add(lanes[tile][row], &mut *pass.places[tile].add(row)) };
        }
    }
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
