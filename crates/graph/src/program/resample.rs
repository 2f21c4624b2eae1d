//! Resampling along one axis after the other: each place of the output is a weighted sum of places of the input.
//!
//! All in binary64, rounded once at the end. Sums go by fma from +0 in the order of the taps.

use super::array::Array;
use super::element::Family;
use super::index::Around;
use super::machine::Context;
use super::problem::Problem;
use super::real::{Real, precision};

/// How a place between others is weighed.
#[derive(Clone, Copy, Debug)]
pub enum Kernel {
    Nearest(Nearest),
    Linear { antialias: bool },
    Cubic { a: f64, antialias: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nearest {
    PreferFloor,
    PreferCeiling,
    Floor,
    Ceiling,
}

/// What one place of the output is made of; an empty list takes the extrapolation value.
pub type Taps = Vec<(i64, f64)>;

impl Kernel {
    /// Taps of a place of the input's coordinates, where the output has `scale` places for one of the input.
    pub fn taps(self, place: f64, scale: f64) -> Taps {
        let floor = place.floor();
        // From just above 0 to 1: a whole place is the right end of the cell on its left.
        let (base, ratio) = if place == floor { (floor - 1.0, 1.0) } else { (floor, place - floor) };
        let base = base as i64;
        match self {
            Self::Nearest(mode) => {
                let right = ratio == 1.0
                    || match mode {
                        Nearest::PreferFloor => ratio > 0.5,
                        Nearest::PreferCeiling => ratio >= 0.5,
                        Nearest::Floor => false,
                        Nearest::Ceiling => true,
                    };
                vec![(base + i64::from(right), 1.0)]
            }
            Self::Linear { antialias } => {
                stretched(base, ratio, 1, scale, antialias, |x| if x < 1.0 { 1.0 - x } else { 0.0 })
            }
            Self::Cubic { a, antialias } => stretched(base, ratio, 2, scale, antialias, |x| cubic(x, a)),
        }
    }
}

/// Keys' convolution kernel (1981), of a distance from 0.
pub fn cubic(x: f64, a: f64) -> f64 {
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}

/// The places within `reach`, weighed by distance; with antialiasing the kernel widens as the picture shrinks, and the
/// weights are brought to a sum of 1.
fn stretched(base: i64, ratio: f64, reach: i64, scale: f64, antialias: bool, weight: impl Fn(f64) -> f64) -> Taps {
    let scale = if antialias && scale < 1.0 { scale } else { 1.0 };
    // A picture is never shrunk so far that a kernel would be wider than any picture that fits into memory.
    let first = ((-(reach as f64) / scale).floor().max(-1e9) as i64) + 1;
    let taps: Taps = (first..2 - first).map(|tap| (base + tap, weight((scale * (tap as f64 - ratio)).abs()))).collect();
    if antialias { normal(taps) } else { taps }
}

/// Weights brought to a sum of 1, where there is a sum.
pub fn normal(mut taps: Taps) -> Taps {
    let sum = taps.iter().fold(0.0, |sum, (_, weight)| sum + weight);
    if sum != 0.0 {
        taps.iter_mut().for_each(|(_, weight)| *weight /= sum);
    }
    taps
}

/// Numbers on their way through the axes.
pub struct Numbers {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

impl Numbers {
    /// `None` for what holds no numbers.
    pub fn of(x: &Array) -> Option<Self> {
        let values = match x.integers() {
            Some(values) => values.into_iter().map(|value| value as f64).collect(),
            None => x.doubles()?.into_owned(),
        };
        Some(Self { shape: x.shape().to_vec(), values })
    }

    /// Resamples an axis; taps beyond its ends are its ends.
    pub fn along(self, axis: usize, taps: &[Taps], extrapolation: f64, context: &mut Context) -> Result<Self, Problem> {
        let around = Around::new(&self.shape, axis);
        let mut shape = self.shape.clone();
        shape[axis] = taps.len();
        let each: u64 = taps.iter().map(|taps| taps.len() as u64).sum();
        let total = context.room(&shape, super::element::Element::F64)?;
        context.spend(each.saturating_mul((around.outer as u64).saturating_mul(around.inner as u64)))?;
        let last = around.size as i64 - 1;
        let (crew, most) = (context.crew(), taps.iter().map(Vec::len).max().unwrap_or(0));
        let values = crew.fill(total, most.saturating_mul(4).saturating_add(8), 0.0, |at| {
            let (inner, line) = (at % around.inner, at / around.inner);
            let (outer, taps) = (line / taps.len(), &taps[line % taps.len()]);
            let number = |place: i64| self.values[around.at(outer, place.clamp(0, last) as usize, inner)];
            match taps.as_slice() {
                [] => extrapolation,
                [(place, 1.0)] => number(*place),
                taps => taps.iter().fold(0.0, |sum, &(place, weight)| number(place).mul_add(weight, sum)),
            }
        });
        Ok(Self { shape, values })
    }

    /// Rounded once to the element; integers to the nearest, ties to even, cut where the element ends.
    pub fn write(self, like: &Array) -> Result<Array, Problem> {
        let element = like.element();
        if element.family() == Family::Whole {
            let (low, high) = element.range().ok_or(Problem::Excluded)?;
            let values = self.values.iter().map(|value| (value.round_ties_even() as i128).clamp(low, high));
            return Array::wholes(element, &self.shape, values);
        }
        precision!(element, T => T::write(element, &self.shape, self.values.iter().map(|&value| T::of(value)).collect()),
            else => Err(Problem::Excluded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_between_two_is_weighed_by_its_distances() {
        assert_eq!(Kernel::Linear { antialias: false }.taps(2.25, 1.0), [(2, 0.75), (3, 0.25)]);
        assert_eq!(Kernel::Linear { antialias: false }.taps(2.0, 1.0), [(1, 0.0), (2, 1.0)]);
        assert_eq!(Kernel::Nearest(Nearest::PreferFloor).taps(2.5, 1.0), [(2, 1.0)]);
        assert_eq!(Kernel::Nearest(Nearest::PreferCeiling).taps(2.5, 1.0), [(3, 1.0)]);
        assert_eq!(Kernel::Nearest(Nearest::Ceiling).taps(2.0, 1.0), [(2, 1.0)]);
    }

    #[test]
    fn weights_of_every_kernel_come_to_one() {
        for antialias in [false, true] {
            for kernel in [Kernel::Linear { antialias }, Kernel::Cubic { a: -0.75, antialias }] {
                for scale in [0.3, 0.9, 2.0] {
                    let sum: f64 = kernel.taps(3.3, scale).iter().map(|(_, weight)| weight).sum();
                    assert!((sum - 1.0).abs() < 1e-12, "{kernel:?} {scale} {sum}");
                }
            }
        }
    }
}
