//! Which kernel serves a level and a format: two tables.

use graph::Format;

use super::{
    Chain, Corner,
    blocks::{Blocks, Group},
    panel::{Panel, Tile},
    portable,
};
#[cfg(target_arch = "x86_64")]
use super::{amx, avx2, avx512};
use crate::cpu::Instructions;

/// Several rows times a panel. Unsafe to call unless the CPU has the level's instructions.
pub type Several = unsafe fn(&Panel, &Blocks, Corner, &mut [Chain]);
/// One row times one tile, or two of one size. Unsafe to call unless the CPU has the level's instructions.
pub type One = unsafe fn([Tile; 1], &Group, &mut [Chain; 1]);
pub type Two = unsafe fn([Tile; 2], &Group, &mut [Chain; 2]);

/// Kernels for panels: a row for each level.
static SEVERAL: &[(Instructions, Several)] = &[
    (Instructions::Portable, portable::multiply),
    #[cfg(target_arch = "x86_64")]
    (Instructions::Avx2, avx2::panel::multiply),
    #[cfg(target_arch = "x86_64")]
    (Instructions::Avx512, avx512::panel::multiply),
    #[cfg(target_arch = "x86_64")]
    (Instructions::Amx, amx::multiply),
];

/// Kernels for one row. Levels and formats without one expand panels.
#[cfg(target_arch = "x86_64")]
static SINGLE: &[(Instructions, Format, One, Two)] = &[
    (Instructions::Avx2, Format::Q8_0, avx2::single::q8_0, avx2::single::q8_0),
    (Instructions::Avx2, Format::Q4_0, avx2::single::q4_0, avx2::single::q4_0),
    (Instructions::Avx512, Format::Q8_0, avx512::single::q8_0, avx512::single::q8_0),
    (Instructions::Avx512, Format::Q4_0, avx512::single::q4_0, avx512::single::q4_0),
    (Instructions::Avx512, Format::Q4K, avx512::single::q4_k, avx512::single::q4_k),
    (Instructions::Avx512, Format::Q5K, avx512::single::q5_k, avx512::single::q5_k),
    (Instructions::Avx512, Format::Q6K, avx512::single::q6_k, avx512::single::q6_k),
];
#[cfg(not(target_arch = "x86_64"))]
static SINGLE: &[(Instructions, Format, One, Two)] = &[];

pub fn several(level: Instructions) -> Several {
    SEVERAL.iter().find(|(of, _)| *of == level).map_or(portable::multiply, |(_, kernel)| *kernel)
}

/// Kernels of a level with vectors (`Level::vectors`) for one row.
pub fn single(vectors: Instructions, format: Format) -> Option<(One, Two)> {
    let found = SINGLE.iter().find(|(level, of, ..)| *level == vectors && *of == format);
    found.map(|(_, _, one, two)| (*one, *two))
}
