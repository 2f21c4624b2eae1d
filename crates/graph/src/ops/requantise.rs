//! `requantise`: brings integers to another scale, `clamp((x · multiplier + 2^(shift-1)) >> shift, low, high)`.
//!
//! Multiplier and shift are constants, one for all or one for each index along `axis`. The clamp is also how a
//! rectifier is written.

use super::{excluded, integer_tensor, integers, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    fixed,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    shape::Dimension,
    tensor::{Element, Tensor},
    work::Work,
};

pub static OPERATOR: Operator = Operator {
    name: "requantise",
    kind: Kind::Integer,
    reach: Reach::Row,
    inputs: (3, 3),
    attributes: &["axis", "element", "high", "low"],
    shape,
    bounds,
    work,
    meaning,
};

const SHIFT_MAX: i64 = 62;
/// What kernels make of multipliers and shifts: factors of 32 bits, shifts and what rounds in bytes or in 64 bits, and a limit for each expert.
struct Factors;
const FACTORS_BYTES: u64 = 4 + 1 + 8 + 4 + 8 + 8;

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.expect_integer(0)?;
    let code = site.attributes.integer_in("element", 1, 5)?;
    let element = u8::try_from(code).ok().and_then(Element::from_code);
    let element = element.ok_or(Refusal::Attribute { name: "element", expected: "an element's code" })?;
    let last_axis = i64::try_from(x.shape.rank()).unwrap_or(0).saturating_sub(1);
    let axis = site.attributes.integer_in("axis", 0, last_axis)?;
    let channels = usize::try_from(axis).ok().and_then(|axis| x.shape.0.get(axis).copied());
    for (input, element) in [(1, Element::I32), (2, Element::U8)] {
        site.expect_element(input, element)?;
        site.expect_constant(input)?;
        let found = &site.input(input)?.shape.0;
        let fits = matches!(found.as_slice(), [Dimension::Fixed(1)])
            || (found.len() == 1 && found.first() == channels.as_ref() && channels != Some(Dimension::Rows));
        if !fits {
            return Err(site.shape_refusal(input, "[1] or [the size along the axis]"));
        }
    }
    Ok(Form { element, shape: x.shape.clone() })
}

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    bounds_of(site, site.input(0)?.interval, [1, 2])
}

/// Of integers in `x`, with the multipliers and shifts of those inputs.
pub(super) fn bounds_of(site: &Site, x: Interval, scale: [usize; 2]) -> Result<Interval, Refusal> {
    let (low, high) = super::clamp(site)?;
    let (multipliers, shifts) = (site.input(scale[0])?, site.input(scale[1])?);
    let channels = site.expect_constant(scale[0])?.len().max(site.expect_constant(scale[1])?.len()) as u64;
    site.account.walk(channels)?;
    site.derived(&scale, || {
        site.account.walk(channels.saturating_mul(2))?;
        site.account.keep(channels.saturating_mul(FACTORS_BYTES))?;
        Ok(Factors)
    })?;
    if multipliers.interval.low < 0 {
        let found = multipliers.interval.low.to_string();
        return Err(Refusal::Constant { input: scale[0], expected: "multipliers from 0", found });
    }
    if shifts.interval.high > SHIFT_MAX {
        let found = shifts.interval.high.to_string();
        return Err(Refusal::Constant { input: scale[1], expected: "shifts to 62", found });
    }
    let most = u128::from(x.magnitude()) * u128::from(multipliers.interval.high.unsigned_abs());
    if most > 1 << 61 {
        let magnitude = u64::try_from(most).unwrap_or(u64::MAX);
        return Err(Refusal::Overflow { what: "the product's 2^61", magnitude });
    }
    Ok(image(site, x, Interval { low, high }, scale))
}

/// The least and greatest result over all channels: the function rises with x.
fn image(site: &Site, x: Interval, clamp: Interval, scale: [usize; 2]) -> Interval {
    let at = |input: usize, index: usize| {
        let tensor = site.inputs.get(input).and_then(|fact| fact.constant.as_ref());
        tensor.and_then(|tensor| tensor.integer(index).or_else(|| tensor.integer(0))).unwrap_or(0)
    };
    let channels =
        scale.iter().filter_map(|&input| site.inputs.get(input)?.constant.as_ref().map(|tensor| tensor.len()));
    let mut image = Interval { low: clamp.high, high: clamp.low };
    for channel in 0..channels.max().unwrap_or(1) {
        let (multiplier, shift) = (at(scale[0], channel), at(scale[1], channel) as u32);
        let of = |x: i64| fixed::requantise(x, multiplier, shift, clamp.low, clamp.high);
        image.low = image.low.min(of(x.low));
        image.high = image.high.max(of(x.high));
    }
    image
}

/// Kernels scale rows of a width along the innermost axis, or all alike.
fn work(site: &Site, form: &Form) -> Result<Work, Refusal> {
    let last = i64::try_from(form.shape.rank()).unwrap_or(i64::MAX).saturating_sub(1);
    let single = [1, 2].iter().all(|&input| site.input(input).is_ok_and(|fact| fact.shape.count(1) == Some(1)));
    let is_fast = form.shape.width().is_some() && (single || site.attributes.integer("axis")? == last);
    if is_fast { walk::walked(site, form) } else { walk::alone(site, form) }
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let read = |name| attributes.integer(name).map_err(|_| excluded("requantise"));
    let (low, high, axis) = (read("low")?, read("high")?, read("axis")? as usize);
    let element = Element::from_code(read("element")? as u8).ok_or(excluded("requantise"))?;
    let x = integers("requantise", inputs, 0)?;
    let (multipliers, shifts) = (integers("requantise", inputs, 1)?, integers("requantise", inputs, 2)?);
    let shape = inputs[0].shape();
    let inner: usize = shape[axis + 1..].iter().product();
    let at = |values: &[i64], channel: usize| if values.len() == 1 { values[0] } else { values[channel] };
    let values = x.iter().enumerate().map(|(index, &x)| {
        let channel = index / inner % shape[axis];
        fixed::requantise(x, at(&multipliers, channel), at(&shifts, channel) as u32, low, high)
    });
    integer_tensor("requantise", element, shape, values.collect())
}
