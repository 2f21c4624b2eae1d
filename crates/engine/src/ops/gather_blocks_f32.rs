//! Fast `gather_blocks_f32`: multiplies out only the rows that are asked for.

use graph::{Data, Fault, float::from_half, ops::linear_blocks_f32::BLOCK};

use crate::kernel::{Call, Kernel, Making, State, excluded, floats_out};

struct GatherBlocks {
    width: usize,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    Some(Box::new(GatherBlocks { width: making.width(1)? }))
}

impl Kernel for GatherBlocks {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let [Data::I32(indices), Data::I8(quants), Data::F16(scales)] = call.inputs else {
            return Err(excluded("gather_blocks_f32"));
        };
        let out = floats_out(out, "gather_blocks_f32")?;
        for (&index, out) in indices.iter().zip(out.chunks_exact_mut(self.width)) {
            let start = index as usize * self.width;
            let quants = quants[start..][..self.width].chunks_exact(BLOCK);
            for ((out, quants), scale) in out.chunks_exact_mut(BLOCK).zip(quants).zip(&scales[start / BLOCK..]) {
                let scale = from_half(*scale);
                out.iter_mut().zip(quants).for_each(|(out, &quant)| *out = scale * f32::from(quant));
            }
        }
        Ok(())
    }
}
