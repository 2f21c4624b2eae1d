//! A packed matrix times rows of activations: how the work is cut over threads, tiles, columns and rows.

use std::ops::Range;

use graph::{Format, Packed};

use super::{
    BLOCK, Chain, Corner, ROWS,
    blocks::Blocks,
    panel::{Expand, PANEL_BLOCKS, Panel, Scratch, Tile, expansion},
    table::{Several, direct, several, several_two},
};
use crate::{
    cpu::Level,
    threads::{Cut, Threads},
};

/// Tiles whose chains wait together while their columns are gone through: the rows of a span of columns stay in the
/// second level of the cache meanwhile.
const TILES: usize = 8;
/// Groups of rows that are gone through together.
const GROUPS: usize = 32;
/// Pieces for each thread, at least and at most: late threads then cost little.
const PIECES: (usize, usize) = (4, 16);

/// One matrix of packed weights.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    pub format: Format,
    pub outputs: usize,
    pub columns: usize,
    bytes: &'a [u8],
    tile_bytes: usize,
}

impl<'a> Matrix<'a> {
    /// The matrix of that number in a stack; `None` where there is none.
    pub fn of(packed: &'a Packed, index: usize) -> Option<Self> {
        let (format, outputs, columns) = (packed.format(), packed.rows(), packed.columns());
        let tile_bytes = format.tile_bytes(columns)?;
        let length = packed.tiles_of_matrix() * tile_bytes;
        let bytes = packed.bytes().get(index.checked_mul(length)?..)?.get(..length)?;
        Some(Self { format, outputs, columns, bytes, tile_bytes })
    }

    pub fn tiles(&self) -> usize {
        self.outputs.div_ceil(ROWS)
    }

    pub fn tile(&self, index: usize) -> &'a [u8] {
        &self.bytes[index * self.tile_bytes..][..self.tile_bytes]
    }

    /// Tiles that lie one after the other, and the bytes of one.
    pub fn span(&self, tiles: Range<usize>) -> (&'a [u8], usize) {
        (&self.bytes[tiles.start * self.tile_bytes..tiles.end * self.tile_bytes], self.tile_bytes)
    }

    fn blocks_of(&self, tile: usize) -> Tile<'a> {
        Tile { bytes: self.tile(tile), total: self.columns / BLOCK }
    }
}

/// How tiles are cut into pieces for threads.
pub fn pieces(threads: &Threads, tiles: usize, each: impl Fn(Range<usize>) + Sync) {
    let cut = |each: usize| tiles.div_ceil(threads.count() * each).max(1);
    // As small as pays: tiles that share what is read of the rows stay together.
    let piece = if threads.count() == 1 { tiles.max(1) } else { cut(PIECES.1).max(TILES.min(cut(PIECES.0))) };
    threads.pieces(tiles.div_ceil(piece), |index| each(index * piece..tiles.min((index + 1) * piece)));
}

/// Where outputs go: rows of `stride` values, of which each tile has its own columns.
pub struct Output<'a, T> {
    cut: Cut<'a, T>,
    stride: usize,
}

impl<'a, T: Copy> Output<'a, T> {
    pub fn new(out: &'a mut [T], stride: usize) -> Self {
        Self { cut: Cut::new(out, stride), stride }
    }

    /// The places of the outputs of some tiles of a row, padding left out.
    ///
    /// # Safety
    /// A tile is in one hand only.
    #[allow(clippy::mut_from_ref, reason = "tiles do not overlap, and the caller has each once")]
    pub unsafe fn part(&self, row: usize, tiles: Range<usize>) -> &mut [T] {
        let (from, to) = (tiles.start * ROWS, self.stride.min(tiles.end * ROWS));
        // SAFETY: as the caller promises; a part that is not there panics.
        unsafe { self.cut.part(row * self.stride + from, to - from) }
    }

    /// Writes a tile's outputs of a row, those that are not padding.
    ///
    /// # Safety
    /// A tile is in one hand only.
    #[inline]
    pub unsafe fn write(&self, row: usize, tile: usize, values: &[T; ROWS]) {
        let lanes = ROWS.min(self.stride - tile * ROWS);
        // SAFETY: as the caller promises; a part that is not there panics.
        let out = unsafe { self.cut.part(row * self.stride + tile * ROWS, lanes) };
        match out.as_mut_array() {
            // The usual case, without a call to copy.
            Some(out) => *out = *values,
            None => out.copy_from_slice(&values[..lanes]),
        }
    }
}

/// `out[row][output]` of a format with blocks; the bias is added last.
pub fn multiply_blocks(
    level: Level,
    threads: &Threads,
    weights: &Matrix,
    x: &Blocks,
    bias: Option<&[f32]>,
    out: &mut [f32],
) {
    assert_eq!(out.len(), x.rows() * weights.outputs, "an output for every row and tile");
    assert_eq!(x.count() * BLOCK, weights.columns, "columns on both sides");
    let out = Output::new(out, weights.outputs);
    let task = Task { level, weights, x, bias, rows: None, out: &out };
    pieces(threads, weights.tiles(), |tiles| task.piece(tiles));
}

/// Some tiles of a matrix times activations, without a bias. Row i of the activations makes row `rows[i]` of the output:
/// for callers that cut the work themselves.
///
/// # Safety
/// No output of these rows and tiles is in another hand.
pub unsafe fn multiply_block_tiles(
    level: Level,
    weights: &Matrix,
    tiles: Range<usize>,
    x: &Blocks,
    rows: &[usize],
    out: &Output<f32>,
) {
    assert_eq!(x.rows(), rows.len(), "a place for every row");
    assert_eq!(x.count() * BLOCK, weights.columns, "columns on both sides");
    Task { level, weights, x, bias: None, rows: Some(rows), out }.piece(tiles);
}

struct Task<'a> {
    level: Level,
    weights: &'a Matrix<'a>,
    x: &'a Blocks,
    bias: Option<&'a [f32]>,
    /// Where each row's outputs go, if not in the rows' own order.
    rows: Option<&'a [usize]>,
    out: &'a Output<'a, f32>,
}

impl Task<'_> {
    fn piece(&self, tiles: Range<usize>) {
        if self.direct(tiles.clone()) {
            return;
        }
        let Some(expand) = expansion(self.weights.format) else { return };
        let mut scratch = [Scratch::new(), Scratch::new()];
        let mut chains = vec![[0.0; ROWS]; TILES * (GROUPS * ROWS).min(self.x.rows())];
        for group in (0..self.x.groups()).step_by(GROUPS) {
            for from in tiles.clone().step_by(TILES) {
                let tiles = from..tiles.end.min(from + TILES);
                self.several(expand, tiles, group, &mut scratch, &mut chains);
            }
        }
    }

    /// Few rows, the weights as they are packed. False where there is no kernel for it.
    fn direct(&self, tiles: Range<usize>) -> bool {
        let rows = self.x.rows();
        let Some(kernels) = direct(self.level.vectors(), self.weights.format, rows) else { return false };
        let group = self.x.group(0, 0);
        let mut chains = [[0.0; ROWS]; 2 * ROWS];
        let half = kernels.two.map_or(0, |_| tiles.len() / 2);
        if let Some(two) = kernels.two {
            for index in tiles.start..tiles.start + half {
                let pair = [index, index + half].map(|tile| self.weights.blocks_of(tile));
                // SAFETY: the level's instructions are there.
                unsafe { two(pair, &group, 0, &mut chains[..2 * rows]) };
                for (at, chain) in chains[..2 * rows].iter().enumerate() {
                    self.finish(at % rows, index + at / rows * half, *chain);
                }
            }
        }
        for tile in tiles.start + 2 * half..tiles.end {
            // SAFETY: as above.
            unsafe { (kernels.few)(self.weights.blocks_of(tile), &group, 0, &mut chains[..rows]) };
            chains[..rows].iter().enumerate().for_each(|(row, chain)| self.finish(row, tile, *chain));
        }
        true
    }

    /// Some tiles times up to `GROUPS` groups of rows.
    fn several(
        &self,
        expand: Expand,
        tiles: Range<usize>,
        group: usize,
        scratch: &mut [Scratch; 2],
        chains: &mut [Chain],
    ) {
        let level = self.level.instructions();
        let (one, two): (Several, _) = (several(level), several_two(level));
        let together = if two.is_some() { 2 } else { 1 };
        let rows = (self.x.rows() - group * ROWS).min(GROUPS * ROWS);
        let chains = &mut chains[..tiles.len() * rows];
        chains.fill([0.0; ROWS]);
        let count = self.x.count();
        for block in (0..count).step_by(PANEL_BLOCKS) {
            let (blocks, corner) = (block..count.min(block + PANEL_BLOCKS), Corner { group, block });
            let [first, second] = &mut *scratch;
            for (tile, chains) in tiles.clone().step_by(together).zip(chains.chunks_mut(together * rows)) {
                let (chains, others) = chains.split_at_mut(rows);
                let panel = self.panel(expand, tile, &tiles, together, &blocks, first);
                // SAFETY: the level's instructions are there.
                unsafe {
                    match two.filter(|_| !others.is_empty()) {
                        Some(two) => {
                            let other = self.panel(expand, tile + 1, &tiles, together, &blocks, second);
                            two([&panel, &other], self.x, corner, [chains, others]);
                        }
                        None => one(&panel, self.x, corner, chains),
                    }
                }
            }
        }
        // Row by row, so that what is written lies together.
        for row in 0..rows {
            for (index, tile) in tiles.clone().enumerate() {
                self.finish(group * ROWS + row, tile, chains[index * rows + row]);
            }
        }
    }

    /// Some blocks of a tile expanded, and what is wanted when they are done: the same of the tile that many further on, or
    /// of the first ones the next columns.
    fn panel<'a>(
        &'a self,
        expand: Expand,
        tile: usize,
        tiles: &Range<usize>,
        together: usize,
        blocks: &Range<usize>,
        scratch: &'a mut Scratch,
    ) -> Panel<'a> {
        let mut panel = expand(self.level, self.weights.blocks_of(tile), blocks.clone(), scratch);
        let later = (tile + together, blocks.start);
        let first = (tiles.start + (tile - tiles.start) % together, blocks.end);
        let (next, from) = if later.0 < tiles.end { later } else { first };
        let to = self.x.count().min(from + PANEL_BLOCKS);
        panel.next = self.weights.blocks_of(next).quants(self.weights.format, from..to);
        panel
    }

    /// Writes a tile's outputs of a row.
    #[inline]
    fn finish(&self, row: usize, tile: usize, mut chain: Chain) {
        if let Some(bias) = self.bias {
            chain.iter_mut().zip(&bias[tile * ROWS..]).for_each(|(sum, bias)| *sum += bias);
        }
        let row = self.rows.map_or(row, |rows| rows[row]);
        // SAFETY: every tile is in one piece, and pieces are done once.
        unsafe { self.out.write(row, tile, &chain) };
    }
}
