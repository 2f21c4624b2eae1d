//! Fast `pool_sum`: channels side by side, over the places of each window that are no padding.

use graph::{Data, Element, Fault};

use super::pools::Pools;
use crate::{
    cpu::versions,
    kernel::{Call, Kernel, Making, State, excluded},
};

struct PoolSum(Pools);

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let small = matches!(making.inputs.first()?.element, Element::I8 | Element::U8 | Element::I16);
    let pools = Pools::read(making)?;
    small.then(|| Box::new(PoolSum(pools)) as Box<dyn Kernel>)
}

impl Kernel for PoolSum {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let Data::I32(out) = out else { return Err(excluded("pool_sum")) };
        match call.inputs.first() {
            Some(Data::I8(x)) => self.0.fill(call, x, out, bytes),
            Some(Data::U8(x)) => self.0.fill(call, x, out, unsigned),
            Some(Data::I16(x)) => self.0.fill(call, x, out, words),
            _ => return Err(excluded("pool_sum")),
        }
        Ok(())
    }
}

#[inline(always)]
fn add<T: Copy + Into<i32>>(x: &[T], places: &[usize], out: &mut [i32]) {
    out.fill(0);
    let count = out.len();
    for &place in places {
        out.iter_mut().zip(&x[place..][..count]).for_each(|(out, &x)| *out += x.into());
    }
}

versions! { fn bytes(x: &[i8], places: &[usize], out: &mut [i32]) { add(x, places, out) } }
versions! { fn unsigned(x: &[u8], places: &[usize], out: &mut [i32]) { add(x, places, out) } }
versions! { fn words(x: &[i16], places: &[usize], out: &mut [i32]) { add(x, places, out) } }
