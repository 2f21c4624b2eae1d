//! Sums brought to their outputs' scales, a row of outputs at a time, on the way from registers to memory.

use std::sync::Arc;

use graph::Data;

use crate::{
    cpu::{Level, versions},
    kernel::Making,
    threads::Cut,
};

/// Multiplier and shift of each output, and the clamp of all.
pub struct Scales {
    columns: Arc<Columns>,
    low: i64,
    high: i64,
}

/// One multiplier and shift for all outputs, or one for each: made once for the constants that they are made of.
struct Columns {
    multipliers: Vec<i32>,
    halves: Vec<i64>,
    shifts: Vec<i64>,
}

impl Columns {
    fn new(multipliers: &[i64], shifts: &[i64]) -> Self {
        let count = multipliers.len().max(shifts.len());
        let each = |values: &[i64]| (0..count).map(|output| values[output % values.len()]).collect::<Vec<i64>>();
        let shifts = each(shifts);
        Self {
            multipliers: each(multipliers).into_iter().map(|multiplier| multiplier as i32).collect(),
            halves: shifts.iter().map(|&shift| (1_i64 << shift) >> 1).collect(),
            shifts,
        }
    }
}

impl Scales {
    /// From the constants at those inputs.
    pub fn read(making: &Making, inputs: [usize; 2]) -> Option<Self> {
        let made = making.derived(&inputs, || {
            let (multipliers, shifts) = (making.constant_integers(inputs[0])?, making.constant_integers(inputs[1])?);
            Some(Arc::new(Columns::new(&multipliers, &shifts)))
        });
        let columns = (*made?).clone()?;
        Some(Self { columns, low: making.integer("low")?, high: making.integer("high")? })
    }
}

/// Where rows of outputs go, whichever element they have.
pub enum Target<'a> {
    I8(Cut<'a, i8>),
    U8(Cut<'a, u8>),
    I16(Cut<'a, i16>),
    I32(Cut<'a, i32>),
}

impl<'a> Target<'a> {
    pub fn of(out: &'a mut Data) -> Option<Self> {
        match out {
            Data::I8(out) => Some(Self::I8(Cut::new(out, 1))),
            Data::U8(out) => Some(Self::U8(Cut::new(out, 1))),
            Data::I16(out) => Some(Self::I16(Cut::new(out, 1))),
            Data::I32(out) => Some(Self::I32(Cut::new(out, 1))),
            _ => None,
        }
    }

    /// Writes the outputs of these sums, the first of which is output `first` of all, from place `at` on.
    ///
    /// # Safety
    /// No place is in two hands at once.
    pub unsafe fn write(&self, level: Level, scales: &Scales, sums: &[i32], first: usize, at: usize) {
        // SAFETY: as the caller promises; a part that is not there panics.
        unsafe {
            match self {
                Self::I8(out) => bytes(level, scales, sums, first, out.part(at, sums.len())),
                Self::U8(out) => unsigned(level, scales, sums, first, out.part(at, sums.len())),
                Self::I16(out) => words(level, scales, sums, first, out.part(at, sums.len())),
                Self::I32(out) => wide(level, scales, sums, first, out.part(at, sums.len())),
            }
        }
    }
}

#[inline(always)]
fn fill<T>(by: &Scales, sums: &[i32], first: usize, out: &mut [T], narrow: impl Fn(i64) -> T) {
    let Columns { multipliers, halves, shifts } = &*by.columns;
    let one = |sum: i32, multiplier: i32, half: i64, shift: i64| {
        let scaled = (i64::from(sum) * i64::from(multiplier) + half) >> shift;
        narrow(scaled.max(by.low).min(by.high))
    };
    if let ([multiplier], [half], [shift]) = (&multipliers[..], &halves[..], &shifts[..]) {
        let (multiplier, half, shift) = (*multiplier, *half, *shift);
        out.iter_mut().zip(sums).for_each(|(out, &sum)| *out = one(sum, multiplier, half, shift));
        return;
    }
    let span = first..first + sums.len();
    let (multipliers, halves, shifts) = (&multipliers[span.clone()], &halves[span.clone()], &shifts[span]);
    let factors = multipliers.iter().zip(halves).zip(shifts);
    for ((out, &sum), ((&multiplier, &half), &shift)) in out.iter_mut().zip(sums).zip(factors) {
        *out = one(sum, multiplier, half, shift);
    }
}

// The clamp lies within the output's element, which the bounds rule has checked.
versions! { fn bytes(by: &Scales, sums: &[i32], first: usize, out: &mut [i8]) { fill(by, sums, first, out, |value| value as i8) } }
versions! { fn unsigned(by: &Scales, sums: &[i32], first: usize, out: &mut [u8]) { fill(by, sums, first, out, |value| value as u8) } }
versions! { fn words(by: &Scales, sums: &[i32], first: usize, out: &mut [i16]) { fill(by, sums, first, out, |value| value as i16) } }
versions! { fn wide(by: &Scales, sums: &[i32], first: usize, out: &mut [i32]) { fill(by, sums, first, out, |value| value as i32) } }
