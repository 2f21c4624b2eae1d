//! What happens to the sums of an integer operator while they are near: nothing, or the requantisation behind it, and
//! perhaps a table behind that. What lies between is wide, and nobody else reads it.

use std::sync::Arc;

use crate::{
    constants::Numbers,
    cpu::{Level, versions},
};

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
    factors: Arc<Factors>,
    /// Where those of the columns begin.
    first: usize,
    low: i64,
    high: i64,
    /// Whether what is left before the clamp fits into 32 bits.
    is_narrow: bool,
}

/// Multipliers and shifts as they are applied, one for all or one for each column of each matrix: made once for the constants that they are made of.
pub struct Factors {
    multipliers: Vec<i32>,
    /// One less than the operator's: the last bit is dropped apart, with what rounds.
    shifts: Vec<u8>,
    /// Of each matrix the greatest magnitude that it leaves within 32 bits.
    narrow: Vec<u64>,
}

/// A table of small integers that covers all that goes into it.
pub struct Table {
    pub first: i64,
    pub values: Numbers<i16>,
}

/// What outputs may be made of.
pub trait Cell: Copy + Send + Sync {
    /// Brings the sums of the columns from `column` on to outputs.
    fn fill(level: Level, tail: &Tail, column: usize, sums: &[i32], out: &mut [Self]);

    /// As `fill`, of sums of 16 bits.
    fn requantise_words(level: Level, by: &Requantise, column: usize, x: &[i16], out: &mut [Self]);
}

/// What is left before the last bit is dropped, and with it what rounds, is less where it fits into 32 bits.
const NARROW: u128 = (1 << 31) - 2;

impl Factors {
    /// Of matrices of so many columns; `None` where a factor does not fit.
    pub fn new(multipliers: &[i64], shifts: &[i64], columns: usize) -> Option<Self> {
        let mut made = Self { multipliers: Vec::new(), shifts: Vec::new(), narrow: Vec::new() };
        for column in 0..multipliers.len().max(shifts.len()) {
            let (mut multiplier, mut shift) = (multipliers[column % multipliers.len()], shifts[column % shifts.len()]);
            // Nothing is dropped, so nothing is rounded: a factor of two makes room for a bit that is.
            if shift == 0 {
                (multiplier, shift) = (multiplier * 2, 1);
            }
            if column % columns.max(1) == 0 {
                made.narrow.push(u64::MAX);
            }
            if let Some(narrow) = made.narrow.last_mut() {
                *narrow = magnitude_within(NARROW << (shift - 1), multiplier.unsigned_abs()).min(*narrow);
            }
            made.multipliers.push(i32::try_from(multiplier).ok()?);
            made.shifts.push(u8::try_from(shift - 1).ok()?);
        }
        Some(made)
    }
}

/// The greatest magnitude whose product with the multiplier is less than the limit.
fn magnitude_within(limit: u128, multiplier: u64) -> u64 {
    let most = (limit - 1).checked_div(u128::from(multiplier));
    most.map_or(u64::MAX, |most| u64::try_from(most).unwrap_or(u64::MAX))
}

impl Requantise {
    /// For values within ±`magnitude` of the matrix of that number, which has so many columns; `None` where there is none, or they do not fit.
    pub fn new(
        factors: Arc<Factors>,
        (matrix, columns): (usize, usize),
        (low, high): (i64, i64),
        magnitude: u64,
    ) -> Option<Self> {
        let is_narrow = magnitude <= *factors.narrow.get(matrix)?;
        (magnitude <= 1 << 31).then_some(Self { factors, first: matrix * columns, low, high, is_narrow })
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
    let Factors { multipliers, shifts, .. } = &*by.factors;
    if let ([multiplier], [shift]) = (multipliers.as_slice(), shifts.as_slice()) {
        let (multiplier, shift) = (i64::from(*multiplier), *shift);
        out.iter_mut().zip(x).for_each(|(out, &x)| *out = one(x.into(), multiplier, shift));
        return;
    }
    let first = by.first + column;
    let factors = multipliers[first..][..out.len()].iter().zip(&shifts[first..]);
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
                let values = &table.values[..];
                for out in out {
                    *out = values[(i64::from(*out) - table.first) as usize];
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_magnitude_of_each_matrix_is_where_its_factors_leave_32_bits() {
        let (multipliers, shifts) = ([127, 0, 1 << 20, 3], [8, 0, 31, 1]);
        let factors = Arc::new(Factors::new(&multipliers, &shifts, 2).unwrap());
        for (matrix, columns) in [(0, 0..2), (1, 2..4)] {
            // A shift of 0 stands for twice the multiplier and 1.
            let fits = |magnitude: u64| {
                columns.clone().all(|column: usize| {
                    let (multiplier, shift) = (multipliers[column].unsigned_abs(), shifts[column]);
                    let (multiplier, shift) = if shift == 0 { (multiplier * 2, 1) } else { (multiplier, shift) };
                    (u128::from(magnitude) * u128::from(multiplier)) >> (shift - 1) < (1 << 31) - 2
                })
            };
            let most = factors.narrow[matrix];
            assert!(fits(most) && !fits(most + 1), "{matrix}: {most}");
            let narrow = |magnitude| {
                Requantise::new(Arc::clone(&factors), (matrix, 2), (0, 1), magnitude).map(|by| (by.first, by.is_narrow))
            };
            assert_eq!(narrow(most.min(1 << 31)), Some((matrix * 2, true)));
            assert_eq!(narrow((1 << 31) + 1), None);
        }
        assert!(Requantise::new(Arc::clone(&factors), (2, 2), (0, 1), 1).is_none(), "there is no third matrix");
        assert!(Factors::new(&[i64::from(i32::MAX)], &[0], 1).is_none(), "twice as much does not fit");
    }
}
