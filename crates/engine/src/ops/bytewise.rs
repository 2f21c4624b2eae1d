//! `requantise` from and to elements that language models do not use: widened, scaled and written row by row.

use graph::{Data, Element, Fault};

use super::{
    map::PIECE,
    pieces::widen,
    scales::{Scales, Target},
};
use crate::kernel::{Call, Kernel, Making, State, excluded};

struct Bytewise {
    width: usize,
    scales: Scales,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let (width, x) = (making.width(0)?, making.inputs.first()?);
    let innermost = making.integer("axis")? == i64::try_from(x.shape.rank()).ok()? - 1;
    let single = (1..3).all(|input| making.count(input) == Some(1));
    let small = |element| matches!(element, Element::I8 | Element::U8 | Element::I16 | Element::I32);
    if !(small(x.element) && small(making.output.element) && (innermost || single)) {
        return None;
    }
    Some(Box::new(Bytewise { width, scales: Scales::read(making, [1, 2])? }))
}

impl Kernel for Bytewise {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let refuse = || excluded("requantise");
        let x = *call.inputs.first().ok_or_else(refuse)?;
        let (width, least) = (self.width, PIECE.div_ceil(self.width));
        let rows = match &out {
            Data::I8(out) => out.len(),
            Data::U8(out) => out.len(),
            Data::I16(out) => out.len(),
            Data::I32(out) => out.len(),
            _ => return Err(refuse()),
        } / width;
        let out = Target::of(out).ok_or_else(refuse)?;
        call.threads.pieces(rows.div_ceil(least), |piece| {
            let mut wide = vec![0; width];
            for row in piece * least..rows.min((piece + 1) * least) {
                widen(call.level, x, row * width, None, &mut wide);
                // SAFETY: every row is in one piece, and pieces are done once.
                unsafe { out.write(call.level, &self.scales, &wide, 0, row * width) };
            }
        });
        Ok(())
    }
}
