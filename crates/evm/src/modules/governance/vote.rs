//! Votes on a proposal: once each, with what was at stake at its snapshot.

use alloy_primitives::{Address, U256};
use alloy_sol_types::SolEvent as _;

use super::propose::check_text;
use super::records::{Proposal, Stage};
use super::{IGovernance, slots};
use crate::modules::layout::{Reader, Writer};
use crate::modules::staking::{self, ballots};
use crate::modules::{Frame, Method, Stop};

pub(super) const CAST: Method = Method::write::<IGovernance::castVoteCall>(|frame| {
    let call = frame.arguments::<IGovernance::castVoteCall>()?;
    let votes = cast(frame, call.id, call.support, String::new())?;
    frame.returns::<IGovernance::castVoteCall>(&votes)
});
pub(super) const CAST_WITH_REASON: Method = Method::write::<IGovernance::castVoteWithReasonCall>(|frame| {
    let call = frame.arguments::<IGovernance::castVoteWithReasonCall>()?;
    check_text(&call.reason, REASON_BYTES_MAX)?;
    let votes = cast(frame, call.id, call.support, call.reason)?;
    frame.returns::<IGovernance::castVoteWithReasonCall>(&votes)
});

const REASON_BYTES_MAX: usize = 1_024;

/// What somebody voted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ballot {
    pub cast: bool,
    pub support: u8,
    pub votes: u128,
}

impl Ballot {
    fn slot(frame: &mut Frame<'_>, id: U256, voter: Address) -> Result<U256, Stop> {
        let of_proposal = frame.mapping(slots::BALLOTS, id.into())?;
        frame.mapping(of_proposal, voter.into_word())
    }

    pub fn get(frame: &mut Frame<'_>, id: U256, voter: Address) -> Result<Self, Stop> {
        let slot = Self::slot(frame, id, voter)?;
        let mut word = Reader(frame.load(slot)?);
        Ok(Self { cast: word.flag(), support: word.u8(), votes: word.u128() })
    }

    fn save(self, frame: &mut Frame<'_>, id: U256, voter: Address) -> Result<(), Stop> {
        let slot = Self::slot(frame, id, voter)?;
        frame.store(slot, Writer::default().flag(self.cast).u8(self.support).u128(self.votes).word())
    }
}

fn cast(frame: &mut Frame<'_>, id: U256, support: u8, reason: String) -> Result<U256, Stop> {
    let (voter, mut proposal) = (frame.caller(), Proposal::get(frame, id)?);
    proposal.must_be(frame, Stage::Active)?;
    if Ballot::get(frame, id, voter)?.cast {
        return Err(Stop::revert(&IGovernance::VotedAlready { voter, id }));
    }
    let snapshot = proposal.snapshot;
    let votes = frame.within(staking::ADDRESS, |frame| ballots::votes(frame, voter, Some(snapshot)))?;
    if votes == 0 {
        return Err(Stop::revert(&IGovernance::NoVotes { voter }));
    }
    let sum = match support {
        0 => &mut proposal.votes_against,
        1 => &mut proposal.votes_for,
        2 => &mut proposal.votes_abstain,
        _ => return Err(Stop::revert(&IGovernance::SupportUnknown { support })),
    };
    *sum = sum.saturating_add(votes);
    proposal.save_votes(frame)?;
    Ballot { cast: true, support, votes }.save(frame, id, voter)?;
    let votes = U256::from(votes);
    frame.log(IGovernance::VoteCast { voter, id, support, votes, reason }.encode_log_data())?;
    Ok(votes)
}
