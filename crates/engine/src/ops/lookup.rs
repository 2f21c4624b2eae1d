//! Fast `lookup` in tables of integers, which stay where the graph has them: many nodes may share one.

use std::sync::Arc;

use graph::{Data, Element, Fault, Tensor};

use super::map::PIECE;
use crate::kernel::{Call, Kernel, Making, State, excluded};

struct Lookup {
    first: i64,
    table: Arc<Tensor>,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let first = making.integer("first")?;
    if !matches!(making.inputs.first()?.element, Element::I8 | Element::U8 | Element::I16 | Element::I32) {
        return None;
    }
    let table = making.inputs.get(1)?.constant.clone()?;
    table.element().is_integer().then(|| Box::new(Lookup { first, table }) as Box<dyn Kernel>)
}

impl Lookup {
    /// All entries; the table covers the whole interval of x.
    fn all<T: Copy + Into<i64> + Sync, E: Copy + Send + Sync>(&self, call: &Call, x: &[T], table: &[E], out: &mut [E]) {
        call.threads.each(out, 1, PIECE, |first, out| {
            for (out, &x) in out.iter_mut().zip(&x[first..]) {
                *out = table[(x.into() - self.first) as usize];
            }
        });
    }

    fn typed<E: Copy + Send + Sync>(&self, call: &Call, table: &[E], out: &mut [E]) -> Result<(), Fault> {
        match call.inputs.first() {
            Some(Data::I8(x)) => self.all(call, x, table, out),
            Some(Data::U8(x)) => self.all(call, x, table, out),
            Some(Data::I16(x)) => self.all(call, x, table, out),
            Some(Data::I32(x)) => self.all(call, x, table, out),
            _ => return Err(excluded("lookup")),
        }
        Ok(())
    }
}

impl Kernel for Lookup {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        match (self.table.data(), out) {
            (Data::I8(table), Data::I8(out)) => self.typed(call, table, out),
            (Data::U8(table), Data::U8(out)) => self.typed(call, table, out),
            (Data::I16(table), Data::I16(out)) => self.typed(call, table, out),
            (Data::I32(table), Data::I32(out)) => self.typed(call, table, out),
            (Data::I64(table), Data::I64(out)) => self.typed(call, table, out),
            _ => Err(excluded("lookup")),
        }
    }
}
