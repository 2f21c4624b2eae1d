//! A few rows of activations with AVX-512 VNNI, the weights as they are packed: bound by memory, so they are asked for
//! well ahead, and one row reads two tiles at a time, two streams of memory.

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

/// What a kernel reads of `R` rows of a group.
struct Rows<const R: usize> {
    width: usize,
    first: usize,
    quants: *const i32,
    scales: *const f32,
    sums: *const f32,
    starts: *const i32,
}

impl<const R: usize> Rows<R> {
    fn of(x: &Group, first: usize, blocks: usize) -> Self {
        assert!(first + R <= x.width, "rows of the group");
        x.assert_blocks(blocks);
        Self {
            width: x.width,
            first,
            quants: x.quants.as_ptr().cast(),
            scales: x.scales.as_ptr(),
            sums: x.sums.as_ptr(),
            starts: x.starts.as_ptr(),
        }
    }

    /// Adds the products of unsigned weights with four columns of each row.
    ///
    /// # Safety
    /// The rows have the block.
    #[inline]
    #[target_feature(enable = "avx512f,avx512vnni")]
    unsafe fn add(&self, block: usize, group: usize, weights: __m512i, sums: &mut [__m512i; R]) {
        let at = self.quants.wrapping_add((block * self.width + self.first) * 8 + group);
        for (row, sum) in sums.iter_mut().enumerate() {
            // SAFETY: a row's block is 8 words.
            let word = unsafe { at.add(row * 8).read_unaligned() };
            *sum = _mm512_dpbusd_epi32(*sum, weights, _mm512_set1_epi32(word));
        }
    }

    /// # Safety
    /// The rows have the block.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn starts<const SHIFT: u32>(&self, block: usize, kind: usize) -> [__m512i; R] {
        let at = self.starts.wrapping_add((block * STARTS + kind) * self.width + self.first);
        // SAFETY: a block has all starts. They are multiples of 128, so this divides without rest.
        std::array::from_fn(|row| unsafe { _mm512_srai_epi32::<SHIFT>(_mm512_set1_epi32(*at.add(row))) })
    }

    /// `fma(scale · dx, sum, chain)` for each row.
    ///
    /// # Safety
    /// The rows have the block.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn take(&self, block: usize, scale: __m512, sums: [__m512i; R], chains: &mut [__m512; R]) {
        let at = self.scales.wrapping_add(block * self.width + self.first);
        for (row, (chain, sum)) in chains.iter_mut().zip(sums).enumerate() {
            // SAFETY: a scale for each block and row.
            let dx = unsafe { _mm512_set1_ps(*at.add(row)) };
            *chain = _mm512_fmadd_ps(_mm512_mul_ps(scale, dx), _mm512_cvtepi32_ps(sum), *chain);
        }
    }

    /// `fma(minimum, sum, chain)` for each row.
    ///
    /// # Safety
    /// The rows have the block.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn subtract(&self, block: usize, minimum: __m512, chains: &mut [__m512; R]) {
        let at = self.sums.wrapping_add(block * self.width + self.first);
        for (row, chain) in chains.iter_mut().enumerate() {
            // SAFETY: a sum for each block and row.
            *chain = _mm512_fmadd_ps(minimum, unsafe { _mm512_set1_ps(*at.add(row)) }, *chain);
        }
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
fn store<const S: usize, const R: usize>(chains: [[__m512; R]; S], out: &mut [Chain]) {
    assert_eq!(out.len(), S * R, "a chain for every tile and row");
    for (chain, out) in chains.into_iter().flatten().zip(out) {
        // SAFETY: a chain is 16 floats.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), chain) };
    }
}

/// The kernels of a format for rows from some one on: times two tiles, `[tile][row]` chains, or times one tile. Two are
/// taken together where the sums and chains of both stay in registers.
macro_rules! format {
    ($two:ident, $few:ident, $kernel:ident, $most:literal: $($rows:literal)*, together $together:literal: $($pairs:literal)*) => {
        /// # Safety
        /// The CPU has the features named.
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        pub unsafe fn $two(tiles: [Tile; 2], x: &Group, first: usize, out: &mut [Chain]) {
            // SAFETY: as the caller promises.
            unsafe {
                match out.len() / 2 {
                    $($pairs => $kernel::<2, $pairs>(tiles, x, first, out),)*
                    $together => $kernel::<2, $together>(tiles, x, first, out),
                    rows => {
                        let (one, other) = out.split_at_mut(rows);
                        $few(tiles[0], x, first, one);
                        $few(tiles[1], x, first, other);
                    }
                }
            }
        }

        /// # Safety
        /// The CPU has the features named.
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        pub unsafe fn $few(tile: Tile, x: &Group, first: usize, out: &mut [Chain]) {
            for (pass, out) in out.chunks_mut($most).enumerate() {
                let first = first + pass * $most;
                // SAFETY: as the caller promises.
                unsafe {
                    match out.len() {
                        $($rows => $kernel::<1, $rows>([tile], x, first, out),)*
                        _ => $kernel::<1, $most>([tile], x, first, out),
                    }
                }
            }
        }
    };
}
format!(two_q8_0, few_q8_0, q8_0, 8: 1 2 3 4 5 6 7, together 8: 1 2 3 4 5 6 7);
format!(two_q4_0, few_q4_0, q4_0, 8: 1 2 3 4 5 6 7, together 8: 1 2 3 4 5 6 7);
// Two sums a row, and four: as many stay in registers.
format!(two_q4_k, few_q4_k, q4_k, 8: 1 2 3 4 5 6 7, together 5: 1 2 3 4);
format!(two_q5_k, few_q5_k, q5_k, 8: 1 2 3 4 5 6 7, together 5: 1 2 3 4);
format!(two_q6_k, few_q6_k, q6_k, 5: 1 2 3 4, together 4: 1 2 3);

/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn q8_0<const S: usize, const R: usize>(tiles: [Tile; S], x: &Group, first: usize, out: &mut [Chain]) {
    let blocks = tiles[0].total;
    let (rows, quants) = (Rows::<R>::of(x, first, blocks), starts_of(tiles, blocks, BLOCK_BYTES + 2 * ROWS));
    let scales = quants.map(|tile| tile.wrapping_add(blocks * BLOCK_BYTES));
    let top = _mm512_set1_epi8(-128);
    let mut chains = [[_mm512_setzero_ps(); R]; S];
    for block in 0..blocks {
        // SAFETY: row and tiles hold the block.
        unsafe {
            for tile in 0..S {
                let mut sums = rows.starts::<0>(block, 0);
                let at = quants[tile].add(block * BLOCK_BYTES);
                for group in 0..8 {
                    let weights = _mm512_xor_si512(line(at.add(group * LINE)), top);
                    rows.add(block, group, weights, &mut sums);
                }
                rows.take(block, half_line(scales[tile].add(block * 2 * ROWS)), sums, &mut chains[tile]);
            }
        }
    }
    store(chains, out);
}

/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn q4_0<const S: usize, const R: usize>(tiles: [Tile; S], x: &Group, first: usize, out: &mut [Chain]) {
    let blocks = tiles[0].total;
    let (rows, quants) = (Rows::<R>::of(x, first, blocks), starts_of(tiles, blocks, BLOCK_BYTES / 2 + 2 * ROWS));
    let scales = quants.map(|tile| tile.wrapping_add(blocks * BLOCK_BYTES / 2));
    let low = _mm512_set1_epi8(15);
    let mut chains = [[_mm512_setzero_ps(); R]; S];
    for block in 0..blocks {
        // SAFETY: row and tiles hold the block.
        unsafe {
            for tile in 0..S {
                // -8 of the -128.
                let mut sums = rows.starts::<4>(block, 0);
                let at = quants[tile].add(block * BLOCK_BYTES / 2);
                for group in 0..4 {
                    let weights = line(at.add(group * LINE));
                    let upper = _mm512_and_si512(_mm512_srli_epi16::<4>(weights), low);
                    rows.add(block, group, _mm512_and_si512(weights, low), &mut sums);
                    rows.add(block, 4 + group, upper, &mut sums);
                }
                rows.take(block, half_line(scales[tile].add(block * 2 * ROWS)), sums, &mut chains[tile]);
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
unsafe fn with_minima<const S: usize, const R: usize, const FIFTH: bool>(
    tiles: [Tile; S],
    x: &Group,
    first: usize,
    out: &mut [Chain],
) {
    const NIBBLES: usize = SUBS / 2 * BLOCK_BYTES;
    const SCALES: usize = (4 + 2 * SUBS) * ROWS;
    let packed = if FIFTH { NIBBLES + SUBS * BLOCK_BYTES / 8 } else { NIBBLES };
    let (rows, superblocks) = (Rows::<R>::of(x, first, tiles[0].total), tiles[0].total / SUBS);
    let quants = starts_of(tiles, superblocks, packed + SCALES);
    let (low, sixteen) = (_mm512_set1_epi8(15), _mm512_set1_epi8(16));
    let mut chains = [[_mm512_setzero_ps(); R]; S];
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
                let mut sums = [[_mm512_setzero_si512(); R]; 2];
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
                        rows.add(block + half, group, weights, &mut sums[half]);
                    }
                }
                for (half, sums) in sums.into_iter().enumerate() {
                    let (block, sub) = (block + half, 2 * pair + half);
                    rows.take(block, _mm512_mul_ps(scale, factor(sub)), sums, &mut chains[tile]);
                    rows.subtract(block, _mm512_mul_ps(minimum, factor(SUBS + sub)), &mut chains[tile]);
                }
            }
        }
    }
    store(chains, out);
}

/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn q4_k<const S: usize, const R: usize>(tiles: [Tile; S], x: &Group, first: usize, out: &mut [Chain]) {
    // SAFETY: as the caller promises.
    unsafe { with_minima::<S, R, false>(tiles, x, first, out) }
}

/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn q5_k<const S: usize, const R: usize>(tiles: [Tile; S], x: &Group, first: usize, out: &mut [Chain]) {
    // SAFETY: as the caller promises.
    unsafe { with_minima::<S, R, true>(tiles, x, first, out) }
}

/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn q6_k<const S: usize, const R: usize>(tiles: [Tile; S], x: &Group, first: usize, out: &mut [Chain]) {
    const NIBBLES: usize = SUBS / 2 * BLOCK_BYTES;
    const PACKED: usize = NIBBLES + 2 * BLOCK_BYTES;
    const SCALES: usize = (2 + 2 * SUBS) * ROWS;
    let (rows, superblocks) = (Rows::<R>::of(x, first, tiles[0].total), tiles[0].total / SUBS);
    let quants = starts_of(tiles, superblocks, PACKED + SCALES);
    let (low, high) = (_mm512_set1_epi8(15), _mm512_set1_epi8(48));
    let mut chains = [[_mm512_setzero_ps(); R]; S];
    for (superblock, tile) in (0..superblocks).flat_map(|superblock| (0..S).map(move |tile| (superblock, tile))) {
        // SAFETY: row and tiles hold the superblock.
        unsafe {
            let at = quants[tile].add(superblock * PACKED);
            let scales = quants[tile].add(superblocks * PACKED + superblock * SCALES);
            let scale = half_line(scales);
            for pair in 0..SUBS / 2 {
                let block = superblock * SUBS + 2 * pair;
                // -32 of the -128, for each half of each of the two blocks.
                let start = |of: usize| rows.starts::<2>(block + of / 2, 1 + of % 2);
                let mut sums = [start(0), start(1), start(2), start(3)];
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
                    rows.add(block, group, one, &mut sums[half]);
                    rows.add(block + 1, group, other, &mut sums[2 + half]);
                }
                for (index, sums) in sums.into_iter().enumerate() {
                    let factors = _mm_loadu_si128(scales.add((2 + 4 * pair + index) * ROWS).cast());
                    let factor = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(factors));
                    rows.take(block + index / 2, _mm512_mul_ps(scale, factor), sums, &mut chains[tile]);
                }
            }
        }
    }
    store(chains, out);
}
