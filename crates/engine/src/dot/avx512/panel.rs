//! Panels with AVX-512 VNNI: weights made unsigned by their top bit, `vpdpbusd` with four columns of a row broadcast,
//! sums that begin at `-128` times the sum of the row's quants. Two tiles share what is read of the rows, and rows share
//! what is read of the weights: as many of both as sums and chains stay in registers.

use std::arch::x86_64::*;

use crate::dot::{
    BLOCK, Chain, Corner, ROWS,
    blocks::{Blocks, Group, STARTS},
    panel::{BLOCK_BYTES, Panel, Steps, Values},
    ways::{Halves, Minimum, Way, Whole},
};

/// Rows of one pass over one tile, and over two.
const PASS: usize = 8;
const PASS_OF_TWO: usize = 4;
const GROUPS: usize = BLOCK / 4;
const LINE: usize = 64;

/// Takes a chain of 16 outputs for each row of activations through the panel's blocks, from a corner of both on.
///
/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub unsafe fn multiply(panel: &Panel, x: &Blocks, from: Corner, chains: &mut [Chain]) {
    // SAFETY: as the caller promises.
    unsafe { passes::<1, PASS>([panel], x, from, [chains]) };
}

/// The same for two tiles of one matrix.
///
/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub unsafe fn multiply_two(panels: [&Panel; 2], x: &Blocks, from: Corner, chains: [&mut [Chain]; 2]) {
    // SAFETY: as the caller promises.
    unsafe { passes::<2, PASS_OF_TWO>(panels, x, from, chains) };
}

/// # Safety
/// The CPU has the features named.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn passes<const S: usize, const PASS: usize>(
    panels: [&Panel; S],
    x: &Blocks,
    from: Corner,
    mut chains: [&mut [Chain]; S],
) {
    let (blocks, steps, rows) = (panels[0].checked_blocks(), panels[0].steps, chains[0].len());
    for (panel, chains) in panels.iter().zip(&chains) {
        assert!(panel.checked_blocks() == blocks && panel.steps == steps && chains.len() == rows, "tiles of one form");
        assert!(
            panel.values != Values::Nibbles { offset: 8 },
            "this level's panels are signed, or nibbles as they are"
        );
    }
    // Each pass asks for its part of what is wanted next, so that memory is busy all the time.
    let part = |panel: &Panel| panel.next.len().div_ceil(rows.div_ceil(PASS).max(1)).next_multiple_of(LINE).max(LINE);
    for first in (0..rows).step_by(PASS) {
        let group = x.group(from.group + first / ROWS, from.block);
        group.assert_blocks(blocks);
        let (row, pass) = (first % ROWS, PASS.min(rows - first));
        assert!(row + pass <= group.width, "a chain for every row");
        let next = panels.map(|panel| panel.next.chunks(part(panel)).nth(first / PASS).unwrap_or(&[]));
        let chains = chains.each_mut().map(|chains| &mut chains[first..first + pass]);
        // SAFETY: all lengths were asserted, and these rows are among the group's.
        unsafe { by_rows(panels, blocks, &group, row, next, chains) };
    }
}

macro_rules! by_rows {
    ($($rows:literal)*) => {
        /// # Safety
        /// As `run`, for any number of chains up to eight.
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        unsafe fn by_rows<const S: usize>(
            panels: [&Panel; S],
            blocks: usize,
            x: &Group,
            first: usize,
            next: [&[u8]; S],
            chains: [&mut [Chain]; S],
        ) {
            // SAFETY: as the caller promises.
            unsafe {
                match (chains[0].len(), panels[0].steps) {
                    $(($rows, Steps::Whole) => run::<S, $rows, Whole>(panels, blocks, x, first, next, chains),
                    ($rows, Steps::Minimum) => run::<S, $rows, Minimum>(panels, blocks, x, first, next, chains),
                    ($rows, Steps::Halves) => run::<S, $rows, Halves>(panels, blocks, x, first, next, chains),)*
                    _ => unreachable!("a pass has at most eight rows"),
                }
            }
        }
    };
}
by_rows!(1 2 3 4 5 6 7 8);

/// # Safety
/// The CPU has the features named; panels and group hold `blocks` blocks; the group's rows from `first` on are at least
/// `R`, and so are the chains.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn run<const S: usize, const R: usize, W: Way>(
    panels: [&Panel; S],
    blocks: usize,
    x: &Group,
    first: usize,
    next: [&[u8]; S],
    chains: [&mut [Chain]; S],
) {
    let top = _mm512_set1_epi8(-128);
    let bytes = panels.map(|panel| panel.bytes.as_ptr());
    let mut held = [[_mm512_setzero_ps(); R]; S];
    for (held, chains) in held.iter_mut().zip(&chains) {
        // SAFETY: a chain is 16 floats.
        held.iter_mut().enumerate().for_each(|(row, held)| *held = unsafe { _mm512_loadu_ps(chains[row].as_ptr()) });
    }
    for block in 0..blocks {
        next.iter().for_each(|next| ask(next, block, blocks));
        let cells = block * x.width + first;
        let quants = x.quants.as_ptr().wrapping_add(cells * BLOCK).cast::<i32>();
        for step in 0..W::STEPS {
            // Of the starts, the first are of the whole block, the others of its halves.
            let kind = if W::STEPS == 1 { 0 } else { 1 + step };
            let starts = x.starts.as_ptr().wrapping_add((block * STARTS + kind) * x.width + first);
            let start = |row| {
                // SAFETY: a start for every kind, block and row.
                if W::MINIMUM { _mm512_setzero_si512() } else { unsafe { _mm512_set1_epi32(*starts.add(row)) } }
            };
            let mut sums: [[__m512i; R]; S] = [std::array::from_fn(start); S];
            for group in GROUPS / W::STEPS * step..GROUPS / W::STEPS * (step + 1) {
                // SAFETY: a group of 4 columns is 64 bytes of the block's 512.
                let weights: [__m512i; S] = bytes.map(|bytes| unsafe {
                    let weights = _mm512_loadu_si512(bytes.add(block * BLOCK_BYTES + group * LINE).cast());
                    if W::MINIMUM { weights } else { _mm512_xor_si512(weights, top) }
                });
                for row in 0..R {
                    // SAFETY: a row's block is 8 words of 4 quants.
                    let word = _mm512_set1_epi32(unsafe { quants.add(row * GROUPS + group).read_unaligned() });
                    for (sums, weights) in sums.iter_mut().zip(weights) {
                        sums[row] = _mm512_dpbusd_epi32(sums[row], weights, word);
                    }
                }
            }
            for ((panel, held), sums) in panels.iter().zip(&mut held).zip(sums) {
                // SAFETY: 16 scales a step, and a scale for each row.
                unsafe {
                    let scale = _mm512_loadu_ps(panel.scales.as_ptr().add((block * W::STEPS + step) * ROWS));
                    for (row, (chain, sum)) in held.iter_mut().zip(sums).enumerate() {
                        let dx = _mm512_set1_ps(*x.scales.as_ptr().add(cells + row));
                        *chain = _mm512_fmadd_ps(_mm512_mul_ps(scale, dx), _mm512_cvtepi32_ps(sum), *chain);
                    }
                }
            }
        }
        if W::MINIMUM {
            for (panel, held) in panels.iter().zip(&mut held) {
                // SAFETY: 16 minima a block, and a sum for each row.
                unsafe {
                    let minimum = _mm512_loadu_ps(panel.minima.as_ptr().add(block * ROWS));
                    for (row, chain) in held.iter_mut().enumerate() {
                        *chain = _mm512_fmadd_ps(minimum, _mm512_set1_ps(*x.sums.as_ptr().add(cells + row)), *chain);
                    }
                }
            }
        }
    }
    for (held, chains) in held.into_iter().zip(chains) {
        for (held, chain) in held.into_iter().zip(chains) {
            // SAFETY: a chain is 16 floats.
            unsafe { _mm512_storeu_ps(chain.as_mut_ptr(), held) };
        }
    }
}

/// Asks for a block's share of what will be wanted next, from memory into the second level of the cache.
#[inline(always)]
fn ask(next: &[u8], block: usize, blocks: usize) {
    let share = next.len().div_ceil(blocks).next_multiple_of(LINE);
    for line in (0..share.min(next.len().saturating_sub(block * share))).step_by(LINE) {
        // SAFETY: prefetching reads nothing, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(next.as_ptr().wrapping_add(block * share + line).cast()) };
    }
}
