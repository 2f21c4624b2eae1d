//! What a verdict does: the receipt's standing, the slashing table, the bond, and whose its charge is.
//!
//! Comes only after a quorum of validators or a missed response: nobody's word alone moves stake.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256};
use crypto::hash;
use evm::modules::{
    parameters,
    staking::{EndBond, Observe, Offence as Kind, Slash},
};
use protocol::{Amount, Digest, NodeId, Standing, service::VerdictRecord};

use crate::{
    event::{Event, Offence},
    present::Present,
    records::{AuditRecord, Ballot, ChallengeRecord},
    rules::part,
    shares::Ripe,
};

/// Decides a challenge if a quorum has voted the same. False if it is still open.
pub(crate) fn judge(present: &mut Present, challenge: &ChallengeRecord) -> bool {
    let network = &present.state.network;
    let agreed = |refuted| {
        let said = |ballot: &&Ballot| ballot.refuted == refuted;
        let said: BTreeSet<_> = challenge.ballots.iter().filter(said).map(|ballot| ballot.validator).collect();
        network.decides(|node| said.contains(node))
    };
    let (is_refuted, is_upheld) = (agreed(true), agreed(false));
    if is_refuted {
        refute(present, challenge);
    } else if is_upheld {
        uphold(present, challenge);
    }
    is_refuted || is_upheld
}

/// The validators re-executed and found other bits: the worker is slashed, and with it whoever vouched.
fn refute(present: &mut Present, challenge: &ChallengeRecord) {
    condemn(present, challenge, Offence::Refuted, Standing::Refuted);
    slash_voters(present, challenge, |ballot| !ballot.refuted);
}

/// The worker did not open its receipt in time: as bad as a false one, else lying workers would stay silent.
pub(crate) fn withhold(present: &mut Present, challenge: &ChallengeRecord) {
    condemn(present, challenge, Offence::Withheld, Standing::Withheld);
}

/// The validators re-executed and found the same bits.
fn uphold(present: &mut Present, challenge: &ChallengeRecord) {
    let (forfeit, to_worker) = forfeited(present, challenge);
    let worker = present.state.statuses.get(&challenge.receipt).map(|status| status.worker);
    let paid = payee(present, worker).map(|payee| (payee, to_worker));
    let is_fault = !challenge.asks;
    end_bond(present, challenge, EndBond { lost: forfeit, paid, is_fault, ..bond(challenge) });
    if is_fault {
        let node = challenge.auditor;
        present.events.push(Event::Slashed { node, offence: Offence::FalseChallenge, amount: forfeit });
    }
    slash_voters(present, challenge, |ballot| ballot.refuted);
    decide(present, challenge.receipt, Standing::Upheld, 0);
    // Where its window closed meanwhile, its charge waited for this.
    if let Some(status) = present.state.statuses.get(&challenge.receipt)
        && present.within_window(status.epoch).is_err()
        && let Some(signed) = present.receipt_at(&status)
    {
        let mut ripe = Ripe::new(&present.state);
        ripe.add(&present.state, Some(status), &signed);
        ripe.owe(&mut present.state, present.open.epoch);
    }
}

/// The validators did not decide in time. What could not be re-executed is neither false nor held: the receipt is in question
/// until a later challenge is decided. It costs what an answer does, or receipts could be kept from their end for nothing.
pub(crate) fn lapse(present: &mut Present, challenge: &ChallengeRecord) {
    let lost = part(challenge.bond, present.state.small(&parameters::CHALLENGE_ANSWER));
    end_bond(present, challenge, EndBond { lost, ..bond(challenge) });
    present.open.ended.push(challenge.receipt);
    present.events.push(Event::ChallengeLapsed { receipt: challenge.receipt });
}

/// A verdict enters the epoch's tree, and the receipt takes its standing.
pub(crate) fn decide(present: &mut Present, receipt: Digest, standing: Standing, amount: Amount) {
    present.state.statuses.change(&receipt, |status| {
        status.standing = standing;
        status.slashed = status.slashed.saturating_add(amount);
    });
    present.open.ended.push(receipt);
    present.open.verdicts.push(VerdictRecord { receipt, standing, epoch: present.open.epoch });
    present.events.push(Event::Decided { receipt, standing });
}

/// Slashes a node by the module's table: what it lost. `shows` is what shows the offence, `epoch` when it happened.
pub(crate) fn slash(
    present: &mut Present,
    node: NodeId,
    offence: Offence,
    (shows, epoch): (Digest, u64),
    reporter: Option<Address>,
) -> Amount {
    let Some(offence_row) = kind_of(offence) else { return 0 };
    if is_of_a_receipt(offence) {
        present.open.exposed.insert(node);
    }
    let term = present.state.network.rules.term_of(epoch);
    let (node_id, evidence) = (B256::from(node.0), B256::from(shows.0));
    let call = Slash { node: node_id, offence: offence_row, evidence, term, reporter };
    let was_jailed = present.state.is_jailed(&node);
    let Ok(slashed) = present.perform(&call) else { return 0 };
    present.events.push(Event::Slashed { node, offence, amount: slashed.taken });
    present.tell_of_jail(node, was_jailed);
    slashed.taken
}

impl Present {
    /// Tells that a node was jailed by what was just done.
    pub fn tell_of_jail(&mut self, node: NodeId, was_jailed: bool) {
        if !was_jailed && self.state.is_jailed(&node) {
            self.events.push(Event::Jailed { node });
        }
    }
}

/// Whether it shows that a worker's word is worth nothing, and so its other receipts'.
const fn is_of_a_receipt(offence: Offence) -> bool {
    match offence {
        Offence::Refuted | Offence::Withheld | Offence::Equivocation => true,
        Offence::FalseVote
        | Offence::FalseAudit
        | Offence::FalseChallenge
        | Offence::DoubleVote
        | Offence::UnpaidShares => false,
    }
}

/// The row of the module's table; a lost bond has none, because it is not a share.
const fn kind_of(offence: Offence) -> Option<Kind> {
    match offence {
        Offence::Refuted => Some(Kind::RefutedReceipt),
        Offence::Withheld => Some(Kind::Withholding),
        Offence::Equivocation | Offence::DoubleVote => Some(Kind::Equivocation),
        Offence::FalseVote => Some(Kind::FalseVote),
        Offence::FalseAudit => Some(Kind::FalseAudit),
        Offence::UnpaidShares => Some(Kind::UnpaidShares),
        Offence::FalseChallenge => None,
    }
}

/// What a rejected challenge costs, and what of it goes to the worker. Who asked for an opening and got one on the
/// ledger only pays the answer: it may have asked in vain before. So does who asked about a receipt that was in question.
fn forfeited(present: &Present, challenge: &ChallengeRecord) -> (Amount, Amount) {
    if challenge.asks {
        let fee = part(challenge.bond, present.state.small(&parameters::CHALLENGE_ANSWER));
        (fee, fee)
    } else {
        (challenge.bond, part(challenge.bond, present.state.small(&parameters::CHALLENGE_ACCUSED)))
    }
}

/// A challenge's bond as it goes back whole.
fn bond(challenge: &ChallengeRecord) -> EndBond {
    let node = B256::from(challenge.auditor.0);
    EndBond { node, coins: challenge.bond, lost: 0, paid: None, is_fault: false }
}

fn end_bond(present: &mut Present, challenge: &ChallengeRecord, end: EndBond) {
    present.state.challenges.remove(&challenge.receipt);
    let was_jailed = present.state.is_jailed(&challenge.auditor);
    // What was put up is there.
    let _: Result<_, _> = present.perform(&end);
    present.tell_of_jail(challenge.auditor, was_jailed);
}

fn condemn(present: &mut Present, challenge: &ChallengeRecord, offence: Offence, standing: Standing) {
    let status = present.state.statuses.get(&challenge.receipt);
    let anchored = status.as_ref().map(|status| (status.worker, status.epoch));
    end_bond(present, challenge, bond(challenge));
    let reporter = payee(present, Some(challenge.auditor));
    let amount = anchored.map_or(0, |(worker, epoch)| {
        let seen = Observe { node: B256::from(worker.0), audits_failed: 1, ..Observe::default() };
        let _: Result<(), _> = present.perform(&seen);
        slash(present, worker, offence, (challenge.receipt, epoch), reporter)
    });
    slash_auditors(present, &challenge.receipt);
    decide(present, challenge.receipt, standing, amount);
    let opening = challenge.opening.and_then(|_| present.state.openings.get(&challenge.receipt).cloned());
    if let Some(status) = status {
        present.owe_refund(&status, opening.as_deref());
    }
}

/// Who is paid for what a node does.
fn payee(present: &Present, node: Option<NodeId>) -> Option<Address> {
    present.state.nodes.get(&node?).map(|node| Address::from(node.payout.0))
}

/// Auditors that reported the receipt as equal signed a falsehood.
fn slash_auditors(present: &mut Present, receipt: &Digest) {
    for audit in audits_of(present, receipt) {
        let shows = hash("og/evidence/false-audit/v1", &[&receipt.0, &audit.auditor.0]);
        slash(present, audit.auditor, Offence::FalseAudit, (shows, audit.epoch), None);
    }
}

pub(crate) fn audits_of(present: &Present, receipt: &Digest) -> Vec<AuditRecord> {
    let (low, high) = ((*receipt, Digest::ZERO), (*receipt, Digest([u8::MAX; 32])));
    present.state.audits.range(low..=high).cloned().collect()
}

fn slash_voters(present: &mut Present, challenge: &ChallengeRecord, lied: impl Fn(&Ballot) -> bool) {
    for ballot in challenge.ballots.iter().filter(|ballot| lied(ballot)) {
        let shows = hash("og/evidence/false-vote/v1", &[&challenge.receipt.0, &ballot.validator.0]);
        slash(present, ballot.validator, Offence::FalseVote, (shows, challenge.opened_epoch), None);
    }
}
