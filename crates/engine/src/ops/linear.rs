//! Fast `linear`: packed tiles, several rows of activations for each pass over a tile.

use graph::{Data, Element, Fault};

use crate::{
    cpu::Level,
    dot::integer::{BATCH, Layout, Packed, ROWS, Sums, Tiles, dots, pack_pairs},
    kernel::{Call, Kernel, Making, State, excluded, sums_out},
};

struct Linear {
    tiles: Tiles,
    columns: usize,
    /// The constant bias, and the same less what biased bytes add too much, a tile after the other.
    bias: Vec<Sums>,
    corrected: Vec<Sums>,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let Data::Packed(weights) = making.constant(1)? else { return None };
    let (columns, outputs) = (making.width(0)?, making.output.shape.width()?);
    if !matches!(making.inputs.first()?.element, Element::I8 | Element::I16) {
        return None;
    }
    let tiles = Tiles::of(weights)?;
    let given = if making.inputs.len() == 3 { making.constant_integers(2)? } else { vec![0; outputs] };
    let lane = |tile: usize, lane: usize| given.get(tile * ROWS + lane).copied().unwrap_or(0) as i32;
    let bias: Vec<Sums> = (0..tiles.count()).map(|tile| std::array::from_fn(|index| lane(tile, index))).collect();
    let subtract = |(tile, sums): (usize, &Sums)| {
        let excess = tiles.bias(tile, 0, tiles.groups);
        std::array::from_fn(|lane| sums[lane] - excess[lane])
    };
    let corrected = bias.iter().enumerate().map(subtract).collect();
    Some(Box::new(Linear { tiles, columns, bias, corrected }))
}

impl Kernel for Linear {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let out = sums_out(out, "linear")?;
        let (layout, words, stride) = match call.inputs.first() {
            Some(Data::I8(x)) => {
                let layout = Layout::of(call.level, true);
                let stride = self.tiles.groups * layout.words();
                let mut words = vec![0; x.len() / self.columns * stride];
                for (row, words) in x.chunks_exact(self.columns).zip(words.chunks_exact_mut(stride)) {
                    layout.pack_bytes(row, words);
                }
                (layout, words, stride)
            }
            Some(Data::I16(x)) => {
                let stride = self.tiles.groups * Layout::Pairs.words();
                let mut words = vec![0; x.len() / self.columns * stride];
                for (row, words) in x.chunks_exact(self.columns).zip(words.chunks_exact_mut(stride)) {
                    pack_pairs(row, words);
                }
                (Layout::Pairs, words, stride)
            }
            _ => return Err(excluded("linear")),
        };
        let packed = Packed { layout, words: &words, stride };
        let outputs = self.tiles.outputs;
        call.threads.each(out, outputs, BATCH, |first, out| self.rows(call.level, &packed, first, out));
        Ok(())
    }
}

impl Linear {
    /// The outputs of some rows, from row `first` of the activations.
    fn rows(&self, level: Level, x: &Packed, first: usize, out: &mut [i32]) {
        let outputs = self.tiles.outputs;
        let start = if x.layout == Layout::Biased { &self.corrected } else { &self.bias };
        for (batch, out) in out.chunks_mut(BATCH * outputs).enumerate() {
            let rows = out.len() / outputs;
            for (tile, start) in start.iter().enumerate() {
                let mut sums = [[0; ROWS]; BATCH];
                let span = (0, self.tiles.groups);
                dots(level, &self.tiles, tile, span, x, first + batch * BATCH, &mut sums[..rows]);
                let lanes = ROWS.min(outputs - tile * ROWS);
                for (sums, out) in sums.iter().zip(out.chunks_exact_mut(outputs)) {
                    let out = &mut out[tile * ROWS..][..lanes];
                    out.iter_mut().zip(sums).zip(start).for_each(|((out, sum), start)| *out = start.wrapping_add(*sum));
                }
            }
        }
    }
}
