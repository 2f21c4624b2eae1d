//! Fast `gather_blocks_f32`: multiplies out only the rows that are asked for.

use graph::{Data, Fault};

use super::gather_rows::indices_of;
use crate::kernel::{Call, Kernel, Making, State, excluded, floats_out};

struct GatherBlocks {
    width: usize,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    Some(Box::new(GatherBlocks { width: making.width(1)? }))
}

impl Kernel for GatherBlocks {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let [indices, Data::Packed(table)] = call.inputs else { return Err(excluded("gather_blocks_f32")) };
        let indices = indices_of(indices).ok_or(excluded("gather_blocks_f32"))?;
        let out = floats_out(out, "gather_blocks_f32")?;
        for (&index, out) in indices.iter().zip(out.chunks_exact_mut(self.width)) {
            out.copy_from_slice(&table.row(index as usize));
        }
        Ok(())
    }
}
