//! Panels with AMX: the 32 columns of a block times 16 outputs times up to 16 rows are one `tdpbssd`; its sums go
//! through memory into the floats of AVX-512, a chain of 16 outputs for each row in a register.
//!
//! The sums of a block are stored some blocks before they are read, so that the tiles' latency is hidden. The float
//! steps are written as instructions, because the compiler would else move all loads to the front and spill the chains.

use std::arch::{asm, x86_64::*};

use super::{
    BLOCK, Chain, Corner, ROWS,
    blocks::{Blocks, Group},
    panel::{BLOCK_BYTES, Panel, Steps, Values},
    tiles::{Shape, Tiles},
    ways::{Halves, Minimum, Way, Whole},
};

/// Takes a chain of 16 outputs for each row of activations through the panel's blocks, from a corner of both on.
///
/// # Safety
/// The CPU has AVX-512 F, BW, DQ, VL and AMX with bytes, and the process may use its tiles.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub unsafe fn multiply(panel: &Panel, x: &Blocks, from: Corner, chains: &mut [Chain]) {
    let blocks = panel.checked_blocks();
    assert!(panel.values != Values::Nibbles { offset: 8 }, "this level's panels are signed, or nibbles as they are");
    let mut tiles = None;
    // Each group asks for its part of what is wanted next, so that memory is busy all the time.
    let part = panel.next.len().div_ceil(chains.len().div_ceil(ROWS).max(1)).next_multiple_of(64).max(64);
    for (index, chains) in chains.chunks_mut(ROWS).enumerate() {
        let group = x.group(from.group + index, from.block);
        group.assert_blocks(blocks);
        assert!(chains.len() == group.width, "a chain for every row");
        if blocks == 0 {
            return;
        }
        if tiles.as_ref().is_none_or(|(_, width)| *width != group.width) {
            // The configuration of before ends first.
            drop(tiles.take());
            // SAFETY: as the caller promises.
            tiles = Some((unsafe { Tiles::configure(&shapes(group.width)) }, group.width));
        }
        let next = panel.next.chunks(part).nth(index).unwrap_or(&[]);
        // SAFETY: the tiles are configured for this width, and all lengths were asserted.
        unsafe { by_width(panel, blocks, &group, next, chains) };
    }
}

/// Sums 0 and 1; a block's rows and weights, 2 and 3; the same of half a block, 4 and 5.
fn shapes(width: usize) -> [Shape; 6] {
    let of = |rows: usize, bytes: usize| Shape { rows, bytes };
    [of(width, 64), of(width, 64), of(width, BLOCK), of(BLOCK / 4, 64), of(width, BLOCK / 2), of(BLOCK / 8, 64)]
}

macro_rules! by_width {
    ($($width:literal)*) => {
        /// # Safety
        /// As `run`, for any width.
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
        unsafe fn by_width(panel: &Panel, blocks: usize, x: &Group, next: &[u8], chains: &mut [Chain]) {
            // SAFETY: as the caller promises; a group's width is from 1 to 16.
            unsafe {
                match (x.width, panel.steps) {
                    $(($width, Steps::Whole) => run::<$width, Whole>(panel, blocks, x, next, chains),
                    ($width, Steps::Minimum) => run::<$width, Minimum>(panel, blocks, x, next, chains),
                    ($width, Steps::Halves) => run::<$width, Halves>(panel, blocks, x, next, chains),)*
                    _ => unreachable!("a group has at most 16 rows"),
                }
            }
        }
    };
}
by_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);

/// Sums of blocks that wait for their floats, two steps each at most.
#[repr(C, align(64))]
struct Waiting([[[i32; ROWS * ROWS]; 2]; DEPTH_MAX]);

/// Places for sums that wait: one more, at least, than sums are ahead of their floats, because a block's sums are asked
/// for while those of an earlier one are read.
const DEPTH_MAX: usize = 4;
/// How many blocks sums are ahead: more where rows are few, and floats hide less.
const fn held_back(rows: usize) -> usize {
    if rows <= 8 { 3 } else { 2 }
}

/// # Safety
/// The tiles are configured for `T` rows; panel and group hold `blocks` blocks, at least one, and there are `T` chains.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn run<const T: usize, W: Way>(panel: &Panel, blocks: usize, x: &Group, next: &[u8], chains: &mut [Chain]) {
    let mut waiting = std::mem::MaybeUninit::<Waiting>::uninit();
    let waiting: *mut i32 = waiting.as_mut_ptr().cast();
    let depth = const { held_back(T) };
    let place = |block: usize| waiting.wrapping_add(block % DEPTH_MAX * W::STEPS * ROWS * ROWS);
    // SAFETY: there are `T` chains of 16 floats.
    let mut held: [__m512; T] = std::array::from_fn(|row| unsafe { _mm512_loadu_ps(chains.as_ptr().add(row).cast()) });
    for block in 0..blocks.min(depth) {
        // SAFETY: the block is one of those that panel and group hold.
        unsafe { sum::<T, W>(panel, x, block, place(block)) };
    }
    for block in 0..blocks {
        let from = place(block);
        if block + depth < blocks {
            // SAFETY: as above.
            unsafe { sum::<T, W>(panel, x, block + depth, place(block + depth)) };
        }
        ask(next, block, blocks);
        let (scales, dx) = (panel.scales.as_ptr().wrapping_add(block * W::STEPS * ROWS), x.scales.as_ptr());
        let dx = dx.wrapping_add(block * T);
        for step in 0..W::STEPS {
            // SAFETY: a step has 16 scales, and its sums were stored.
            unsafe {
                let scale = _mm512_loadu_ps(scales.add(step * ROWS));
                for (row, chain) in held.iter_mut().enumerate() {
                    take(chain, scale, dx.add(row), from.add(step * ROWS * ROWS + row * ROWS));
                }
            }
        }
        if W::MINIMUM {
            // SAFETY: a block has 16 minima, and a sum for each row.
            unsafe {
                let minimum = _mm512_loadu_ps(panel.minima.as_ptr().add(block * ROWS));
                for (row, chain) in held.iter_mut().enumerate() {
                    subtract(chain, minimum, x.sums.as_ptr().add(block * T + row));
                }
            }
        }
    }
    for (chain, held) in chains.iter_mut().zip(held) {
        // SAFETY: a chain is 16 floats.
        unsafe { _mm512_storeu_ps(chain.as_mut_ptr(), held) };
    }
}

/// Asks for a block's share of what will be wanted next, from memory into the second level of the cache.
#[inline(always)]
fn ask(next: &[u8], block: usize, blocks: usize) {
    let share = next.len().div_ceil(blocks).next_multiple_of(64);
    for line in (0..share.min(next.len().saturating_sub(block * share))).step_by(64) {
        // SAFETY: prefetching reads nothing, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(next.as_ptr().wrapping_add(block * share + line).cast()) };
    }
}

/// The sums of a block, for every row 16, and once more for each step.
///
/// # Safety
/// As `run`; the block is one of them, and there is room for the sums of all steps.
#[inline(always)]
unsafe fn sum<const T: usize, W: Way>(panel: &Panel, x: &Group, block: usize, to: *mut i32) {
    // How far the rows are asked for ahead: they come from the second level of the cache.
    const AHEAD: usize = 8;
    let quants = x.quants.as_ptr().wrapping_add(block * T * BLOCK);
    let bytes = panel.bytes.as_ptr().wrapping_add(block * BLOCK_BYTES);
    for line in 0..(T * BLOCK).div_ceil(64) {
        // SAFETY: prefetching reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(quants.wrapping_add(AHEAD * T * BLOCK + line * 64)) };
    }
    // SAFETY: the operands' extents are those of the shapes, which lie within what the caller promises.
    unsafe {
        if W::STEPS == 1 {
            asm!(
                "tilezero tmm0", "tileloadd tmm2, [{x} + {row}]", "tileloadd tmm3, [{w} + {line}]",
                "tdpbssd tmm0, tmm2, tmm3", "tilestored [{to} + {line}], tmm0",
                x = in(reg) quants, w = in(reg) bytes, to = in(reg) to, row = in(reg) BLOCK, line = in(reg) 64_usize,
                options(nostack, preserves_flags),
            );
        } else {
            asm!(
                "tilezero tmm0", "tileloadd tmm4, [{x} + {row}]", "tileloadd tmm5, [{w} + {line}]",
                "tdpbssd tmm0, tmm4, tmm5", "tilestored [{to} + {line}], tmm0",
                "tilezero tmm1", "tileloadd tmm4, [{x} + {row} + 16]", "tileloadd tmm5, [{w} + {line} + 256]",
                "tdpbssd tmm1, tmm4, tmm5", "tilestored [{to} + {line} + 1024], tmm1",
                x = in(reg) quants, w = in(reg) bytes, to = in(reg) to, row = in(reg) BLOCK, line = in(reg) 64_usize,
                options(nostack, preserves_flags),
            );
        }
    }
}

/// `chain = fma(scale · x, sums, chain)`.
///
/// # Safety
/// `x` is one float, `sums` are 16 integers.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn take(chain: &mut __m512, scale: __m512, x: *const f32, sums: *const i32) {
    let (_product, _sum): (__m512, __m512);
    // SAFETY: reads what the caller promises.
    unsafe {
        asm!(
            "vmulps {product}, {scale}, dword ptr [{x}]{{1to16}}",
            "vcvtdq2ps {sum}, zmmword ptr [{sums}]",
            "vfmadd231ps {chain}, {product}, {sum}",
            product = out(zmm_reg) _product, sum = out(zmm_reg) _sum, chain = inout(zmm_reg) *chain,
            scale = in(zmm_reg) scale, x = in(reg) x, sums = in(reg) sums,
            options(nostack, readonly, preserves_flags),
        );
    }
}

/// `chain = fma(minimum, sum, chain)`.
///
/// # Safety
/// `sum` is one float.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn subtract(chain: &mut __m512, minimum: __m512, sum: *const f32) {
    // SAFETY: reads what the caller promises.
    unsafe {
        asm!(
            "vfmadd231ps {chain}, {minimum}, dword ptr [{sum}]{{1to16}}",
            chain = inout(zmm_reg) *chain, minimum = in(zmm_reg) minimum, sum = in(reg) sum,
            options(nostack, readonly, preserves_flags),
        );
    }
}
