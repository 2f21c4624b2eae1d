//! Which scale belongs to which elements of a quantised tensor: runs of elements that share one.

use graph::program::{Array, Context, Crew, Node, Problem, index};

use super::product::Build;

/// Runs of `inner` elements; run number r has scale `r % scales`.
pub struct Spans {
    pub inner: usize,
    pub scales: usize,
}

impl Spans {
    /// `None` where scales lie otherwise, or are no scales of this tensor.
    pub fn of(node: &Node, x: &Array, scale: &Array) -> Option<Self> {
        if scale.len() == 1 && scale.rank() <= 1 {
            return Some(Self { inner: x.len(), scales: 1 });
        }
        let axis = node.integer("axis", 1).ok().and_then(|axis| index::axis(axis, x.rank()).ok());
        let axis = axis.or((x.rank() == 1).then_some(0))?;
        let around = index::Around::new(x.shape(), axis);
        let fits = scale.rank() == 1 && scale.len() == around.size;
        fits.then_some(Self { inner: around.inner, scales: around.size })
    }

    /// Asks for what the meaning asks for.
    pub fn ask(&self, x: &Array, context: &mut Context) -> Result<(), Problem> {
        context.bytes(x.len() as u64 * 8)
    }

    /// Each run of both slices, with the number of its scale, in code built for some instructions.
    pub fn each<B: Build, X: Sync, Y: Send>(
        &self,
        crew: &dyn Crew,
        x: &[X],
        y: &mut [Y],
        work: impl Fn(&[X], &mut [Y], usize) + Sync,
    ) {
        // Where there is one scale, runs end anywhere.
        let inner = if self.scales <= 1 { 1 } else { self.inner.max(1) };
        crew.rows(y, inner, inner.saturating_mul(2), |first, y| {
            let x = &x[first * inner..][..y.len()];
            let run = if self.scales <= 1 { y.len() } else { inner };
            B::plain(|| {
                for (at, (x, y)) in x.chunks(run).zip(y.chunks_mut(run)).enumerate() {
                    work(x, y, (first + at) % self.scales.max(1));
                }
            });
        });
    }
}
