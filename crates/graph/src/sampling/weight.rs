//! The exponential and the logarithm of sampling, in integers, from tables that integer square roots build.

use std::sync::LazyLock;

/// log2(e) in units of 2^-16, rounded.
const LOG2_E: u64 = 94_548;
/// ln 2 in units of 2^-32, rounded.
const LN_2: u128 = 2_977_044_472;
/// Bits of the weight of distance 0.
pub const ONE_BITS: u32 = 31;
/// From this distance on, in units of 2^-16, every weight is 0.
pub const WEIGHTLESS: u64 = (((31_u64 << 16) + 1) << 16).div_ceil(LOG2_E);

/// 2^31 · e^-distance, rounded down on the way, for a distance in units of 2^-16.
pub fn weight(distance: u64) -> u64 {
    let exponent = (distance.min(1 << 24) * LOG2_E) >> 16;
    let (whole, fraction) = (exponent >> 16, (exponent & 0xffff) as usize);
    if whole > 31 {
        return 0;
    }
    let (coarse, fine) = &*POWERS;
    ((coarse[fraction >> 8] * fine[fraction & 0xff]) >> 31) >> whole
}

/// The natural logarithm of `sum / 2^31` in units of 2^-32, for a sum of 2^31 or more: 32 squarings, each rounded down,
/// give the binary one.
pub fn logarithm(sum: u64) -> u64 {
    let sum = sum.max(1 << ONE_BITS);
    let zeros = sum.leading_zeros();
    let mut binary = u64::from(32 - zeros);
    let mut mantissa = u128::from(sum << zeros);
    for _ in 0..32 {
        mantissa = (mantissa * mantissa) >> 63;
        let carry = (mantissa >> 64) as u64;
        mantissa >>= carry;
        binary = binary << 1 | carry;
    }
    ((u128::from(binary) * LN_2) >> 32) as u64
}

type Powers = ([u64; 256], [u64; 256]);

/// 2^(-i/256) and 2^(-i/65536) in units of 2^-31.
static POWERS: LazyLock<Powers> = LazyLock::new(powers);

/// Built from square roots: `roots[k]` is 2^(-1/2^k) in units of 2^-62, rounded down.
fn powers() -> Powers {
    let mut roots = [1_u128 << 61; 17];
    for k in 1..17 {
        roots[k] = (roots[k - 1] << 62).isqrt();
    }
    // Bit b of the index stands for 2^(-2^b / 2^top), which is roots[top - b].
    let of = |index: usize, top: usize| {
        let bits = (0..8).filter(|bit| index >> bit & 1 == 1);
        let product = bits.fold(1_u128 << 62, |product, bit| (product * roots[top - bit]) >> 62);
        ((product + (1 << 30)) >> 31) as u64
    };
    (std::array::from_fn(|index| of(index, 8)), std::array::from_fn(|index| of(index, 16)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_follow_the_exponential_to_a_ten_thousandth() {
        for distance in (0..1 << 20).step_by(977) {
            let exact = (-(distance as f64) / 65_536.0).exp() * 2_f64.powi(31);
            let ours = weight(distance) as f64;
            assert!((ours - exact).abs() <= exact * 1e-4 + 2.0, "{distance}: {ours} {exact}");
        }
        assert_eq!((weight(0), weight(u64::MAX)), (1 << 31, 0));
        assert_eq!(weight(WEIGHTLESS), 0);
        assert_ne!(weight(WEIGHTLESS - 1), 0);
    }

    #[test]
    fn weights_never_rise_with_the_distance() {
        assert!((0..WEIGHTLESS).map(weight).is_sorted_by(|near, far| near >= far));
    }

    #[test]
    fn logarithms_are_right_to_a_billionth() {
        for sum in (0..20).flat_map(|bits| [1_u64 << (31 + bits), (1 << (31 + bits)) + 12_345, 3 << (30 + bits)]) {
            let exact = (sum as f64 / 2_f64.powi(31)).ln();
            let ours = logarithm(sum) as f64 / 2_f64.powi(32);
            assert!((ours - exact).abs() < 2e-8, "{sum}: {ours} {exact}");
        }
        assert_eq!((logarithm(0), logarithm(1 << 31)), (0, 0));
    }
}
