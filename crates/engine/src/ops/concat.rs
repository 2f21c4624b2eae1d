//! Fast `concat` of floats, or of words, within rows: each part of a row is copied once.

use graph::{Data, Dimension, Element, Fault};

use super::map::PIECE;
use crate::kernel::{Call, Kernel, Making, State, excluded};

struct Concat {
    /// Elements of each input that lie together.
    parts: Vec<usize>,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let axis = usize::try_from(making.integer("axis")?).ok()?;
    let rows_first = making.output.shape.0.first() == Some(&Dimension::Rows);
    if !matches!(making.output.element, Element::F32 | Element::I16) || axis == 0 || !rows_first {
        return None;
    }
    let part = |input: &graph::Fact| {
        let fixed = |size: &Dimension| if let Dimension::Fixed(size) = size { Some(*size) } else { None };
        input.shape.0.get(axis..)?.iter().map(fixed).product::<Option<usize>>()
    };
    let parts = making.inputs.iter().map(part).collect::<Option<Vec<usize>>>()?;
    (parts.iter().sum::<usize>() > 0).then(|| Box::new(Concat { parts }) as Box<dyn Kernel>)
}

impl Kernel for Concat {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let done = match out {
            Data::F32(out) => self.joined(call, |data| if let Data::F32(x) = data { Some(&x[..]) } else { None }, out),
            Data::I16(out) => self.joined(call, |data| if let Data::I16(x) = data { Some(&x[..]) } else { None }, out),
            _ => None,
        };
        done.ok_or(excluded("concat"))
    }
}

impl Concat {
    fn joined<T: Copy + Send + Sync>(
        &self,
        call: &Call,
        values: impl Fn(&Data) -> Option<&[T]>,
        out: &mut [T],
    ) -> Option<()> {
        let inputs = call.inputs.iter().map(|data| values(data)).collect::<Option<Vec<&[T]>>>()?;
        let width = self.parts.iter().sum::<usize>();
        let whole = |(x, part): (&&[T], &usize)| x.len() == out.len() / width * part;
        if !inputs.iter().zip(&self.parts).all(whole) {
            return None;
        }
        call.threads.each(out, width, PIECE.div_ceil(width), |first, out| {
            for (index, mut out) in out.chunks_exact_mut(width).enumerate() {
                for (x, &part) in inputs.iter().zip(&self.parts) {
                    let (to, rest) = out.split_at_mut(part);
                    to.copy_from_slice(&x[(first + index) * part..][..part]);
                    out = rest;
                }
            }
        });
        Some(())
    }
}
