//! Fast `concat` of floats within rows: each part of a row is copied once.

use graph::{Data, Dimension, Element, Fault};

use super::map::PIECE;
use crate::kernel::{Call, Kernel, Making, State, excluded, floats, floats_out};

struct Concat {
    /// Elements of each input that lie together.
    parts: Vec<usize>,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let axis = usize::try_from(making.integer("axis")?).ok()?;
    let rows_first = making.output.shape.0.first() == Some(&Dimension::Rows);
    if making.output.element != Element::F32 || axis == 0 || !rows_first {
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
        let inputs = (0..call.inputs.len()).map(|input| floats(call, input, "concat"));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let (out, width) = (floats_out(out, "concat")?, self.parts.iter().sum::<usize>());
        let whole = |(x, part): (&&[f32], &usize)| x.len() == out.len() / width * part;
        if !inputs.iter().zip(&self.parts).all(whole) {
            return Err(excluded("concat"));
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
        Ok(())
    }
}
