//! What convolutions share: groups, weights, and the order of their sums.
//!
//! Each output is a chain from +0 over the group's input channels, and within a channel over all places of the kernel, in order,
//! the input being +0 on the padding; the bias is added last, in one addition.

use super::array::{Array, count};
use super::machine::Context;
use super::machine::Node;
use super::problem::Problem;
use super::window::{PADDING, Windows, image};

/// One convolution, its shapes checked.
pub struct Convolution {
    pub windows: Windows,
    /// As `Windows::patches` gives them; empty where only the shapes were asked for.
    pub patches: Vec<u32>,
    pub batch: usize,
    pub groups: usize,
    /// Input channels of one group.
    pub inputs: usize,
    /// Output channels of one group.
    pub outputs: usize,
    pub shape: Vec<usize>,
}

impl Convolution {
    /// Reads a convolution of `x` (input 0) by the weights `w` (input `at`).
    pub fn new(node: &Node, x: &Array, w: &Array, at: usize, context: &mut Context) -> Result<Self, Problem> {
        let shaped = Self::shaped(node, x, w, at, context)?;
        Ok(Self { patches: shaped.windows.patches(), ..shaped })
    }

    /// Like `new`, with the same requests, for whoever needs no patches.
    pub fn shaped(node: &Node, x: &Array, w: &Array, at: usize, context: &mut Context) -> Result<Self, Problem> {
        let (batch, channels, spatial) = image(x.shape(), 0)?;
        let (all, inputs, kernel) = image(w.shape(), at)?;
        let groups = usize::try_from(node.integer("group", 1)?).unwrap_or(0);
        let fits = groups > 0 && inputs.checked_mul(groups) == Some(channels) && all % groups == 0;
        if !fits || kernel.len() != spatial.len() {
            let expected = format!("outputs of {groups} groups, and {channels} channels in all of them");
            return Err(Problem::shape(at, expected, w.shape()));
        }
        if node
            .integers("kernel_shape")?
            .is_some_and(|stated| !stated.iter().map(|&size| size as usize).eq(kernel.iter().copied()))
        {
            return Err(Problem::Attribute { name: "kernel_shape", expected: "the shape of the weights" });
        }
        let windows = Windows::new(node, spatial, kernel)?;
        let mut shape = vec![batch, all];
        shape.extend_from_slice(&windows.output);
        let outputs = count(&shape).unwrap_or(usize::MAX) as u64;
        let each = (inputs as u64).saturating_mul(count(kernel).unwrap_or(usize::MAX) as u64);
        context.spend(outputs.saturating_mul(each))?;
        windows.ask_patches(context)?;
        Ok(Self { windows, patches: Vec::new(), batch, groups, inputs, outputs: all / groups, shape })
    }

    /// All sums, in the order of the output. `bias` has a value an output channel.
    pub fn sums<T: Copy>(
        &self,
        x: &[T],
        w: &[T],
        bias: Option<&[T]>,
        zero: T,
        step: impl Fn(T, T, T) -> T,
        add: impl Fn(T, T) -> T,
    ) -> Vec<T> {
        let (plane, kernel): (usize, usize) =
            (self.windows.input.iter().product(), self.windows.kernel.iter().product());
        let mut all = Vec::new();
        for batch in 0..self.batch {
            for channel in 0..self.groups * self.outputs {
                let group = channel / self.outputs;
                let from = (batch * self.groups + group) * self.inputs;
                for patch in self.patches.chunks_exact(kernel) {
                    let mut sum = zero;
                    for input in 0..self.inputs {
                        let (values, weights) =
                            (&x[(from + input) * plane..], &w[(channel * self.inputs + input) * kernel..]);
                        for (&at, &weight) in patch.iter().zip(weights) {
                            let value = if at == PADDING { zero } else { values[at as usize] };
                            sum = step(value, weight, sum);
                        }
                    }
                    all.push(bias.map_or(sum, |bias| add(sum, bias[channel])));
                }
            }
        }
        all
    }

    pub fn channels(&self) -> usize {
        self.groups * self.outputs
    }
}
