//! `convolve`: windows of small integers times a constant int8 matrix, brought to another scale: the sums never leave.
//!
//! `y[…, window, n] = requantise(bias[n] + Σ_place Σ_c x[…, place of the window, c] · w[n, place, c])`, padding being 0. With
//! groups, output n sees the channels of its group alone. A kernel without axes is a linear layer.

use super::{excluded, integer_tensor, integers, linear::ACCUMULATOR_MAX, requantise, walk, weights, window::Windows};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    fixed,
    formats::{Packed, TILE_ROWS, Weights},
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    shape::Shape,
    tensor::{Element, Tensor},
    work::Work,
};

pub static OPERATOR: Operator = Operator {
    name: "convolve",
    kind: Kind::Integer,
    reach: Reach::Row,
    inputs: (5, 5),
    attributes: &["dilations", "element", "groups", "high", "kernel", "low", "pads", "strides"],
    shape,
    bounds,
    work,
    meaning,
};

/// The longest padded image that kernels lay out, so that places of several have 32 bits.
pub const IMAGE_MAX: usize = 1 << 28;

fn packed<'a>(site: &'a Site) -> Result<&'a Packed, Refusal> {
    site.expect_weights(1, Weights::Integer, "packed i8")
}

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.input(0)?;
    if !matches!(x.element, Element::I8 | Element::U8) {
        return Err(Refusal::Element { input: 0, expected: "i8 or u8", found: x.element });
    }
    let (windows, channels) = Windows::of(site)?;
    let groups = site.attributes.size("groups", channels)?;
    let weights = packed(site)?;
    let (outputs, columns) = (weights.rows(), windows.places().saturating_mul(channels / groups));
    if channels % groups != 0 || outputs % groups != 0 || weights.columns() != columns {
        let expected = format!("[outputs of {groups} groups, {columns}], and {channels} channels in all groups");
        return Err(site.shape_refusal(1, &expected));
    }
    site.expect_element(2, Element::I32)?;
    site.expect_constant(2)?;
    site.expect_shape(2, &Shape::fixed(&[outputs]))?;
    for (input, element) in [(3, Element::I32), (4, Element::U8)] {
        site.expect_element(input, element)?;
        site.expect_constant(input)?;
        let found = &site.input(input)?.shape;
        if *found != Shape::fixed(&[1]) && *found != Shape::fixed(&[outputs]) {
            return Err(site.shape_refusal(input, &format!("[1] or [{outputs}]")));
        }
    }
    Ok(Form { element: super::element(site)?, shape: windows.shape(site, outputs)? })
}

/// What kernels make of weights and biases: what the sums of each output begin with, for bytes with and without a sign.
struct Begins;
/// What they make of the weights of channels that are each alone: words, place by place.
struct Channels;

/// Asks for what kernels make of the constants.
fn ask(site: &Site) -> Result<(), Refusal> {
    let weights = packed(site)?;
    site.derived(&[1, 2], || {
        site.account.walk(weights.bytes().len() as u64)?;
        site.account.keep(walk::tiled(weights).saturating_mul(2 * size_of::<i32>() as u64))?;
        Ok(Begins)
    })?;
    if site.attributes.integer("groups")? > 1 {
        site.derived(&[1], || {
            let numbers = (weights.rows() as u64).saturating_mul(weights.columns() as u64);
            site.account.walk(numbers)?;
            site.account.keep(numbers.saturating_mul(size_of::<i16>() as u64))?;
            Ok(Channels)
        })?;
    }
    Ok(())
}

/// The sums as those of `linear`, then the scale as that of `requantise`.
fn bounds(site: &Site) -> Result<Interval, Refusal> {
    let magnitude = u128::from(site.input(0)?.interval.magnitude());
    let (bias, norms) = (site.expect_constant(2)?, super::linear::norms(site, 1)?);
    site.account.walk(norms.each.len() as u64)?;
    ask(site)?;
    let sums = norms.each.iter().enumerate().map(|(output, &norm)| {
        u128::from(bias.integer(output).unwrap_or(0).unsigned_abs()) + magnitude * u128::from(norm)
    });
    let worst = sums.max().unwrap_or(0);
    if worst > ACCUMULATOR_MAX {
        let magnitude = u64::try_from(worst).unwrap_or(u64::MAX);
        return Err(Refusal::Overflow { what: "the accumulator's 2^30", magnitude });
    }
    requantise::bounds_of(site, Interval::symmetric(worst, Element::I32)?, [3, 4])
}

/// Every window times every output's weights, places being copied one after the other.
fn work(site: &Site, form: &Form) -> Result<Work, Refusal> {
    let (windows, channels) = Windows::of(site)?;
    let (groups, weights) = (site.attributes.size("groups", channels)?, packed(site)?);
    let images = windows.images(site)?;
    let all = images.saturating_mul(windows.outputs() as u64);
    let numbers = windows.padded().saturating_mul(channels);
    let product = match groups {
        _ if windows.input.len() > 2 || numbers > IMAGE_MAX => None,
        1 => Some(1),
        _ if groups == channels && groups == weights.rows() => Some(walk::PRODUCT_ALONE / 8),
        _ if (weights.rows() / groups).is_multiple_of(TILE_ROWS) => Some(1),
        _ => None,
    };
    let Some(product) = product else { return alone(site, form, &windows, all) };
    let sum = (weights.columns() as u64).saturating_mul(product).saturating_add(walk::NUMBER);
    let copied = (windows.places() as u64).saturating_mul(groups as u64).saturating_mul(walk::ALONE);
    let window = walk::tiled(weights).saturating_mul(sum).saturating_add(copied);
    let padded = images.saturating_mul(numbers as u64);
    let rows = all.saturating_mul(window).saturating_add(padded.saturating_mul(walk::NUMBER));
    Ok(Work::of_row(rows).and(walk::beside(site, form)?).and(walk::read(weights.bytes().len())))
}

/// Without a kernel: weights and scales are widened for each call, every place of a window is found, and products are taken one at a time.
fn alone(site: &Site, form: &Form, windows: &Windows, all: u64) -> Result<Work, Refusal> {
    let weights = packed(site)?;
    let sum = (weights.columns() as u64).saturating_mul(walk::PRODUCT_ALONE).saturating_add(walk::ALONE);
    let found = (windows.places() as u64).saturating_mul(walk::STEP);
    let window = (weights.rows() as u64).saturating_mul(sum).saturating_add(found);
    let unpacked = Work::of_call((weights.rows() as u64).saturating_mul(walk::unpacked(weights)));
    let mut work = Work::of_row(all.saturating_mul(window)).and(unpacked).and(walk::read(weights.bytes().len()));
    for input in 2..5 {
        work = work.and(walk::widened(site, input)?);
    }
    Ok(work.and(walk::alone(site, form)?))
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let read = |name| attributes.integer(name).map_err(|_| excluded("convolve"));
    let (low, high, groups) = (read("low")?, read("high")?, read("groups")? as usize);
    let element = Element::from_code(read("element")? as u8).ok_or(excluded("convolve"))?;
    let (windows, channels) = Windows::at(attributes, inputs[0].shape()).ok_or(excluded("convolve"))?;
    let (x, weights) = (integers("convolve", inputs, 0)?, weights("convolve", inputs, 1)?);
    let (bias, multipliers) = (integers("convolve", inputs, 2)?, integers("convolve", inputs, 3)?);
    let shifts = integers("convolve", inputs, 4)?;
    let (outputs, width) = (weights.rows(), channels / groups);
    let rows: Vec<Vec<i64>> = (0..outputs).map(|output| weights.integers(output)).collect();
    let at = |values: &[i64], output: usize| if values.len() == 1 { values[0] } else { values[output] };
    let mut values = Vec::new();
    for image in x.chunks_exact(windows.inputs() * channels) {
        for window in (0..windows.outputs()).map(|number| windows.window(number)) {
            for (output, weights) in rows.iter().enumerate() {
                let first = output / (outputs / groups) * width;
                let mut sum = bias[output];
                for (place, weights) in window.iter().zip(weights.chunks_exact(width)) {
                    let Some(place) = place else { continue };
                    let x = &image[place * channels + first..][..width];
                    sum += x.iter().zip(weights).map(|(x, w)| x * w).sum::<i64>();
                }
                let shift = at(&shifts, output) as u32;
                values.push(fixed::requantise(sum, at(&multipliers, output), shift, low, high));
            }
        }
    }
    let front = inputs[0].shape().len() - windows.input.len() - 1;
    let sizes: Vec<usize> =
        inputs[0].shape()[..front].iter().chain(&windows.output).chain([&outputs]).copied().collect();
    integer_tensor("convolve", element, &sizes, values)
}
