//! Real factors as a multiplier and a shift, and the weight scales that make such factors exact.

/// `multiplier · 2^-shift`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Factor {
    pub multiplier: i64,
    pub shift: i64,
}

const SHIFT_MAX: i64 = 62;

impl Factor {
    pub const ONE: Self = Self { multiplier: 1, shift: 0 };

    pub fn value(self) -> f64 {
        self.multiplier as f64 * crate::ops::quantise::power_of_two(-self.shift)
    }

    /// The nearest to `ratio` with a multiplier of 15 bits. A power of two is met exactly.
    pub fn near(ratio: f64) -> Self {
        Self::scaled(ratio, 16_384.0, f64::round_ties_even)
    }

    /// The least of at least `ratio` with a multiplier of 15 bits.
    pub fn least(ratio: f64) -> Self {
        Self::scaled(ratio, 16_384.0, f64::ceil)
    }

    /// The least of at least `ratio` with a multiplier of 6 bits, from 32 to 64: what a proof's range checks like.
    pub fn above(ratio: f64) -> Self {
        Self::scaled(ratio, 32.0, f64::ceil)
    }

    /// Doubles or halves until the multiplier is in [least, 2 · least], then rounds it.
    fn scaled(ratio: f64, least: f64, round: fn(f64) -> f64) -> Self {
        let (mut multiplier, mut shift) = (ratio, 0);
        while multiplier < least && shift < SHIFT_MAX {
            multiplier *= 2.0;
            shift += 1;
        }
        Self { multiplier: round(multiplier) as i64, shift }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_is_within_a_sixteen_thousandth_and_exact_for_powers_of_two() {
        for ratio in [1.0, 0.5, 2.0, 1.0 / 1024.0] {
            assert_eq!(Factor::near(ratio).value(), ratio);
        }
        for ratio in [0.3, 0.000_123, 1.7, 900.0] {
            assert!((Factor::near(ratio).value() / ratio - 1.0).abs() < 1.0 / 16_384.0, "{ratio}");
        }
    }

    #[test]
    fn a_weight_factor_is_never_below_and_at_most_a_32nd_above() {
        for ratio in [0.001, 0.031, 0.5, 0.999, 3.7] {
            let factor = Factor::above(ratio);
            assert!((32..=64).contains(&factor.multiplier), "{factor:?}");
            assert!(factor.value() >= ratio && factor.value() <= ratio * (1.0 + 1.0 / 32.0), "{ratio}");
        }
    }
}
