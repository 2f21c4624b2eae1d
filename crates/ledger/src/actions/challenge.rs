//! The life of a challenge: opened by an auditor, answered by the worker where it must be, decided by the validators.

use std::sync::Arc;

use alloy_primitives::B256;
use evm::modules::{parameters, staking::PutUp};
use protocol::{
    Canonical as _, List, Noun as _, Opening, PublicKey, Role, Standing,
    request::OPENING_BYTES_MAX,
    transaction::{Challenge, Respond, Vote},
};

use super::audit::auditable;
use crate::{
    event::Event,
    present::Present,
    records::{Ballot, ChallengeRecord, is_decided},
    refusal::Refusal,
    verdict::judge,
};

pub(super) fn open(present: &mut Present, sender: &PublicKey, action: Challenge) -> Result<(), Refusal> {
    let Challenge { receipt, opening } = action;
    let (auditor, status) = auditable(present, sender, &receipt)?;
    let is_in_question = present.is_in_question(&status);
    if status.standing == Standing::Challenged && !is_in_question {
        return Err(Refusal::UnderChallenge);
    }
    if is_in_question && opening.is_none() {
        return Err(Refusal::OpeningNeeded);
    }
    if is_decided(status.standing) {
        return Err(Refusal::AlreadyDecided);
    }
    let (auditor, rules, epoch) = (auditor.node, &present.state.network.rules, present.open.epoch);
    let own = present.state.challenges.rows().filter(|challenge| challenge.auditor == auditor).count();
    let limit = present.state.small(&parameters::CHALLENGES_OPEN);
    if u32::try_from(own).unwrap_or(u32::MAX) >= limit {
        return Err(Refusal::TooManyChallenges { limit });
    }
    if let Some(opening) = &opening {
        check_opening(present, &receipt, opening)?;
    }
    let epochs = if opening.is_some() { rules.vote_epochs } else { rules.response_epochs };
    let (wanted, withheld) = (present.state.parameter(&parameters::CHALLENGE_BOND), opening.is_none());
    let bond = present.perform(&PutUp { node: B256::from(auditor.0), coins: wanted }).map_err(|_| {
        let available = present.state.staked(&auditor).map_or(0, |staked| staked.own);
        Refusal::InsufficientStake { available, wanted }
    })?;
    present.state.challenges.put(ChallengeRecord {
        receipt,
        challenger: *sender,
        auditor,
        bond,
        opened_epoch: epoch,
        deadline: epoch.saturating_add(u64::from(epochs)),
        asks: withheld || is_in_question,
        opening: opening.as_ref().map(Opening::digest),
        ballots: List::default(),
    });
    if let Some(opening) = opening {
        present.state.openings.insert(receipt, Arc::new(opening));
    }
    present.state.statuses.change(&receipt, |status| status.standing = Standing::Challenged);
    present.events.push(Event::ChallengeOpened { receipt, auditor, withheld });
    Ok(())
}

pub(super) fn respond(present: &mut Present, sender: &PublicKey, action: Respond) -> Result<(), Refusal> {
    let Respond { receipt, opening } = action;
    // A jailed worker may still defend itself.
    let worker = present.acting_in_any_role(sender)?.node;
    let challenge = present.state.challenges.get(&receipt).ok_or(Refusal::NoChallenge)?;
    if present.state.statuses.get(&receipt).is_none_or(|status| status.worker != worker) {
        return Err(Refusal::WrongWorker);
    }
    if challenge.opening.is_some() {
        return Err(Refusal::AlreadyAnswered);
    }
    check_opening(present, &receipt, &opening)?;
    let deadline = present.open.epoch.saturating_add(u64::from(present.state.network.rules.vote_epochs));
    present.state.challenges.change(&receipt, |challenge| {
        challenge.opening = Some(opening.digest());
        challenge.deadline = deadline;
    });
    present.state.openings.insert(receipt, Arc::new(opening));
    present.events.push(Event::ChallengeAnswered { receipt });
    Ok(())
}

pub(super) fn vote(present: &mut Present, sender: &PublicKey, action: &Vote) -> Result<(), Refusal> {
    let validator = present.acting(sender, Role::Validator)?.node;
    if !present.state.network.sits(&validator) {
        return Err(Refusal::NotInCommittee);
    }
    let mut challenge = present.state.challenges.get(&action.receipt).ok_or(Refusal::NoChallenge)?.clone();
    if challenge.opening.is_none() {
        return Err(Refusal::AwaitingResponse);
    }
    if challenge.ballots.iter().any(|ballot| ballot.validator == validator) {
        return Err(Refusal::AlreadyVoted);
    }
    let mut ballots = challenge.ballots.into_inner();
    ballots.push(Ballot { validator, refuted: action.refuted });
    // Each committee member votes once, and seats do not change so often that more than the list holds sit while it is open.
    challenge.ballots = List::new(ballots).map_err(|_| Refusal::AlreadyVoted)?;
    present.state.challenges.put(challenge.clone());
    judge(present, &challenge);
    Ok(())
}

fn check_opening(present: &Present, receipt: &protocol::Digest, opening: &Opening) -> Result<(), Refusal> {
    let found = opening.encode().len();
    if found > OPENING_BYTES_MAX {
        return Err(Refusal::OpeningTooLarge { found, limit: OPENING_BYTES_MAX });
    }
    let signed = present.receipt(receipt).ok_or(Refusal::UnknownReceipt)?;
    opening.matches(&signed.receipt).map_err(|mismatch| Refusal::OpeningMismatch(mismatch.0))
}
