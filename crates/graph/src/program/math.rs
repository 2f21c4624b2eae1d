//! Elementary functions as fixed sequences of IEEE operations: the code is the definition, its bits are frozen by a test.
//!
//! Only additions, multiplications, divisions, square roots, fused multiply-adds, exact remainders and roundings to whole
//! numbers, in the written order; the platform's mathematical library is never called.

use crate::float::{log_wide, sin_cos};

/// Adding and subtracting 1.5 · 2^52 rounds to the nearest integer, ties to even.
const ROUND: f64 = 6_755_399_441_055_744.0;
const LN2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);
const PI: f64 = std::f64::consts::PI;

/// e^x in binary32: infinite above 88.7228…, 0 below -103.97…, NaN for NaN; within about 2 units of the last place.
#[inline]
pub fn exp_single(x: f32) -> f32 {
    if x.is_nan() {
        return f32::NAN;
    }
    if x > 88.722_84 {
        return f32::INFINITY;
    }
    if x < -103.972_08 {
        return 0.0;
    }
    if (-87.0..=88.0).contains(&x) {
        return crate::float::exp(x);
    }
    // At both ends the scale leaves the normal range: the halves' product rounds once.
    let half = crate::float::exp(x * 0.5);
    half * half
}

/// 2^power times x, rounded once at the end, for powers within ±2200.
#[inline]
fn scaled(x: f64, power: i32) -> f64 {
    let of = |power: i32| f64::from_bits(((power + 1023) as u64) << 52);
    let first = power / 2;
    match power {
        -1022..=1023 => x * of(power),
        _ => x * of(first.clamp(-1022, 1023)) * of((power - first).clamp(-1022, 1023)),
    }
}

/// e^x: x = n·ln 2 + r with ln 2 in two parts, a Taylor sum of 14 terms on r by fma, times 2^n.
#[inline]
pub fn exp(x: f64) -> f64 {
    if x.is_nan() {
        return f64::NAN;
    }
    if x > 709.782_712_893_384 {
        return f64::INFINITY;
    }
    if x < -745.133_219_101_941_2 {
        return 0.0;
    }
    let n = x.mul_add(std::f64::consts::LOG2_E, ROUND) - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
    let mut sum = 1.0;
    for k in (1..=14).rev() {
        sum = (r / f64::from(k)).mul_add(sum, 1.0);
    }
    scaled(sum, n as i32)
}

/// e^x - 1: by the same Taylor sum without its first term near 0.
#[inline]
pub fn exp_less_one(x: f64) -> f64 {
    if !(-0.5..=0.5).contains(&x) {
        return exp(x) - 1.0;
    }
    let mut sum = 1.0;
    for k in (2..=16).rev() {
        sum = (x / f64::from(k)).mul_add(sum, 1.0);
    }
    x * sum
}

/// ln x: NaN below 0, -∞ at 0.
#[inline]
pub fn ln(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x.is_infinite() {
        return x;
    }
    if x < f64::MIN_POSITIVE {
        return log_wide(x * 18_014_398_509_481_984.0) - 54.0 * std::f64::consts::LN_2;
    }
    log_wide(x)
}

/// ln(1 + x): an arctanh series near 0.
#[inline]
pub fn ln_one_more(x: f64) -> f64 {
    if !(-0.25..=0.25).contains(&x) {
        return ln(1.0 + x);
    }
    let t = x / (2.0 + x);
    let square = t * t;
    let mut sum = 0.0;
    for k in (0..=12).rev() {
        sum = sum * square + 1.0 / f64::from(2 * k + 1);
    }
    2.0 * t * sum
}

/// x^y. Whole y up to 1024 by repeated squaring; else exp(y·ln x). x^0 = 1, 1^y = 1; a negative x only has whole powers.
pub fn pow(x: f64, y: f64) -> f64 {
    if y == 0.0 || x == 1.0 {
        return 1.0;
    }
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    let whole = y.floor() == y;
    if whole && y.abs() <= 1024.0 {
        let power = whole_power(x, y.abs() as u32);
        return if y < 0.0 { 1.0 / power } else { power };
    }
    let odd = whole && y.abs() < 9_007_199_254_740_992.0 && y % 2.0 != 0.0;
    if y == 0.5 {
        // The root of -∞ alone is none, and its power is.
        return if x == f64::NEG_INFINITY { f64::INFINITY } else { (x + 0.0).sqrt() };
    }
    if x < 0.0 {
        if !whole && x.is_finite() {
            return if y.is_infinite() { of_infinite_power(x, y) } else { f64::NAN };
        }
        let size = pow_of_size(-x, y);
        return if odd { -size } else { size };
    }
    pow_of_size(x, y)
}

fn whole_power(x: f64, mut power: u32) -> f64 {
    let (mut square, mut product) = (x, 1.0);
    while power > 0 {
        if power & 1 == 1 {
            product *= square;
        }
        square *= square;
        power >>= 1;
    }
    product
}

fn of_infinite_power(x: f64, y: f64) -> f64 {
    match (x.abs() > 1.0, y > 0.0) {
        _ if x.abs() == 1.0 => 1.0,
        (true, true) | (false, false) => f64::INFINITY,
        _ => 0.0,
    }
}

/// x ≥ 0.
fn pow_of_size(x: f64, y: f64) -> f64 {
    if y.is_infinite() {
        return of_infinite_power(x, y);
    }
    if x == 0.0 {
        return if y < 0.0 { f64::INFINITY } else { 0.0 };
    }
    if x.is_infinite() {
        return if y < 0.0 { 0.0 } else { f64::INFINITY };
    }
    exp(y * ln(x))
}

/// Sine and cosine; beyond 2^20 the angle is first reduced by the exact remainder of the binary64 nearest to 2π.
fn sine_cosine(x: f64) -> (f64, f64) {
    if !x.is_finite() {
        return (f64::NAN, f64::NAN);
    }
    if x.abs() < 1_048_576.0 { sin_cos(x) } else { sin_cos(x % (2.0 * PI)) }
}

pub fn sin(x: f64) -> f64 {
    if x == 0.0 { x } else { sine_cosine(x).0 }
}

pub fn cos(x: f64) -> f64 {
    sine_cosine(x).1
}

pub fn tan(x: f64) -> f64 {
    let (sine, cosine) = sine_cosine(x);
    if x == 0.0 { x } else { sine / cosine }
}

/// The arc tangent: reduced to below 1/8 by the half-angle identity, then the series to the 21st power.
pub fn atan(x: f64) -> f64 {
    if x.is_nan() || x == 0.0 {
        return x;
    }
    let size = x.abs();
    let inverse = size > 1.0;
    let mut t = if inverse { 1.0 / size } else { size };
    let mut doublings = 1.0;
    while t > 0.125 {
        t /= 1.0 + (1.0 + t * t).sqrt();
        doublings *= 2.0;
    }
    let square = t * t;
    let mut sum = 0.0;
    for k in (0..=10).rev() {
        let term = 1.0 / f64::from(2 * k + 1);
        sum = sum * -square + term;
    }
    let angle = t * sum * doublings;
    let angle = if inverse { PI / 2.0 - angle } else { angle };
    if x < 0.0 { -angle } else { angle }
}

/// NaN beyond ±1.
pub fn asin(x: f64) -> f64 {
    if x.is_nan() || x.abs() > 1.0 {
        return f64::NAN;
    }
    if x.abs() == 1.0 {
        return if x < 0.0 { -PI / 2.0 } else { PI / 2.0 };
    }
    atan(x / ((1.0 - x) * (1.0 + x)).sqrt())
}

/// NaN beyond ±1.
pub fn acos(x: f64) -> f64 {
    if x.is_nan() || x.abs() > 1.0 {
        return f64::NAN;
    }
    2.0 * atan(((1.0 - x) / (1.0 + x)).sqrt())
}

pub fn sinh(x: f64) -> f64 {
    if x.abs() < 0.5 {
        let e = exp_less_one(x);
        return (e + e / (e + 1.0)) / 2.0;
    }
    let half = exp(x.abs() / 2.0);
    let size = (half / 2.0) * half - 0.5 / half / half;
    if x < 0.0 { -size } else { size }
}

pub fn cosh(x: f64) -> f64 {
    let half = exp(x.abs() / 2.0);
    (half / 2.0) * half + 0.5 / half / half
}

#[inline]
pub fn tanh(x: f64) -> f64 {
    if x.is_nan() || x == 0.0 {
        return x;
    }
    let e = exp_less_one(-2.0 * x.abs());
    let size = -e / (e + 2.0);
    if x < 0.0 { -size } else { size }
}

pub fn asinh(x: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let size = x.abs();
    let result = if size > 1e8 {
        ln(size) + std::f64::consts::LN_2
    } else {
        let square = size * size;
        ln_one_more(size + square / (1.0 + (1.0 + square).sqrt()))
    };
    if x < 0.0 { -result } else { result }
}

/// NaN below 1.
pub fn acosh(x: f64) -> f64 {
    if x.is_nan() || x < 1.0 {
        return f64::NAN;
    }
    if x > 1e8 {
        return ln(x) + std::f64::consts::LN_2;
    }
    let less = x - 1.0;
    ln_one_more(less + (less * (x + 1.0)).sqrt())
}

/// NaN beyond ±1, infinite at them.
pub fn atanh(x: f64) -> f64 {
    if x.abs() == 1.0 {
        return x * f64::INFINITY;
    }
    0.5 * ln_one_more(2.0 * x / (1.0 - x))
}

/// Above and below the line of a rational approximation, from the power 1 up; the last above is the highest, and the one before it stands alone.
struct Ratio<const ABOVE: usize, const BELOW: usize>([f64; ABOVE], [f64; BELOW]);

/// The approximations of the error function and its complement by W. J. Cody (Mathematics of Computation 23, 1969).
const ERF_NEAR: Ratio<5, 4> = Ratio(
    [
        3.161_123_743_870_565_6,
        113.864_154_151_050_16,
        377.485_237_685_302,
        3_209.377_589_138_469_5,
        0.185_777_706_184_603_15,
    ],
    [23.601_290_952_344_122, 244.024_637_934_444_17, 1_282.616_526_077_372_3, 2_844.236_833_439_171],
);
const ERF_MIDDLE: Ratio<9, 8> = Ratio(
    [
        0.564_188_496_988_670_1,
        8.883_149_794_388_376,
        66.119_190_637_141_63,
        298.635_138_197_400_1,
        881.952_221_241_769,
        1_712.047_612_634_070_6,
        2_051.078_377_826_071_5,
        1_230.339_354_797_997_2,
        2.153_115_354_744_038_5e-8,
    ],
    [
        15.744_926_110_709_835,
        117.693_950_891_312_5,
        537.181_101_862_009_9,
        1_621.389_574_566_690_2,
        3_290.799_235_733_459_7,
        4_362.619_090_143_247,
        3_439.367_674_143_721_6,
        1_230.339_354_803_749_5,
    ],
);
const ERF_FAR: Ratio<6, 5> = Ratio(
    [
        0.305_326_634_961_232_36,
        0.360_344_899_949_804_45,
        0.125_781_726_111_229_26,
        0.016_083_785_148_742_275,
        6.587_491_615_298_378e-4,
        0.016_315_387_137_302_097,
    ],
    [
        2.568_520_192_289_822,
        1.872_952_849_923_467_3,
        0.527_905_102_951_428_4,
        0.060_518_341_312_441_32,
        0.002_335_204_976_268_691_8,
    ],
);

impl<const ABOVE: usize, const BELOW: usize> Ratio<ABOVE, BELOW> {
    /// Each coefficient added and then multiplied by `x`, above and below; the last of each added alone.
    #[inline]
    fn at(&self, x: f64) -> f64 {
        let (mut above, mut below) = (self.0[ABOVE - 1] * x, x);
        for power in 0..BELOW - 1 {
            above = (above + self.0[power]) * x;
            below = (below + self.1[power]) * x;
        }
        (above + self.0[ABOVE - 2]) / (below + self.1[BELOW - 1])
    }
}

/// The error function: a rational approximation below 15/32, one of its complement above; ±1 from 6 on.
#[inline]
pub fn erf(x: f64) -> f64 {
    if x.is_nan() {
        return f64::NAN;
    }
    let (size, square) = (x.abs(), x * x);
    if size < 0.468_75 {
        return x * ERF_NEAR.at(square);
    }
    let rest = if size < 4.0 {
        ERF_MIDDLE.at(size)
    } else if size < 6.0 {
        let inverse = 1.0 / square;
        (std::f64::consts::FRAC_2_SQRT_PI / 2.0 - inverse * ERF_FAR.at(inverse)) / size
    } else {
        0.0
    };
    let result = 1.0 - if rest == 0.0 { 0.0 } else { exp(-square) * rest };
    if x < 0.0 { -result } else { result }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(name: &str, ours: fn(f64) -> f64, theirs: fn(f64) -> f64, low: f64, high: f64) {
        for i in 0..=4000 {
            let x = low + (high - low) * f64::from(i) / 4000.0;
            let (found, expected) = (ours(x), theirs(x));
            let close = (found - expected).abs() <= 4e-14 * expected.abs().max(1e-3);
            assert!(
                close || found == expected || found.is_nan() && expected.is_nan(),
                "{name}({x}): {found} {expected}"
            );
        }
    }

    #[test]
    fn functions_agree_with_the_platform_to_fourteen_digits() {
        near("exp", exp, f64::exp, -740.0, 709.0);
        near("exp - 1", exp_less_one, f64::exp_m1, -3.0, 3.0);
        near("ln", ln, f64::ln, -0.1, 50.0);
        near("ln 1+", ln_one_more, f64::ln_1p, -0.999, 5.0);
        near("sin", sin, f64::sin, -3.0, 3.0);
        near("cos", cos, f64::cos, -1.5, 1.5);
        near("tan", tan, f64::tan, -1.5, 1.5);
        near("atan", atan, f64::atan, -9.0, 9.0);
        near("asin", asin, f64::asin, -1.01, 1.01);
        near("acos", acos, f64::acos, -1.01, 1.01);
        near("sinh", sinh, f64::sinh, -20.0, 20.0);
        near("cosh", cosh, f64::cosh, -20.0, 20.0);
        near("tanh", tanh, f64::tanh, -20.0, 20.0);
        near("asinh", asinh, f64::asinh, -20.0, 20.0);
        near("acosh", acosh, f64::acosh, 0.9, 20.0);
        near("atanh", atanh, f64::atanh, -1.0, 1.0);
    }

    #[test]
    fn powers_have_the_values_of_the_standard_at_the_edges() {
        for x in [-2.5, -1.0, -0.0, 0.0, 0.3, 1.0, 4.0, f64::INFINITY, f64::NEG_INFINITY] {
            for y in [-3.0, -2.0, -0.5, 0.0, 0.5, 1.0, 1.7, 2.0, 3.0, f64::INFINITY, f64::NEG_INFINITY] {
                let (found, expected) = (pow(x, y), f64::powf(x, y));
                let close = (found - expected).abs() <= 1e-13 * expected.abs();
                assert!(
                    close || found == expected || found.is_nan() && expected.is_nan(),
                    "{x}^{y}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn erf_has_the_values_of_the_tables() {
        for (x, expected) in [
            (0.0, 0.0),
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (2.0, 0.995_322_265_018_952_7),
            (3.0, 0.999_977_909_503_001_4),
            (-2.6, -0.999_763_965_583_470_7),
        ] {
            assert!((erf(x) - expected).abs() < 2e-15, "{x} {}", erf(x));
        }
    }

    #[test]
    fn exp_of_single_precision_covers_its_whole_range() {
        for i in -10_500..8_900 {
            let x = i as f32 / 100.0;
            let (found, expected) = (f64::from(exp_single(x)), f64::from(x).exp());
            assert!(
                (found - expected).abs() <= 4e-7 * expected + 1.5e-45 || expected > 3.4e38,
                "{x} {found} {expected}"
            );
        }
        assert!(exp_single(f32::NAN).is_nan() && exp_single(89.0).is_infinite() && exp_single(-200.0) == 0.0);
    }
}
