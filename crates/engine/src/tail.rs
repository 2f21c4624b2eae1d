//! What happens to the sums of an integer operator while they are near: nothing, or the requantisation behind it, and
//! perhaps a table behind that. What lies between is wide, and nobody else reads it.

use crate::cpu::{Level, versions};

#[derive(Default)]
pub enum Tail {
    /// The sums themselves.
    #[default]
    Sums,
    Requantise(Requantise),
    Lookup(Requantise, Table),
}

/// `clamp(round_shift(x · multiplier, shift), low, high)`, with one factor or one for each column.
pub struct Requantise {
    multipliers: Vec<i32>,
    /// One less than the operator's: the last bit is dropped apart, with what rounds.
    shifts: Vec<u8>,
    low: i64,
    high: i64,
    /// Whether what is left before the clamp fits into 32 bits.
    is_narrow: bool,
}

/// A table of small integers that covers all that goes into it.
pub struct Table {
    pub first: i64,
    pub values: Vec<i16>,
}

/// What outputs may be made of.
pub trait Cell: Copy + Send + Sync {
    /// Brings the sums of the columns from `column` on to outputs.
    fn fill(level: Level, tail: &Tail, column: usize, sums: &[i32], out: &mut [Self]);

    /// As `fill`, of sums of 16 bits.
    fn requantise_words(level: Level, by: &Requantise, column: usize, x: &[i16], out: &mut [Self]);
}

impl Requantise {
    /// For values within ±`magnitude`; `None` where a factor does not fit.
    pub fn new(factors: (&[i64], &[i64]), columns: usize, (low, high): (i64, i64), magnitude: u64) -> Option<Self> {
        let (multipliers, shifts) = factors;
        let count = if multipliers.len() == 1 && shifts.len() == 1 { 1 } else { columns };
        let mut made = Self { multipliers: Vec::new(), shifts: Vec::new(), low, high, is_narrow: true };
        for column in 0..count {
            let (mut multiplier, mut shift) = (multipliers[column % multipliers.len()], shifts[column % shifts.len()]);
            // Nothing is dropped, so nothing is rounded: a factor of two makes room for a bit that is.
            if shift == 0 {
                (multiplier, shift) = (multiplier * 2, 1);
            }
            let most = (u128::from(magnitude) * u128::from(multiplier.unsigned_abs())) >> (shift - 1);
            made.is_narrow &= most < (1 << 31) - 2;
            made.multipliers.push(i32::try_from(multiplier).ok()?);
            made.shifts.push(u8::try_from(shift - 1).ok()?);
        }
        (magnitude <= 1 << 31).then_some(made)
    }
}

/// The clamp lies within the output's element, which the bounds rule has checked.
#[inline(always)]
fn requantise<X: Copy + Into<i64>, T>(
    by: &Requantise,
    column: usize,
    x: &[X],
    out: &mut [T],
    cast: impl Fn(i32) -> T + Copy,
) {
    if by.is_narrow {
        let (low, high) = (by.low as i32, by.high as i32);
        each(by, column, x, out, |x, multiplier, shift| {
            let halves = ((x * multiplier) >> shift) as i32;
            cast((halves.wrapping_add(1) >> 1).max(low).min(high))
        });
    } else {
        each(by, column, x, out, |x, multiplier, shift| {
            let halves = (x * multiplier) >> shift;
            cast(((halves + 1) >> 1).max(by.low).min(by.high) as i32)
        });
    }
}

#[inline(always)]
fn each<X: Copy + Into<i64>, T>(
    by: &Requantise,
    column: usize,
    x: &[X],
    out: &mut [T],
    one: impl Fn(i64, i64, u8) -> T + Copy,
) {
    if let ([multiplier], [shift]) = (by.multipliers.as_slice(), by.shifts.as_slice()) {
        let (multiplier, shift) = (i64::from(*multiplier), *shift);
        out.iter_mut().zip(x).for_each(|(out, &x)| *out = one(x.into(), multiplier, shift));
        return;
    }
    let factors = by.multipliers[column..][..out.len()].iter().zip(&by.shifts[column..]);
    for ((out, &x), (&multiplier, &shift)) in out.iter_mut().zip(x).zip(factors) {
        *out = one(x.into(), i64::from(multiplier), shift);
    }
}

versions! {
    fn sums_to_bytes(by: &Requantise, column: usize, x: &[i32], out: &mut [i8]) {
        requantise(by, column, x, out, |value| value as i8);
    }
}
versions! {
    fn sums_to_words(by: &Requantise, column: usize, x: &[i32], out: &mut [i16]) {
        requantise(by, column, x, out, |value| value as i16);
    }
}
versions! {
    fn sums_to_sums(by: &Requantise, column: usize, x: &[i32], out: &mut [i32]) {
        requantise(by, column, x, out, |value| value);
    }
}
versions! {
    fn words_to_bytes(by: &Requantise, column: usize, x: &[i16], out: &mut [i8]) {
        requantise(by, column, x, out, |value| value as i8);
    }
}
versions! {
    fn words_to_words(by: &Requantise, column: usize, x: &[i16], out: &mut [i16]) {
        requantise(by, column, x, out, |value| value as i16);
    }
}
versions! {
    fn words_to_sums(by: &Requantise, column: usize, x: &[i16], out: &mut [i32]) {
        requantise(by, column, x, out, |value| value);
    }
}

impl Cell for i8 {
    fn fill(level: Level, tail: &Tail, column: usize, sums: &[i32], out: &mut [i8]) {
        match tail {
            Tail::Requantise(by) => sums_to_bytes(level, by, column, sums, out),
            Tail::Sums | Tail::Lookup(..) => unreachable!("sums and tables have wider outputs"),
        }
    }

    fn requantise_words(level: Level, by: &Requantise, column: usize, x: &[i16], out: &mut [i8]) {
        words_to_bytes(level, by, column, x, out);
    }
}

impl Cell for i16 {
    fn fill(level: Level, tail: &Tail, column: usize, sums: &[i32], out: &mut [i16]) {
        match tail {
            Tail::Requantise(by) => sums_to_words(level, by, column, sums, out),
            Tail::Lookup(by, table) => {
                sums_to_words(level, by, column, sums, out);
                for out in out {
                    *out = table.values[(i64::from(*out) - table.first) as usize];
                }
            }
            Tail::Sums => unreachable!("sums have wider outputs"),
        }
    }

    fn requantise_words(level: Level, by: &Requantise, column: usize, x: &[i16], out: &mut [i16]) {
        words_to_words(level, by, column, x, out);
    }
}

impl Cell for i32 {
    fn fill(level: Level, tail: &Tail, column: usize, sums: &[i32], out: &mut [i32]) {
        match tail {
            Tail::Sums => out.copy_from_slice(&sums[..out.len()]),
            Tail::Requantise(by) => sums_to_sums(level, by, column, sums, out),
            Tail::Lookup(..) => unreachable!("tables have narrower outputs"),
        }
    }

    fn requantise_words(level: Level, by: &Requantise, column: usize, x: &[i16], out: &mut [i32]) {
        words_to_sums(level, by, column, x, out);
    }
}
