//! What a verdict does: the receipt's standing, the slashing table, the bond.
//!
//! Comes only after a quorum of validators or a missed response: nobody's word alone moves stake.

use protocol::{Amount, Digest, NodeId, PublicKey, Standing, service::VerdictRecord};

use crate::{
    event::{Event, Offence},
    present::Present,
    records::{AuditRecord, Ballot, ChallengeRecord},
    rules::{Rules, part},
};

/// How many of `committee` validators decide: all but the third that may lie, 2f + 1 of 3f + 1.
pub(crate) fn quorum(committee: usize) -> usize {
    let faults = committee.saturating_sub(1).checked_div(3).unwrap_or(0);
    committee.saturating_sub(faults)
}

/// The validators re-executed and found other bits: the worker is slashed, and with it whoever vouched.
pub(crate) fn refute(present: &mut Present, challenge: &ChallengeRecord) {
    let share = present.state.network.rules.slash_refuted;
    condemn(present, challenge, share, Offence::Refuted, Standing::Refuted);
    slash_voters(present, challenge, |ballot| !ballot.refuted);
}

/// The worker did not open its receipt in time: as bad as a false one, else lying workers would stay silent.
pub(crate) fn withhold(present: &mut Present, challenge: &ChallengeRecord) {
    let share = present.state.network.rules.slash_withheld;
    condemn(present, challenge, share, Offence::Withheld, Standing::Withheld);
}

/// The validators re-executed and found the same bits.
pub(crate) fn uphold(present: &mut Present, challenge: &ChallengeRecord) {
    let rules = &present.state.network.rules;
    let (forfeit, to_worker) = forfeited(rules, challenge);
    let worker = present.state.statuses.get(&challenge.receipt).map(|status| status.worker);
    present.state.challenges.remove(&challenge.receipt);
    let forfeit = present.state.unbond(&challenge.auditor, challenge.bond, forfeit);
    let paid = operator(present, worker).map_or(0, |operator| {
        present.state.release(&operator, to_worker);
        to_worker
    });
    present.state.burn(forfeit.saturating_sub(paid));
    if !challenge.withheld {
        present
            .state
            .nodes
            .change(&challenge.auditor, |auditor| auditor.slashed = auditor.slashed.saturating_add(forfeit));
        slashed(present, challenge.auditor, Offence::FalseChallenge, forfeit);
    }
    slash_voters(present, challenge, |ballot| ballot.refuted);
    decide(present, challenge.receipt, Standing::Upheld, 0);
}

/// The validators did not decide in time. What could not be re-executed is neither false nor held: the receipt stays
/// challenged for ever, and nobody pays.
pub(crate) fn lapse(present: &mut Present, challenge: &ChallengeRecord) {
    present.state.challenges.remove(&challenge.receipt);
    present.state.unbond(&challenge.auditor, challenge.bond, 0);
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

/// Notes a slash, and jails a node whose backing fell below the minimum of its role.
pub(crate) fn slashed(present: &mut Present, node: NodeId, offence: Offence, amount: Amount) {
    present.events.push(Event::Slashed { node, offence, amount });
    let backing = present.state.backing(&node);
    let Some(record) = present.state.nodes.get(&node) else { return };
    if backing < present.state.network.rules.stake(record.role) && !record.jailed {
        present.state.nodes.change(&node, |record| record.jailed = true);
        present.events.push(Event::Jailed { node });
    }
}

/// What a rejected challenge costs, and what of it goes to the worker. Who asked for an opening and got one on the
/// ledger only pays the answer: it may have asked in vain before.
fn forfeited(rules: &Rules, challenge: &ChallengeRecord) -> (Amount, Amount) {
    if challenge.withheld {
        let fee = part(challenge.bond, rules.answer_share);
        (fee, fee)
    } else {
        (challenge.bond, part(challenge.bond, rules.accused_share))
    }
}

fn condemn(present: &mut Present, challenge: &ChallengeRecord, share: u32, offence: Offence, standing: Standing) {
    let worker = present.state.statuses.get(&challenge.receipt).map(|status| status.worker);
    present.state.challenges.remove(&challenge.receipt);
    present.state.unbond(&challenge.auditor, challenge.bond, 0);
    let amount = worker.map_or(0, |worker| present.state.slash(&worker, share));
    let reward = part(amount, present.state.network.rules.challenger_share);
    let paid = operator(present, Some(challenge.auditor)).map_or(0, |operator| {
        present.state.release(&operator, reward);
        reward
    });
    present.state.burn(amount.saturating_sub(paid));
    if let Some(worker) = worker {
        slashed(present, worker, offence, amount);
    }
    slash_auditors(present, &challenge.receipt);
    decide(present, challenge.receipt, standing, amount);
}

fn operator(present: &Present, node: Option<NodeId>) -> Option<PublicKey> {
    present.state.nodes.get(&node?).map(|node| node.operator)
}

/// Auditors that reported the receipt as equal signed a falsehood.
fn slash_auditors(present: &mut Present, receipt: &Digest) {
    let share = present.state.network.rules.slash_false_audit;
    for audit in audits_of(present, receipt) {
        let amount = present.state.slash(&audit.auditor, share);
        present.state.burn(amount);
        slashed(present, audit.auditor, Offence::FalseAudit, amount);
    }
}

pub(crate) fn audits_of(present: &Present, receipt: &Digest) -> Vec<AuditRecord> {
    let (low, high) = ((*receipt, Digest::ZERO), (*receipt, Digest([u8::MAX; 32])));
    present.state.audits.range(low..=high).cloned().collect()
}

fn slash_voters(present: &mut Present, challenge: &ChallengeRecord, lied: impl Fn(&Ballot) -> bool) {
    let share = present.state.network.rules.slash_false_vote;
    for ballot in challenge.ballots.iter().filter(|ballot| lied(ballot)) {
        let amount = present.state.slash(&ballot.validator, share);
        present.state.burn(amount);
        slashed(present, ballot.validator, Offence::FalseVote, amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_is_all_but_the_third_that_may_lie() {
        let expected = [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 5), (7, 5), (10, 7), (100, 67)];
        expected.iter().for_each(|(committee, votes)| assert_eq!(quorum(*committee), *votes, "{committee}"));
    }
}
