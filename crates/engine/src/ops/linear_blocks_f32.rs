//! Fast `linear_blocks_f32`: integer dots of each block, then one fused multiply-add a block and output, in order.

use graph::{
    Data, Fault, Format,
    float::from_half,
    ops::linear_blocks_f32::{BLOCK, quantise},
};

use crate::{
    cpu::{Level, versions},
    dot::{BATCH, BLOCK_GROUPS, Block, GROUP, Layout, Packed, ROWS, Tiles, chains},
    kernel::{Call, Kernel, Making, State, floats, floats_out},
};

struct LinearBlocks {
    tiles: Tiles,
    columns: usize,
    /// Of each tile, a block after the other.
    blocks: Vec<Block>,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let Data::Packed(weights) = making.constant(1)? else { return None };
    if weights.format() != Format::Q8_0 || making.inputs.len() > 2 {
        return None;
    }
    let columns = making.width(0)?;
    let tiles = Tiles::of(weights)?;
    let count = columns / BLOCK;
    let of_tiles: Vec<&[u8]> = weights.tiles().collect();
    let scale = |tile: usize, block: usize, lane: usize| {
        let at = tiles.groups * ROWS * GROUP + 2 * (block * ROWS + lane);
        from_half(u16::from_le_bytes([of_tiles[tile][at], of_tiles[tile][at + 1]]))
    };
    let block = |(tile, block): (usize, usize)| Block {
        scale: std::array::from_fn(|lane| scale(tile, block, lane)),
        start: tiles.bias(tile, block * BLOCK_GROUPS, BLOCK_GROUPS).map(|excess| -excess),
    };
    let places = (0..tiles.count()).flat_map(|tile| (0..count).map(move |block| (tile, block)));
    let blocks = places.map(block).collect();
    Some(Box::new(LinearBlocks { tiles, columns, blocks }))
}

impl Kernel for LinearBlocks {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let x = floats(call, 0, "linear_blocks_f32")?;
        let out = floats_out(out, "linear_blocks_f32")?;
        let rows = x.len() / self.columns;
        let layout = Layout::of(call.level, true);
        let stride = self.tiles.groups * layout.words();
        let (mut words, mut scales) = (vec![0; rows * stride], vec![0.0; rows * (self.columns / BLOCK)]);
        let mut quants = vec![0; self.columns];
        for (row, x) in x.chunks_exact(self.columns).enumerate() {
            let blocks = self.columns / BLOCK;
            quantise_row(call.level, x, &mut quants, &mut scales[row * blocks..][..blocks]);
            layout.pack_bytes(&quants, &mut words[row * stride..][..stride]);
        }
        let packed = Packed { layout, words: &words, stride };
        let outputs = self.tiles.outputs;
        call.threads.each(out, outputs, BATCH, |first, out| self.rows(call.level, &packed, &scales, first, out));
        Ok(())
    }
}

versions! {
    fn quantise_row(x: &[f32], quants: &mut [i8], scales: &mut [f32]) {
        for ((x, quants), scale) in x.chunks_exact(BLOCK).zip(quants.chunks_exact_mut(BLOCK)).zip(scales) {
            *scale = quantise(x, quants);
        }
    }
}

impl LinearBlocks {
    fn rows(&self, level: Level, x: &Packed, scales: &[f32], first: usize, out: &mut [f32]) {
        let (outputs, count) = (self.tiles.outputs, self.columns / BLOCK);
        for (batch, out) in out.chunks_mut(BATCH * outputs).enumerate() {
            let (rows, first) = (out.len() / outputs, first + batch * BATCH);
            for (tile, blocks) in self.blocks.chunks_exact(count).enumerate() {
                let mut sums = [[0.0; ROWS]; BATCH];
                chains(level, &self.tiles, tile, x, first, blocks, scales, &mut sums[..rows]);
                let lanes = ROWS.min(outputs - tile * ROWS);
                for (sums, out) in sums.iter().zip(out.chunks_exact_mut(outputs)) {
                    out[tile * ROWS..][..lanes].copy_from_slice(&sums[..lanes]);
                }
            }
        }
    }
}
