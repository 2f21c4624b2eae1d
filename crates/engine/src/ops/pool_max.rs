//! Fast `pool_max`: channels side by side, over the places of each window that are no padding.

use graph::{Data, Element, Fault};

use super::pools::Pools;
use crate::{
    cpu::versions,
    kernel::{Call, Kernel, Making, State, excluded},
};

struct PoolMax(Pools);

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let covered = matches!(making.inputs.first()?.element, Element::I8 | Element::U8 | Element::I16 | Element::I32);
    let pools = Pools::read(making)?;
    covered.then(|| Box::new(PoolMax(pools)) as Box<dyn Kernel>)
}

impl Kernel for PoolMax {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        macro_rules! pool {
            ($($kind:ident $fill:ident),*) => {
                match (call.inputs.first(), out) {
                    $((Some(Data::$kind(x)), Data::$kind(out)) => self.0.fill(call, x, out, $fill),)*
                    _ => return Err(excluded("pool_max")),
                }
            };
        }
        pool!(I8 bytes, U8 unsigned, I16 words, I32 wide);
        Ok(())
    }
}

#[inline(always)]
fn greatest<T: Copy + Ord>(x: &[T], places: &[usize], out: &mut [T]) {
    let Some((&first, rest)) = places.split_first() else { return };
    let count = out.len();
    out.copy_from_slice(&x[first..][..count]);
    for &place in rest {
        out.iter_mut().zip(&x[place..][..count]).for_each(|(out, &x)| *out = x.max(*out));
    }
}

versions! { fn bytes(x: &[i8], places: &[usize], out: &mut [i8]) { greatest(x, places, out) } }
versions! { fn unsigned(x: &[u8], places: &[usize], out: &mut [u8]) { greatest(x, places, out) } }
versions! { fn words(x: &[i16], places: &[usize], out: &mut [i16]) { greatest(x, places, out) } }
versions! { fn wide(x: &[i32], places: &[usize], out: &mut [i32]) { greatest(x, places, out) } }
