//! What is known of a node's work, counted for whoever thinks of trusting it.

use alloy_primitives::B256;

use super::records::Node;
use super::{ADDRESS, IStaking, Offence};
use crate::modules::layout::{Reader, Writer};
use crate::modules::{Frame, Stop, SystemCall};

/// What the ledger saw of a node since it last said so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observe {
    pub node: B256,
    /// What it was expected to sign, and signed or missed.
    pub signed: u64,
    pub missed: u64,
    pub audits_passed: u64,
    pub audits_failed: u64,
}

impl SystemCall for Observe {
    type Outcome = ();

    fn run(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        frame.within(ADDRESS, |frame| {
            let slot = Node::get(frame, self.node)?.work();
            let mut word = Reader(frame.load(slot)?);
            let after = Writer::default()
                .u64(word.u64().saturating_add(self.signed))
                .u64(word.u64().saturating_add(self.missed))
                .u64(word.u64().saturating_add(self.audits_passed))
                .u64(word.u64().saturating_add(self.audits_failed));
            frame.store(slot, after.word())
        })
    }
}

/// Counts an offence and what it cost.
pub(super) fn count_offence(frame: &mut Frame<'_>, node: &Node, offence: Offence, taken: u128) -> Result<(), Stop> {
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
    Ok(IStaking::Facts {
        signed: work.u64(),
        missed: work.u64(),
        auditsPassed: work.u64(),
        auditsFailed: work.u64(),
        refuted: faults.u64(),
        slashes: faults.u64(),
        slashed: alloy_primitives::U256::from(faults.u128()),
    })
}
