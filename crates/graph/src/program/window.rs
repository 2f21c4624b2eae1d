//! Sliding windows over the spatial axes of a tensor `[batch, channels, spatial…]`: what convolutions and poolings share.

use super::array::count;
use super::crew::Crew;
use super::index::strides;
use super::machine::Context;
use super::machine::Node;
use super::problem::Problem;

/// The windows of one node over one shape.
#[derive(Clone, Debug)]
pub struct Windows {
    pub input: Vec<usize>,
    pub kernel: Vec<usize>,
    pub output: Vec<usize>,
    pub strides: Vec<usize>,
    pub dilations: Vec<usize>,
    /// Padding in front of the input.
    pub before: Vec<usize>,
    after: Vec<usize>,
}

/// A place of a kernel that lies on the padding.
pub const PADDING: u32 = u32::MAX;

/// Which input each window reads: `(place in the kernel, place in the input)`, window after window, places in order.
#[derive(Default)]
pub struct Taps {
    taps: Vec<(u32, u32)>,
    ends: Vec<usize>,
}

impl Taps {
    /// The taps of each window, in order; those in the padding are left out.
    pub fn windows(&self) -> impl Iterator<Item = &[(u32, u32)]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.taps[start..end])
    }

    /// Those of one window.
    pub fn window(&self, index: usize) -> &[(u32, u32)] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.taps[start..self.ends[index]]
    }
}

/// A list attribute of one size an axis, each within what a machine can count.
pub fn sizes(node: &Node, name: &'static str, axes: usize, least: i64, default: usize) -> Result<Vec<usize>, Problem> {
    let expected = Problem::Attribute { name, expected: "one size an axis" };
    match node.integers(name)? {
        None => Ok(vec![default; axes]),
        Some(found) if found.len() != axes => Err(expected),
        Some(found) => found
            .iter()
            .map(|&size| if (least..1 << 31).contains(&size) { Ok(size as usize) } else { Err(expected.clone()) })
            .collect(),
    }
}

impl Windows {
    /// Reads the attributes of a convolution or pooling over `input`, the spatial sizes.
    pub fn new(node: &Node, input: &[usize], kernel: &[usize]) -> Result<Self, Problem> {
        let axes = input.len();
        let strides = sizes(node, "strides", axes, 1, 1)?;
        let dilations = sizes(node, "dilations", axes, 1, 1)?;
        let pads = match node.integers("pads")?.unwrap_or(&[]) {
            [] => vec![0; axes * 2],
            _ => sizes(node, "pads", axes * 2, 0, 0)?,
        };
        if kernel.contains(&0) || kernel.len() != axes {
            return Err(Problem::Attribute { name: "kernel_shape", expected: "one size of 1 or more an axis" });
        }
        let (before, after) = pads.split_at(axes);
        let mut windows = Self {
            input: input.to_vec(),
            kernel: kernel.to_vec(),
            output: Vec::new(),
            strides,
            dilations,
            before: before.to_vec(),
            after: after.to_vec(),
        };
        windows.pad_by_name(node)?;
        let ceil = node.flag("ceil_mode", false)?;
        let same = node.text("auto_pad", "NOTSET")?.starts_with("SAME");
        windows.output = (0..axes).map(|axis| windows.output_size(axis, ceil && !same)).collect();
        Ok(windows)
    }

    /// Strides, dilations, and the padding in front of each axis, then behind each, as far as a window reaches it.
    pub fn lists(&self) -> [Vec<usize>; 3] {
        let behind = |axis: usize| {
            let end = self.output[axis].saturating_sub(1) * self.strides[axis] + self.span(axis);
            end.saturating_sub(self.input[axis] + self.before[axis])
        };
        let pads = self.before.iter().copied().chain((0..self.input.len()).map(behind)).collect();
        [self.strides.clone(), self.dilations.clone(), pads]
    }

    /// From the first to behind the last input that a window spans.
    fn span(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1).saturating_mul(self.dilations[axis]).saturating_add(1)
    }

    fn pad_by_name(&mut self, node: &Node) -> Result<(), Problem> {
        let upper = match node.text("auto_pad", "NOTSET")? {
            "NOTSET" | "" => return Ok(()),
            "VALID" => {
                self.before.fill(0);
                self.after.fill(0);
                return Ok(());
            }
            "SAME_UPPER" => true,
            "SAME_LOWER" => false,
            _ => return Err(Problem::Attribute { name: "auto_pad", expected: "NOTSET, VALID or SAME_…" }),
        };
        for axis in 0..self.input.len() {
            let windows = self.input[axis].div_ceil(self.strides[axis]);
            let reach = windows.saturating_sub(1) * self.strides[axis];
            let total = reach.saturating_add(self.span(axis)).saturating_sub(self.input[axis]);
            let less = total / 2;
            (self.before[axis], self.after[axis]) = if upper { (less, total - less) } else { (total - less, less) };
        }
        Ok(())
    }

    fn output_size(&self, axis: usize, ceil: bool) -> usize {
        let padded = self.input[axis].saturating_add(self.before[axis]).saturating_add(self.after[axis]);
        let Some(room) = padded.checked_sub(self.span(axis)) else { return 0 };
        let stride = self.strides[axis];
        if !ceil {
            return room / stride + 1;
        }
        let windows = room.div_ceil(stride) + 1;
        // A last window that would begin behind the input and the padding in front of it does not exist.
        let begins = (windows - 1) * stride;
        if begins >= self.input[axis] + self.before[axis] { windows - 1 } else { windows }
    }

    /// How many places a window has within input and padding: what an average that counts padding divides by.
    pub fn padded_count(&self, mut window: usize) -> usize {
        let mut all = 1;
        for axis in (0..self.input.len()).rev() {
            let at = window % self.output[axis] * self.strides[axis];
            window /= self.output[axis];
            let end = self.input[axis] + self.before[axis] + self.after[axis];
            all *= (0..self.kernel[axis]).filter(|place| at + place * self.dilations[axis] < end).count();
        }
        all
    }

    /// How many places each window along an axis has on the input, or on input and padding: a window of all axes has their product.
    pub fn counts(&self, axis: usize, padded: bool) -> Vec<usize> {
        if !padded {
            return (0..self.output[axis]).map(|window| self.meetings(axis, window).count()).collect();
        }
        let end = self.input[axis] + self.before[axis] + self.after[axis];
        let count = |window: usize| {
            let at = window * self.strides[axis];
            (0..self.kernel[axis]).filter(|place| at + place * self.dilations[axis] < end).count()
        };
        (0..self.output[axis]).map(count).collect()
    }

    /// Along an axis, the places of kernel and input that meet in that window.
    fn meetings(&self, axis: usize, window: usize) -> impl Iterator<Item = (usize, usize)> {
        (0..self.kernel[axis]).filter_map(move |place| {
            let at = window * self.strides[axis] + place * self.dilations[axis];
            at.checked_sub(self.before[axis]).filter(|&at| at < self.input[axis]).map(|at| (place, at))
        })
    }

    /// Asks for what `patches` needs.
    pub fn ask_patches(&self, context: &mut Context) -> Result<(), Problem> {
        self.ask_taps(context)?;
        let places = count(&self.output).zip(count(&self.kernel));
        let all = places.map_or(u64::MAX, |(windows, kernel)| (windows as u64).saturating_mul(kernel as u64 * 4));
        context.bytes(all)
    }

    /// For each window, in order, the input place under each place of the kernel; [`PADDING`] where there is none.
    pub fn patches(&self, crew: &dyn Crew) -> Vec<u32> {
        let taps = self.listed(crew);
        let kernel: usize = self.kernel.iter().product();
        let mut patches = vec![PADDING; taps.ends.len() * kernel];
        for (patch, taps) in patches.chunks_exact_mut(kernel).zip(taps.windows()) {
            taps.iter().for_each(|&(place, at)| patch[place as usize] = at);
        }
        patches
    }

    /// Asks for what `listed` needs.
    pub fn ask_taps(&self, context: &mut Context) -> Result<(), Problem> {
        let (windows, places) = (count(&self.output), count(&self.kernel));
        let all =
            windows.zip(places).map_or(u64::MAX, |(windows, places)| (windows as u64).saturating_mul(places as u64));
        if count(&self.input).is_none_or(|inputs| inputs > 1 << 31) || all > 1 << 32 {
            return Err(Problem::Unsupported { what: "a window over so many places" });
        }
        context.bytes(all * 8)?;
        context.spend(all)
    }

    /// All taps of all windows over one channel.
    pub fn listed(&self, crew: &dyn Crew) -> Taps {
        let (of_kernel, of_input) = (strides(&self.kernel), strides(&self.input));
        let (windows, kernel) = (count(&self.output).unwrap_or(0), count(&self.kernel).unwrap_or(usize::MAX));
        // As much as was asked for: what grows by itself would have up to three times that.
        let room = windows.saturating_mul(kernel);
        let mut taps = Taps { taps: Vec::with_capacity(room), ends: Vec::with_capacity(windows) };
        let (mut partial, mut grown) = (Vec::new(), Vec::new());
        let mut places = vec![0; self.output.len()];
        let each = kernel.saturating_mul(4);
        for window in crew.watched(0..windows, each) {
            let mut rest = window;
            for (place, &size) in places.iter_mut().zip(&self.output).rev() {
                (*place, rest) = (rest % size, rest / size);
            }
            partial.clear();
            partial.push((0, 0));
            for (axis, &place) in places.iter().enumerate() {
                grown.clear();
                for &(k, i) in &partial {
                    let met = self.meetings(axis, place);
                    grown.extend(met.map(|(place, at)| (k + place * of_kernel[axis], i + at * of_input[axis])));
                }
                std::mem::swap(&mut partial, &mut grown);
            }
            taps.taps.extend(partial.iter().map(|&(k, i)| (k as u32, i as u32)));
            taps.ends.push(taps.taps.len());
        }
        // Those of a run that nobody waits for are empty.
        taps.ends.resize(windows, taps.taps.len());
        taps
    }
}

/// Batch, channels and spatial sizes of an input of rank 2 or more.
pub fn image(shape: &[usize], input: usize) -> Result<(usize, usize, &[usize]), Problem> {
    match shape {
        [batch, channels, spatial @ ..] => Ok((*batch, *channels, spatial)),
        _ => Err(Problem::shape(input, "a batch, channels and spatial sizes", shape)),
    }
}
