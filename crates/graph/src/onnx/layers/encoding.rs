//! How values are held as integers: 8 bits where matrices multiply them, 16 where they are added up, the index where a table
//! follows, and 32 in units of a power of two where they leave.

use super::super::integer::encoding::{Encoding, Range, near, rounded, wide};
use super::net::Seen;
use super::wish::Wish;
use crate::ops::quantise::power_of_two;
use crate::tensor::Element;

/// Values of 16 bits reach a quarter further than calibration saw, indices a tenth.
const SIXTEEN_MARGIN: f64 = 1.25;
const INDEX_MARGIN: f64 = 1.1;
/// The index of a table of a curve.
const INDEX: i64 = 2047;
/// Of the 31 bits of a fine value, those that calibration filled.
const FINE_MAX: f64 = 134_217_728.0;

fn range(seen: &Seen) -> (f64, f64) {
    // Of what was never seen, or was always 0, any scale is as good.
    if seen.low.is_finite() && seen.high.is_finite() && (seen.low < 0.0 || seen.high > 0.0) {
        (seen.low, seen.high)
    } else {
        (-1.0, 1.0)
    }
}

/// 8 bits: without a sign where none was seen, unless one is asked for.
pub fn eight(seen: &Seen, signed: bool) -> Encoding {
    let (low, high) = range(seen);
    if low >= 0.0 && !signed {
        return Encoding { element: Element::U8, unit: high / 255.0, low: 0, high: 255 };
    }
    Encoding { element: Element::I8, unit: low.abs().max(high) / 127.0, low: -127, high: 127 }
}

pub fn sixteen(seen: &Seen) -> Encoding {
    symmetric(seen, 32_767, SIXTEEN_MARGIN)
}

pub fn index(seen: &Seen) -> Encoding {
    symmetric(seen, INDEX, INDEX_MARGIN)
}

fn symmetric(seen: &Seen, most: i64, margin: f64) -> Encoding {
    let (low, high) = range(seen);
    let unit = low.abs().max(high) * margin / most as f64;
    Encoding { element: Element::I16, unit, low: -most, high: most }
}

/// 32 bits in units of a power of two, of which calibration saw 28: sums of features that lie far apart lose nothing.
pub fn fine(seen: &Seen) -> Encoding {
    let (low, high) = range(seen);
    let most = low.abs().max(high);
    let mut fraction = 40;
    while fraction > -40 && most * power_of_two(fraction) > FINE_MAX {
        fraction -= 1;
    }
    let limit = i64::from(i32::MAX);
    Encoding { element: Element::I32, unit: power_of_two(-fraction), low: -limit, high: limit }
}

/// The greatest magnitude that calibration saw.
pub fn most(seen: &Seen) -> f64 {
    let (low, high) = range(seen);
    low.abs().max(high)
}

/// What leaves.
pub fn output(seen: &Seen) -> Encoding {
    wide(magnitude(seen))
}

/// What enters: floats exactly, up to the rounding to 16 bits.
pub fn input(seen: &Seen) -> Encoding {
    near(magnitude(seen))
}

pub fn magnitude(seen: &Seen) -> Range {
    let (low, high) = range(seen);
    Range::symmetric(low.abs().max(high))
}

/// What the wishes of all users come to.
pub fn chosen(seen: &Seen, wish: Wish, leaves: bool) -> Encoding {
    let wishes = wish.eight || wish.sixteen || wish.index;
    if wish == Wish::FINE {
        fine(seen)
    } else if leaves && !wishes {
        output(seen)
    } else if wish.eight && (wish.image || !wish.sixteen && !wish.index) {
        eight(seen, wish.signed)
    } else if wish.index && !wish.sixteen && !wish.eight {
        index(seen)
    } else {
        sixteen(seen)
    }
}

/// With a clamp's bounds.
pub fn clamped(encoding: Encoding, clamp: Option<(f64, f64)>) -> Encoding {
    let Some((low, high)) = clamp else { return encoding };
    let low = if low.is_finite() { rounded(low, encoding) } else { encoding.low };
    let high = if high.is_finite() { rounded(high, encoding) } else { encoding.high };
    Encoding { low, high: high.max(low), ..encoding }
}
