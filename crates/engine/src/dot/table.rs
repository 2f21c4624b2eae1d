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
/// The same with two tiles at once, where a level is faster so. Unsafe as above.
pub type SeveralTwo = unsafe fn([&Panel; 2], &Blocks, Corner, [&mut [Chain]; 2]);
/// Rows of a group, from one on, times two tiles of one size: `[tile][row]` chains. Unsafe to call unless the CPU has the
/// level's instructions.
pub type Two = unsafe fn([Tile; 2], &Group, usize, &mut [Chain]);
/// As many rows as there are chains times one tile. Unsafe as above.
pub type Few = unsafe fn(Tile, &Group, usize, &mut [Chain]);

/// Kernels that read weights as they are packed.
#[derive(Clone, Copy)]
pub struct Direct {
    level: Instructions,
    format: Format,
    /// Rows that are served faster so than by panels.
    pub rows_max: usize,
    /// For tiles that lie far apart: two streams of memory, where that is faster than one.
    pub two: Option<Two>,
    pub few: Few,
}

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

/// Direct kernels. Levels and formats without one expand panels, however few the rows are.
#[cfg(target_arch = "x86_64")]
static DIRECT: &[Direct] = {
    use Format::{Q4_0, Q4K, Q5K, Q6K, Q8_0};
    use Instructions::{Avx2, Avx512};
    use avx2::single as old;
    use avx512::single as new;
    &[
        Direct { level: Avx2, format: Q8_0, rows_max: 1, two: Some(old::two_q8_0), few: old::one_q8_0 },
        Direct { level: Avx2, format: Q4_0, rows_max: 1, two: Some(old::two_q4_0), few: old::one_q4_0 },
        Direct { level: Avx512, format: Q8_0, rows_max: 8, two: Some(new::two_q8_0), few: new::few_q8_0 },
        Direct { level: Avx512, format: Q4_0, rows_max: 8, two: None, few: new::few_q4_0 },
        Direct { level: Avx512, format: Q4K, rows_max: 8, two: None, few: new::few_q4_k },
        Direct { level: Avx512, format: Q5K, rows_max: 8, two: None, few: new::few_q5_k },
        Direct { level: Avx512, format: Q6K, rows_max: 4, two: None, few: new::few_q6_k },
    ]
};
#[cfg(not(target_arch = "x86_64"))]
static DIRECT: &[Direct] = &[];

pub fn several(level: Instructions) -> Several {
    SEVERAL.iter().find(|(of, _)| *of == level).map_or(portable::multiply, |(_, kernel)| *kernel)
}

/// The kernel of a level for two panels at once.
pub fn several_two(level: Instructions) -> Option<SeveralTwo> {
    match level {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 => Some(avx512::panel::multiply_two),
        _ => None,
    }
}

/// The direct kernels of a level with vectors (`Level::vectors`) for so many rows.
pub fn direct(vectors: Instructions, format: Format, rows: usize) -> Option<&'static Direct> {
    DIRECT.iter().find(|direct| direct.level == vectors && direct.format == format && rows <= direct.rows_max)
}
