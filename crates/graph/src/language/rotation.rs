//! Rotary positions: how fast each pair of a head turns, with every scaling that models were trained with.
//!
//! A table is `[positions, head]`: cosines of the head's pairs, then sines. Pairs that are not turned have cosine 1 and
//! sine 0, so that a head that turns in part needs no operator of its own.

use std::f64::consts::PI;

use super::tables::nearest;
use crate::{
    float::{exp_wide, log_wide, sin_cos},
    tensor::{Data, Tensor},
};

/// Cosines and sines of the integer rotation count in units of 2^-14.
pub const ROPE_ONE: f64 = 16_384.0;

#[derive(Clone, Debug, PartialEq)]
pub struct Rotation {
    pub theta: f64,
    /// How many numbers of a head are turned: twice the pairs.
    pub width: usize,
    pub scaling: Scaling,
    /// What cosines and sines are multiplied with.
    pub magnitude: f64,
}

/// How rates were stretched to reach longer texts.
#[derive(Clone, Debug, PartialEq)]
pub enum Scaling {
    None,
    /// All rates divided by one factor.
    Linear {
        factor: f64,
    },
    /// Slow pairs divided by the factor, fast ones kept, between them a straight mix.
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original: f64,
    },
    Yarn(Yarn),
    /// A factor for each pair.
    Factors(Vec<f64>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Yarn {
    pub factor: f64,
    pub original: f64,
    /// Turns over the original context beyond which a pair is kept, and below which it is stretched.
    pub fast: f64,
    pub slow: f64,
}

impl Rotation {
    pub fn plain(theta: f64, width: usize) -> Self {
        Self { theta, width, scaling: Scaling::None, magnitude: 1.0 }
    }

    /// Turns of each pair by one position, in radians.
    fn rates(&self) -> Vec<f64> {
        let (pairs, log) = (self.width / 2, log_wide(self.theta));
        let rates = (0..pairs).map(|pair| exp_wide(-log * (pair as f64 / pairs as f64)));
        rates.enumerate().map(|(pair, rate)| self.scaled(pair, rate)).collect()
    }

    fn scaled(&self, pair: usize, rate: f64) -> f64 {
        match &self.scaling {
            Scaling::None => rate,
            Scaling::Linear { factor } => rate / factor,
            Scaling::Llama3 { factor, low, high, original } => {
                let turns = original * rate / (2.0 * PI);
                let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                (1.0 - kept) * (rate / factor) + kept * rate
            }
            Scaling::Yarn(yarn) => {
                let kept = 1.0 - yarn.ramp(pair, self.width, self.theta);
                (1.0 - kept) * (rate / yarn.factor) + kept * rate
            }
            Scaling::Factors(factors) => rate / factors.get(pair).copied().unwrap_or(1.0),
        }
    }

    /// For each position the cosines of a head's pairs, then the sines.
    fn table(&self, positions: usize, head: usize) -> impl Iterator<Item = f64> {
        let (rates, half, magnitude) = (self.rates(), head / 2, self.magnitude);
        (0..positions).flat_map(move |position| {
            let mut values = vec![1.0; half];
            values.resize(2 * half, 0.0);
            for (pair, rate) in rates.iter().enumerate().take(half) {
                let (sine, cosine) = sin_cos(position as f64 * rate);
                (values[pair], values[half + pair]) = (cosine * magnitude, sine * magnitude);
            }
            values
        })
    }

    /// What turning multiplies a pair with at most: products of integers have no room for more.
    pub fn longest(&self) -> f64 {
        self.magnitude.max(1.0)
    }

    /// The same at least: pairs that are not turned keep their length.
    pub fn shortest(&self) -> f64 {
        self.magnitude.min(1.0)
    }

    pub fn table_f32(&self, positions: usize, head: usize) -> Tensor {
        let values = self.table(positions, head).map(|value| value as f32).collect();
        Tensor::of(&[positions, head], Data::F32(values))
    }

    /// For the integer rotation, where 2^14 steps stand for `longest`.
    pub fn table_i16(&self, positions: usize, head: usize) -> Tensor {
        let one = ROPE_ONE / self.longest();
        let values = self.table(positions, head).map(|value| nearest(value * one) as i16).collect();
        Tensor::of(&[positions, head], Data::I16(values))
    }
}

impl Yarn {
    /// 0 for pairs that are kept, 1 for those that are stretched.
    fn ramp(&self, pair: usize, width: usize, theta: f64) -> f64 {
        let pair_of =
            |turns: f64| width as f64 * log_wide(self.original / (turns * 2.0 * PI)) / (2.0 * log_wide(theta));
        let low = pair_of(self.fast).floor().max(0.0);
        let high = pair_of(self.slow).ceil().min(width as f64 - 1.0);
        let span = if low == high { 0.001 } else { high - low };
        ((pair as f64 - low) / span).clamp(0.0, 1.0)
    }

    /// What keeps attention as sharp as it was: `0.1·weight·ln(factor) + 1`.
    pub fn sharpness(factor: f64, weight: f64) -> f64 {
        if factor > 1.0 { 0.1 * weight * log_wide(factor) + 1.0 } else { 1.0 }
    }
}

/// For each number of a head, as the graph has it, where its file has it: pairs first halves before second halves,
/// numbers that are not turned behind the pairs of each half.
pub fn head_order(head: usize, turned: usize, interleaved: bool) -> Vec<usize> {
    let (half, pairs) = (head / 2, turned / 2);
    let source = |place: usize| {
        let (side, pair) = (place / half, place % half);
        match (pair < pairs, interleaved) {
            (true, true) => 2 * pair + side,
            (true, false) => pair + side * pairs,
            (false, _) => turned + side * (half - pairs) + pair - pairs,
        }
    };
    (0..head).map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_turns_whole_and_in_halves_keeps_its_order() {
        assert_eq!(head_order(8, 8, false), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(head_order(8, 8, true), [0, 2, 4, 6, 1, 3, 5, 7]);
        assert_eq!(head_order(8, 4, false), [0, 1, 4, 5, 2, 3, 6, 7]);
        assert_eq!(head_order(6, 4, true), [0, 2, 4, 1, 3, 5]);
    }

    #[test]
    fn pairs_that_are_not_turned_keep_their_values_at_every_position() {
        let table = Rotation::plain(10_000.0, 4).table_f32(3, 8);
        for row in table.floats().unwrap().chunks_exact(8) {
            assert_eq!((&row[2..4], &row[6..]), (&[1.0, 1.0][..], &[0.0, 0.0][..]));
        }
    }

    #[test]
    fn every_scaling_slows_the_slowest_pair_by_its_factor_and_keeps_the_fastest() {
        let plain = Rotation::plain(10_000.0, 64);
        let kept = [
            Scaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8192.0 },
            Scaling::Yarn(Yarn { factor: 8.0, original: 4096.0, fast: 32.0, slow: 1.0 }),
        ];
        for scaling in kept {
            let rates = Rotation { scaling: scaling.clone(), ..plain.clone() }.rates();
            assert_eq!(rates[0], 1.0, "{scaling:?}");
            let last = plain.rates()[31];
            assert!((last / rates[31] - 8.0).abs() < 1e-9, "{scaling:?}: {}", last / rates[31]);
            assert!(rates.windows(2).all(|pair| pair[0] > pair[1]), "{scaling:?}");
        }
        let linear = Rotation { scaling: Scaling::Linear { factor: 2.0 }, ..plain.clone() }.rates();
        assert!(linear.iter().zip(plain.rates()).all(|(slow, rate)| *slow == rate / 2.0));
        let factors = Rotation { scaling: Scaling::Factors(vec![2.0; 31]), ..plain.clone() }.rates();
        assert_eq!((factors[0], factors[31]), (0.5, plain.rates()[31]));
    }
}
