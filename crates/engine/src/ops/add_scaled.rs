//! Fast `add_scaled`: operands widened a piece at a time; in 32 bits where the sums fit.

use graph::{Data, Element, Fact, Fault};

use super::pieces::{PIECE, Words, narrow, widen};
use crate::{
    cpu::versions,
    kernel::{Call, Kernel, Making, State, excluded},
};

struct AddScaled {
    factors: [i64; 2],
    shift: u32,
    low: i64,
    high: i64,
    /// After how many elements each operand repeats, where it does.
    periods: [Option<usize>; 2],
    /// No sum leaves 32 bits.
    small: bool,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let [one, other] = making.inputs else { return None };
    let known = |fact: &Fact| matches!(fact.element, Element::I8 | Element::U8 | Element::I16 | Element::I32);
    if !(known(one) && known(other)) {
        return None;
    }
    let period = |operand: &Fact| {
        if operand.shape == making.output.shape {
            return Some(None);
        }
        // One number, or the innermost sizes of the output.
        let count = operand.shape.sizes()?.iter().product::<usize>();
        let inner =
            operand.shape.0.iter().position(|size| *size != graph::Dimension::Fixed(1)).unwrap_or(operand.shape.rank());
        let sizes = operand.shape.0.get(inner..)?;
        (count > 0 && making.output.shape.0.ends_with(sizes)).then_some(Some(count))
    };
    let factors = [making.integer("left")?, making.integer("right")?];
    let shift = u32::try_from(making.integer("shift")?).ok()?;
    let most = |fact: &Fact, factor: i64| u128::from(fact.interval.magnitude()) * u128::from(factor.unsigned_abs());
    let half = (1_u128 << shift) >> 1;
    let small = shift < 31 && most(one, factors[0]) + most(other, factors[1]) + half < 1 << 31;
    let periods = [period(one)?, period(other)?];
    let (low, high) = (making.integer("low")?, making.integer("high")?);
    Some(Box::new(AddScaled { factors, shift, low, high, periods, small }))
}

impl Kernel for AddScaled {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        match out {
            Data::I8(out) => self.all(call, out),
            Data::U8(out) => self.all(call, out),
            Data::I16(out) => self.all(call, out),
            Data::I32(out) => self.all(call, out),
            _ => Err(excluded("add_scaled")),
        }
    }
}

impl AddScaled {
    fn all<T: Words>(&self, call: &Call, out: &mut [T]) -> Result<(), Fault> {
        let [one, other] = call.inputs else { return Err(excluded("add_scaled")) };
        let known = |data: &Data| matches!(data, Data::I8(_) | Data::U8(_) | Data::I16(_) | Data::I32(_));
        if !(known(one) && known(other)) {
            return Err(excluded("add_scaled"));
        }
        call.threads.each(out, 1, super::map::PIECE, |first, out| {
            let (mut a, mut b) = ([0; PIECE], [0; PIECE]);
            for (index, out) in out.chunks_mut(PIECE).enumerate() {
                let (a, b) = (&mut a[..out.len()], &mut b[..out.len()]);
                widen(call.level, one, first + index * PIECE, self.periods[0], a);
                widen(call.level, other, first + index * PIECE, self.periods[1], b);
                let [left, right] = self.factors;
                if self.small {
                    near(call.level, a, b, left as i32, right as i32, self.shift, [self.low, self.high]);
                } else {
                    far(call.level, a, b, left, right, self.shift, [self.low, self.high]);
                }
                narrow(call.level, a, out);
            }
        });
        Ok(())
    }
}

versions! {
    fn near(a: &mut [i32], b: &[i32], left: i32, right: i32, shift: u32, clamp: [i64; 2]) {
        // A bound beyond 32 bits is never met here.
        let [low, high] = clamp.map(|bound| bound.clamp(i32::MIN.into(), i32::MAX.into()) as i32);
        let half = (1_i32 << shift) >> 1;
        for (a, &b) in a.iter_mut().zip(b) {
            *a = ((*a * left + b * right + half) >> shift).max(low).min(high);
        }
    }
}

versions! {
    fn far(a: &mut [i32], b: &[i32], left: i64, right: i64, shift: u32, clamp: [i64; 2]) {
        let ([low, high], half) = (clamp, (1_i64 << shift) >> 1);
        for (a, &b) in a.iter_mut().zip(b) {
            *a = ((i64::from(*a) * left + i64::from(b) * right + half) >> shift).max(low).min(high) as i32;
        }
    }
}
