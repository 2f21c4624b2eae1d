//! What is known of a node's work, counted for whoever thinks of trusting it.

use alloy_primitives::{B256, U256};

use super::records::Node;
use super::{ADDRESS, IStaking, Offence};
use crate::modules::layout::{Reader, Writer};
use crate::modules::{Frame, Stop, SystemCall};

/// What the ledger saw of a node since it last said so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observe {
    pub node: B256,
    /// Blocks that a validator proposed, and those that it missed to its part of them.
    pub proposed: u64,
    pub missed: u64,
    /// Of a worker's receipts: reports that they hold, and receipts that fell.
    pub audits_passed: u64,
    pub audits_failed: u64,
    /// An auditor's reports that receipts hold.
    pub reports: u64,
}

impl SystemCall for Observe {
    type Outcome = ();

    fn run(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        frame.within(ADDRESS, |frame| {
            let node = Node::get(frame, self.node)?;
            let work = [self.proposed, self.missed, self.audits_passed, self.audits_failed];
            count(frame, node.work(), work)?;
            count(frame, node.reports(), [self.reports, 0, 0, 0])
        })
    }
}

/// Adds to the four counters of a slot; one to which nothing is added is left alone.
fn count(frame: &mut Frame<'_>, slot: U256, more: [u64; 4]) -> Result<(), Stop> {
    if more == [0; 4] {
        return Ok(());
    }
    let mut word = Reader(frame.load(slot)?);
    let add = |after: Writer, more: u64| after.u64(word.u64().saturating_add(more));
    let after = more.into_iter().fold(Writer::default(), add);
    frame.store(slot, after.word())
}

/// Counts an offence and what it cost.
pub(super) fn count_offence(frame: &mut Frame<'_>, node: &Node, offence: Offence, taken: u128) -> Result<(), Stop> {
    count(frame, node.reports(), [0, u64::from(offence == Offence::FalseAudit), 0, 0])?;
    let mut word = Reader(frame.load(node.faults())?);
    let refuted = u64::from(offence == Offence::RefutedReceipt);
    let after = Writer::default()
        .u64(word.u64().saturating_add(refuted))
        .u64(word.u64().saturating_add(1))
        .u128(word.u128().saturating_add(taken));
    frame.store(node.faults(), after.word())
}

/// Counts coins that it lost without an offence of the table.
pub(super) fn count_loss(frame: &mut Frame<'_>, node: &Node, lost: u128) -> Result<(), Stop> {
    let mut word = Reader(frame.load(node.faults())?);
    let after = Writer::default().u64(word.u64()).u64(word.u64()).u128(word.u128().saturating_add(lost));
    frame.store(node.faults(), after.word())
}

pub(super) fn facts(frame: &mut Frame<'_>, node: &Node) -> Result<IStaking::Facts, Stop> {
    let mut work = Reader(frame.load(node.work())?);
    let mut faults = Reader(frame.load(node.faults())?);
    let mut reports = Reader(frame.load(node.reports())?);
    Ok(IStaking::Facts {
        proposed: work.u64(),
        missed: work.u64(),
        auditsPassed: work.u64(),
        auditsFailed: work.u64(),
        refuted: faults.u64(),
        slashes: faults.u64(),
        slashed: U256::from(faults.u128()),
        reports: reports.u64(),
        falseReports: reports.u64(),
    })
}
