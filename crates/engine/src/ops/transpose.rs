//! Fast `transpose`: axes that stay together are one; the innermost runs are copied, or gathered with one stride.

use graph::{Data, Fault};

use crate::kernel::{Call, Kernel, Making, State, excluded};

struct Transpose {
    /// Sizes of the output's axes and how far apart their elements lie in the input, for one row.
    axes: Vec<(usize, usize)>,
    count: usize,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let order = making.attributes.integers("axes").ok()?;
    let shape = &making.inputs.first()?.shape;
    let from = shape.with_rows(1);
    let step = |axis: usize| from[axis + 1..].iter().product::<usize>();
    let mut axes: Vec<(usize, usize)> = Vec::new();
    for &axis in order {
        let axis = usize::try_from(axis).ok()?;
        let (size, step) = (from[axis], step(axis));
        match axes.last_mut() {
            _ if size == 1 => {}
            // The axis in front steps over exactly this one: both are one axis.
            Some((before, over)) if *over == size * step => (*before, *over) = (*before * size, step),
            _ => axes.push((size, step)),
        }
    }
    // Rows are outermost, so each is turned as the first is.
    Some(Box::new(Transpose { axes, count: from.iter().product() }))
}

impl Kernel for Transpose {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        macro_rules! turn {
            ($($kind:ident),*) => {
                match (call.inputs.first(), out) {
                    $((Some(Data::$kind(x)), Data::$kind(out)) => self.rows(call, x, out),)*
                    _ => return Err(excluded("transpose")),
                }
            };
        }
        turn!(I8, U8, I16, I32, I64, F16, F32);
        Ok(())
    }
}

impl Transpose {
    fn rows<T: Copy + Send + Sync>(&self, call: &Call, x: &[T], out: &mut [T]) {
        call.threads.each(out, self.count, 1, |first, out| {
            for (row, out) in out.chunks_exact_mut(self.count.max(1)).enumerate() {
                place(&x[(first + row) * self.count..][..self.count], &self.axes, out);
            }
        });
    }
}

fn place<T: Copy>(x: &[T], axes: &[(usize, usize)], out: &mut [T]) {
    match axes {
        [] => out.copy_from_slice(&x[..out.len()]),
        [(_, 1)] => out.copy_from_slice(&x[..out.len()]),
        &[(_, step)] => out.iter_mut().zip(x.iter().step_by(step)).for_each(|(out, &x)| *out = x),
        // A few long lines side by side: go along them, not across.
        &[(count, 1), (lines, step)] if lines < 16 => {
            for (line, x) in (0..lines).map(|line| (line, &x[line * step..][..count])) {
                out.iter_mut().skip(line).step_by(lines).zip(x).for_each(|(out, &x)| *out = x);
            }
        }
        [(size, step), inner @ ..] => {
            let part = out.len() / size;
            for (index, out) in out.chunks_exact_mut(part.max(1)).enumerate() {
                place(&x[index * step..], inner, out);
            }
        }
    }
}
