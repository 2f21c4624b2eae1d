//! What all requests to one server share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use evm::Bounds;

use crate::filters::Filters;
use crate::limits::Limits;
use crate::node::ChainNode;
use crate::turns::Lines;

/// One server's chain, bounds and filters.
pub(crate) struct Desk {
    pub node: Arc<dyn ChainNode>,
    pub limits: Limits,
    /// What it says of itself.
    pub client: String,
    pub filters: Filters,
    /// Places for what takes a while.
    pub lines: Lines,
}

/// How long a call goes on: until its time is over, or nobody waits for it any more.
#[derive(Clone)]
pub(crate) struct Deadline {
    end: Instant,
    left: Arc<AtomicBool>,
}

impl Deadline {
    /// The deadline, and what ends it early when dropped.
    pub fn within(limits: &Limits) -> (Self, Waiting) {
        let left = Arc::new(AtomicBool::new(false));
        let end = Instant::now().checked_add(limits.call_time).unwrap_or_else(Instant::now);
        (Self { end, left: Arc::clone(&left) }, Waiting(left))
    }

    pub fn is_wanted(&self) -> bool {
        !self.left.load(Ordering::Relaxed) && Instant::now() < self.end
    }

    /// Runs something under these bounds.
    pub fn bounded<T>(&self, limits: &Limits, run: impl FnOnce(&Bounds<'_>) -> T) -> T {
        let wanted = || self.is_wanted();
        run(&Bounds { gas: limits.call_gas, wanted: &wanted })
    }
}

/// Whoever waits for an answer; gone, the work stops.
pub(crate) struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
