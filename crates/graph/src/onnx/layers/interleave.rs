//! Transposed convolutions: the phases of all outputs as outputs of one convolution, then each phase at its places.

use super::super::error::CompileError;
use super::emit::{Emitter, Held, name, refuse};
use super::layer::Layer;
use super::moves::cut;
use super::transposed::Stretch;
use crate::program::Node;
use crate::shape::{Dimension, Shape};

/// The layer with a row of weights for each phase of each output: group after group, and in it phase after phase.
pub fn spread(layer: &Layer, stretch: &Stretch) -> Layer {
    let groups = layer.window.as_ref().map_or(1, |window| window.groups).max(1);
    let of_group = layer.bias.len() / groups;
    let (mut weights, mut bias) = (Vec::new(), Vec::new());
    for group in 0..groups {
        let outputs = group * of_group..(group + 1) * of_group;
        let rows: Vec<Vec<Vec<f64>>> = layer.weights[outputs.clone()].iter().map(|row| stretch.rows(row)).collect();
        for phase in 0..stretch.phases() {
            weights.extend(rows.iter().map(|rows| rows[phase].clone()));
            bias.extend(&layer.bias[outputs.clone()]);
        }
    }
    Layer { weights, bias, stretch: None, ..layer.clone() }
}

/// The image that the phases in `x` come to: `[…, windows, groups, phases, channels of a group]`, the innermost three as one, whatever its shape says.
pub fn interleaved(
    emitter: &mut Emitter,
    node: &Node,
    x: &Held,
    layer: &Layer,
    stretch: &Stretch,
) -> Result<Held, CompileError> {
    let name = name(node);
    let (strides, windows) = (stretch.strides(), stretch.windows());
    let groups = layer.window.as_ref().map_or(1, |window| window.groups).max(1);
    // A single group is no axis: ranks end at 8.
    let (group, grouped) = ([groups], usize::from(groups > 1));
    let front = x.shape.0.first().copied().ok_or_else(|| refuse(node, "reads no image"))?;
    let sizes = windows.iter().chain(&group[..grouped]).chain(&strides);
    let sizes = sizes.copied().chain([layer.bias.len() / groups]).map(Dimension::Fixed);
    let apart = Shape([front].into_iter().chain(sizes).collect());
    let apart = emitter.reshape(&format!("{name}/phases"), x, &apart);
    let axes = strides.len();
    let pairs = (1..=axes).flat_map(|axis| [axis, axis + axes + grouped]);
    let order: Vec<usize> = [0].into_iter().chain(pairs).chain((1..=grouped).map(|group| axes + group)).collect();
    let order = [order, vec![2 * axes + grouped + 1]].concat();
    let turned = emitter.turn(&format!("{name}/in turn"), &apart, &order);
    let sizes = windows.iter().zip(&strides).map(|(windows, stride)| windows * stride);
    let sizes = sizes.chain([layer.bias.len()]).map(Dimension::Fixed);
    let whole = Shape([front].into_iter().chain(sizes).collect());
    let mut image = emitter.reshape(&format!("{name}/whole"), &turned, &whole);
    for (axis, (start, count)) in stretch.cuts().into_iter().enumerate() {
        image = cut(emitter, &format!("{name}/cut {axis}"), &image, axis + 1, [start as i64, 1, count as i64]);
    }
    Ok(image)
}
