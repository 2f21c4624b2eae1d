//! Fast `gather_rows`: copies rows of the table.

use graph::{Data, Fault};

use crate::kernel::{Call, Kernel, Making, State, excluded};

struct GatherRows {
    width: usize,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    Some(Box::new(GatherRows { width: making.width(1)? }))
}

impl Kernel for GatherRows {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let [Data::I32(indices), table] = call.inputs else { return Err(excluded("gather_rows")) };
        let width = self.width;
        macro_rules! copy {
            ($($kind:ident),*) => {
                match (*table, out) {
                    $((Data::$kind(table), Data::$kind(out)) => copy_rows(indices, table, out, width),)*
                    _ => return Err(excluded("gather_rows")),
                }
            };
        }
        copy!(I8, U8, I16, I32, I64, F16, F32);
        Ok(())
    }
}

fn copy_rows<T: Copy>(indices: &[i32], table: &[T], out: &mut [T], width: usize) {
    for (&index, out) in indices.iter().zip(out.chunks_exact_mut(width)) {
        out.copy_from_slice(&table[index as usize * width..][..width]);
    }
}
