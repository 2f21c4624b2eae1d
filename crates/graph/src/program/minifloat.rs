//! Floats of 16 bits and less: to f32 exactly, and from f64 by one rounding.
//!
//! One description for all formats: exponent bits, fraction bits, bias, and what the top of the range means.

use super::element::Element;

/// What a format has beyond its finite numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Top {
    /// The greatest exponent is infinity and NaN, as in IEEE 754.
    Ieee,
    /// All bits set is NaN; no infinity.
    OnesAreNan,
    /// The bits of minus zero are NaN; no infinity.
    MinusZeroIsNan,
    /// Finite numbers only.
    Finite,
}

#[derive(Clone, Copy)]
struct Format {
    exponent: u32,
    fraction: u32,
    bias: i32,
    top: Top,
}

/// `None` for what is no small float, and for float8e8m0, which has neither sign nor fraction.
fn format(element: Element) -> Option<Format> {
    let (exponent, fraction, bias, top) = match element {
        Element::F16 => (5, 10, 15, Top::Ieee),
        Element::BF16 => (8, 7, 127, Top::Ieee),
        Element::F8E4M3 => (4, 3, 7, Top::OnesAreNan),
        Element::F8E4M3FNUZ => (4, 3, 8, Top::MinusZeroIsNan),
        Element::F8E5M2 => (5, 2, 15, Top::Ieee),
        Element::F8E5M2FNUZ => (5, 2, 16, Top::MinusZeroIsNan),
        Element::F4E2M1 => (2, 1, 1, Top::Finite),
        Element::F6E2M3 => (2, 3, 1, Top::Finite),
        Element::F6E3M2 => (3, 2, 3, Top::Finite),
        _ => return None,
    };
    Some(Format { exponent, fraction, bias, top })
}

/// 2^power for the powers that are normal in binary64.
fn power_of_two(power: i32) -> f64 {
    f64::from_bits(((power + 1023).clamp(1, 2046) as u64) << 52)
}

/// The f32 that a float of 8 bits and less stands for; exact.
pub fn widen(element: Element, bits: u8) -> f32 {
    if element == Element::F8E8M0 {
        return if bits == 255 { f32::NAN } else { power_of_two(i32::from(bits) - 127) as f32 };
    }
    let Some(format) = format(element) else { return f32::NAN };
    let (bits, sign_at) = (u32::from(bits), format.exponent + format.fraction);
    let (negative, magnitude) = (bits >> sign_at & 1 == 1, bits & ((1 << sign_at) - 1));
    let (exponent, fraction) = (magnitude >> format.fraction, magnitude & ((1 << format.fraction) - 1));
    let ones = (1 << format.exponent) - 1;
    let is_nan = match format.top {
        Top::Ieee => exponent == ones && fraction != 0,
        Top::OnesAreNan => magnitude == (1 << sign_at) - 1,
        Top::MinusZeroIsNan => negative && magnitude == 0,
        Top::Finite => false,
    };
    if is_nan {
        return f32::NAN;
    }
    let size = if format.top == Top::Ieee && exponent == ones {
        f64::INFINITY
    } else if exponent == 0 {
        f64::from(fraction) * power_of_two(1 - format.bias - format.fraction as i32)
    } else {
        let whole = f64::from(fraction + (1 << format.fraction));
        whole * power_of_two(exponent as i32 - format.bias - format.fraction as i32)
    };
    if negative { -size as f32 } else { size as f32 }
}

/// A number's own bits; for a NaN, whatever its sign and payload, those of the one that `narrow` makes.
pub fn one_nan(element: Element, bits: u16) -> u16 {
    let Some(format) = format(element) else { return bits };
    let sign_at = format.exponent + format.fraction;
    let (magnitude, infinity) = (bits & ((1 << sign_at) - 1), ((1 << format.exponent) - 1) << format.fraction);
    let is_nan = match format.top {
        Top::Ieee => magnitude > infinity,
        Top::OnesAreNan => magnitude == (1 << sign_at) - 1,
        // These have one.
        Top::MinusZeroIsNan | Top::Finite => false,
    };
    if is_nan { narrow(element, f64::NAN, false) } else { bits }
}

/// The bits of the nearest number of a format, ties to even; a NaN has no sign of its own, for which sign an operation
/// gives it differs from platform to platform. Beyond the greatest: that one where `saturate` says so or
/// the format has nothing else, infinity where it has one, else NaN.
pub fn narrow(element: Element, value: f64, saturate: bool) -> u16 {
    let Some(format) = format(element) else { return 0 };
    let sign_at = format.exponent + format.fraction;
    let sign = u32::from(value.is_sign_negative()) << sign_at;
    let ones = (1_u32 << format.exponent) - 1;
    let (greatest, nan, infinity) = match format.top {
        Top::Ieee => (
            (ones << format.fraction) - 1,
            ones << format.fraction | 1 << (format.fraction - 1),
            Some(ones << format.fraction),
        ),
        Top::OnesAreNan => ((1 << sign_at) - 2, (1 << sign_at) - 1, None),
        Top::MinusZeroIsNan => ((1 << sign_at) - 1, 1 << sign_at, None),
        Top::Finite => ((1 << sign_at) - 1, 1 << sign_at, None),
    };
    if value.is_nan() {
        // A finite format has no NaN: minus zero stands for it.
        return nan as u16;
    }
    let magnitude = rounded(format, value.abs());
    let bits = if magnitude <= greatest {
        magnitude
    } else if saturate || format.top == Top::Finite {
        greatest
    } else {
        match infinity {
            Some(infinity) => infinity,
            None if format.top == Top::MinusZeroIsNan => return nan as u16,
            None => nan,
        }
    };
    if format.top == Top::MinusZeroIsNan && bits == 0 {
        return 0;
    }
    (sign | bits) as u16
}

/// Exponent and fraction of the nearest number, ties to even, as if the format had no greatest; at most 2^31.
fn rounded(format: Format, size: f64) -> u32 {
    if size.is_infinite() {
        return 1 << 30;
    }
    let of_size = ((size.to_bits() >> 52) as i32) - 1023;
    let exponent = of_size.max(1 - format.bias);
    if exponent + format.bias > 1 << 10 {
        return 1 << 30;
    }
    // Both scalings are by powers of two and exact: the products lie between 2^-1100 and 2^12.
    let steps =
        (size * power_of_two(-(exponent / 2)) * power_of_two(format.fraction as i32 - (exponent - exponent / 2)))
            .round_ties_even() as u32;
    // A carry out of the fraction raises the exponent by itself.
    let base = ((exponent + format.bias - 1) as u32) << format.fraction;
    base + steps
}

/// The bits of float8e8m0 nearest to a value, which has neither sign nor zero: `up` toward greater, `down` toward less,
/// else to the nearest, ties to greater.
pub fn narrow_power(value: f64, mode: &str, saturate: bool) -> u8 {
    if value.is_nan() {
        return 255;
    }
    let size = value.abs();
    if size.is_infinite() {
        return if saturate { 254 } else { 255 };
    }
    let exponent = (((size.to_bits() >> 52) & 2047) as i32) - 1023;
    let fraction = size.to_bits() & ((1 << 52) - 1);
    let raised = match mode {
        "up" => fraction > 0,
        "down" => false,
        _ => fraction >= 1 << 51,
    };
    let power = exponent + i32::from(raised) + 127;
    match power {
        ..0 => 0,
        255.. if saturate => 254,
        255.. => 255,
        power => power as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: [Element; 8] = [
        Element::F8E4M3,
        Element::F8E4M3FNUZ,
        Element::F8E5M2,
        Element::F8E5M2FNUZ,
        Element::F4E2M1,
        Element::F6E2M3,
        Element::F6E3M2,
        Element::F8E8M0,
    ];

    #[test]
    fn every_small_float_reads_back() {
        for element in SMALL {
            for bits in 0..=(0xff_u16 >> (8 - element.bits())) as u8 {
                let value = widen(element, bits);
                let back = match element {
                    Element::F8E8M0 => narrow_power(value.into(), "up", true),
                    _ => narrow(element, value.into(), false) as u8,
                };
                assert!(
                    back == bits || value.is_nan() && widen(element, back).is_nan(),
                    "{element} {bits:02x} {value}"
                );
            }
        }
    }

    #[test]
    fn every_nan_becomes_the_same_bits() {
        let expected = [
            (Element::F16, 0x7e00),
            (Element::BF16, 0x7fc0),
            (Element::F8E4M3, 0x7f),
            (Element::F8E4M3FNUZ, 0x80),
            (Element::F8E5M2, 0x7e),
            (Element::F8E5M2FNUZ, 0x80),
            (Element::F4E2M1, 0x8),
            (Element::F6E2M3, 0x20),
            (Element::F6E3M2, 0x20),
        ];
        for (element, expected) in expected {
            for value in [f64::NAN, -f64::NAN, f64::from_bits(0x7ff0_0000_0000_0001), f64::from_bits(u64::MAX)] {
                for saturate in [false, true] {
                    assert_eq!(narrow(element, value, saturate), expected, "{element} {:x}", value.to_bits());
                }
            }
        }
        assert_eq!((narrow_power(-f64::NAN, "up", true), narrow_power(f64::NAN, "down", false)), (255, 255));
        for element in SMALL {
            for bits in 0..=0xff_u16 >> (8 - element.bits()) {
                let is_nan = widen(element, bits as u8).is_nan();
                let expected =
                    if is_nan && element != Element::F8E8M0 { narrow(element, f64::NAN, false) } else { bits };
                assert_eq!(one_nan(element, bits), expected, "{element} {bits:02x}");
            }
        }
        for bits in 0..=u16::MAX {
            let (half, short) = (crate::float::from_half(bits), f32::from_bits(u32::from(bits) << 16));
            assert_eq!(one_nan(Element::F16, bits), if half.is_nan() { 0x7e00 } else { bits });
            assert_eq!(one_nan(Element::BF16, bits), if short.is_nan() { 0x7fc0 } else { bits });
        }
    }

    #[test]
    fn halves_are_rounded_as_the_exact_graph_rounds_them() {
        for index in 0..=u16::MAX {
            let value = crate::float::from_half(index);
            for value in [value, value * 1.000_3, value * 0.999_8, value + 3e-8] {
                let one = narrow(Element::F16, value.into(), false);
                // A NaN has one form here, whatever its sign.
                let other = if value.is_nan() { 0x7e00 } else { crate::float::to_half(value) };
                assert_eq!(one, other, "{value}");
            }
        }
    }

    #[test]
    fn what_is_beyond_the_greatest_is_cut_infinite_or_no_number() {
        let of = |element, saturate| widen(element, narrow(element, 1e9, saturate) as u8);
        assert_eq!(of(Element::F8E4M3, true), 448.0);
        assert!(of(Element::F8E4M3, false).is_nan());
        assert_eq!(of(Element::F8E5M2, false), f32::INFINITY);
        assert_eq!(of(Element::F8E5M2, true), 57_344.0);
        assert_eq!(of(Element::F4E2M1, false), 6.0);
        assert!(of(Element::F8E4M3FNUZ, false).is_nan());
        assert_eq!(narrow(Element::F8E5M2FNUZ, -0.0, true), 0);
    }
}
