//! What convolutions share: groups, weights, and the order of their sums.
//!
//! Each output is a chain from +0 over the group's input channels, and within a channel over all places of the kernel, in order,
//! the input being +0 on the padding; the bias is added last, in one addition.

use super::array::{Array, count};
use super::crew::Crew;
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
        Ok(Self { patches: shaped.windows.patches(context.crew()), ..shaped })
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
    pub fn sums<T: Copy + Send + Sync>(
        &self,
        (x, w, bias): (&[T], &[T], Option<&[T]>),
        crew: &dyn Crew,
        zero: T,
        step: impl Fn(T, T, T) -> T + Sync,
        add: impl Fn(T, T) -> T + Sync,
    ) -> Vec<T> {
        let (plane, kernel): (usize, usize) =
            (self.windows.input.iter().product(), self.windows.kernel.iter().product());
        let windows: usize = self.windows.output.iter().product();
        let (channels, work) = (self.channels(), self.inputs.saturating_mul(kernel).saturating_mul(2));
        crew.fill(self.batch * channels * windows, work, zero, |at| {
            let (channel, batch) = (at / windows % channels, at / windows / channels);
            let from = (batch * self.groups + channel / self.outputs) * self.inputs;
            let patch = &self.patches[at % windows * kernel..][..kernel];
            let (mut sum, mut look) = (zero, crew.look());
            for input in 0..self.inputs {
                if !look.on(kernel * 2) {
                    break;
                }
                let (values, weights) = (&x[(from + input) * plane..], &w[(channel * self.inputs + input) * kernel..]);
                for (&at, &weight) in patch.iter().zip(weights) {
                    let value = if at == PADDING { zero } else { values[at as usize] };
                    sum = step(value, weight, sum);
                }
            }
            bias.map_or(sum, |bias| add(sum, bias[channel]))
        })
    }

    pub fn channels(&self) -> usize {
        self.groups * self.outputs
    }
}
