//! What poolings share: the windows over each channel, and where a tensor's channels begin.

use super::array::{Array, count};
use super::crew::Crew;
use super::machine::Context;
use super::machine::Node;
use super::problem::Problem;
use super::window::{Taps, Windows, image, sizes};

/// One pooling, its shapes checked.
pub struct Pooling {
    pub windows: Windows,
    pub taps: Taps,
    /// Batch times channels.
    pub lines: usize,
    /// Elements of one line.
    pub plane: usize,
    pub shape: Vec<usize>,
}

impl Pooling {
    /// The windows that the attributes state.
    pub fn new(node: &Node, x: &Array, context: &mut Context) -> Result<Self, Problem> {
        let shaped = Self::shaped(node, x, context)?;
        Ok(Self { taps: shaped.windows.listed(context.crew()), ..shaped })
    }

    /// Like `new`, with the same requests, for whoever needs no taps.
    pub fn shaped(node: &Node, x: &Array, context: &mut Context) -> Result<Self, Problem> {
        let (_, _, spatial) = image(x.shape(), 0)?;
        let missing = Problem::Attribute { name: "kernel_shape", expected: "one size an axis" };
        let kernel = sizes(node, "kernel_shape", spatial.len(), 1, 0)?;
        if kernel.contains(&0) {
            return Err(missing);
        }
        let windows = Windows::new(node, spatial, &kernel)?;
        Self::over(x, windows, context)
    }

    fn over(x: &Array, windows: Windows, context: &mut Context) -> Result<Self, Problem> {
        let (batch, channels, spatial) = image(x.shape(), 0)?;
        windows.ask_taps(context)?;
        let lines = batch * channels;
        let mut shape = vec![batch, channels];
        shape.extend_from_slice(&windows.output);
        let outputs = count(&shape).unwrap_or(usize::MAX) as u64;
        context.spend(outputs.saturating_mul(windows.kernel.iter().product::<usize>() as u64))?;
        Ok(Self { windows, taps: Taps::default(), lines, plane: spatial.iter().product(), shape })
    }

    /// One value for each window, from the line's elements and the window's taps.
    pub fn each<T: Sync, U: Clone + Default + Send>(
        &self,
        values: &[T],
        crew: &dyn Crew,
        pool: impl Fn(usize, &[T], &[(u32, u32)]) -> U + Sync,
    ) -> Vec<U> {
        let windows: usize = self.windows.output.iter().product();
        let work = self.windows.kernel.iter().product::<usize>().saturating_mul(8);
        crew.fill(self.lines * windows, work, U::default(), |at| {
            let plane = &values[at / windows * self.plane..][..self.plane];
            pool(at % windows, plane, self.taps.window(at % windows))
        })
    }
}

/// The shape of a pooling over all spatial axes, and the elements of one line.
pub fn global(x: &Array) -> Result<(Vec<usize>, usize), Problem> {
    let (batch, channels, spatial) = image(x.shape(), 0)?;
    let mut shape = vec![batch, channels];
    shape.resize(x.rank(), 1);
    Ok((shape, spatial.iter().product()))
}
