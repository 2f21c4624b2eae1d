//! Panels with AVX-512 VNNI: weights made unsigned by their top bit, `vpdpbusd` with four columns of a row broadcast,
//! sums that begin at `-128` times the sum of the row's quants. Up to eight rows share a pass over the weights.

use std::arch::x86_64::*;

use crate::dot::{
    BLOCK, Chain, Corner, ROWS,
    blocks::{Blocks, Group, STARTS},
    panel::{BLOCK_BYTES, Panel, Steps, Values},
    ways::{Halves, Minimum, Way, Whole},
};

/// Rows of one pass: as many sums and chains stay in registers.
const PASS: usize = 8;
const GROUPS: usize = BLOCK / 4;

/// Takes a chain of 16 outputs for each row of activations through the panel's blocks, from a corner of both on.
///
/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub unsafe fn multiply(panel: &Panel, x: &Blocks, from: Corner, chains: &mut [Chain]) {
    let blocks = panel.checked_blocks();
    assert!(panel.values != Values::Nibbles { offset: 8 }, "this level's panels are signed, or nibbles as they are");
    for (index, chains) in chains.chunks_mut(ROWS).enumerate() {
        let group = x.group(from.group + index, from.block);
        group.assert_blocks(blocks);
        assert!(chains.len() == group.width, "a chain for every row");
        for (pass, chains) in chains.chunks_mut(PASS).enumerate() {
            // SAFETY: all lengths were asserted, and these rows are among the group's.
            unsafe { by_rows(panel, blocks, &group, pass * PASS, chains) };
        }
    }
}

macro_rules! by_rows {
    ($($rows:literal)*) => {
        /// # Safety
        /// As `run`, for any number of chains up to eight.
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        unsafe fn by_rows(panel: &Panel, blocks: usize, x: &Group, first: usize, chains: &mut [Chain]) {
            // SAFETY: as the caller promises.
            unsafe {
                match (chains.len(), panel.steps) {
                    $(($rows, Steps::Whole) => run::<$rows, Whole>(panel, blocks, x, first, chains),
                    ($rows, Steps::Minimum) => run::<$rows, Minimum>(panel, blocks, x, first, chains),
                    ($rows, Steps::Halves) => run::<$rows, Halves>(panel, blocks, x, first, chains),)*
                    _ => unreachable!("a pass has at most eight rows"),
                }
            }
        }
    };
}
by_rows!(1 2 3 4 5 6 7 8);

/// # Safety
/// The CPU has the features named; panel and group hold `blocks` blocks; the group's rows from `first` on are at least
/// `R`, and so are the chains.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn run<const R: usize, W: Way>(panel: &Panel, blocks: usize, x: &Group, first: usize, chains: &mut [Chain]) {
    let top = _mm512_set1_epi8(-128);
    // SAFETY: a chain is 16 floats.
    let mut held: [__m512; R] = std::array::from_fn(|row| unsafe { _mm512_loadu_ps(chains.as_ptr().add(row).cast()) });
    for block in 0..blocks {
        let bytes = panel.bytes.as_ptr().wrapping_add(block * BLOCK_BYTES);
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
            let mut sums: [__m512i; R] = std::array::from_fn(start);
            for group in GROUPS / W::STEPS * step..GROUPS / W::STEPS * (step + 1) {
                // SAFETY: a group of 4 columns is 64 bytes of the block's 512.
                let mut weights = unsafe { _mm512_loadu_si512(bytes.add(group * 64).cast()) };
                if !W::MINIMUM {
                    weights = _mm512_xor_si512(weights, top);
                }
                for (row, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: a row's block is 8 words of 4 quants.
                    let word = unsafe { quants.add(row * GROUPS + group).read_unaligned() };
                    *sum = _mm512_dpbusd_epi32(*sum, weights, _mm512_set1_epi32(word));
                }
            }
            // SAFETY: 16 scales a step, and a scale for each row.
            unsafe {
                let scale = _mm512_loadu_ps(panel.scales.as_ptr().add((block * W::STEPS + step) * ROWS));
                for (row, (chain, sum)) in held.iter_mut().zip(sums).enumerate() {
                    let dx = _mm512_set1_ps(*x.scales.as_ptr().add(cells + row));
                    *chain = _mm512_fmadd_ps(_mm512_mul_ps(scale, dx), _mm512_cvtepi32_ps(sum), *chain);
                }
            }
        }
        if W::MINIMUM {
            // SAFETY: 16 minima a block, and a sum for each row.
            unsafe {
                let minimum = _mm512_loadu_ps(panel.minima.as_ptr().add(block * ROWS));
                for (row, chain) in held.iter_mut().enumerate() {
                    *chain = _mm512_fmadd_ps(minimum, _mm512_set1_ps(*x.sums.as_ptr().add(cells + row)), *chain);
                }
            }
        }
    }
    for (chain, held) in chains.iter_mut().zip(held) {
        // SAFETY: a chain is 16 floats.
        unsafe { _mm512_storeu_ps(chain.as_mut_ptr(), held) };
    }
}
