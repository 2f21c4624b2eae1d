//! Fast `requantise` along the innermost axis: alone, or behind the operator that makes its input.

use std::sync::Arc;

use graph::{Data, Element, Fault};

use super::{bytewise, map::PIECE};
use crate::{
    kernel::{Call, Kernel, Making, State, cells, excluded},
    tail::{Cell, Factors, Requantise, Tail},
};

struct Alone {
    width: usize,
    tail: Tail,
}

/// The factors of a requantisation.
pub fn factors(making: &Making) -> Option<Requantise> {
    let (width, x) = (making.width(0)?, making.inputs.first()?);
    let innermost = making.integer("axis")? == i64::try_from(x.shape.rank()).ok()? - 1;
    let single = making.count(1)? == 1 && making.count(2)? == 1;
    let covered = matches!(x.element, Element::I16 | Element::I32)
        && matches!(making.output.element, Element::I8 | Element::I16 | Element::I32);
    if !(covered && (innermost || single)) {
        return None;
    }
    let clamp = (making.integer("low")?, making.integer("high")?);
    Requantise::new(scaling(making, [1, 2], width)?, (0, width), clamp, x.interval.magnitude())
}

/// The factors from the constants at those inputs, of matrices of so many columns; `None` where one does not fit.
pub fn scaling(making: &Making, inputs: [usize; 2], columns: usize) -> Option<Arc<Factors>> {
    let made = making.derived(&inputs, || {
        let (multipliers, shifts) = (making.constant_integers(inputs[0])?, making.constant_integers(inputs[1])?);
        Factors::new(&multipliers, &shifts, columns).map(Arc::new)
    });
    (*made?).clone()
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    match factors(making) {
        Some(factors) => Some(Box::new(Alone { width: making.width(0)?, tail: Tail::Requantise(factors) })),
        None => bytewise::make(making),
    }
}

impl Kernel for Alone {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        match call.inputs.first() {
            Some(Data::I32(x)) => cells!(out, "requantise", out => self.sums(call, x, out)),
            Some(Data::I16(x)) => cells!(out, "requantise", out => self.words(call, x, out)),
            _ => return Err(excluded("requantise")),
        }
        Ok(())
    }
}

impl Alone {
    fn sums<T: Cell>(&self, call: &Call, x: &[i32], out: &mut [T]) {
        let width = self.width;
        call.threads.each(out, width, PIECE.div_ceil(width), |first, out| {
            let rows = out.chunks_exact_mut(width).zip(x[first * width..].chunks_exact(width));
            rows.for_each(|(out, x)| T::fill(call.level, &self.tail, 0, x, out));
        });
    }

    fn words<T: Cell>(&self, call: &Call, x: &[i16], out: &mut [T]) {
        let (width, Tail::Requantise(by)) = (self.width, &self.tail) else { return };
        call.threads.each(out, width, PIECE.div_ceil(width), |first, out| {
            let rows = out.chunks_exact_mut(width).zip(x[first * width..].chunks_exact(width));
            rows.for_each(|(out, x)| T::requantise_words(call.level, by, 0, x, out));
        });
    }
}
