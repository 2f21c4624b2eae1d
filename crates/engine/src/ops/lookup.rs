//! Fast `lookup` for i16 tables, the case of language models.

use graph::{Data, Fault};

use super::map::PIECE;
use crate::kernel::{Call, Kernel, Making, State, excluded};

struct Lookup {
    first: i64,
    table: Vec<i16>,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let Data::I16(table) = making.constant(1)? else { return None };
    let small = matches!(making.inputs.first()?.element, graph::Element::I8 | graph::Element::I16);
    let first = making.integer("first")?;
    small.then(|| Box::new(Lookup { first, table: table.clone() }) as Box<dyn Kernel>)
}

impl Lookup {
    fn all<T: Copy + Into<i64> + Sync>(&self, call: &Call, x: &[T], out: &mut [i16]) {
        call.threads.each(out, 1, PIECE, |first, out| self.fill(&x[first..][..out.len()], out));
    }

    fn fill<T: Copy + Into<i64>>(&self, x: &[T], out: &mut [i16]) {
        for (out, &x) in out.iter_mut().zip(x) {
            // The table covers the whole interval of x.
            *out = self.table[(x.into() - self.first) as usize];
        }
    }
}

impl Kernel for Lookup {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        match (call.inputs.first(), out) {
            (Some(Data::I8(x)), Data::I16(out)) => self.all(call, x, out),
            (Some(Data::I16(x)), Data::I16(out)) => self.all(call, x, out),
            _ => return Err(excluded("lookup")),
        }
        Ok(())
    }
}
