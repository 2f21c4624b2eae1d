//! Fast `lookup` for tables of small integers.

use graph::{Data, Element, Fault};

use super::map::PIECE;
use crate::kernel::{Call, Kernel, Making, State, excluded};

struct Lookup<T> {
    first: i64,
    table: Vec<T>,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let first = making.integer("first")?;
    if !matches!(making.inputs.first()?.element, Element::I8 | Element::U8 | Element::I16) {
        return None;
    }
    match making.constant(1)? {
        Data::I8(table) => Some(Box::new(Lookup { first, table: table.clone() })),
        Data::U8(table) => Some(Box::new(Lookup { first, table: table.clone() })),
        Data::I16(table) => Some(Box::new(Lookup { first, table: table.clone() })),
        _ => None,
    }
}

/// An element that tables hold.
trait Entry: Copy + Send + Sync + 'static {
    fn out(data: &mut Data) -> Option<&mut [Self]>;
}

macro_rules! entries {
    ($($kind:ident $element:ty),*) => {
        $(impl Entry for $element {
            fn out(data: &mut Data) -> Option<&mut [Self]> {
                if let Data::$kind(values) = data { Some(values) } else { None }
            }
        })*
    };
}
entries!(I8 i8, U8 u8, I16 i16);

impl<E: Entry> Lookup<E> {
    fn all<T: Copy + Into<i64> + Sync>(&self, call: &Call, x: &[T], out: &mut [E]) {
        call.threads.each(out, 1, PIECE, |first, out| {
            for (out, &x) in out.iter_mut().zip(&x[first..]) {
                // The table covers the whole interval of x.
                *out = self.table[(x.into() - self.first) as usize];
            }
        });
    }
}

impl<E: Entry> Kernel for Lookup<E> {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let out = E::out(out).ok_or(excluded("lookup"))?;
        match call.inputs.first() {
            Some(Data::I8(x)) => self.all(call, x, out),
            Some(Data::U8(x)) => self.all(call, x, out),
            Some(Data::I16(x)) => self.all(call, x, out),
            _ => return Err(excluded("lookup")),
        }
        Ok(())
    }
}
