//! Fast `pool_max`: channels side by side, over the places of each window that are no padding.

use graph::{Data, Fault};

use super::images::Images;
use crate::{
    cpu::versions,
    kernel::{Call, Kernel, Making, State, excluded},
};

struct PoolMax {
    images: Images,
    /// For each window of an image, where in the image its places lie.
    windows: Vec<Vec<u32>>,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let images = Images::read(making.attributes, &making.inputs.first()?.shape.with_rows(1))?;
    let windows = images.windows();
    Some(Box::new(PoolMax { images, windows }))
}

impl Kernel for PoolMax {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        macro_rules! pool {
            ($($kind:ident $fill:ident),*) => {
                match (call.inputs.first(), out) {
                    $((Some(Data::$kind(x)), Data::$kind(out)) => self.all(call, x, out, $fill),)*
                    _ => return Err(excluded("pool_max")),
                }
            };
        }
        pool!(I8 bytes, U8 unsigned, I16 words, I32 wide);
        Ok(())
    }
}

impl PoolMax {
    fn all<T: Copy + Send + Sync>(
        &self,
        call: &Call,
        x: &[T],
        out: &mut [T],
        fill: fn(crate::cpu::Level, &[T], &[u32], &mut [T]),
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
fn greatest<T: Copy + Ord>(x: &[T], places: &[u32], out: &mut [T]) {
    let Some((&first, rest)) = places.split_first() else { return };
    let count = out.len();
    out.copy_from_slice(&x[first as usize..][..count]);
    for &place in rest {
        out.iter_mut().zip(&x[place as usize..][..count]).for_each(|(out, &x)| *out = x.max(*out));
    }
}

versions! { fn bytes(x: &[i8], places: &[u32], out: &mut [i8]) { greatest(x, places, out) } }
versions! { fn unsigned(x: &[u8], places: &[u32], out: &mut [u8]) { greatest(x, places, out) } }
versions! { fn words(x: &[i16], places: &[u32], out: &mut [i16]) { greatest(x, places, out) } }
versions! { fn wide(x: &[i32], places: &[u32], out: &mut [i32]) { greatest(x, places, out) } }
