//! A proposal as it is kept.

use alloy_primitives::{Address, B256, U256};

use super::{IGovernance, slots};
use crate::modules::layout::{Reader, Writer, behind, proportion_up};
use crate::modules::parameters::MILLION;
use crate::modules::staking::{self, ballots};
use crate::modules::{Frame, Stop};

/// Where a proposal is in its life, as the interface numbers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Pending,
    Active,
    Canceled,
    Defeated,
    Executable,
    Waiting,
    Expired,
    Executed,
}

impl Stage {
    pub fn number(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Active => 1,
            Self::Canceled => 2,
            Self::Defeated => 3,
            Self::Executable => 4,
            Self::Waiting => 5,
            Self::Expired => 6,
            Self::Executed => 7,
        }
    }
}

/// A proposal, but for its actions.
#[derive(Clone, Debug)]
pub(super) struct Proposal {
    pub id: U256,
    slot: U256,
    pub proposer: Address,
    pub actions: u8,
    pub executed: bool,
    pub canceled: bool,
    pub snapshot: u64,
    pub deadline: u64,
    pub executable_from: u64,
    pub executable_until: u64,
    pub quorum: u32,
    pub majority: u32,
    pub votes_for: u128,
    pub votes_against: u128,
    pub votes_abstain: u128,
    pub description: B256,
}

impl Proposal {
    /// A place for a proposal that is not made yet.
    pub fn empty(frame: &mut Frame<'_>, id: U256) -> Result<Self, Stop> {
        let slot = frame.mapping(slots::PROPOSALS, id.into())?;
        let mut first = Reader(frame.load(slot)?);
        let mut times = Reader(frame.load(behind(slot, 1))?);
        let mut votes = Reader(frame.load(behind(slot, 2))?);
        let mut abstain = Reader(frame.load(behind(slot, 3))?);
        Ok(Self {
            id,
            slot,
            proposer: first.address(),
            actions: first.u8(),
            executed: first.flag(),
            canceled: first.flag(),
            snapshot: times.u48(),
            deadline: times.u48(),
            executable_from: times.u48(),
            executable_until: times.u48(),
            quorum: times.u32(),
            majority: times.u32(),
            votes_for: votes.u128(),
            votes_against: votes.u128(),
            votes_abstain: abstain.u128(),
            description: frame.load(behind(slot, 4))?.into(),
        })
    }

    pub fn get(frame: &mut Frame<'_>, id: U256) -> Result<Self, Stop> {
        let proposal = Self::empty(frame, id)?;
        if proposal.actions == 0 {
            return Err(Stop::revert(&IGovernance::ProposalUnknown { id }));
        }
        Ok(proposal)
    }

    pub fn save(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        let first = Writer::default().address(self.proposer).u8(self.actions).flag(self.executed).flag(self.canceled);
        frame.store(self.slot, first.word())?;
        let times = Writer::default()
            .u48(self.snapshot)
            .u48(self.deadline)
            .u48(self.executable_from)
            .u48(self.executable_until)
            .u32(self.quorum)
            .u32(self.majority);
        frame.store(behind(self.slot, 1), times.word())?;
        frame.store(behind(self.slot, 4), self.description.into())?;
        self.save_votes(frame)
    }

    pub fn save_votes(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        let votes = Writer::default().u128(self.votes_for).u128(self.votes_against);
        frame.store(behind(self.slot, 2), votes.word())?;
        frame.store(behind(self.slot, 3), Writer::default().u128(self.votes_abstain).word())
    }

    fn action_slot(&self, frame: &mut Frame<'_>, index: u8) -> Result<U256, Stop> {
        frame.mapping(behind(self.slot, 5), U256::from(index).into())
    }

    pub fn set_action(&self, frame: &mut Frame<'_>, index: u8, action: &IGovernance::Action) -> Result<(), Stop> {
        let slot = self.action_slot(frame, index)?;
        frame.store(slot, U256::from(action.kind))?;
        frame.store(behind(slot, 1), action.subject.into())?;
        frame.store(behind(slot, 2), action.value)
    }

    pub fn all_actions(&self, frame: &mut Frame<'_>) -> Result<Vec<IGovernance::Action>, Stop> {
        (0..self.actions)
            .map(|index| {
                let slot = self.action_slot(frame, index)?;
                Ok(IGovernance::Action {
                    kind: frame.load(slot)?.saturating_to(),
                    subject: frame.load(behind(slot, 1))?.into(),
                    value: frame.load(behind(slot, 2))?,
                })
            })
            .collect()
    }

    /// Where it is in its life now.
    pub fn stage(&self, frame: &mut Frame<'_>) -> Result<Stage, Stop> {
        let now = frame.now();
        Ok(if self.executed {
            Stage::Executed
        } else if self.canceled {
            Stage::Canceled
        } else if now <= self.snapshot {
            Stage::Pending
        } else if now <= self.deadline {
            Stage::Active
        } else if !self.has_passed(frame)? {
            Stage::Defeated
        } else if now < self.executable_from {
            Stage::Waiting
        } else if now <= self.executable_until {
            Stage::Executable
        } else {
            Stage::Expired
        })
    }

    /// Refuses a proposal that is elsewhere in its life.
    pub fn must_be(&self, frame: &mut Frame<'_>, wanted: Stage) -> Result<(), Stop> {
        let stage = self.stage(frame)?;
        if stage == wanted {
            return Ok(());
        }
        Err(Stop::revert(&IGovernance::ProposalState { id: self.id, state: stage.number() }))
    }

    fn has_passed(&self, frame: &mut Frame<'_>) -> Result<bool, Stop> {
        let all = frame.within(staking::ADDRESS, |frame| ballots::all_votes(frame, self.snapshot))?;
        let needed = proportion_up(all, u128::from(self.quorum), MILLION);
        let present = self.votes_for.saturating_add(self.votes_abstain);
        let decided = U256::from(self.votes_for.saturating_add(self.votes_against));
        let majority = U256::from(self.votes_for).saturating_mul(U256::from(MILLION))
            > decided.saturating_mul(U256::from(self.majority));
        Ok(present >= needed && majority)
    }
}
