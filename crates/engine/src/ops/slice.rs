//! Fast `slice`: blocks of an axis are copied.

use graph::{Data, Fault};

use crate::kernel::{Call, Kernel, Making, State, excluded};

struct Slice {
    size: usize,
    inner: usize,
    start: usize,
    step: usize,
    count: usize,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let read = |name| usize::try_from(making.integer(name)?).ok();
    let (axis, sizes) = (read("axis")?, making.inputs.first()?.shape.with_rows(1));
    let inner = sizes.get(axis + 1..)?.iter().product();
    let (start, step, count) = (read("start")?, read("step")?, read("count")?);
    Some(Box::new(Slice { size: *sizes.get(axis)?, inner, start, step, count }))
}

impl Kernel for Slice {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        macro_rules! cut {
            ($($kind:ident),*) => {
                match (call.inputs.first(), out) {
                    $((Some(Data::$kind(x)), Data::$kind(out)) => self.cut(x, out),)*
                    _ => return Err(excluded("slice")),
                }
            };
        }
        cut!(I8, U8, I16, I32, I64, F16, F32);
        Ok(())
    }
}

impl Slice {
    fn cut<T: Copy>(&self, x: &[T], out: &mut [T]) {
        let blocks = x.chunks_exact((self.size * self.inner).max(1));
        for (x, out) in blocks.zip(out.chunks_exact_mut((self.count * self.inner).max(1))) {
            for (index, out) in out.chunks_exact_mut(self.inner.max(1)).enumerate() {
                out.copy_from_slice(&x[(self.start + index * self.step) * self.inner..][..self.inner]);
            }
        }
    }
}
