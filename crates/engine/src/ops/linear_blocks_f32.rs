//! Fast `linear_blocks_f32`: integer dots of each block, then one fused multiply-add a block and output, in order.

use graph::{
    Data, Fault,
    float::from_half,
    ops::linear_blocks_f32::{BLOCK, quantise},
};

use crate::{
    cpu::{Level, versions},
    dot::{BATCH, GROUP, Layout, Packed, ROWS, Sums, Tiles, dots},
    kernel::{Call, Kernel, Making, State, floats, floats_out},
};

type Floats = [f32; ROWS];

struct LinearBlocks {
    tiles: Tiles,
    columns: usize,
    /// Of each block of each tile.
    scales: Vec<Floats>,
    biases: Vec<Sums>,
}

const GROUPS: usize = BLOCK / GROUP;

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let (Data::I8(weights), Data::F16(halves)) = (making.constant(1)?, making.constant(2)?) else { return None };
    let (columns, outputs) = (making.width(0)?, making.output.shape.width()?);
    let tiles = Tiles::pack(weights, outputs, columns);
    let blocks = columns / BLOCK;
    let places = (0..tiles.count()).flat_map(|tile| (0..blocks).map(move |block| (tile, block)));
    let scale = |tile: usize, block: usize, lane: usize| {
        halves.get((tile * ROWS + lane) * blocks + block).map_or(0.0, |&bits| from_half(bits))
    };
    let scales = places.clone().map(|(tile, block)| std::array::from_fn(|lane| scale(tile, block, lane))).collect();
    let biases = places.map(|(tile, block)| tiles.bias(tile, block * GROUPS, GROUPS)).collect();
    Some(Box::new(LinearBlocks { tiles, columns, scales, biases }))
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
        let (outputs, blocks) = (self.tiles.outputs, self.columns / BLOCK);
        let biased = x.layout == Layout::Biased;
        for (batch, out) in out.chunks_mut(BATCH * outputs).enumerate() {
            let (rows, first) = (out.len() / outputs, first + batch * BATCH);
            for tile in 0..self.tiles.count() {
                let mut chains = [[0.0; ROWS]; BATCH];
                for block in 0..blocks {
                    let mut sums = [[0; ROWS]; BATCH];
                    let span = (block * GROUPS, GROUPS);
                    dots(level, &self.tiles, tile, span, x, first, &mut sums[..rows]);
                    let at = tile * blocks + block;
                    let bias = if biased { &self.biases[at] } else { &[0; ROWS] };
                    for row in 0..rows {
                        let scale = scales[(first + row) * blocks + block];
                        chain(level, &sums[row], bias, &self.scales[at], scale, &mut chains[row]);
                    }
                }
                let lanes = ROWS.min(outputs - tile * ROWS);
                for (chain, out) in chains.iter().zip(out.chunks_exact_mut(outputs)) {
                    out[tile * ROWS..][..lanes].copy_from_slice(&chain[..lanes]);
                }
            }
        }
    }
}

versions! {
    fn chain(sums: &Sums, bias: &Sums, weights: &Floats, x: f32, chain: &mut Floats) {
        for lane in 0..ROWS {
            chain[lane] = (weights[lane] * x).mul_add((sums[lane] - bias[lane]) as f32, chain[lane]);
        }
    }
}
