//! A few rows of activations with AVX-512 VNNI, the weights as they are packed: bound by memory, so they are asked for
//! well ahead, across the end of a tile into the next one. Tiles follow each other: one stream of memory, and a thin one of
//! scales, is what the hardware follows best.

use std::arch::x86_64::*;

use crate::dot::{
    Chain, ROWS,
    blocks::{Group, STARTS},
    panel::{BLOCK_BYTES, Tile},
};

/// How far ahead weights are asked for.
const AHEAD: usize = 4096;
const LINE: usize = 64;
/// Blocks of a superblock.
const SUBS: usize = 8;

/// One tile as a stream of quants with one of scales behind it.
struct Stream {
    quants: *const u8,
    scales: *const u8,
    /// Bytes of all quants, and of the whole tile.
    length: usize,
    tile: usize,
}

impl Stream {
    /// Panics unless the tile holds so many parts, each with so many bytes of quants and of scales.
    fn of(tile: Tile, parts: usize, quants: usize, scales: usize) -> Self {
        assert!(tile.bytes.len() >= parts * (quants + scales), "a tile of every block");
        let start = tile.bytes.as_ptr();
        let length = parts * quants;
        Self { quants: start, scales: start.wrapping_add(length), length, tile: tile.bytes.len() }
    }

    /// How far ahead of a place in the quants memory is asked for: behind the last of them come those of the next tile.
    #[inline(always)]
    fn ahead(&self, place: usize) -> usize {
        if place + AHEAD < self.length { AHEAD } else { AHEAD + self.tile - self.length }
    }

    /// Scales at a place, and asks for as many of the next tile's.
    #[inline(always)]
    fn scales(&self, place: usize, bytes: usize) -> *const u8 {
        let at = self.scales.wrapping_add(place);
        for line in (0..bytes).step_by(LINE) {
            // SAFETY: prefetching reads nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(at.wrapping_add(self.tile + line).cast()) };
        }
        at
    }
}

#[inline(always)]
fn ask(at: *const u8, ahead: usize) {
    // SAFETY: prefetching reads nothing.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(ahead).cast()) };
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn line(at: *const u8, ahead: usize) -> __m512i {
    ask(at, ahead);
    // SAFETY: the caller promises 64 bytes.
    unsafe { _mm512_loadu_si512(at.cast()) }
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

#[inline]
#[target_feature(enable = "avx512f")]
fn store<const R: usize>(chains: [__m512; R], out: &mut [Chain]) {
    assert_eq!(out.len(), R, "a chain for every row");
    for (chain, out) in chains.into_iter().zip(out) {
        // SAFETY: a chain is 16 floats.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), chain) };
    }
}

/// The kernel of a format for rows from some one on, as many at a time as its sums and chains leave in registers.
macro_rules! format {
    ($few:ident, $kernel:ident, $most:literal: $($rows:literal)*) => {
        /// # Safety
        /// The CPU has the features named.
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        pub unsafe fn $few(tile: Tile, x: &Group, first: usize, out: &mut [Chain]) {
            for (pass, out) in out.chunks_mut($most).enumerate() {
                let first = first + pass * $most;
                // SAFETY: as the caller promises.
                unsafe {
                    match out.len() {
                        $($rows => $kernel::<$rows>(tile, x, first, out),)*
                        _ => $kernel::<$most>(tile, x, first, out),
                    }
                }
            }
        }
    };
}
format!(few_q8_0, q8_0, 8: 1 2 3 4 5 6 7);
format!(few_q4_0, q4_0, 8: 1 2 3 4 5 6 7);
// Two sums a row, and four.
format!(few_q4_k, q4_k, 8: 1 2 3 4 5 6 7);
format!(few_q5_k, q5_k, 8: 1 2 3 4 5 6 7);
format!(few_q6_k, q6_k, 5: 1 2 3 4);

/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn q8_0<const R: usize>(tile: Tile, x: &Group, first: usize, out: &mut [Chain]) {
    let blocks = tile.total;
    let (rows, stream) = (Rows::<R>::of(x, first, blocks), Stream::of(tile, blocks, BLOCK_BYTES, 2 * ROWS));
    let top = _mm512_set1_epi8(-128);
    let mut chains = [_mm512_setzero_ps(); R];
    for block in 0..blocks {
        // SAFETY: rows and tile hold the block.
        unsafe {
            let place = block * BLOCK_BYTES;
            let (at, ahead) = (stream.quants.add(place), stream.ahead(place));
            let mut sums = rows.starts::<0>(block, 0);
            for group in 0..8 {
                let weights = _mm512_xor_si512(line(at.add(group * LINE), ahead), top);
                rows.add(block, group, weights, &mut sums);
            }
            rows.take(block, half_line(stream.scales(block * 2 * ROWS, 2 * ROWS)), sums, &mut chains);
        }
    }
    store(chains, out);
}

/// Two tiles that lie far apart, for one row: two streams of memory, which are faster than one where a tile holds nothing but bytes.
/// More rows are bound by products, and take one tile after the other.
///
/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub unsafe fn two_q8_0(tiles: [Tile; 2], x: &Group, first: usize, out: &mut [Chain]) {
    let rows = out.len() / 2;
    if rows != 1 {
        for (tile, out) in tiles.into_iter().zip(out.chunks_exact_mut(rows)) {
            // SAFETY: as the caller promises.
            unsafe { few_q8_0(tile, x, first, out) };
        }
        return;
    }
    let blocks = tiles[0].total;
    let (rows, streams) =
        (Rows::<1>::of(x, first, blocks), tiles.map(|tile| Stream::of(tile, blocks, BLOCK_BYTES, 2 * ROWS)));
    let top = _mm512_set1_epi8(-128);
    let mut chains = [[_mm512_setzero_ps(); 1]; 2];
    for block in 0..blocks {
        // SAFETY: rows and tiles hold the block.
        unsafe {
            let place = block * BLOCK_BYTES;
            let ahead = streams[0].ahead(place);
            let mut sums = [rows.starts::<0>(block, 0); 2];
            for group in 0..8 {
                for (stream, sums) in streams.iter().zip(&mut sums) {
                    let weights = _mm512_xor_si512(line(stream.quants.add(place + group * LINE), ahead), top);
                    rows.add(block, group, weights, sums);
                }
            }
            for ((stream, sums), chains) in streams.iter().zip(sums).zip(&mut chains) {
                rows.take(block, half_line(stream.scales(block * 2 * ROWS, 2 * ROWS)), sums, chains);
            }
        }
    }
    for (chain, out) in chains.into_iter().zip(out.chunks_exact_mut(1)) {
        store(chain, out);
    }
}

/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn q4_0<const R: usize>(tile: Tile, x: &Group, first: usize, out: &mut [Chain]) {
    const PACKED: usize = BLOCK_BYTES / 2;
    let blocks = tile.total;
    let (rows, stream) = (Rows::<R>::of(x, first, blocks), Stream::of(tile, blocks, PACKED, 2 * ROWS));
    let low = _mm512_set1_epi8(15);
    let mut chains = [_mm512_setzero_ps(); R];
    for block in 0..blocks {
        // SAFETY: rows and tile hold the block.
        unsafe {
            let place = block * PACKED;
            let (at, ahead) = (stream.quants.add(place), stream.ahead(place));
            // -8 of the -128.
            let mut sums = rows.starts::<4>(block, 0);
            for group in 0..4 {
                let weights = line(at.add(group * LINE), ahead);
                let upper = _mm512_and_si512(_mm512_srli_epi16::<4>(weights), low);
                rows.add(block, group, _mm512_and_si512(weights, low), &mut sums);
                rows.add(block, 4 + group, upper, &mut sums);
            }
            rows.take(block, half_line(stream.scales(block * 2 * ROWS, 2 * ROWS)), sums, &mut chains);
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
unsafe fn with_minima<const R: usize, const FIFTH: bool>(tile: Tile, x: &Group, first: usize, out: &mut [Chain]) {
    const NIBBLES: usize = SUBS / 2 * BLOCK_BYTES;
    const SCALES: usize = (4 + 2 * SUBS) * ROWS;
    let packed = if FIFTH { NIBBLES + SUBS * BLOCK_BYTES / 8 } else { NIBBLES };
    let superblocks = tile.total / SUBS;
    let (rows, stream) = (Rows::<R>::of(x, first, tile.total), Stream::of(tile, superblocks, packed, SCALES));
    let (low, sixteen) = (_mm512_set1_epi8(15), _mm512_set1_epi8(16));
    let mut chains = [_mm512_setzero_ps(); R];
    for superblock in 0..superblocks {
        // SAFETY: rows and tile hold the superblock.
        unsafe {
            let at = stream.quants.add(superblock * packed);
            let scales = stream.scales(superblock * SCALES, SCALES);
            let (scale, minimum) = (half_line(scales), half_line(scales.add(2 * ROWS)));
            let minimum = _mm512_sub_ps(_mm512_set1_ps(-0.0), minimum);
            let factor = |index: usize| {
                let bytes = _mm_loadu_si128(scales.add((4 + index) * ROWS).cast());
                _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes))
            };
            for pair in 0..SUBS / 2 {
                let mut sums = [[_mm512_setzero_si512(); R]; 2];
                let block = superblock * SUBS + 2 * pair;
                let ahead = stream.ahead(superblock * packed + pair * BLOCK_BYTES);
                let fifths = at.wrapping_add(NIBBLES + 2 * pair * LINE);
                if FIFTH {
                    ask(fifths, ahead);
                    ask(fifths.wrapping_add(LINE), ahead);
                }
                for group in 0..8 {
                    let weights = line(at.add(pair * BLOCK_BYTES + group * LINE), ahead);
                    let upper = _mm512_srli_epi16::<4>(weights);
                    for (half, weights) in [weights, upper].into_iter().enumerate() {
                        let mut weights = _mm512_and_si512(weights, low);
                        if FIFTH {
                            let bits = fifths.add((half * 8 + group) * 8).cast::<u64>();
                            weights = _mm512_mask_add_epi8(weights, bits.read_unaligned(), weights, sixteen);
                        }
                        rows.add(block + half, group, weights, &mut sums[half]);
                    }
                }
                for (half, sums) in sums.into_iter().enumerate() {
                    let (block, sub) = (block + half, 2 * pair + half);
                    rows.take(block, _mm512_mul_ps(scale, factor(sub)), sums, &mut chains);
                    rows.subtract(block, _mm512_mul_ps(minimum, factor(SUBS + sub)), &mut chains);
                }
            }
        }
    }
    store(chains, out);
}

/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn q4_k<const R: usize>(tile: Tile, x: &Group, first: usize, out: &mut [Chain]) {
    // SAFETY: as the caller promises.
    unsafe { with_minima::<R, false>(tile, x, first, out) }
}

/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn q5_k<const R: usize>(tile: Tile, x: &Group, first: usize, out: &mut [Chain]) {
    // SAFETY: as the caller promises.
    unsafe { with_minima::<R, true>(tile, x, first, out) }
}

/// # Safety
/// The CPU has the features named.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn q6_k<const R: usize>(tile: Tile, x: &Group, first: usize, out: &mut [Chain]) {
    const NIBBLES: usize = SUBS / 2 * BLOCK_BYTES;
    const PACKED: usize = NIBBLES + 2 * BLOCK_BYTES;
    const SCALES: usize = (2 + 2 * SUBS) * ROWS;
    let superblocks = tile.total / SUBS;
    let (rows, stream) = (Rows::<R>::of(x, first, tile.total), Stream::of(tile, superblocks, PACKED, SCALES));
    let (low, high) = (_mm512_set1_epi8(15), _mm512_set1_epi8(48));
    let mut chains = [_mm512_setzero_ps(); R];
    for superblock in 0..superblocks {
        // SAFETY: rows and tile hold the superblock.
        unsafe {
            let at = stream.quants.add(superblock * PACKED);
            let scales = stream.scales(superblock * SCALES, SCALES);
            let scale = half_line(scales);
            for pair in 0..SUBS / 2 {
                let block = superblock * SUBS + 2 * pair;
                let ahead = stream.ahead(superblock * PACKED + pair * BLOCK_BYTES);
                // -32 of the -128, for each half of each of the two blocks.
                let start = |of: usize| rows.starts::<2>(block + of / 2, 1 + of % 2);
                let mut sums = [start(0), start(1), start(2), start(3)];
                for group in 0..8 {
                    let weights = line(at.add(pair * BLOCK_BYTES + group * LINE), ahead);
                    let upper = line(at.add(NIBBLES + pair / 2 * BLOCK_BYTES + group * LINE), ahead);
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
                    rows.take(block + index / 2, _mm512_mul_ps(scale, factor), sums, &mut chains);
                }
            }
        }
    }
    store(chains, out);
}
