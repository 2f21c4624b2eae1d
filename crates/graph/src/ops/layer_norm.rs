//! `layer_norm`: brings a row of integers to mean 0 and variance 1, then to a gain and a bias for each column.
//!
//! With D columns, `c_j = D · x_j - Σ x` and `v = D · Σ x² - (Σ x)² + epsilon` (D² times the variance), `r` is the greatest
//! integer for which `r² · v ≤ 2^94`; `n_j = round_shift(c_j · r, 31)` is the normalised value in units of 2^-16, and the
//! output is `clamp(round_shift(n_j · gain_j + bias_j, shift), low, high)`.

use super::{excluded, integer_tensor, integers, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    fixed,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    shape::Shape,
    tensor::{Element, Tensor},
    work::Work,
};

pub static OPERATOR: Operator = Operator {
    name: "layer_norm",
    kind: Kind::Integer,
    reach: Reach::Row,
    inputs: (3, 3),
    attributes: &["element", "epsilon", "high", "low", "shift"],
    shape,
    bounds,
    work,
    meaning,
};

/// Bits dropped from `c · r`; 47 - 31 stay as a fraction.
pub const SHIFT: u32 = 31;
/// Bits after the point of a normalised value.
pub const FRACTION: u32 = 16;
/// The widest row: |n| ≤ √D · 2^16.
const WIDTH_MAX: usize = 1 << 16;

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.expect_integer(0)?;
    let width = site.width(0)?;
    if width > WIDTH_MAX {
        return Err(site.shape_refusal(0, "an innermost size up to 2^16"));
    }
    for (input, element) in [(1, Element::I32), (2, Element::I64)] {
        site.expect_element(input, element)?;
        site.expect_constant(input)?;
        site.expect_shape(input, &Shape::fixed(&[width]))?;
    }
    site.attributes.integer_in("epsilon", 1, 1 << 60)?;
    site.attributes.integer_in("shift", 0, 62)?;
    let code = site.attributes.integer_in("element", 1, 4)?;
    let element = u8::try_from(code).ok().and_then(Element::from_code);
    let element = element.ok_or(Refusal::Attribute { name: "element", expected: "an element's code" })?;
    Ok(Form { element, shape: x.shape.clone() })
}

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    let (low, high) = (site.attributes.integer("low")?, site.attributes.integer("high")?);
    if low > high {
        return Err(Refusal::AttributeRange { name: "low", value: low, low: i64::MIN, high });
    }
    let width = site.width(0)? as u128;
    let magnitude = u128::from(site.input(0)?.interval.magnitude());
    let squares = magnitude.saturating_mul(magnitude).saturating_mul(width).saturating_mul(width);
    let variance = squares.saturating_add(u128::from(site.attributes.integer("epsilon")?.unsigned_abs()));
    if variance > 1 << 62 {
        let magnitude = u64::try_from(variance).unwrap_or(u64::MAX);
        return Err(Refusal::Overflow { what: "the squared deviations' 2^62", magnitude });
    }
    // c_j² ≤ D · v, so |c_j · r| ≤ √D · 2^47 ≤ 2^55 and |n_j| ≤ √D · 2^16, a half in rounding included.
    let normal = (width.isqrt() + 1) << FRACTION;
    let most = |input: usize| site.input(input).map(|fact| u128::from(fact.interval.magnitude()));
    let all = normal * most(1)? + most(2)?;
    if all > 1 << 61 {
        let magnitude = u64::try_from(all).unwrap_or(u64::MAX);
        return Err(Refusal::Overflow { what: "the gain's 2^61", magnitude });
    }
    Ok(Interval { low, high })
}

/// `2^47 / √v`, rounded down, for `v` from 1 to 2^62.
pub fn root(v: u64) -> i64 {
    ((1_u128 << 94) / u128::from(v.max(1))).isqrt() as i64
}

fn work(site: &Site, form: &Form) -> Result<Work, Refusal> {
    let roots = Work::of_row(walk::inner_rows(site)?.saturating_mul(4 * walk::STEP));
    Ok(roots.and(walk::walked(site, form)?))
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let read = |name| attributes.integer(name).map_err(|_| excluded("layer_norm"));
    let (low, high, shift, epsilon) = (read("low")?, read("high")?, read("shift")? as u32, read("epsilon")?);
    let element = Element::from_code(read("element")? as u8).ok_or(excluded("layer_norm"))?;
    let (x, gain) = (integers("layer_norm", inputs, 0)?, integers("layer_norm", inputs, 1)?);
    let bias = integers("layer_norm", inputs, 2)?;
    let (_, width) = inputs[0].rows_and_width();
    let columns = width as i64;
    let mut values = Vec::new();
    for row in x.chunks_exact(width) {
        let (sum, squares) = (row.iter().sum::<i64>(), row.iter().map(|x| x * x).sum::<i64>());
        let root = root((columns * squares - sum * sum + epsilon).unsigned_abs());
        for ((x, gain), bias) in row.iter().zip(&gain).zip(&bias) {
            let normal = fixed::round_shift((columns * x - sum) * root, SHIFT);
            values.push(fixed::round_shift(normal * gain + bias, shift).max(low).min(high));
        }
    }
    integer_tensor("layer_norm", element, inputs[0].shape(), values)
}
