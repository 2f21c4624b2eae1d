//! Fast `linear_f32`: a tile of 16 outputs at a time, each output its own chain over the columns.

use graph::{Data, Fault};

use crate::{
    cpu::versions,
    kernel::{Call, Kernel, Making, State, floats, floats_out},
};

/// Outputs of a tile, and rows that share one pass over it.
const LANES: usize = 16;
const BATCH: usize = 4;

type Floats = [f32; LANES];

struct LinearFloats {
    /// Tile after tile, column after column: that column's weights of 16 outputs, zeros past the last output.
    tiles: Vec<Floats>,
    bias: Option<Vec<f32>>,
    columns: usize,
    outputs: usize,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let Data::Packed(weights) = making.constant(1)? else { return None };
    let (columns, outputs) = (making.width(0)?, making.output.shape.width()?);
    let bias = match (making.inputs.len(), making.constant(2)) {
        (2, _) => None,
        (_, Some(Data::F32(bias))) => Some(bias.clone()),
        _ => return None,
    };
    let mut tiles = Vec::new();
    let rows: Vec<Vec<f32>> = (0..outputs).map(|output| weights.row(output)).collect();
    for tile in rows.chunks(LANES) {
        let lane = |lane: usize, column: usize| tile.get(lane).map_or(0.0, |row: &Vec<f32>| row[column]);
        tiles.extend((0..columns).map(|column| std::array::from_fn(|index| lane(index, column))));
    }
    Some(Box::new(LinearFloats { tiles, bias, columns, outputs }))
}

impl Kernel for LinearFloats {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let (x, out) = (floats(call, 0, "linear_f32")?, floats_out(out, "linear_f32")?);
        call.threads.each(out, self.outputs, BATCH, |first, out| {
            let x = &x[first * self.columns..];
            let batches = out.chunks_mut(BATCH * self.outputs).zip(x.chunks(BATCH * self.columns));
            batches.for_each(|(out, x)| chains(call.level, self, x, out));
        });
        Ok(())
    }
}

versions! {
    fn chains(by: &LinearFloats, x: &[f32], out: &mut [f32]) {
        let rows = out.len() / by.outputs;
        for (tile, weights) in by.tiles.chunks_exact(by.columns).enumerate() {
            let mut sums = [[0.0_f32; LANES]; BATCH];
            for (row, sums) in sums.iter_mut().enumerate().take(rows) {
                for (weights, &x) in weights.iter().zip(&x[row * by.columns..][..by.columns]) {
                    for lane in 0..LANES {
                        sums[lane] = x.mul_add(weights[lane], sums[lane]);
                    }
                }
            }
            let lanes = LANES.min(by.outputs - tile * LANES);
            for (sums, out) in sums.iter().zip(out.chunks_exact_mut(by.outputs)) {
                let out = &mut out[tile * LANES..][..lanes];
                out.copy_from_slice(&sums[..lanes]);
                if let Some(bias) = &by.bias {
                    out.iter_mut().zip(&bias[tile * LANES..]).for_each(|(out, bias)| *out += bias);
                }
            }
        }
    }
}
