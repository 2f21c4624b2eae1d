//! The float arithmetic of ordered operators: binary16 conversion, and exp, log, sin and cos as fixed polynomials.
//!
//! Only IEEE 754 additions, multiplications, divisions and fused multiply-adds in a written order, so every machine
//! gives the same bits. Nothing here calls the platform's mathematical library.

/// The binary32 value of binary16 bits; exact.
pub fn from_half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let (exponent, fraction) = (u32::from(bits >> 10 & 31), u32::from(bits & 1023));
    match exponent {
        // Zero and subnormals are multiples of 2^-24, which binary32 holds exactly.
        0 => {
            let magnitude = fraction as f32 * f32::from_bits(0x3380_0000);
            f32::from_bits(sign | magnitude.to_bits())
        }
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

/// The binary16 bits nearest to `value`, ties to even; too large becomes infinity, NaN stays NaN.
pub fn to_half(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        return sign | 0x7e00;
    }
    if magnitude >= 0x4780_0000 {
        return sign | 0x7c00;
    }
    if magnitude < 0x3880_0000 {
        // Below 2^-14: adding 0.5 lets the addition round to a multiple of 2^-24.
        let shifted = f32::from_bits(magnitude) + 0.5;
        return sign | (shifted.to_bits() - 0x3f00_0000) as u16;
    }
    let odd = magnitude >> 13 & 1;
    let rounded = magnitude + 0x0fff + odd;
    sign | ((rounded - 0x3800_0000) >> 13) as u16
}

pub const LOG2_E: f32 = f32::from_bits(0x3fb8_aa3b);
/// ln 2 in two parts, the first with few enough bits that its product with an exponent is exact.
pub const LN2_HIGH: f32 = f32::from_bits(0x3f31_7200);
pub const LN2_LOW: f32 = f32::from_bits(0x35bf_be8e);
/// Adding and subtracting 1.5 · 2^23 rounds to the nearest integer, ties to even.
pub const ROUND: f32 = 12_582_912.0;
/// 1/k!, from k = 6 down to 0.
pub const EXP: [f32; 7] = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];

/// e^x within about 2 units in the last place; `x` is first brought into [-87, 88].
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Comparisons instead of max/min: they say what happens to a NaN (it becomes -87).
    let x = if x > -87.0 { x } else { -87.0 };
    let x = if x < 88.0 { x } else { 88.0 };
    let shifted = x.mul_add(LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
    let mut p = EXP[0];
    p = p.mul_add(r, EXP[1]);
    p = p.mul_add(r, EXP[2]);
    p = p.mul_add(r, EXP[3]);
    p = p.mul_add(r, EXP[4]);
    p = p.mul_add(r, EXP[5]);
    p = p.mul_add(r, EXP[6]);
    // The low bits of 1.5 · 2^23 + n are those of n, and what stands above them is shifted out.
    let scale = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    p * scale
}

/// x / (1 + e^-x).
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// e^x in binary64 for tables: halving the argument until it is small, a Taylor sum, squaring back.
pub fn exp_wide(x: f64) -> f64 {
    let x = x.clamp(-700.0, 700.0);
    let halvings = 12;
    let r = x / 4096.0;
    let mut sum = 1.0;
    for k in (1..=14).rev() {
        sum = 1.0 + sum * (r / f64::from(k));
    }
    (0..halvings).fold(sum, |power, _| power * power)
}

/// π/2 in two parts; the first has 33 significant bits, so that its product with a small integer is exact.
const HALF_PI_HIGH: f64 = f64::from_bits(0x3ff9_21fb_5440_0000);
const HALF_PI_LOW: f64 = f64::from_bits(0x3dd0_b461_1a62_6331);

/// (sin x, cos x) in binary64, for |x| below 2^20: reduction by multiples of π/2, then Taylor sums.
pub fn sin_cos(x: f64) -> (f64, f64) {
    let quarter = (x / (HALF_PI_HIGH + HALF_PI_LOW) + 0.5).floor();
    let r = (x - quarter * HALF_PI_HIGH) - quarter * HALF_PI_LOW;
    let square = r * r;
    let (mut sine, mut cosine) = (1.0, 1.0);
    for k in (1..=10).rev() {
        let k = f64::from(k);
        sine = 1.0 - sine * (square / (2.0 * k * (2.0 * k + 1.0)));
        cosine = 1.0 - cosine * (square / ((2.0 * k - 1.0) * (2.0 * k)));
    }
    let sine = sine * r;
    match (quarter as i64).rem_euclid(4) {
        0 => (sine, cosine),
        1 => (cosine, -sine),
        2 => (-sine, -cosine),
        _ => (-cosine, sine),
    }
}

/// ln x in binary64 for finite positive x: the exponent, and an arctanh series on the fraction.
pub fn log_wide(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 2047) as i64 - 1023;
    let mut fraction = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    if fraction > std::f64::consts::SQRT_2 {
        fraction /= 2.0;
        exponent += 1;
    }
    let t = (fraction - 1.0) / (fraction + 1.0);
    let square = t * t;
    let mut sum = 0.0;
    for k in (0..=15).rev() {
        sum = sum * square + 1.0 / f64::from(2 * k + 1);
    }
    exponent as f64 * std::f64::consts::LN_2 + 2.0 * t * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_reads_back_and_between_two_the_nearest_even_is_taken() {
        for bits in 0..=u16::MAX {
            let value = from_half(bits);
            if value.is_nan() {
                assert_eq!(to_half(value) & 0x7fff, 0x7e00);
                continue;
            }
            assert_eq!(to_half(value), bits, "{bits:04x}");
            let next = from_half(bits + u16::from(bits & 0x7fff < 0x7bff));
            if value.is_finite() && next != value {
                let middle = (value + next) / 2.0;
                let even = if bits & 1 == 0 { bits } else { bits + 1 };
                assert_eq!(to_half(middle), even, "between {bits:04x} and its next");
                assert_eq!(to_half(middle + (value - middle) * 1e-3), bits);
            }
        }
        assert_eq!(to_half(65520.0), 0x7c00);
        assert_eq!(to_half(65519.9), 0x7bff);
    }

    #[test]
    fn exp_is_within_three_units_of_the_last_place() {
        for i in -8_600..8_700 {
            let x = i as f32 / 100.0 + 0.003;
            let (ours, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours - exact).abs() / exact < 3.0 * 2_f64.powi(-23), "{x}: {ours} {exact}");
        }
        assert_eq!(exp(f32::NAN), exp(-87.0));
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn the_wide_functions_agree_with_the_platform_to_a_trillionth() {
        for i in 1..40_000 {
            let x = f64::from(i) * 0.37;
            let (sine, cosine) = sin_cos(x);
            assert!((sine - x.sin()).abs() < 1e-11 && (cosine - x.cos()).abs() < 1e-11, "{x}");
            assert!((log_wide(x) - x.ln()).abs() < 1e-12 * x.ln().abs().max(1.0), "{x}");
            let y = f64::from(i - 20_000) / 100.0;
            assert!((exp_wide(y) / y.exp() - 1.0).abs() < 1e-11, "{y}");
        }
    }

    #[test]
    fn the_bits_of_the_polynomials_are_frozen() {
        let digest = (-4000..4000).fold(0_u64, |digest: u64, i| {
            let x = i as f32 * 0.021;
            let (sine, cosine) = sin_cos(f64::from(x));
            let parts = [exp(x).to_bits().into(), silu(x).to_bits().into(), sine.to_bits(), cosine.to_bits()];
            let parts =
                parts.into_iter().chain([exp_wide(x.into()).to_bits(), log_wide(f64::from(x).abs() + 0.1).to_bits()]);
            parts.fold(digest, |digest, bits| digest.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ bits)
        });
        assert_eq!(digest, 0xd72c_a795_72b9_87b1, "{digest:#x}");
    }
}
