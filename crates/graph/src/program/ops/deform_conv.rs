//! `DeformConv`: convolution whose taps are moved by offsets and weighed by a mask; two spatial axes.
//!
//! A tap is the bilinear mix of its four neighbours, those outside being 0: rows are mixed first by `a + (b - a)·t`, then
//! columns. Each sum is a chain by fma from +0 over channels, then the kernel's places; the bias is added last.

use super::prelude::*;
use crate::program::machine::Source;
use crate::program::window::{image, sizes};

pub static OPERATOR: Operator = Operator {
    name: "DeformConv",
    domain: "",
    versions: &[19, 22],
    inputs: (3, 5),
    outputs: (1, 1),
    attributes: &["dilations", "group", "kernel_shape", "offset_group", "pads", "strides"],
    run,
};

struct Plan {
    shape: [usize; 4],
    height: usize,
    width: usize,
    kernel: [usize; 2],
    strides: Vec<usize>,
    dilations: Vec<usize>,
    pads: Vec<usize>,
    groups: usize,
    offset_groups: usize,
    channels: usize,
}

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, w) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let plan = plan(node, inputs)?;
    let outputs = context.room(&plan.shape, x.element())? as u64;
    let places = w.len() as u64 / plan.shape[1].max(1) as u64;
    context.spend(outputs.saturating_mul(places).saturating_mul(8))?;
    precision!(x.element(), T => {
        let of = |input| match inputs.tensor_or_none(input)? {
            Some(array) => T::read(array).map(Some).ok_or_else(|| inputs.element(input, "the floats of input 0")),
            None => Ok(None),
        };
        let (Some(values), Some(weights), Some(offsets)) = (of(0)?, of(1)?, of(2)?) else {
            return Err(Problem::Excluded);
        };
        let sums = plan.sums::<T>(&values, &weights, &offsets, (of(3)?.as_deref(), of(4)?.as_deref()), context.crew());
        Ok(vec![T::write(x.element(), &plan.shape, sums)?.into()])
    }, else => Err(inputs.element(0, "floats")))
}

fn plan(node: &Node, inputs: &Inputs) -> Result<Plan, Problem> {
    let (x, w) = (inputs.tensor(0)?.shape(), inputs.tensor(1)?.shape());
    let (batch, channels, spatial) = image(x, 0)?;
    let (outputs, of_group, kernel) = image(w, 1)?;
    let (&[height, width], &[rows, columns]) = (spatial, kernel) else {
        return Err(Problem::Unsupported { what: "a deformed convolution of other than two axes" });
    };
    let (strides, dilations) = (sizes(node, "strides", 2, 1, 1)?, sizes(node, "dilations", 2, 1, 1)?);
    let pads = sizes(node, "pads", 4, 0, 0)?;
    let positive = |name| Ok(usize::try_from(node.integer(name, 1)?).unwrap_or(0).max(1));
    let (groups, offset_groups) = (positive("group")?, positive("offset_group")?);
    let size = |axis: usize, input: usize, kernel: usize| {
        let padded = input + pads[axis] + pads[axis + 2];
        padded.checked_sub(kernel.saturating_sub(1) * dilations[axis] + 1).map_or(0, |room| room / strides[axis] + 1)
    };
    let shape = [batch, outputs, size(0, height, rows), size(1, width, columns)];
    let taps = offset_groups.saturating_mul(rows).saturating_mul(columns);
    let fits = [
        of_group.checked_mul(groups) == Some(channels) && outputs % groups == 0 && channels % offset_groups == 0,
        inputs.tensor(2)?.shape() == [batch, taps.saturating_mul(2), shape[2], shape[3]],
        inputs.tensor_or_none(3)?.is_none_or(|bias| bias.shape() == [outputs]),
        inputs.tensor_or_none(4)?.is_none_or(|mask| mask.shape() == [batch, taps, shape[2], shape[3]]),
    ];
    match fits.iter().position(|fits| !fits) {
        Some(at) => Err(Problem::shape(at + 1, format!("what fits {x:?} by {w:?}"), inputs.tensor(at + 1)?.shape())),
        None => {
            Ok(Plan { shape, height, width, kernel: [rows, columns], strides, dilations, pads, groups, offset_groups, channels })
        }
    }
}

impl Plan {
    fn sums<T: Real>(
        &self,
        x: &[T],
        w: &[T],
        offsets: &[T],
        (bias, mask): (Option<&[T]>, Option<&[T]>),
        crew: &dyn Crew,
    ) -> Vec<T> {
        let [batches, outputs, rows, columns] = self.shape;
        let (of_group, taps) = (self.channels / self.groups, self.kernel[0] * self.kernel[1]);
        crew.fill(batches * outputs * rows * columns, (of_group * taps).saturating_mul(64), T::ZERO, |at| {
            let (column, row) = (at % columns, at / columns % rows);
            let (output, batch) = (at / columns / rows % outputs, at / columns / rows / outputs);
            let group = output / (outputs / self.groups);
            let mut sum = T::ZERO;
            for input in crew.watched(0..of_group, taps * 64) {
                let channel = group * of_group + input;
                let offset_group = channel / (self.channels / self.offset_groups);
                let plane = &x[(batch * self.channels + channel) * self.height * self.width..];
                for tap in 0..taps {
                    let at = |index: usize| (index * rows + row) * columns + column;
                    let first = (batch * self.offset_groups + offset_group) * taps + tap;
                    let base = |axis: usize, window: usize, place: usize| {
                        let at = window * self.strides[axis] + place * self.dilations[axis];
                        T::of(at as f64 - self.pads[axis] as f64)
                    };
                    let y = base(0, row, tap / self.kernel[1]) + offsets[at(first * 2)];
                    let x = base(1, column, tap % self.kernel[1]) + offsets[at(first * 2 + 1)];
                    let value = self.mixed(plane, y, x);
                    let value = mask.map_or(value, |mask| value * mask[at(first)]);
                    sum = value.fma(w[(output * of_group + input) * taps + tap], sum);
                }
            }
            bias.map_or(sum, |bias| sum + bias[output])
        })
    }

    /// The bilinear mix around a place.
    fn mixed<T: Real>(&self, plane: &[T], y: T, x: T) -> T {
        let (top, left) = (y.wide().floor(), x.wide().floor());
        let (down, right) = (T::of(y.wide() - top), T::of(x.wide() - left));
        let at = |row: f64, column: f64| {
            let inside = row >= 0.0 && column >= 0.0 && row < self.height as f64 && column < self.width as f64;
            if inside { plane[row as usize * self.width + column as usize] } else { T::ZERO }
        };
        let mix = |a: T, b: T, t: T| a + (b - a) * t;
        let upper = mix(at(top, left), at(top, left + 1.0), right);
        let lower = mix(at(top + 1.0, left), at(top + 1.0, left + 1.0), right);
        mix(upper, lower, down)
    }
}

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, context: &Context) -> Result<(), Problem> {
    let stated = node.integers("kernel_shape")?.map(|sizes| sizes.len() + 2);
    let held = match node.inputs.get(1) {
        Some(Source::Constant(index)) => context.constant(*index)?.as_tensor().map(|weights| weights.rank()),
        _ => None,
    };
    match stated.or(held) {
        Some(rank) if rank != 4 => Err(Problem::Unsupported { what: "a deformed convolution of other than two axes" }),
        _ => Ok(()),
    }
}
