//! How chains take a block, as types, so that kernels are built for each way.

/// The compile-time face of `Steps`.
pub trait Way {
    /// Sums of a block, and scales for each output.
    const STEPS: usize;
    /// Whether a step with a minimum follows. Weights of such formats are never negative.
    const MINIMUM: bool;
}

pub struct Whole;
pub struct Minimum;
pub struct Halves;

impl Way for Whole {
    const STEPS: usize = 1;
    const MINIMUM: bool = false;
}

impl Way for Minimum {
    const STEPS: usize = 1;
    const MINIMUM: bool = true;
}

impl Way for Halves {
    const STEPS: usize = 2;
    const MINIMUM: bool = false;
}
