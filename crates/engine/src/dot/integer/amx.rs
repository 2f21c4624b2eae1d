//! Integer products with AMX: a span of 64 columns times 16 outputs times up to 16 rows is one instruction. The sums of
//! two tiles of weights times two groups of rows stay in four tiles, so that every load serves two instructions.

use std::arch::{asm, x86_64::*};

use super::{
    Planes, ROWS, SPAN, SPAN_BYTES, Sums, Work,
    planes::{Group, Sign},
};
use crate::dot::tiles::{Shape, Tiles};

/// How far ahead weights are asked for, the first time that they are gone through.
const AHEAD: usize = 4096;

/// # Safety
/// The CPU has AMX with bytes, and the process may use its tiles.
pub unsafe fn multiply(work: Work, x: &Planes, sums: &mut [Sums]) {
    work.check(x, sums);
    let planes = x.signs().len();
    let mut tiles = None;
    // Where sums go that nobody wants: of a second tile or group that is not there.
    let mut unwanted = [[0; ROWS]; ROWS];
    for pair in (0..work.rows.div_ceil(ROWS)).step_by(2) {
        let rows = |group: usize| ROWS.min(work.rows.saturating_sub(group * ROWS));
        let widths = [rows(pair), rows(pair + 1)];
        if tiles.as_ref().is_none_or(|(_, of)| *of != widths) {
            // The configuration of before ends first.
            drop(tiles.take());
            // SAFETY: as the caller promises.
            tiles = Some((unsafe { Tiles::configure(&shapes(widths)) }, widths));
        }
        for plane in 0..planes {
            let of = |group: usize| x.group(plane, work.group + pair + group, work.span);
            let one = of(0);
            let groups = [one, if widths[1] == 0 { one } else { of(1) }];
            let places: [*mut i32; 4] = std::array::from_fn(|index| {
                let (tile, group) = (index / 2, index % 2);
                let first = (tile * planes + plane) * work.rows + (pair + group) * ROWS;
                let wanted = tile < work.count && widths[group] > 0;
                if wanted { sums[first..][..widths[group]].as_mut_ptr().cast() } else { unwanted.as_mut_ptr().cast() }
            });
            // SAFETY: the tiles are configured for these groups, and all lengths were checked.
            unsafe { four(work, groups, widths, places, pair == 0 && plane == 0) };
        }
    }
}

/// Sums of a tile of weights and a group: 0 to 3; the groups' activations, 4 and 5; the weights, 6 and 7.
fn shapes(widths: [usize; 2]) -> [Shape; 8] {
    let of = |rows: usize| Shape { rows: rows.max(1), bytes: SPAN };
    let (one, other, all) = (of(widths[0]), of(widths[1]), of(ROWS));
    [one, other, one, other, one, other, all, all]
}

macro_rules! step {
    ($product:literal, $x:expr, $weights:expr) => {
        asm!(
            "tileloadd tmm4, [{x0} + {line}]", "tileloadd tmm6, [{w0} + {line}]",
            concat!($product, " tmm0, tmm4, tmm6"),
            "tileloadd tmm5, [{x1} + {line}]", concat!($product, " tmm1, tmm5, tmm6"),
            "tileloadd tmm7, [{w1} + {line}]", concat!($product, " tmm2, tmm4, tmm7"),
            concat!($product, " tmm3, tmm5, tmm7"),
            x0 = in(reg) $x[0], x1 = in(reg) $x[1], w0 = in(reg) $weights[0], w1 = in(reg) $weights[1],
            line = in(reg) SPAN, options(nostack, readonly, preserves_flags),
        )
    };
}

/// Adds to the sums of two tiles times two groups.
///
/// # Safety
/// The tiles are configured for groups of these widths; both groups have every span of the work, or no row; places
/// have room for a group's sums.
unsafe fn four(work: Work, groups: [Group; 2], widths: [usize; 2], places: [*mut i32; 4], first: bool) {
    // SAFETY: as the caller promises: a tile's extent is its group's.
    unsafe {
        asm!(
            "tileloadd tmm0, [{p0} + {line}]", "tileloadd tmm1, [{p1} + {line}]",
            "tileloadd tmm2, [{p2} + {line}]", "tileloadd tmm3, [{p3} + {line}]",
            p0 = in(reg) places[0], p1 = in(reg) places[1], p2 = in(reg) places[2], p3 = in(reg) places[3],
            line = in(reg) SPAN, options(nostack, readonly, preserves_flags),
        );
        for span in 0..work.spans {
            let x = [0, 1].map(|index| groups[index].bytes.as_ptr().wrapping_add(span * widths[index] * SPAN));
            let weights = work.tiles.map(|tile| tile.as_ptr().wrapping_add(span * SPAN_BYTES));
            if first {
                for line in (0..SPAN_BYTES).step_by(SPAN) {
                    _mm_prefetch::<_MM_HINT_T0>(weights[0].wrapping_add(AHEAD + line).cast());
                    _mm_prefetch::<_MM_HINT_T0>(weights[1].wrapping_add(AHEAD + line).cast());
                }
            }
            match groups[0].sign {
                Sign::Signed => step!("tdpbssd", x, weights),
                Sign::Unsigned => step!("tdpbusd", x, weights),
            }
        }
        asm!(
            "tilestored [{p0} + {line}], tmm0", "tilestored [{p1} + {line}], tmm1",
            "tilestored [{p2} + {line}], tmm2", "tilestored [{p3} + {line}], tmm3",
            p0 = in(reg) places[0], p1 = in(reg) places[1], p2 = in(reg) places[2], p3 = in(reg) places[3],
            line = in(reg) SPAN, options(nostack, preserves_flags),
        );
    }
}
