//! One row of activations with AVX-512 VNNI, the weights as they are packed: bound by memory, so two tiles are read at
//! a time, two streams of memory, each asked for well ahead.

use std::arch::x86_64::*;

use crate::dot::{
    Chain, ROWS,
    blocks::{Group, STARTS},
    panel::{BLOCK_BYTES, Tile},
};

/// How far ahead weights are asked for.
const AHEAD: usize = 2048;
const LINE: usize = 64;
/// Blocks of a superblock.
const SUBS: usize = 8;

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn line(at: *const u8) -> __m512i {
    // SAFETY: the caller promises 64 bytes; prefetching reads nothing.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(AHEAD).cast());
        _mm512_loadu_si512(at.cast())
    }
}

/// 16 halves as floats.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn half_line(at: *const u8) -> __m512 {
    // SAFETY: the caller promises 32 bytes.
    unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(at.cast())) }
}

/// What a kernel reads of one row of activations.
struct Row {
    quants: *const i32,
    scales: *const f32,
    sums: *const f32,
    starts: *const i32,
}

impl Row {
    fn of(x: &Group, blocks: usize) -> Self {
        assert!(x.width == 1, "one row");
        x.assert_blocks(blocks);
        Self {
            quants: x.quants.as_ptr().cast(),
            scales: x.scales.as_ptr(),
            sums: x.sums.as_ptr(),
            starts: x.starts.as_ptr(),
        }
    }

    /// Four columns, everywhere.
    ///
    /// # Safety
    /// The row has the block.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn word(&self, block: usize, group: usize) -> __m512i {
        // SAFETY: a block is 8 words.
        unsafe { _mm512_set1_epi32(self.quants.add(block * 8 + group).read_unaligned()) }
    }

    /// # Safety
    /// The row has the block.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn start<const SHIFT: u32>(&self, block: usize, kind: usize) -> __m512i {
        // SAFETY: a block has all starts. They are multiples of 128, so this divides without rest.
        unsafe { _mm512_srai_epi32::<SHIFT>(_mm512_set1_epi32(*self.starts.add(block * STARTS + kind))) }
    }

    /// `fma(scale · dx, sum, chain)`.
    ///
    /// # Safety
    /// The row has the block.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn take(&self, block: usize, scale: __m512, sum: __m512i, chain: __m512) -> __m512 {
        // SAFETY: a scale for each block.
        let dx = unsafe { _mm512_set1_ps(*self.scales.add(block)) };
        _mm512_fmadd_ps(_mm512_mul_ps(scale, dx), _mm512_cvtepi32_ps(sum), chain)
    }
}

/// Panics unless the tiles hold as many blocks, each of a superblock's bytes; then their first bytes.
fn starts_of<const S: usize>(tiles: [Tile; S], superblocks: usize, bytes: usize) -> [*const u8; S] {
    tiles.map(|tile| {
        assert!(tile.bytes.len() >= superblocks * bytes, "a tile of every block");
        tile.bytes.as_ptr()
    })
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store<const S: usize>(chains: [__m512; S], out: &mut [Chain; S]) {
    for (chain, out) in chains.into_iter().zip(out) {
        // SAFETY: a chain is 16 floats.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), chain) };
    }
}

/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub unsafe fn q8_0<const S: usize>(tiles: [Tile; S], x: &Group, out: &mut [Chain; S]) {
    let blocks = tiles[0].total;
    let (row, quants) = (Row::of(x, blocks), starts_of(tiles, blocks, BLOCK_BYTES + 2 * ROWS));
    let scales = quants.map(|tile| tile.wrapping_add(blocks * BLOCK_BYTES));
    let top = _mm512_set1_epi8(-128);
    let mut chains = [_mm512_setzero_ps(); S];
    for block in 0..blocks {
        // SAFETY: row and tiles hold the block.
        unsafe {
            for tile in 0..S {
                let mut sum = row.start::<0>(block, 0);
                let at = quants[tile].add(block * BLOCK_BYTES);
                for group in 0..8 {
                    let weights = _mm512_xor_si512(line(at.add(group * LINE)), top);
                    sum = _mm512_dpbusd_epi32(sum, weights, row.word(block, group));
                }
                chains[tile] = row.take(block, half_line(scales[tile].add(block * 2 * ROWS)), sum, chains[tile]);
            }
        }
    }
    store(chains, out);
}

/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub unsafe fn q4_0<const S: usize>(tiles: [Tile; S], x: &Group, out: &mut [Chain; S]) {
    let blocks = tiles[0].total;
    let (row, quants) = (Row::of(x, blocks), starts_of(tiles, blocks, BLOCK_BYTES / 2 + 2 * ROWS));
    let scales = quants.map(|tile| tile.wrapping_add(blocks * BLOCK_BYTES / 2));
    let low = _mm512_set1_epi8(15);
    let mut chains = [_mm512_setzero_ps(); S];
    for block in 0..blocks {
        // SAFETY: row and tiles hold the block.
        unsafe {
            for tile in 0..S {
                // -8 of the -128.
                let mut sum = row.start::<4>(block, 0);
                let at = quants[tile].add(block * BLOCK_BYTES / 2);
                for group in 0..4 {
                    let weights = line(at.add(group * LINE));
                    let upper = _mm512_and_si512(_mm512_srli_epi16::<4>(weights), low);
                    sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(weights, low), row.word(block, group));
                    sum = _mm512_dpbusd_epi32(sum, upper, row.word(block, 4 + group));
                }
                chains[tile] = row.take(block, half_line(scales[tile].add(block * 2 * ROWS)), sum, chains[tile]);
            }
        }
    }
    store(chains, out);
}

/// `q4_k`, and `q5_k` with its fifth bits behind the nibbles.
///
/// # Safety
/// The CPU has the features named.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn with_minima<const S: usize, const FIFTH: bool>(tiles: [Tile; S], x: &Group, out: &mut [Chain; S]) {
    const NIBBLES: usize = SUBS / 2 * BLOCK_BYTES;
    const SCALES: usize = (4 + 2 * SUBS) * ROWS;
    let packed = if FIFTH { NIBBLES + SUBS * BLOCK_BYTES / 8 } else { NIBBLES };
    let (row, superblocks) = (Row::of(x, tiles[0].total), tiles[0].total / SUBS);
    let quants = starts_of(tiles, superblocks, packed + SCALES);
    let (low, sixteen) = (_mm512_set1_epi8(15), _mm512_set1_epi8(16));
    let mut chains = [_mm512_setzero_ps(); S];
    for (superblock, tile) in (0..superblocks).flat_map(|superblock| (0..S).map(move |tile| (superblock, tile))) {
        // SAFETY: row and tiles hold the superblock.
        unsafe {
            let at = quants[tile].add(superblock * packed);
            let scales = quants[tile].add(superblocks * packed + superblock * SCALES);
            let (scale, minimum) = (half_line(scales), half_line(scales.add(2 * ROWS)));
            let minimum = _mm512_sub_ps(_mm512_set1_ps(-0.0), minimum);
            let factor = |index: usize| {
                let bytes = _mm_loadu_si128(scales.add((4 + index) * ROWS).cast());
                _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes))
            };
            for pair in 0..SUBS / 2 {
                let mut sums = [_mm512_setzero_si512(); 2];
                let block = superblock * SUBS + 2 * pair;
                for group in 0..8 {
                    let weights = line(at.add(pair * BLOCK_BYTES + group * LINE));
                    let upper = _mm512_srli_epi16::<4>(weights);
                    for (half, weights) in [weights, upper].into_iter().enumerate() {
                        let mut weights = _mm512_and_si512(weights, low);
                        if FIFTH {
                            let bits = at.add(NIBBLES + ((2 * pair + half) * 8 + group) * 8).cast::<u64>();
                            weights = _mm512_mask_add_epi8(weights, bits.read_unaligned(), weights, sixteen);
                        }
                        sums[half] = _mm512_dpbusd_epi32(sums[half], weights, row.word(block + half, group));
                    }
                }
                for (half, sum) in sums.into_iter().enumerate() {
                    let (block, sub) = (block + half, 2 * pair + half);
                    chains[tile] = row.take(block, _mm512_mul_ps(scale, factor(sub)), sum, chains[tile]);
                    let minimum = _mm512_mul_ps(minimum, factor(SUBS + sub));
                    chains[tile] = _mm512_fmadd_ps(minimum, _mm512_set1_ps(*row.sums.add(block)), chains[tile]);
                }
            }
        }
    }
    store(chains, out);
}

/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub unsafe fn q4_k<const S: usize>(tiles: [Tile; S], x: &Group, out: &mut [Chain; S]) {
    // SAFETY: as the caller promises.
    unsafe { with_minima::<S, false>(tiles, x, out) }
}

/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub unsafe fn q5_k<const S: usize>(tiles: [Tile; S], x: &Group, out: &mut [Chain; S]) {
    // SAFETY: as the caller promises.
    unsafe { with_minima::<S, true>(tiles, x, out) }
}

/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub unsafe fn q6_k<const S: usize>(tiles: [Tile; S], x: &Group, out: &mut [Chain; S]) {
    const NIBBLES: usize = SUBS / 2 * BLOCK_BYTES;
    const PACKED: usize = NIBBLES + 2 * BLOCK_BYTES;
    const SCALES: usize = (2 + 2 * SUBS) * ROWS;
    let (row, superblocks) = (Row::of(x, tiles[0].total), tiles[0].total / SUBS);
    let quants = starts_of(tiles, superblocks, PACKED + SCALES);
    let (low, high) = (_mm512_set1_epi8(15), _mm512_set1_epi8(48));
    let mut chains = [_mm512_setzero_ps(); S];
    for (superblock, tile) in (0..superblocks).flat_map(|superblock| (0..S).map(move |tile| (superblock, tile))) {
        // SAFETY: row and tiles hold the superblock.
        unsafe {
            let at = quants[tile].add(superblock * PACKED);
            let scales = quants[tile].add(superblocks * PACKED + superblock * SCALES);
            let scale = half_line(scales);
            for pair in 0..SUBS / 2 {
                let block = superblock * SUBS + 2 * pair;
                // -32 of the -128, for each half of each of the two blocks.
                let mut sums = [
                    [row.start::<2>(block, 1), row.start::<2>(block, 2)],
                    [row.start::<2>(block + 1, 1), row.start::<2>(block + 1, 2)],
                ];
                for group in 0..8 {
                    let weights = line(at.add(pair * BLOCK_BYTES + group * LINE));
                    let upper = line(at.add(NIBBLES + pair / 2 * BLOCK_BYTES + group * LINE));
                    // Bits 0 and 1 of the pair's four are of the first block; they go to bits 4 and 5.
                    let (first, second) = if pair % 2 == 0 {
                        (_mm512_slli_epi16::<4>(upper), _mm512_slli_epi16::<2>(upper))
                    } else {
                        (upper, _mm512_srli_epi16::<2>(upper))
                    };
                    let join =
                        |weights, upper| _mm512_or_si512(_mm512_and_si512(weights, low), _mm512_and_si512(upper, high));
                    let (one, other) = (join(weights, first), join(_mm512_srli_epi16::<4>(weights), second));
                    let half = group / 4;
                    sums[0][half] = _mm512_dpbusd_epi32(sums[0][half], one, row.word(block, group));
                    sums[1][half] = _mm512_dpbusd_epi32(sums[1][half], other, row.word(block + 1, group));
                }
                for (index, sum) in sums.into_iter().flatten().enumerate() {
                    let factors = _mm_loadu_si128(scales.add((2 + 4 * pair + index) * ROWS).cast());
                    let factor = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(factors));
                    chains[tile] = row.take(block + index / 2, _mm512_mul_ps(scale, factor), sum, chains[tile]);
                }
            }
        }
    }
    store(chains, out);
}
