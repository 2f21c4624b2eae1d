//! Quantised tensors: which scale and zero point belong to an element, and rounding into an element type.

use super::array::{Array, Data};
use super::element::{Element, Family};
use super::index::{self, Around};
use super::machine::Context;
use super::machine::Inputs;
use super::machine::Node;
use super::minifloat::narrow;
use super::problem::Problem;

/// For each element of `x`, the index of its scale: one for all, one a place of the axis, or one a block along it.
pub fn places(node: &Node, x: &Array, scale: &Array, context: &mut Context) -> Result<Vec<usize>, Problem> {
    context.bytes(x.len() as u64 * 8)?;
    if scale.len() == 1 && scale.rank() <= 1 {
        return Ok(vec![0; x.len()]);
    }
    let axis = index::axis(node.integer("axis", 1)?, x.rank()).or_else(|problem| {
        // A tensor of rank 1 has only one axis to speak of.
        if x.rank() == 1 { Ok(0) } else { Err(problem) }
    })?;
    let around = Around::new(x.shape(), axis);
    let refused = || {
        Problem::shape(1, format!("one scale for all, for each place of axis {axis}, or a block of it"), scale.shape())
    };
    if scale.rank() == 1 && x.rank() >= 1 && scale.len() == around.size {
        return Ok((0..x.len()).map(|at| at / around.inner % around.size).collect());
    }
    let block = usize::try_from(node.integer("block_size", 0)?).unwrap_or(0);
    let blocks = scale.shape().get(axis).copied().unwrap_or(0);
    let block = if block == 0 && blocks > 0 { around.size.div_ceil(blocks) } else { block };
    let mut expected = x.shape().to_vec();
    expected[axis] = around.size.checked_div(block).map_or(0, |_| around.size.div_ceil(block));
    if block == 0 || scale.shape() != expected {
        return Err(refused());
    }
    let of_scale = Around::new(scale.shape(), axis);
    let place = |at: usize| {
        let (outer, place, inner) =
            (at / around.inner / around.size, at / around.inner % around.size, at % around.inner);
        of_scale.at(outer, place / block, inner)
    };
    Ok((0..x.len()).map(place).collect())
}

/// Values that are already divided by their scale, rounded to whole numbers (ties to even), the zero points added, cut at the
/// ends of the element; small floats are rounded to themselves.
pub fn quantised(
    element: Element,
    shape: &[usize],
    values: impl Iterator<Item = (f64, i64)>,
    saturate: bool,
) -> Result<Array, Problem> {
    match element.family() {
        Family::Whole => {
            let (low, high) = element.range().ok_or(Problem::Excluded)?;
            let whole = |(value, zero): (f64, i64)| {
                (value.round_ties_even() as i128).saturating_add(zero.into()).clamp(low, high)
            };
            Array::wholes(element, shape, values.map(whole))
        }
        Family::Tiny if element != Element::F8E8M0 => Array::of(
            element,
            shape,
            Data::U8(values.map(|(value, _)| narrow(element, value, saturate) as u8).collect()),
        ),
        _ => Err(Problem::Unsupported { what: "quantisation to this element" }),
    }
}

/// The zero points of a quantised tensor, as integers; those of small floats are 0.
pub fn zeros(inputs: &Inputs, at: usize) -> Result<Option<Vec<i64>>, Problem> {
    match inputs.tensor_or_none(at)? {
        Some(zero) if zero.element().family() == Family::Tiny => Ok(None),
        Some(_) => inputs.integers(at).map(Some),
        None => Ok(None),
    }
}

/// A quantised product's way back: `sum·(one·other / result)` in f32, rounded and cut as in `quantised`.
pub struct Requantise {
    pub factors: Vec<f32>,
    pub zero: i64,
    pub element: Element,
}

impl Requantise {
    /// `scales` are the inputs that hold the scales of both operands and of the result, `zero` the result's zero point.
    pub fn new(inputs: &Inputs, [one, other, result]: [usize; 3], zero: usize) -> Result<Self, Problem> {
        let floats = |input: usize| {
            let array = inputs.tensor(input)?;
            array.floats().map(|values| values.to_vec()).ok_or_else(|| inputs.element(input, "floats"))
        };
        let single = |input: usize| match floats(input)?.as_slice() {
            [value] => Ok(*value),
            _ => Err(Problem::shape(input, "one scale", inputs.tensor(input)?.shape())),
        };
        let (one, result) = (single(one)?, single(result)?);
        let factors = floats(other)?.into_iter().map(|other| one * other / result).collect();
        Ok(Self { factors, zero: inputs.integer(zero)?, element: inputs.tensor(zero)?.element() })
    }

    /// Sums with the channel of each.
    pub fn apply(&self, shape: &[usize], sums: impl Iterator<Item = (i64, usize)>) -> Result<Array, Problem> {
        let factor = |channel: usize| if self.factors.len() == 1 { self.factors[0] } else { self.factors[channel] };
        let scaled = sums.map(|(sum, channel)| (f64::from(sum as f32 * factor(channel)), self.zero));
        quantised(self.element, shape, scaled, true)
    }
}
