//! Chooses a worker for a request: a pure function of what is known about the workers and of the turn.
//!
//! Holds no state, reads no clock and no randomness: the same workers, wish and turn give the same choice. Never chooses
//! a worker that is jailed, excluded, unreachable or without the model.
#![forbid(unsafe_code)]

use protocol::{Amount, Digest, NodeId};

/// Longest pause of a failing worker: one turn in `2^PAUSE_EXPONENT_MAX`.
const PAUSE_EXPONENT_MAX: u32 = 6;
/// Answers that begin faster than this are equally fast.
const LATENCY_FLOOR_MS: u64 = 64;

/// What the gateway knows about one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerView {
    pub node: NodeId,
    pub endpoint: String,
    pub models: Vec<Digest>,
    pub jailed: bool,
    pub stake: Amount,
    /// Requests that it is answering for this gateway.
    pub in_flight: u32,
    /// Failures in a row; an answer sets it to zero.
    pub failures: u32,
    /// Time to the first frame of its last answer.
    pub last_latency_ms: Option<u64>,
}

/// What a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub model: Digest,
    /// Workers that failed this request already.
    pub exclude: Vec<NodeId>,
}

/// The least loaded worker that can serve; equals take turns in proportion to their stake.
///
/// A worker with `f` failures in a row is asked in one turn of `2^f` only, unless nobody else is left: it is probed
/// again without being relied on.
pub fn choose(workers: &[WorkerView], wanted: &Wanted, turn: u64) -> Option<NodeId> {
    let able: Vec<&WorkerView> = workers.iter().filter(|worker| worker.can_serve(wanted)).collect();
    let up: Vec<&WorkerView> = able.iter().copied().filter(|worker| worker.is_asked_in(turn)).collect();
    let asked = if up.is_empty() { fewest_failures(&able) } else { up };
    let best = asked.iter().map(|worker| worker.load()).min()?;
    let mut equals: Vec<&WorkerView> = asked.into_iter().filter(|worker| worker.load() == best).collect();
    equals.sort_by_key(|worker| worker.node);
    draw(&equals, turn)
}

fn fewest_failures<'a>(able: &[&'a WorkerView]) -> Vec<&'a WorkerView> {
    let fewest = able.iter().map(|worker| worker.failures).min().unwrap_or(0);
    able.iter().copied().filter(|worker| worker.failures == fewest).collect()
}

impl WorkerView {
    fn can_serve(&self, wanted: &Wanted) -> bool {
        !self.jailed
            && !self.endpoint.is_empty()
            && self.models.contains(&wanted.model)
            && !wanted.exclude.contains(&self.node)
    }

    fn is_asked_in(&self, turn: u64) -> bool {
        let period = 1_u64 << self.failures.min(PAUSE_EXPONENT_MAX);
        turn.is_multiple_of(period)
    }

    /// Requests in flight first; then how many times slower than the floor it answers, in doublings.
    fn load(&self) -> (u32, u32) {
        let slowness = self.last_latency_ms.unwrap_or(0) / LATENCY_FLOOR_MS;
        (self.in_flight, slowness.checked_ilog2().map_or(0, |doublings| doublings.saturating_add(1)))
    }
}

/// A ticket between zero and all stake, drawn by the turn; every worker holds at least one.
fn draw(equals: &[&WorkerView], turn: u64) -> Option<NodeId> {
    let tickets = |worker: &WorkerView| (worker.stake >> 64).max(1);
    let total = equals.iter().fold(0_u128, |sum, worker| sum.saturating_add(tickets(worker)));
    let mut ticket = u128::from(scatter(turn)).checked_rem(total)?;
    for worker in equals {
        match ticket.checked_sub(tickets(worker)) {
            Some(rest) => ticket = rest,
            None => return Some(worker.node),
        }
    }
    None
}

/// Spreads consecutive turns over all of 64 bits (the finalizer of SplitMix64).
fn scatter(turn: u64) -> u64 {
    let mut mixed = turn.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
