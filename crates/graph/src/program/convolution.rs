//! What convolutions share: groups, weights, and the order of their sums.
//!
//! Each output is a chain from +0 over the group's input channels, and within a channel over all places of the kernel, in order,
//! the input being +0 on the padding; the bias is added last, in one addition.

use super::array::{Array, count};
use super::crew::Crew;
use super::machine::Context;
use super::machine::Node;
use super::price::{COLUMNS, Price};
use super::problem::Problem;
use super::window::{PADDING, Windows, image};

/// With fewer windows than these the output's channels are a kernel's columns.
const WINDOWS_FEW: usize = 16;
/// So many numbers may always be laid out: 16 MiB.
const LAID_LITTLE: usize = 1 << 22;

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

/// How a kernel lays a channel out: a plane for each phase of the strides, over one or two axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Laid {
    /// Rows and columns of a plane.
    pub plane: [usize; 2],
    /// Numbers of all planes of a channel.
    pub channel: usize,
    /// Groups for which there is room at once.
    pub groups: usize,
}

impl Convolution {
    /// Reads a convolution of `x` (input 0) by the weights `w` (input `at`); asks for its operations at that price.
    pub fn new(
        node: &Node,
        x: &Array,
        w: &Array,
        at: usize,
        price: Price,
        context: &mut Context,
    ) -> Result<Self, Problem> {
        let shaped = Self::shaped(node, x, w, at, price, context)?;
        Ok(Self { patches: shaped.windows.patches(context.crew()), ..shaped })
    }

    /// Like `new`, with the same requests, for whoever needs no patches.
    pub fn shaped(
        node: &Node,
        x: &Array,
        w: &Array,
        at: usize,
        price: Price,
        context: &mut Context,
    ) -> Result<Self, Problem> {
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
        let plan = Self { windows, patches: Vec::new(), batch, groups, inputs, outputs: all / groups, shape };
        context.spend(plan.operations(price))?;
        plan.windows.ask_patches(context)?;
        Ok(plan)
    }

    /// What the sums take: in tiles where a channel can be laid out, whose windows are then the columns of a product.
    fn operations(&self, price: Price) -> u64 {
        let inner = self.inputs.saturating_mul(places(&self.windows.kernel));
        let groups = (self.batch as u64).saturating_mul(self.groups as u64);
        match self.laid().filter(|_| price == Price::Tiles && !self.is_turned()) {
            Some(laid) => {
                let copied = (laid.channel as u64).saturating_mul(self.inputs as u64).saturating_mul(groups);
                let product = [self.outputs, inner, self.columns(&laid)];
                price.operations(groups, product).saturating_add(copied)
            }
            None => (places(&self.shape) as u64).saturating_mul(inner as u64),
        }
    }

    /// Whether a kernel makes the windows its rows, and the output's channels its columns.
    pub fn is_turned(&self) -> bool {
        places(&self.windows.output) < WINDOWS_FEW && self.outputs >= COLUMNS / 2
    }

    /// How a kernel lays channels out; `None` where there are no windows or more than two axes, or where strides and padding would make
    /// that much larger than the input, or than the room for it.
    pub fn laid(&self) -> Option<Laid> {
        let windows = &self.windows;
        if windows.input.len() > 2 || places(&windows.output) == 0 {
            return None;
        }
        let (kernel, dilation) = (both(&windows.kernel, 1), both(&windows.dilations, 1));
        let (stride, output) = (both(&windows.strides, 1), both(&windows.output, 1));
        let side =
            |axis: usize| output[axis].checked_add((kernel[axis] - 1).checked_mul(dilation[axis])? / stride[axis]);
        let plane = [side(0)?, side(1)?];
        let channel = plane[0].checked_mul(plane[1])?.checked_mul(stride[0])?.checked_mul(stride[1])?;
        let most = count(&windows.input)?.checked_mul(4)?.checked_add(4096)?;
        let (all, room) = (self.inputs.checked_mul(channel)?, self.room());
        let fits = channel <= most && all <= room.min(1 << 30);
        fits.then(|| Laid { plane, channel, groups: room / all.max(1) })
    }

    /// Numbers that channels laid out may be: what is asked for beside the output's own, its places and the patches, which are not made then.
    fn room(&self) -> usize {
        let patches = places(&self.windows.output).saturating_mul(places(&self.windows.kernel));
        places(&self.shape).saturating_mul(2).saturating_add(patches.saturating_mul(3)).max(LAID_LITTLE)
    }

    /// Windows of a plane, row by row, and what lies between two rows of them.
    pub fn columns(&self, laid: &Laid) -> usize {
        let [rows, columns] = both(&self.windows.output, 1);
        rows.saturating_sub(1).saturating_mul(laid.plane[1]).saturating_add(columns)
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

/// Rows and columns of one or two axes: a single one has columns, and `missing` rows.
pub fn both(sizes: &[usize], missing: usize) -> [usize; 2] {
    match *sizes {
        [rows, columns] => [rows, columns],
        [columns] => [missing, columns],
        _ => [missing; 2],
    }
}

fn places(sizes: &[usize]) -> usize {
    count(sizes).unwrap_or(usize::MAX)
}
