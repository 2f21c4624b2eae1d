//! A proposal is made, perhaps taken back, and at last executed.

use alloy_primitives::{Bytes, U256, Uint};
use alloy_sol_types::SolEvent as _;

use super::action::read_all;
use super::records::{Proposal, Stage};
use super::{IGovernance, slots};
use crate::modules::parameters;
use crate::modules::staking::{self, ballots};
use crate::modules::{Frame, Method, Stop};

pub(super) const PROPOSE: Method = Method::write::<IGovernance::proposeCall>(propose);
pub(super) const CANCEL: Method = Method::write::<IGovernance::cancelCall>(cancel);
pub(super) const EXECUTE: Method = Method::write::<IGovernance::executeCall>(execute);

const ACTIONS_MAX: u8 = 8;
const DESCRIPTION_BYTES_MAX: usize = 8_192;

fn propose(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IGovernance::proposeCall>()?;
    let count = u8::try_from(call.actions.len()).unwrap_or(u8::MAX);
    if count == 0 || count > ACTIONS_MAX {
        let (count, most) = (U256::from(call.actions.len()), U256::from(ACTIONS_MAX));
        return Err(Stop::revert(&IGovernance::ActionCount { count, most }));
    }
    check_text(&call.description, DESCRIPTION_BYTES_MAX)?;
    may_propose(frame)?;
    for action in read_all(frame, &call.actions)? {
        action.check_proposed(frame)?;
    }
    let id = frame.load(slots::COUNT)?.saturating_add(U256::ONE);
    frame.store(slots::COUNT, id)?;
    let newest = frame.mapping(slots::NEWEST, frame.caller().into_word())?;
    frame.store(newest, id)?;
    let description = frame.hash(&[call.description.as_bytes()])?;
    let mut proposal = timed(frame, id)?;
    (proposal.proposer, proposal.actions, proposal.description) = (frame.caller(), count, description);
    proposal.save(frame)?;
    for (index, action) in (0..count).zip(&call.actions) {
        proposal.set_action(frame, index, action)?;
    }
    let event = IGovernance::ProposalMade {
        id,
        proposer: proposal.proposer,
        actions: call.actions,
        snapshot: Uint::saturating_from(proposal.snapshot),
        deadline: Uint::saturating_from(proposal.deadline),
        description: call.description,
    };
    frame.log(event.encode_log_data())?;
    frame.returns::<IGovernance::proposeCall>(&id)
}

/// Refuses who has too few votes, or another proposal that is not voted on to its end.
fn may_propose(frame: &mut Frame<'_>) -> Result<(), Stop> {
    let (proposer, before) = (frame.caller(), frame.now().saturating_sub(1));
    let votes = frame.within(staking::ADDRESS, |frame| ballots::votes(frame, proposer, Some(before)))?;
    let needed = parameters::PROPOSAL_VOTES.value(frame)?;
    if votes < needed {
        let (votes, needed) = (U256::from(votes), U256::from(needed));
        return Err(Stop::revert(&IGovernance::TooFewVotes { proposer, votes, needed }));
    }
    let newest = frame.mapping(slots::NEWEST, proposer.into_word())?;
    let newest = frame.load(newest)?;
    if newest.is_zero() {
        return Ok(());
    }
    match Proposal::get(frame, newest)?.stage(frame)? {
        Stage::Pending | Stage::Active => Err(Stop::revert(&IGovernance::ProposalOpen { id: newest })),
        Stage::Canceled | Stage::Defeated | Stage::Executable | Stage::Waiting | Stage::Expired | Stage::Executed => {
            Ok(())
        }
    }
}

/// A proposal with the times and thresholds that hold now and for it from now on.
fn timed(frame: &mut Frame<'_>, id: U256) -> Result<Proposal, Stop> {
    let mut proposal = Proposal::empty(frame, id)?;
    let seconds = |frame: &mut Frame<'_>, parameter: &parameters::Parameter| parameter.small(frame).map(u64::from);
    proposal.snapshot = frame.now().saturating_add(seconds(frame, &parameters::VOTING_DELAY)?);
    proposal.deadline = proposal.snapshot.saturating_add(seconds(frame, &parameters::VOTING_PERIOD)?);
    proposal.executable_from = proposal.deadline.saturating_add(seconds(frame, &parameters::TIMELOCK)?);
    proposal.executable_until = proposal.executable_from.saturating_add(seconds(frame, &parameters::GRACE)?);
    proposal.quorum = parameters::QUORUM.small(frame)?;
    proposal.majority = parameters::MAJORITY.small(frame)?;
    Ok(proposal)
}

pub(super) fn check_text(text: &str, most: usize) -> Result<(), Stop> {
    if text.len() <= most {
        return Ok(());
    }
    Err(Stop::revert(&IGovernance::TextTooLong { bytesFound: U256::from(text.len()), most: U256::from(most) }))
}

fn cancel(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IGovernance::cancelCall>()?;
    let mut proposal = Proposal::get(frame, call.id)?;
    if frame.caller() != proposal.proposer {
        let (caller, proposer) = (frame.caller(), proposal.proposer);
        return Err(Stop::revert(&IGovernance::ProposerOnly { caller, proposer }));
    }
    proposal.must_be(frame, Stage::Pending)?;
    proposal.canceled = true;
    proposal.save(frame)?;
    frame.log(IGovernance::ProposalCanceled { id: call.id }.encode_log_data())?;
    Ok(Bytes::new())
}

fn execute(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IGovernance::executeCall>()?;
    enact(frame, call.id)?;
    Ok(Bytes::new())
}

/// Does what was decided, if it is time: all of it, or nothing.
pub(super) fn enact(frame: &mut Frame<'_>, id: U256) -> Result<(), Stop> {
    let mut proposal = Proposal::get(frame, id)?;
    proposal.must_be(frame, Stage::Executable)?;
    proposal.executed = true;
    proposal.save(frame)?;
    let actions = proposal.all_actions(frame)?;
    for action in read_all(frame, &actions)? {
        action.apply(frame)?;
    }
    frame.log(IGovernance::ProposalExecuted { id, by: frame.caller() }.encode_log_data())
}
