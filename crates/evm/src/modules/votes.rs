//! Votes of staked OPG: what ERC-5805's readers ask, over the records that staking keeps.
//!
//! Balances have no votes, because coins move by plain transfers, past every module; stake moves through one.

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::SolEvent as _;

use super::staking::{self, IStakedVotes, ballots};
use super::{Frame, Method, Module, Stop};

/// Where the module lives.
pub const ADDRESS: Address = staking::VOTES_ADDRESS;

/// The module.
pub const MODULE: Module = Module { name: "votes", address: ADDRESS, methods: METHODS };

static METHODS: &[Method] = &[
    Method::view::<IStakedVotes::clockCall>(clock),
    Method::view::<IStakedVotes::CLOCK_MODECall>(|frame| {
        frame.returns::<IStakedVotes::CLOCK_MODECall>(&"mode=timestamp".to_owned())
    }),
    Method::view::<IStakedVotes::getVotesCall>(get_votes),
    Method::view::<IStakedVotes::getPastVotesCall>(get_past_votes),
    Method::view::<IStakedVotes::getPastTotalSupplyCall>(get_past_total_supply),
    Method::view::<IStakedVotes::delegatesCall>(delegates),
    Method::write::<IStakedVotes::delegateCall>(delegate),
];

fn clock(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let now = alloy_primitives::Uint::saturating_from(frame.now());
    frame.returns::<IStakedVotes::clockCall>(&now)
}

fn get_votes(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStakedVotes::getVotesCall>()?;
    let votes = frame.within(staking::ADDRESS, |frame| ballots::votes(frame, call.account, None))?;
    frame.returns::<IStakedVotes::getVotesCall>(&U256::from(votes))
}

fn get_past_votes(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStakedVotes::getPastVotesCall>()?;
    let at = over(frame, call.timepoint)?;
    let votes = frame.within(staking::ADDRESS, |frame| ballots::votes(frame, call.account, Some(at)))?;
    frame.returns::<IStakedVotes::getPastVotesCall>(&U256::from(votes))
}

fn get_past_total_supply(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStakedVotes::getPastTotalSupplyCall>()?;
    let at = over(frame, call.timepoint)?;
    let votes = frame.within(staking::ADDRESS, |frame| ballots::all_votes(frame, at))?;
    frame.returns::<IStakedVotes::getPastTotalSupplyCall>(&U256::from(votes))
}

/// A second that is over: what happens in this one can still change.
fn over(frame: &Frame<'_>, timepoint: U256) -> Result<u64, Stop> {
    let now = frame.now();
    if timepoint >= U256::from(now) {
        let clock = alloy_primitives::Uint::saturating_from(now);
        return Err(Stop::revert(&IStakedVotes::ERC5805FutureLookup { timepoint, clock }));
    }
    Ok(timepoint.saturating_to())
}

fn delegates(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStakedVotes::delegatesCall>()?;
    let voter = frame.within(staking::ADDRESS, |frame| ballots::delegatee(frame, call.account))?;
    frame.returns::<IStakedVotes::delegatesCall>(&voter)
}

fn delegate(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStakedVotes::delegateCall>()?;
    let delegator = frame.caller();
    let to = if call.delegatee.is_zero() { delegator } else { call.delegatee };
    let from = frame.within(staking::ADDRESS, |frame| ballots::give(frame, delegator, to))?;
    frame.log(IStakedVotes::DelegateChanged { delegator, fromDelegate: from, toDelegate: to }.encode_log_data())?;
    Ok(Bytes::new())
}
