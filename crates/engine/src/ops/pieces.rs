//! Integers of any element as pieces of i32, and back: so that a kernel has one inner loop for all of them.

use graph::Data;

use crate::cpu::{Level, versions};

/// Elements of a piece, which lies on the stack.
pub const PIECE: usize = 512;

/// An element that outputs have.
pub trait Words: Copy + Send + Sync {
    fn narrow(level: Level, from: &[i32], to: &mut [Self]);
}

impl Words for i8 {
    fn narrow(level: Level, from: &[i32], to: &mut [Self]) {
        to_bytes(level, from, to);
    }
}

impl Words for u8 {
    fn narrow(level: Level, from: &[i32], to: &mut [Self]) {
        to_unsigned(level, from, to);
    }
}

impl Words for i16 {
    fn narrow(level: Level, from: &[i32], to: &mut [Self]) {
        to_words(level, from, to);
    }
}

impl Words for i32 {
    fn narrow(_: Level, from: &[i32], to: &mut [Self]) {
        to.copy_from_slice(from);
    }
}

/// Values that fit, which the bounds rules have checked.
pub fn narrow<T: Words>(level: Level, from: &[i32], to: &mut [T]) {
    T::narrow(level, from, to);
}

/// Elements from `first` on; those of a tensor that repeats begin anew after its last one.
pub fn widen(level: Level, data: &Data, first: usize, period: Option<usize>, to: &mut [i32]) {
    let Some(period) = period else { return straight(level, data, first, to) };
    if period == 1 {
        let mut one = [0];
        straight(level, data, 0, &mut one);
        return to.fill(one[0]);
    }
    let (mut first, mut to) = (first % period, to);
    while !to.is_empty() {
        let (now, rest) = to.split_at_mut((period - first).min(to.len()));
        straight(level, data, first, now);
        (first, to) = (0, rest);
    }
}

fn straight(level: Level, data: &Data, first: usize, to: &mut [i32]) {
    let count = to.len();
    match data {
        Data::I8(values) => from_bytes(level, &values[first..][..count], to),
        Data::U8(values) => from_unsigned(level, &values[first..][..count], to),
        Data::I16(values) => from_words(level, &values[first..][..count], to),
        Data::I32(values) => to.copy_from_slice(&values[first..][..count]),
        // Kernels ask before for what this cannot widen.
        Data::I64(_) | Data::F16(_) | Data::F32(_) | Data::Packed(_) => to.fill(0),
    }
}

#[inline(always)]
fn convert<T: Copy, U>(from: &[T], to: &mut [U], each: impl Fn(T) -> U) {
    to.iter_mut().zip(from).for_each(|(to, &from)| *to = each(from));
}

versions! { fn from_bytes(from: &[i8], to: &mut [i32]) { convert(from, to, i32::from) } }
versions! { fn from_unsigned(from: &[u8], to: &mut [i32]) { convert(from, to, i32::from) } }
versions! { fn from_words(from: &[i16], to: &mut [i32]) { convert(from, to, i32::from) } }
versions! { fn to_bytes(from: &[i32], to: &mut [i8]) { convert(from, to, |value| value as i8) } }
versions! { fn to_unsigned(from: &[i32], to: &mut [u8]) { convert(from, to, |value| value as u8) } }
versions! { fn to_words(from: &[i32], to: &mut [i16]) { convert(from, to, |value| value as i16) } }
