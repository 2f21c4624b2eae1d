//! The validators as the others reach them: some are down, and whoever asks goes round.

use std::sync::Arc;

use validator::Node;

/// How long an actor stays with one validator: one that is cut off from the others shows an old page for so long.
const STAY_MS: u64 = 1_000;

/// The validators at one moment.
pub(crate) struct Validators<'a> {
    nodes: &'a [Option<Arc<Node>>],
    now_ms: u64,
}

impl<'a> Validators<'a> {
    pub fn new(nodes: &'a [Option<Arc<Node>>], now_ms: u64) -> Self {
        Self { nodes, now_ms }
    }

    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// This one; `None` while it is down.
    pub fn at(&self, validator: usize) -> Option<&'a Node> {
        self.nodes.get(validator)?.as_deref()
    }

    /// The validator that the actor with this number asks now; `None` while all are down.
    pub fn asked(&self, actor: u64) -> Option<&'a Node> {
        let turn = (self.now_ms / STAY_MS).wrapping_add(actor);
        let count = self.nodes.len() as u64;
        let first = usize::try_from(turn.checked_rem(count)?).ok()?;
        self.nodes.iter().cycle().skip(first).take(self.nodes.len()).find_map(|node| node.as_deref())
    }
}
