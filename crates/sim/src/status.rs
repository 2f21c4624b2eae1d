//! One line of fixed width for each who takes part, so that a run can be read down a column.

use ledger::OPG;
use validator::Node;

use crate::{
    actors::{Gateway, Worker},
    seats,
};

/// A validator, or that it is down.
pub(crate) fn validator(now_ms: u64, index: usize, node: Option<&Node>) -> String {
    let name = format!("validator-{index}");
    let Some(node) = node else { return row(now_ms, &name, "down", &[], "") };
    let certified = node.newest_certified().map_or(0, |certified| certified.record.epoch);
    let pending = node.pending() as u64;
    let ledger = node.ledger();
    let newest = ledger.closed_epoch().map(|record| protocol::Noun::digest(record).to_string()).unwrap_or_default();
    let challenges = ledger.challenges().count() as u64;
    let cells = [
        ("height", ledger.height()),
        ("epoch", ledger.open_epoch()),
        ("certified", certified),
        ("pending", pending),
        ("challenges", challenges),
    ];
    row(now_ms, &name, "up", &cells, newest.get(..8).unwrap_or_default())
}

/// A worker, as the asked validator's ledger has it.
pub(crate) fn worker(now_ms: u64, index: usize, worker: &Worker, node: &Node) -> String {
    let record = node.ledger().node(&seats::node(worker.key()));
    let state = if record.as_ref().is_some_and(|record| record.jailed) { "jail" } else { "up" };
    let whole = |amount: u128| u64::try_from(amount / OPG).unwrap_or(u64::MAX);
    let (stake, slashed) = record.map_or((0, 0), |record| (whole(record.stake), whole(record.slashed)));
    let word = worker.adversary().map_or("", worker::Adversary::word);
    let cells = [("receipts", worker.receipts()), ("stake", stake), ("slashed", slashed)];
    row(now_ms, &format!("worker-{index}"), state, &cells, word)
}

pub(crate) fn gateway(now_ms: u64, gateway: &Gateway) -> String {
    let state = if gateway.is_up() { "up" } else { "down" };
    let waiting = gateway.waiting() as u64;
    let cells = [("requests", gateway.issued()), ("outbox", waiting), ("aside", gateway.set_aside().len() as u64)];
    row(now_ms, "gateway", state, &cells, "")
}

/// Time, name and state, then as many cells as a validator has.
fn row(now_ms: u64, name: &str, state: &str, cells: &[(&str, u64)], end: &str) -> String {
    const CELLS: usize = 5;
    let filled = cells.iter().map(|(label, value)| format!("{label:<10}{value:>6}"));
    let cells: Vec<String> = filled.chain(std::iter::repeat_n(" ".repeat(16), CELLS)).take(CELLS).collect();
    let (seconds, rest) = (now_ms / 1_000, now_ms % 1_000);
    format!("{seconds:>4}.{rest:03} s  {name:<12}{state:<5}{}  {end:<12}", cells.join("  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_as_wide_as_every_other() {
        let gateway = gateway(12_350, &Gateway::new(1));
        assert_eq!(gateway.len(), validator(1, 3, None).len());
        assert!(gateway.starts_with("  12.350 s  gateway     up   requests       0  outbox         0"), "{gateway}");
    }
}
