//! Which blocks may hold the logs that a filter asks for: those that the chain keeps in mind for its addresses and first topics, or all.

use std::collections::VecDeque;

use alloy_rpc_types_eth::Filter;

use crate::node::{ChainNode, LogKey, NodeError};
use crate::state::Deadline;

/// Blocks that one look-up gives.
const PAGE: usize = 256;

/// Blocks of a range in order, found by as many steps as it takes.
pub(crate) struct Candidates<'a> {
    node: &'a dyn ChainNode,
    /// A block must be in each of these; in any of one's cursors.
    sides: Vec<Vec<Cursor>>,
    /// The first block that was not looked at.
    next: u64,
    last: u64,
}

/// What one step came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// This block may hold some.
    May(u64),
    /// Some blocks hold none, or the time is over before it was known.
    Passed,
    End,
}

impl<'a> Candidates<'a> {
    pub fn new(node: &'a dyn ChainNode, filter: &Filter, first: u64, last: u64) -> Self {
        let [first_topic, ..] = &filter.topics;
        let sides = [
            side(filter.address.iter().copied().map(LogKey::Address)),
            side(first_topic.iter().copied().map(LogKey::FirstTopic)),
        ];
        Self { node, sides: sides.into_iter().flatten().collect(), next: first, last }
    }

    /// Whether nothing is known of the filter, so that every block of the range may hold some.
    pub fn are_all(&self) -> bool {
        self.sides.is_empty()
    }

    /// Every block before this one was looked at.
    pub fn reached(&self) -> u64 {
        self.next
    }

    pub fn step(&mut self, deadline: &Deadline) -> Result<Step, NodeError> {
        if self.next > self.last {
            return Ok(Step::End);
        }
        let (at, mut furthest) = (self.next, self.next);
        for side in &mut self.sides {
            let mut nearest = None;
            for cursor in side.iter_mut() {
                if !deadline.is_wanted() {
                    return Ok(Step::Passed);
                }
                nearest = cursor.seek(self.node, furthest)?.into_iter().chain(nearest).min();
            }
            let Some(found) = nearest else {
                self.next = self.last.saturating_add(1);
                return Ok(Step::End);
            };
            furthest = found;
        }
        if furthest > at {
            self.next = furthest;
            return Ok(Step::Passed);
        }
        self.next = at.saturating_add(1);
        Ok(Step::May(at))
    }
}

/// The keys of one part of a filter, if it has some: each is looked up by itself.
fn side(keys: impl Iterator<Item = LogKey>) -> Option<Vec<Cursor>> {
    let cursors: Vec<Cursor> = keys.map(Cursor::of).collect();
    (!cursors.is_empty()).then_some(cursors)
}

/// The blocks of one key, a page at a time.
struct Cursor {
    key: LogKey,
    page: VecDeque<u64>,
    has_ended: bool,
}

impl Cursor {
    const fn of(key: LogKey) -> Self {
        Self { key, page: VecDeque::new(), has_ended: false }
    }

    /// The first block from `from` on, which never goes back.
    fn seek(&mut self, node: &dyn ChainNode, from: u64) -> Result<Option<u64>, NodeError> {
        self.page.drain(..self.page.partition_point(|number| *number < from));
        if self.page.is_empty() && !self.has_ended {
            let page = node.logged(&self.key, from, PAGE)?;
            self.has_ended = page.len() < PAGE;
            self.page = page.into();
        }
        Ok(self.page.front().copied())
    }
}
