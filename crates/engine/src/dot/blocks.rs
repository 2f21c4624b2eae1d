//! Activations quantised by blocks of 32, laid out as the kernels read them.
//!
//! Rows lie in groups of up to 16 side by side: a group's quants are `[block][row][32]` bytes, so a block of a group is
//! one tile of AMX, and a single row is one run of bytes. Every level writes the same bits.

use graph::ops::linear_blocks_f32::quantise;

use super::{BLOCK, ROWS};
use crate::{
    cpu::{Instructions, Level},
    threads::{Cut, Threads},
};

/// What a signed byte is made unsigned by; sums of products start below 0 for it.
pub const BIAS: i32 = 128;
/// Starting values of a block: of all 32 columns, of the first 16, of the last 16.
pub const STARTS: usize = 3;

/// Rows of activations.
#[derive(Default)]
pub struct Blocks {
    rows: usize,
    /// Blocks of a row.
    count: usize,
    quants: Vec<Line>,
    scales: Vec<f32>,
    sums: Vec<f32>,
    starts: Vec<i32>,
}

/// The quants of one row's block; whole groups begin at cache lines.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
struct Line([i8; BLOCK]);

/// The rows of a group from some block on.
#[derive(Clone, Copy)]
pub struct Group<'a> {
    /// Rows side by side.
    pub width: usize,
    /// `[block][row][32]`.
    pub quants: &'a [i8],
    /// `[block][row]`: what a quant of 1 stands for.
    pub scales: &'a [f32],
    /// `[block][row]`: the scale times the sum of the quants.
    pub sums: &'a [f32],
    /// `[block][STARTS][row]`: the sums of the quants times `-BIAS`.
    pub starts: &'a [i32],
}

/// Where the blocks of one row go, in the parts of its group.
pub struct Place<'a> {
    row: usize,
    width: usize,
    quants: &'a mut [Line],
    scales: &'a mut [f32],
    sums: &'a mut [f32],
    starts: &'a mut [i32],
}

impl Blocks {
    /// Quantises rows of `columns`, a multiple of 32.
    pub fn fill(&mut self, level: Level, threads: &Threads, x: &[f32], columns: usize) {
        assert!(
            columns > 0 && columns.is_multiple_of(BLOCK) && x.len().is_multiple_of(columns),
            "rows of whole blocks"
        );
        (self.rows, self.count) = (x.len() / columns, columns / BLOCK);
        let cells = self.rows * self.count;
        self.quants.resize(cells, Line([0; BLOCK]));
        self.scales.resize(cells, 0.0);
        self.sums.resize(cells, 0.0);
        self.starts.resize(cells * STARTS, 0);
        // Pieces of whole groups: the parts of a group lie together.
        let piece = ROWS * self.count;
        let (quants, scales) = (Cut::new(&mut self.quants, piece), Cut::new(&mut self.scales, piece));
        let (sums, starts) = (Cut::new(&mut self.sums, piece), Cut::new(&mut self.starts, STARTS * piece));
        threads.pieces(quants.count(), |index| {
            // SAFETY: `pieces` calls with each number once.
            let (quants, scales, sums, starts) =
                unsafe { (quants.piece(index), scales.piece(index), sums.piece(index), starts.piece(index)) };
            let width = quants.len() / (columns / BLOCK);
            for (row, x) in x[index * ROWS * columns..].chunks_exact(columns).take(width).enumerate() {
                let (quants, scales, sums, starts) = (&mut *quants, &mut *scales, &mut *sums, &mut *starts);
                quantise_row(level, x, Place { row, width, quants, scales, sums, starts });
            }
        });
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Blocks of a row.
    pub fn count(&self) -> usize {
        self.count
    }

    pub fn groups(&self) -> usize {
        self.rows.div_ceil(ROWS)
    }

    /// A group's rows from a block on.
    pub fn group(&self, index: usize, block: usize) -> Group<'_> {
        let width = ROWS.min(self.rows - index * ROWS);
        let (from, to) = (index * ROWS * self.count + block * width, (index * ROWS + width) * self.count);
        let lines = &self.quants[from..to];
        // SAFETY: a line is 32 bytes without padding, and any byte is an i8.
        let quants = unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * BLOCK) };
        let (scales, sums) = (&self.scales[from..to], &self.sums[from..to]);
        Group { width, quants, scales, sums, starts: &self.starts[STARTS * from..STARTS * to] }
    }
}

impl Group<'_> {
    /// Panics unless the group holds all of so many blocks: kernels rely on it.
    pub fn assert_blocks(&self, blocks: usize) {
        let cells = blocks * self.width;
        assert!(self.width <= ROWS && self.quants.len() >= cells * BLOCK, "quants of every block");
        assert!(self.scales.len() >= cells && self.sums.len() >= cells, "scales and sums of every block");
        assert!(self.starts.len() >= cells * STARTS, "starts of every block");
    }
}

impl Place<'_> {
    /// Takes a block: its quants, its scale, and the sums of its first and last 16 quants.
    #[inline(always)]
    fn put(&mut self, block: usize, quants: [i8; BLOCK], scale: f32, [first, last]: [i32; 2]) {
        let at = block * self.width + self.row;
        self.quants[at].0 = quants;
        self.scales[at] = scale;
        self.sums[at] = scale * (first + last) as f32;
        for (index, sum) in [first + last, first, last].into_iter().enumerate() {
            self.starts[(block * STARTS + index) * self.width + self.row] = -BIAS * sum;
        }
    }
}

fn quantise_row(level: Level, x: &[f32], place: Place) {
    match level.vectors() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: only detection of these features makes the levels.
        Instructions::Avx512 | Instructions::Amx => unsafe { vectors::avx512(x, place) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Instructions::Avx2 => unsafe { vectors::avx2(x, place) },
        _ => portable(x, place),
    }
}

fn portable(x: &[f32], mut place: Place) {
    for (block, x) in x.as_chunks::<BLOCK>().0.iter().enumerate() {
        let mut quants = [0; BLOCK];
        let scale = quantise(x, &mut quants);
        let half = |quants: &[i8]| quants.iter().map(|&quant| i32::from(quant)).sum();
        let sums = [half(&quants[..BLOCK / 2]), half(&quants[BLOCK / 2..])];
        place.put(block, quants, scale, sums);
    }
}

#[cfg(target_arch = "x86_64")]
mod vectors {
    use std::arch::x86_64::*;

    use graph::ops::linear_blocks_f32::inverse;

    use super::{BLOCK, Place};

    /// # Safety
    /// The CPU has the features named.
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    pub unsafe fn avx512(x: &[f32], mut place: Place) {
        for (block, x) in x.as_chunks::<BLOCK>().0.iter().enumerate() {
            // SAFETY: 32 floats are two loads of 16.
            let (first, last) = unsafe { (_mm512_loadu_ps(x.as_ptr()), _mm512_loadu_ps(x.as_ptr().add(16))) };
            // Of a NaN and a number, the second operand comes out: a NaN is passed over.
            let most = _mm512_max_ps(_mm512_abs_ps(first), _mm512_setzero_ps());
            let most = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(last), most));
            let inverse = _mm512_set1_ps(inverse(most));
            let whole = |x: __m512| {
                let scaled = _mm512_mul_ps(x, inverse);
                // To the nearest, ties to even; a NaN becomes 0.
                let numbers = _mm512_cmp_ps_mask::<_CMP_ORD_Q>(scaled, scaled);
                _mm512_maskz_cvtps_epi32(numbers, scaled)
            };
            let (first, last) = (whole(first), whole(last));
            let mut quants = [0; BLOCK];
            // SAFETY: 32 bytes are two stores of 16.
            unsafe {
                _mm_storeu_si128(quants.as_mut_ptr().cast(), _mm512_cvtsepi32_epi8(first));
                _mm_storeu_si128(quants.as_mut_ptr().add(16).cast(), _mm512_cvtsepi32_epi8(last));
            }
            place.put(block, quants, most / 127.0, [_mm512_reduce_add_epi32(first), _mm512_reduce_add_epi32(last)]);
        }
    }

    /// # Safety
    /// The CPU has the features named.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub unsafe fn avx2(x: &[f32], mut place: Place) {
        for (block, x) in x.as_chunks::<BLOCK>().0.iter().enumerate() {
            // SAFETY: 32 floats are four loads of 8.
            let x: [__m256; 4] = std::array::from_fn(|part| unsafe { _mm256_loadu_ps(x.as_ptr().add(8 * part)) });
            let sign = _mm256_set1_ps(-0.0);
            let most = x.iter().fold(_mm256_setzero_ps(), |most, &x| _mm256_max_ps(_mm256_andnot_ps(sign, x), most));
            let most = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps::<1>(most));
            let most = _mm_max_ps(most, _mm_movehl_ps(most, most));
            let most = _mm_cvtss_f32(_mm_max_ss(most, _mm_movehdup_ps(most)));
            let inverse = _mm256_set1_ps(inverse(most));
            let whole = x.map(|x| {
                let scaled = _mm256_mul_ps(x, inverse);
                let numbers = _mm256_cmp_ps::<_CMP_ORD_Q>(scaled, scaled);
                _mm256_cvtps_epi32(_mm256_and_ps(scaled, numbers))
            });
            let sum = |one, other| {
                let sum = _mm256_add_epi32(one, other);
                let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
                let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0x4e>(sum));
                _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32::<0xb1>(sum)))
            };
            let sums = [sum(whole[0], whole[1]), sum(whole[2], whole[3])];
            let bytes =
                _mm256_packs_epi16(_mm256_packs_epi32(whole[0], whole[1]), _mm256_packs_epi32(whole[2], whole[3]));
            // Packing works in halves of a vector; this puts the fours of bytes into their order.
            let bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
            let mut quants = [0; BLOCK];
            // SAFETY: 32 bytes are one store.
            unsafe { _mm256_storeu_si256(quants.as_mut_ptr().cast(), bytes) };
            place.put(block, quants, most / 127.0, sums);
        }
    }
}
