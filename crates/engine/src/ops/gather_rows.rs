//! Fast `gather_rows`: copies rows of the table.

use std::borrow::Cow;

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
        let [indices, table] = call.inputs else { return Err(excluded("gather_rows")) };
        let indices = indices_of(indices).ok_or(excluded("gather_rows"))?;
        let width = self.width;
        macro_rules! copy {
            ($($kind:ident),*) => {
                match (*table, out) {
                    $((Data::$kind(table), Data::$kind(out)) => copy_rows(&indices, table, out, width),)*
                    _ => return Err(excluded("gather_rows")),
                }
            };
        }
        copy!(I8, U8, I16, I32, I64, F16, F32);
        Ok(())
    }
}

/// Indices, which lie within their table, whatever holds them.
pub fn indices_of(data: &Data) -> Option<Cow<'_, [i32]>> {
    match data {
        Data::I32(indices) => Some(indices.into()),
        Data::I64(indices) => Some(indices.iter().map(|&index| index as i32).collect()),
        Data::I16(indices) => Some(indices.iter().map(|&index| index.into()).collect()),
        Data::U8(indices) => Some(indices.iter().map(|&index| index.into()).collect()),
        Data::I8(indices) => Some(indices.iter().map(|&index| index.into()).collect()),
        Data::F16(_) | Data::F32(_) | Data::Packed(_) => None,
    }
}

fn copy_rows<T: Copy>(indices: &[i32], table: &[T], out: &mut [T], width: usize) {
    for (&index, out) in indices.iter().zip(out.chunks_exact_mut(width)) {
        out.copy_from_slice(&table[index as usize * width..][..width]);
    }
}
