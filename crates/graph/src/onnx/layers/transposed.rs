//! A transposed convolution as a convolution: places of the output that lie a stride apart, a phase, see the input through the same
//! part of the kernel, so that each phase of each output is an output of its own, and all windows are neighbours.
//!
//! Along an axis, output `o` with `o + before = q · stride + r` is the sum over j of `x[q - j] · w[j · stride + r]`: phase r, window q.

use super::net::{Net, output};
use crate::program::transposed::{Axis, axes};
use crate::program::{Node, Source};

/// As often as the kernel's own weights may be written, zeros for places between its dilated ones among them.
const SPREAD_MAX: usize = 16;

/// How the outputs of all phases become one image.
#[derive(Clone, Debug)]
pub struct Stretch {
    axes: Vec<Axis>,
}

pub struct Transposed {
    pub x: u32,
    pub groups: usize,
    /// One row for each output: `[places of the kernel, channels of its group]`.
    pub weights: Vec<Vec<f64>>,
    pub bias: Vec<f64>,
    pub stretch: Stretch,
}

/// `None` where weights are computed, or phases would be many times what the kernel is.
pub fn find(net: &Net, node: &Node) -> Option<Transposed> {
    output(node)?;
    let x = net.live(*node.inputs.first()?)?;
    let (shape, values) = net.floats(*node.inputs.get(1)?)?;
    let [channels, of_group, kernel @ ..] = shape.as_slice() else { return None };
    let spatial = crate::shape::Shape(net.shape(x).0.get(2..)?.to_vec()).sizes()?;
    let groups = usize::try_from(node.integer("group", 1).ok()?).ok().filter(|groups| *groups > 0)?;
    let whole = spatial.len() == kernel.len() && !kernel.is_empty() && !kernel.contains(&0);
    if !whole || channels % groups != 0 || spatial.contains(&0) {
        return None;
    }
    let stretch = Stretch { axes: axes(node, &spatial, kernel).ok()? };
    let places: usize = kernel.iter().product();
    if !stretch.is_small(places) {
        return None;
    }
    let inputs = channels / groups;
    let row = |output: usize| {
        let (group, inside) = (output / of_group, output % of_group);
        let at = move |place: usize, input: usize| ((group * inputs + input) * of_group + inside) * places + place;
        let values = &values;
        (0..places).flat_map(|place| (0..inputs).map(move |input| f64::from(values[at(place, input)]))).collect()
    };
    let outputs = of_group * groups;
    let bias = match node.inputs.get(2) {
        None | Some(Source::Nothing) => vec![0.0; outputs],
        Some(source) => net.floats(*source)?.1.iter().map(|&value| value.into()).collect(),
    };
    let weights = (0..outputs).map(row).collect();
    Some(Transposed { x, groups, weights, bias, stretch })
}

/// Neighbours that a window of each phase covers along an axis.
fn taps(axis: &Axis) -> usize {
    ((axis.kernel - 1) * axis.dilation + 1).div_ceil(axis.stride)
}

impl Stretch {
    fn is_small(&self, places: usize) -> bool {
        let each = |axis: &Axis| {
            let extent = (axis.kernel - 1).checked_mul(axis.dilation)?.checked_add(1)?;
            extent.div_ceil(axis.stride).checked_mul(axis.stride)
        };
        let all = self.axes.iter().map(each).try_fold(1_usize, |all, each| all.checked_mul(each?));
        let real = self.axes.iter().all(|axis| axis.output > 0 && axis.before >= 0);
        real && all.is_some_and(|all| all <= places.saturating_mul(SPREAD_MAX))
    }

    pub fn strides(&self) -> Vec<usize> {
        self.axes.iter().map(|axis| axis.stride).collect()
    }

    pub fn phases(&self) -> usize {
        self.strides().iter().product()
    }

    /// The kernel of each phase.
    pub fn taps(&self) -> Vec<usize> {
        self.axes.iter().map(taps).collect()
    }

    /// Padding with which the windows are all that outputs need, in front of each axis and then behind each.
    pub fn pads(&self) -> Vec<usize> {
        let behind = |axis: &Axis| {
            let windows = (axis.output - 1 + axis.before as usize) / axis.stride + 1;
            windows.saturating_sub(axis.input)
        };
        self.axes.iter().map(|axis| taps(axis) - 1).chain(self.axes.iter().map(behind)).collect()
    }

    /// Windows along each axis.
    pub fn windows(&self) -> Vec<usize> {
        self.axes.iter().zip(&self.pads()[self.axes.len()..]).map(|(axis, behind)| axis.input + behind).collect()
    }

    /// Along each axis, where the image begins in what the phases come to, and its size.
    pub fn cuts(&self) -> Vec<(usize, usize)> {
        self.axes.iter().map(|axis| (axis.before as usize, axis.output)).collect()
    }

    /// An output's row of weights as a row for each phase, in row-major order.
    pub fn rows(&self, row: &[f64]) -> Vec<Vec<f64>> {
        let places: usize = self.axes.iter().map(|axis| axis.kernel).product();
        let (channels, taps) = (row.len() / places, self.taps().iter().product());
        let phase = |phase: usize| {
            let place = |tap: usize| match self.place(phase, tap) {
                Some(place) => row[place * channels..][..channels].to_vec(),
                None => vec![0.0; channels],
            };
            (0..taps).flat_map(place).collect()
        };
        (0..self.phases()).map(phase).collect()
    }

    /// The kernel's place that a phase has at a place of its own window; `None` between its places, and behind them.
    fn place(&self, mut phase: usize, mut tap: usize) -> Option<usize> {
        let (mut flat, mut step) = (0, 1);
        for axis in self.axes.iter().rev() {
            let at = (taps(axis) - 1 - tap % taps(axis)) * axis.stride + phase % axis.stride;
            (phase, tap) = (phase / axis.stride, tap / taps(axis));
            if !at.is_multiple_of(axis.dilation) || at / axis.dilation >= axis.kernel {
                return None;
            }
            flat += at / axis.dilation * step;
            step *= axis.kernel;
        }
        Some(flat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_through_their_windows_are_what_reaches_each_output() {
        for (input, kernel, stride, dilation, before, output) in
            [(3, 3, 2, 1, 1, 6), (4, 2, 2, 1, 0, 8), (3, 2, 1, 2, 0, 5), (2, 2, 3, 1, 0, 7), (4, 4, 2, 1, 3, 3)]
        {
            let axis = Axis { input, kernel, output, stride, dilation, before };
            let stretch = Stretch { axes: vec![axis.clone()] };
            let (taps, pads) = (stretch.taps()[0], stretch.pads());
            assert_eq!(stretch.windows(), [input + pads[0] + pads[1] + 1 - taps]);
            let row: Vec<f64> = (0..kernel).map(|place| place as f64 + 1.0).collect();
            let rows = stretch.rows(&row);
            for place in 0..output {
                let at = place + before as usize;
                let seen = |tap: usize| (at / stride + tap).checked_sub(pads[0]).filter(|&place| place < input);
                let met = (0..taps).filter_map(|tap| Some((rows[at % stride][tap], seen(tap)?)));
                let mut met: Vec<(usize, usize)> =
                    met.filter(|(weight, _)| *weight > 0.0).map(|(weight, at)| (weight as usize - 1, at)).collect();
                met.sort_unstable();
                assert!(at / stride < stretch.windows()[0]);
                assert_eq!(met, axis.reaching(place), "output {place} of {axis:?}");
            }
        }
    }
}
