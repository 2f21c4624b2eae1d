//! Windows over the axes in front of the innermost one: where each begins, and which of its places lie on the padding.
//!
//! A value is `[…, sizes…, channels]`; a window covers `kernel` places along each of `sizes`, `dilations` apart. What stands
//! in front (the rows among it) is repeated over.

use super::walk;
use crate::{
    attribute::Attributes,
    operator::{Form, Refusal, Site},
    shape::{Dimension, Shape},
    work::Work,
};

pub const ATTRIBUTES: [&str; 4] = ["dilations", "kernel", "pads", "strides"];
/// Most axes that windows cover.
const AXES_MAX: usize = 3;
/// Longest kernel, stride, dilation or padding.
const LENGTH_MAX: i64 = 1 << 16;
/// Most places of a window.
const PLACES_MAX: usize = 1 << 20;

/// Windows over axes of known sizes.
#[derive(Clone, Debug)]
pub struct Windows {
    pub input: Vec<usize>,
    pub kernel: Vec<usize>,
    pub strides: Vec<usize>,
    /// In front of each axis, then behind each.
    pub pads: Vec<usize>,
    pub dilations: Vec<usize>,
    pub output: Vec<usize>,
}

fn list(attributes: &Attributes, name: &'static str, count: usize, low: i64) -> Result<Vec<usize>, Refusal> {
    let values = attributes.integers(name)?;
    if values.len() != count {
        return Err(Refusal::Attribute { name, expected: "as many sizes as the kernel has axes" });
    }
    values
        .iter()
        .map(|&value| match usize::try_from(value) {
            Ok(size) if (low..=LENGTH_MAX).contains(&value) => Ok(size),
            _ => Err(Refusal::AttributeRange { name, value, low, high: LENGTH_MAX }),
        })
        .collect()
}

impl Windows {
    /// `None` where a window is longer than its padded axis.
    pub fn new(attributes: &Attributes, input: &[usize]) -> Result<Option<Self>, Refusal> {
        let axes = input.len();
        let kernel = list(attributes, "kernel", axes, 1)?;
        let (strides, dilations) = (list(attributes, "strides", axes, 1)?, list(attributes, "dilations", axes, 1)?);
        let pads = list(attributes, "pads", axes.saturating_mul(2), 0)?;
        if kernel.iter().product::<usize>() > PLACES_MAX {
            return Err(Refusal::Attribute { name: "kernel", expected: "at most 2^20 places" });
        }
        let mut output = Vec::new();
        for axis in 0..axes {
            let padded = input[axis] + pads[axis] + pads[axes + axis];
            let extent = (kernel[axis] - 1) * dilations[axis] + 1;
            let Some(left) = padded.checked_sub(extent) else { return Ok(None) };
            output.push(left / strides[axis] + 1);
        }
        Ok(Some(Self { input: input.to_vec(), kernel, strides, pads, dilations, output }))
    }

    /// The windows of a node over its first input, `[…, sizes…, channels]`, and the channels.
    pub fn of(site: &Site) -> Result<(Self, usize), Refusal> {
        let axes = site.attributes.integers("kernel")?.len();
        if axes > AXES_MAX {
            return Err(Refusal::Attribute { name: "kernel", expected: "at most 3 sizes" });
        }
        let sizes = &site.input(0)?.shape.0;
        let refuse = || site.shape_refusal(0, "[…, sizes under the windows, channels], these fixed and not 0");
        let inner = sizes.len().checked_sub(axes + 1).and_then(|front| sizes.get(front..)).ok_or_else(refuse)?;
        let inner = Shape(inner.to_vec()).sizes().filter(|sizes| !sizes.contains(&0)).ok_or_else(refuse)?;
        let (Some(&channels), Some(input)) = (inner.last(), inner.get(..axes)) else { return Err(refuse()) };
        let windows = Self::new(site.attributes, input)?;
        Ok((windows.ok_or_else(|| site.shape_refusal(0, "sizes of at least one window"))?, channels))
    }

    /// Images in a row of a node's first input.
    pub fn images(&self, site: &Site) -> Result<u64, Refusal> {
        let sizes = &site.input(0)?.shape.0;
        let front = sizes.len().saturating_sub(self.input.len() + 1);
        Ok(walk::numbers(&Shape(sizes.iter().take(front).copied().collect())))
    }

    /// The same from a value's sizes, for meanings.
    pub fn at(attributes: &Attributes, shape: &[usize]) -> Option<(Self, usize)> {
        let axes = attributes.integers("kernel").ok()?.len();
        let inner = shape.get(shape.len().checked_sub(axes + 1)?..)?;
        Some((Self::new(attributes, inner.get(..axes)?).ok()??, *inner.last()?))
    }

    /// The first input's shape with a size for each window and other channels.
    pub fn shape(&self, site: &Site, channels: usize) -> Result<Shape, Refusal> {
        let sizes = &site.input(0)?.shape.0;
        let front = sizes.len().saturating_sub(self.input.len() + 1);
        let fixed = self.output.iter().chain([&channels]).map(|&size| Dimension::Fixed(size));
        Ok(Shape(sizes.iter().take(front).copied().chain(fixed).collect()))
    }

    /// How many places a window covers.
    pub fn places(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Places of an image with its padding.
    pub fn padded(&self) -> usize {
        let (front, behind) = self.pads.split_at(self.input.len());
        let sizes = self.input.iter().zip(front).zip(behind);
        sizes.map(|((size, front), behind)| size + front + behind).fold(1, usize::saturating_mul)
    }

    pub fn inputs(&self) -> usize {
        self.input.iter().product()
    }

    pub fn outputs(&self) -> usize {
        self.output.iter().copied().fold(1, usize::saturating_mul)
    }

    /// For each place of the window of that number, in row-major order, where it lies; `None` on the padding.
    pub fn window(&self, number: usize) -> Vec<Option<usize>> {
        (0..self.places()).map(|place| self.place(number, place)).collect()
    }

    fn place(&self, mut number: usize, mut place: usize) -> Option<usize> {
        let (mut flat, mut step) = (0, 1);
        for axis in (0..self.input.len()).rev() {
            let (window, tap) = (number % self.output[axis], place % self.kernel[axis]);
            (number, place) = (number / self.output[axis], place / self.kernel[axis]);
            let at = (window * self.strides[axis] + tap * self.dilations[axis]).checked_sub(self.pads[axis])?;
            if at >= self.input[axis] {
                return None;
            }
            flat += at * step;
            step *= self.input[axis];
        }
        Some(flat)
    }

    /// Whether every window covers something else than padding.
    pub fn all_see(&self) -> bool {
        (0..self.input.len()).all(|axis| {
            let (size, kernel, dilation) = (self.input[axis], self.kernel[axis], self.dilations[axis]);
            let last = (self.output[axis] - 1) * self.strides[axis];
            let starts_in_time = self.pads[axis] <= (kernel - 1) * dilation && last < size + self.pads[axis];
            // Places that are further apart than the axis is long may step over it.
            starts_in_time && (kernel == 1 || dilation <= size || self.pads.iter().all(|&pad| pad == 0))
        })
    }
}

/// What pooling takes: every place of every window, whose channels lie side by side where there is a kernel.
pub fn pooling(site: &Site, form: &Form, is_alone: bool) -> Result<Work, Refusal> {
    let (windows, channels) = Windows::of(site)?;
    let is_alone = is_alone || windows.input.len() > 2;
    let (place, channel) = if is_alone { (walk::STEP, 2 * walk::ALONE) } else { (2 * walk::ALONE, walk::NUMBER) };
    let all = windows.images(site)?.saturating_mul(windows.outputs() as u64);
    let places = all.saturating_mul(windows.places() as u64);
    let looked = places.saturating_mul((channels as u64).saturating_mul(channel).saturating_add(place));
    Ok(Work::of_row(looked).and(walk::beside(site, form)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_from_the_padding() {
        let lists = Attributes::new().with("kernel", vec![2, 2]).with("strides", vec![2, 1]);
        let lists = lists.with("dilations", vec![1, 2]).with("pads", vec![1, 0, 0, 1]);
        let windows = Windows::new(&lists, &[3, 3]).unwrap().unwrap();
        assert_eq!(windows.output, [2, 2]);
        assert_eq!(windows.window(0), [None, None, Some(0), Some(2)]);
        assert_eq!(windows.window(3), [Some(4), None, Some(7), None]);
        assert!(windows.all_see());
        assert!(Windows::new(&lists, &[3, 1]).unwrap().is_none());
    }
}
