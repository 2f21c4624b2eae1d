//! Fast `requantise` along the innermost axis.

use graph::{Data, Element, Fault};

use super::map::PIECE;
use crate::{
    cpu::{Level, versions},
    kernel::{Call, Kernel, Making, State, excluded},
};

struct Requantise {
    /// One for each column.
    multipliers: Vec<i64>,
    halves: Vec<i64>,
    shifts: Vec<i64>,
    low: i64,
    high: i64,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let (width, x) = (making.width(0)?, making.inputs.first()?);
    let (multipliers, shifts) = (making.constant_integers(1)?, making.constant_integers(2)?);
    let innermost = making.integer("axis")? == i64::try_from(x.shape.rank()).ok()? - 1;
    let single = multipliers.len() == 1 && shifts.len() == 1;
    let covered = matches!(x.element, Element::I16 | Element::I32)
        && matches!(making.output.element, Element::I8 | Element::I16 | Element::I32);
    if !(covered && (innermost || single)) {
        return None;
    }
    let each = |values: &[i64]| (0..width).map(|column| values[column % values.len()]).collect::<Vec<i64>>();
    let shifts = each(&shifts);
    Some(Box::new(Requantise {
        multipliers: each(&multipliers),
        halves: shifts.iter().map(|&shift| (1_i64 << shift) >> 1).collect(),
        shifts,
        low: making.integer("low")?,
        high: making.integer("high")?,
    }))
}

impl Kernel for Requantise {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        match (call.inputs.first(), out) {
            (Some(Data::I32(x)), Data::I8(out)) => self.rows(call, x, out, sums_to_bytes),
            (Some(Data::I32(x)), Data::I16(out)) => self.rows(call, x, out, sums_to_words),
            (Some(Data::I32(x)), Data::I32(out)) => self.rows(call, x, out, sums_to_sums),
            (Some(Data::I16(x)), Data::I8(out)) => self.rows(call, x, out, words_to_bytes),
            (Some(Data::I16(x)), Data::I16(out)) => self.rows(call, x, out, words_to_words),
            (Some(Data::I16(x)), Data::I32(out)) => self.rows(call, x, out, words_to_sums),
            _ => return Err(excluded("requantise")),
        }
        Ok(())
    }
}

impl Requantise {
    fn rows<T: Sync, U: Send>(&self, call: &Call, x: &[T], out: &mut [U], fill: fn(Level, &Self, &[T], &mut [U])) {
        let width = self.multipliers.len();
        call.threads.each(out, width, PIECE.div_ceil(width), |first, out| {
            fill(call.level, self, &x[first * width..][..out.len()], out);
        });
    }
}

#[inline(always)]
fn fill<T: Copy + Into<i64>, U>(by: &Requantise, x: &[T], out: &mut [U], narrow: impl Fn(i64) -> U) {
    let width = by.multipliers.len();
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let factors = by.multipliers.iter().zip(&by.halves).zip(&by.shifts);
        for ((out, &x), ((&multiplier, &half), &shift)) in out.iter_mut().zip(x).zip(factors) {
            let scaled = (x.into() * multiplier + half) >> shift;
            *out = narrow(scaled.max(by.low).min(by.high));
        }
    }
}

// The clamp lies within the output's element, which the bounds rule has checked.
versions! { fn sums_to_bytes(by: &Requantise, x: &[i32], out: &mut [i8]) { fill(by, x, out, |value| value as i8) } }
versions! { fn sums_to_words(by: &Requantise, x: &[i32], out: &mut [i16]) { fill(by, x, out, |value| value as i16) } }
versions! { fn sums_to_sums(by: &Requantise, x: &[i32], out: &mut [i32]) { fill(by, x, out, |value| value as i32) } }
versions! { fn words_to_bytes(by: &Requantise, x: &[i16], out: &mut [i8]) { fill(by, x, out, |value| value as i8) } }
versions! { fn words_to_words(by: &Requantise, x: &[i16], out: &mut [i16]) { fill(by, x, out, |value| value as i16) } }
versions! { fn words_to_sums(by: &Requantise, x: &[i16], out: &mut [i32]) { fill(by, x, out, |value| value as i32) } }
