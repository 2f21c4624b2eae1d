//! Fixed-point arithmetic of the integer operators: one rounding rule, one reciprocal, one reciprocal root.
//!
//! All functions are total on the ranges that the bounds rules admit; outside of them they saturate.

/// `round(value / 2^shift)`, halves toward plus infinity: `(value + 2^(shift-1)) >> shift`, exact for `shift` 0.
pub fn round_shift(value: i64, shift: u32) -> i64 {
    match shift {
        0 => value,
        1..=62 => value.saturating_add(1 << (shift - 1)) >> shift,
        _ => 0,
    }
}

/// The requantisation of the specification: `clamp(round_shift(value · multiplier, shift), low, high)`.
pub fn requantise(value: i64, multiplier: i64, shift: u32, low: i64, high: i64) -> i64 {
    round_shift(value.saturating_mul(multiplier), shift).max(low).min(high)
}

/// The greatest `r` with `r² · value ≤ 2^62`, for `value` from 1 to 2^62: `2^31 / √value`, rounded down.
pub fn reciprocal_root(value: u64) -> u64 {
    (1_u64 << 62).checked_div(value).map_or(0, u64::isqrt)
}

/// `2^44 / sum`, rounded down.
pub fn reciprocal(sum: u64) -> u64 {
    (1_u64 << 44).checked_div(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_round_toward_plus_infinity() {
        let cases = [(5, 1, 3), (-5, 1, -2), (6, 2, 2), (-6, 2, -1), (7, 0, 7), (-1, 62, 0), (i64::MAX, 63, 0)];
        for (value, shift, expected) in cases {
            assert_eq!(round_shift(value, shift), expected, "{value} >> {shift}");
        }
    }

    #[test]
    fn the_reciprocal_root_is_bracketed() {
        for value in (1..2000).chain((1..63).map(|bits| 1_u64 << bits)).chain([3_u64 << 40, (1 << 62) - 1]) {
            let root = u128::from(reciprocal_root(value));
            assert!(root * root * u128::from(value) <= 1 << 62, "{value}");
            assert!((root + 1) * (root + 1) * u128::from(value) > 1 << 62, "{value}");
        }
    }

    #[test]
    fn requantisation_clamps_at_both_ends() {
        assert_eq!(requantise(1000, 3, 4, -127, 127), 127);
        assert_eq!(requantise(-1000, 3, 4, -127, 127), -127);
        assert_eq!(requantise(100, 3, 4, -127, 127), 19);
    }
}
