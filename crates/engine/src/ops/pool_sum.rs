//! Fast `pool_sum`: channels side by side, over the places of each window that are no padding.

use graph::{Data, Element, Fault};

use super::images::Images;
use crate::{
    cpu::versions,
    kernel::{Call, Kernel, Making, State, excluded},
};

struct PoolSum {
    images: Images,
    windows: Vec<Vec<u32>>,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let x = making.inputs.first()?;
    let images = Images::read(making.attributes, &x.shape.with_rows(1))?;
    let windows = images.windows();
    let small = matches!(x.element, Element::I8 | Element::U8 | Element::I16);
    small.then(|| Box::new(PoolSum { images, windows }) as Box<dyn Kernel>)
}

impl Kernel for PoolSum {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let Data::I32(out) = out else { return Err(excluded("pool_sum")) };
        match call.inputs.first() {
            Some(Data::I8(x)) => self.all(call, x, out, bytes),
            Some(Data::U8(x)) => self.all(call, x, out, unsigned),
            Some(Data::I16(x)) => self.all(call, x, out, words),
            _ => return Err(excluded("pool_sum")),
        }
        Ok(())
    }
}

impl PoolSum {
    fn all<T: Sync>(
        &self,
        call: &Call,
        x: &[T],
        out: &mut [i32],
        fill: fn(crate::cpu::Level, &[T], &[u32], &mut [i32]),
    ) {
        let (channels, count) = (self.images.channels, self.windows.len());
        call.threads.each(out, channels, 64, |first, out| {
            for (window, out) in out.chunks_exact_mut(channels).enumerate() {
                let (image, window) = ((first + window) / count, (first + window) % count);
                fill(call.level, &x[image * self.images.elements()..], &self.windows[window], out);
            }
        });
    }
}

#[inline(always)]
fn add<T: Copy + Into<i32>>(x: &[T], places: &[u32], out: &mut [i32]) {
    out.fill(0);
    let count = out.len();
    for &place in places {
        out.iter_mut().zip(&x[place as usize..][..count]).for_each(|(out, &x)| *out += x.into());
    }
}

versions! { fn bytes(x: &[i8], places: &[u32], out: &mut [i32]) { add(x, places, out) } }
versions! { fn unsigned(x: &[u8], places: &[u32], out: &mut [i32]) { add(x, places, out) } }
versions! { fn words(x: &[i16], places: &[u32], out: &mut [i32]) { add(x, places, out) } }
