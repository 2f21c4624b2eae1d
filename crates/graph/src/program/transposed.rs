//! Transposed convolutions: how places of the output, the kernel and the input meet along an axis.

use super::array::count;
use super::machine::{Context, Node};
use super::problem::Problem;
use super::window::sizes;

/// One axis: its sizes and how inputs reach outputs.
#[derive(Clone, Debug)]
pub struct Axis {
    pub input: usize,
    pub kernel: usize,
    pub output: usize,
    pub stride: usize,
    pub dilation: usize,
    pub before: i64,
}

impl Axis {
    /// The kernel's places and the inputs that reach an output, places in order.
    pub fn reaching(&self, output: usize) -> Vec<(usize, usize)> {
        let places = (0..self.kernel).filter_map(|place| {
            let at = output as i64 + self.before - (place * self.dilation) as i64;
            let input = usize::try_from(at).ok().filter(|at| at % self.stride == 0)? / self.stride;
            (input < self.input).then_some((place, input))
        });
        places.collect()
    }
}

/// The axes of a node over an input of these sizes.
pub fn axes(node: &Node, spatial: &[usize], kernel: &[usize]) -> Result<Vec<Axis>, Problem> {
    let rank = spatial.len();
    let strides = sizes(node, "strides", rank, 1, 1)?;
    let dilations = sizes(node, "dilations", rank, 1, 1)?;
    let more = sizes(node, "output_padding", rank, 0, 0)?;
    let pads = sizes(node, "pads", rank * 2, 0, 0)?;
    let stated = node.integers("output_shape")?.map(|_| sizes(node, "output_shape", rank, 0, 0)).transpose()?;
    let named = node.text("auto_pad", "NOTSET")?;
    let one = |axis: usize| {
        let (input, stride, dilation) = (spatial[axis], strides[axis], dilations[axis]);
        let reach = (stride * input.saturating_sub(1) + (kernel[axis] - 1) * dilation + 1 + more[axis]) as i64;
        let wanted = match (&stated, named) {
            (Some(stated), _) => Some(stated[axis]),
            (None, "SAME_UPPER" | "SAME_LOWER") => Some(input * stride),
            (None, _) => None,
        };
        let (before, output) = match wanted {
            Some(wanted) => {
                let total = (reach - wanted as i64).max(0);
                let before = if named == "SAME_UPPER" { total / 2 } else { total - total / 2 };
                (before, wanted)
            }
            None if named == "VALID" => (0, reach as usize),
            None => {
                let (before, after) = (pads[axis] as i64, pads[rank + axis] as i64);
                (before, (reach - before - after).max(0) as usize)
            }
        };
        Axis { input, kernel: kernel[axis], output: if input == 0 { 0 } else { output }, stride, dilation, before }
    };
    Ok((0..rank).map(one).collect())
}

/// Asks for the places of all outputs and the kernel, which meet.
pub fn ask(axes: &[Axis], context: &mut Context) -> Result<(), Problem> {
    let outputs: Vec<usize> = axes.iter().map(|axis| axis.output).collect();
    let kernels: Vec<usize> = axes.iter().map(|axis| axis.kernel).collect();
    let all = count(&outputs).zip(count(&kernels)).and_then(|(outputs, kernels)| outputs.checked_mul(kernels));
    context.bytes(all.map_or(u64::MAX, |all| (all as u64).saturating_mul(16)))
}
