//! Floats that operators compute with: f32 (for f32 and the 16-bit floats, rounded once at the end) and f64.
//!
//! The functions of f32 are those of f64, rounded once, but for exp and what is made of it alone.

use std::borrow::Cow;

use super::array::{Array, Data};
use super::element::Element;
use super::math;
use super::minifloat::narrow;
use super::problem::Problem;

/// What an arithmetic operator does to two floats, two doubles, two integers (which may be refused).
pub struct Arithmetic {
    pub single: fn(f32, f32) -> f32,
    pub double: fn(f64, f64) -> f64,
    pub whole: fn(i128, i128) -> Result<i128, Problem>,
}

/// For each output, the chain by fma from +0 over its line of weights, one after the other.
pub fn chains<T: Real>(weights: &[T], x: &[T], out: &mut [T]) {
    for (line, out) in weights.chunks_exact(x.len().max(1)).zip(out) {
        *out = line.iter().zip(x).fold(T::ZERO, |sum, (&weight, &x)| x.fma(weight, sum));
    }
}

/// IEEE arithmetic and our own functions; no platform mathematics.
pub trait Real:
    Copy
    + PartialOrd
    + Default
    + std::fmt::Debug
    + Send
    + Sync
    + std::ops::Add<Output = Self>
    + std::ops::AddAssign
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Rem<Output = Self>
    + std::ops::Neg<Output = Self>
    + 'static
{
    const ZERO: Self;
    const ONE: Self;
    const INFINITY: Self;
    const NAN: Self;

    /// Rounded once.
    fn of(value: f64) -> Self;
    fn wide(self) -> f64;
    fn fma(self, factor: Self, sum: Self) -> Self;
    fn square_root(self) -> Self;
    fn exp(self) -> Self;
    /// These numbers where they are binary32, for who computes such faster.
    fn singles(values: &[Self]) -> Option<&[f32]>;
    /// The same, to be written.
    fn singles_mut(values: &mut [Self]) -> Option<&mut [f32]>;
    /// What an arithmetic operator makes of two numbers of this precision.
    fn joined(rule: &Arithmetic, one: Self, other: Self) -> Self;
    /// The elements of an array in this precision; `None` where it has others.
    fn read(array: &Array) -> Option<Cow<'_, [Self]>>;
    /// An array of a real element of this precision, each value rounded once.
    fn write(element: Element, shape: &[usize], values: Vec<Self>) -> Result<Array, Problem>;

    fn is_nan(self) -> bool {
        self.wide().is_nan()
    }
    fn magnitude(self) -> Self {
        Self::of(self.wide().abs())
    }
    /// A function of f64, rounded once.
    fn by(self, function: fn(f64) -> f64) -> Self {
        Self::of(function(self.wide()))
    }
    /// A count, rounded once.
    fn count(count: usize) -> Self {
        Self::of(count as f64)
    }
    /// The greater; a NaN wins.
    fn greater(self, other: Self) -> Self {
        if self.is_nan() || self > other { self } else { other }
    }
    /// The lesser; a NaN wins.
    fn lesser(self, other: Self) -> Self {
        if self.is_nan() || self < other { self } else { other }
    }
    /// 1 / (1 + exp(-x)).
    fn sigmoid(self) -> Self {
        Self::ONE / (Self::ONE + (-self).exp())
    }
    fn tanh(self) -> Self {
        self.by(math::tanh)
    }
    fn ln(self) -> Self {
        self.by(math::ln)
    }
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const INFINITY: Self = Self::INFINITY;
    const NAN: Self = Self::NAN;

    fn of(value: f64) -> Self {
        value as Self
    }
    fn wide(self) -> f64 {
        self.into()
    }
    fn fma(self, factor: Self, sum: Self) -> Self {
        self.mul_add(factor, sum)
    }
    fn square_root(self) -> Self {
        self.sqrt()
    }
    fn exp(self) -> Self {
        math::exp_single(self)
    }
    fn singles(values: &[Self]) -> Option<&[f32]> {
        Some(values)
    }
    fn singles_mut(values: &mut [Self]) -> Option<&mut [f32]> {
        Some(values)
    }
    fn joined(rule: &Arithmetic, one: Self, other: Self) -> Self {
        (rule.single)(one, other)
    }
    fn read(array: &Array) -> Option<Cow<'_, [Self]>> {
        array.floats().filter(|_| array.element().is_real())
    }
    fn write(element: Element, shape: &[usize], values: Vec<Self>) -> Result<Array, Problem> {
        let data = match element {
            Element::F32 => Data::F32(values),
            Element::F16 | Element::BF16 => {
                Data::U16(values.into_iter().map(|value| narrow(element, value.into(), false)).collect())
            }
            _ => return Err(Problem::Excluded),
        };
        Array::of(element, shape, data)
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const INFINITY: Self = Self::INFINITY;
    const NAN: Self = Self::NAN;

    fn of(value: f64) -> Self {
        value
    }
    fn wide(self) -> f64 {
        self
    }
    fn fma(self, factor: Self, sum: Self) -> Self {
        self.mul_add(factor, sum)
    }
    fn square_root(self) -> Self {
        self.sqrt()
    }
    fn exp(self) -> Self {
        math::exp(self)
    }
    fn singles(_: &[Self]) -> Option<&[f32]> {
        None
    }
    fn singles_mut(_: &mut [Self]) -> Option<&mut [f32]> {
        None
    }
    fn joined(rule: &Arithmetic, one: Self, other: Self) -> Self {
        (rule.double)(one, other)
    }
    fn read(array: &Array) -> Option<Cow<'_, [Self]>> {
        array.doubles().filter(|_| array.element() == Element::F64)
    }
    fn write(element: Element, shape: &[usize], values: Vec<Self>) -> Result<Array, Problem> {
        Array::of(element, shape, Data::F64(values))
    }
}

/// What an element of 16 bits would hold of a value; any other element holds it as it is.
pub fn settled<T: Real>(element: Element, value: T) -> T {
    match element {
        Element::F16 => T::of(crate::float::from_half(narrow(element, value.wide(), false)).into()),
        Element::BF16 => T::of(f32::from_bits(u32::from(narrow(element, value.wide(), false)) << 16).into()),
        _ => value,
    }
}

/// Runs an expression in the precision of a real element: `precision!(element, T => expression, else => other)`.
macro_rules! precision {
    ($element:expr, $real:ident => $body:expr, else => $other:expr) => {
        match $element.family() {
            $crate::program::element::Family::Real32 => {
                type $real = f32;
                $body
            }
            $crate::program::element::Family::Real64 => {
                type $real = f64;
                $body
            }
            _ => $other,
        }
    };
}
pub(crate) use precision;
