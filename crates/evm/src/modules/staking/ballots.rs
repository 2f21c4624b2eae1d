//! Who votes with which shares, now and in the past.
//!
//! Votes are kept in shares of nodes, because a slash changes what all of them are worth at once. An account's votes are the
//! sum over the nodes at which it has any, each at the worth of that moment; so the nodes are counted and few.

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolEvent as _;

use super::records::{Node, POSITIONS_MAX, Pool, Position};
use super::{IStakedVotes, VOTES_ADDRESS, slots};
use crate::modules::layout::{History, List};
use crate::modules::{Frame, Stop};

/// Nodes at which others may give an account votes. Its own stake has room beyond.
const NODES_OF_OTHERS_MAX: u64 = 128;
/// All nodes at which an account has votes.
const NODES_MAX: u64 = NODES_OF_OTHERS_MAX + POSITIONS_MAX;
/// How long the past of votes must be kept: longer than any proposal can live.
pub(in crate::modules) const VOTES_KEPT_SECONDS: u64 = 120 * 86_400;

/// Who votes with an account's shares: itself, if it gave them to nobody.
pub(in crate::modules) fn delegatee(frame: &mut Frame<'_>, account: Address) -> Result<Address, Stop> {
    let slot = frame.mapping(slots::DELEGATEES, account.into_word())?;
    let word = B256::from(frame.load(slot)?);
    Ok(if word.is_zero() { account } else { Address::from_word(word) })
}

/// Gives an account's shares, present and future, to another voter.
pub(in crate::modules) fn give(frame: &mut Frame<'_>, account: Address, to: Address) -> Result<Address, Stop> {
    let from = delegatee(frame, account)?;
    if from == to {
        return Ok(from);
    }
    let slot = frame.mapping(slots::DELEGATEES, account.into_word())?;
    let word = if to == account { U256::ZERO } else { to.into_word().into() };
    frame.store(slot, word)?;
    let list = List(frame.mapping(slots::POSITION_LISTS, account.into_word())?);
    for node in list.page(frame, U256::ZERO, U256::from(POSITIONS_MAX))? {
        let node = B256::from(node);
        let shares = Position::get(frame, account, node)?.shares;
        change(frame, from, node, (shares, 0), from == account)?;
        change(frame, to, node, (0, shares), to == account)?;
    }
    Ok(from)
}

/// Follows a change of a delegator's shares.
pub(super) fn follow(
    frame: &mut Frame<'_>,
    delegator: Address,
    node: B256,
    before: u128,
    after: u128,
) -> Result<(), Stop> {
    let voter = delegatee(frame, delegator)?;
    change(frame, voter, node, (before, after), voter == delegator)
}

/// Takes the first number of shares from a voter and gives it the second.
fn change(
    frame: &mut Frame<'_>,
    voter: Address,
    node: B256,
    (less, more): (u128, u128),
    is_own: bool,
) -> Result<(), Stop> {
    if less == more {
        return Ok(());
    }
    let history = trace(frame, voter, node)?;
    if List(history.0).len(frame)? == 0 {
        join(frame, voter, node, is_own)?;
    }
    let before = history.latest(frame)?;
    let after = before.saturating_add(U256::from(more)).checked_sub(U256::from(less));
    let after = after.ok_or_else(|| Stop::Fatal(format!("{voter} has fewer votes at {node} than others gave")))?;
    history.set(frame, after)?;
    frame.within(VOTES_ADDRESS, |frame| {
        let event =
            IStakedVotes::DelegateSharesChanged { delegate: voter, node, previousShares: before, newShares: after };
        frame.log(event.encode_log_data())
    })
}

/// Adds a node to those at which an account has votes; in the place of one that nobody can ask about any more, if need be.
fn join(frame: &mut Frame<'_>, voter: Address, node: B256, is_own: bool) -> Result<(), Stop> {
    let list = List(frame.mapping(slots::VOTE_LISTS, voter.into_word())?);
    let most = if is_own { NODES_MAX } else { NODES_OF_OTHERS_MAX };
    let len = list.len(frame)?;
    if len < most {
        list.push(frame, node.into())?;
        return Ok(());
    }
    for index in 0..len {
        let old = B256::from(list.get(frame, index)?);
        let history = trace(frame, voter, old)?;
        let is_over = history.since(frame)?.saturating_add(VOTES_KEPT_SECONDS) < frame.now();
        if is_over && history.latest(frame)?.is_zero() {
            frame.store(history.0, U256::ZERO)?;
            return list.set(frame, index, node.into());
        }
    }
    Err(Stop::revert(&IStakedVotes::TooManyNodes { delegate: voter, most: U256::from(most) }))
}

/// Votes of an account now, or at the end of a second that is over.
pub(in crate::modules) fn votes(frame: &mut Frame<'_>, voter: Address, at: Option<u64>) -> Result<u128, Stop> {
    let list = List(frame.mapping(slots::VOTE_LISTS, voter.into_word())?);
    let mut sum = 0_u128;
    for node in list.page(frame, U256::ZERO, U256::from(NODES_MAX))? {
        let node = B256::from(node);
        let history = trace(frame, voter, node)?;
        let shares: u128 = value(frame, &history, at)?.saturating_to();
        if shares > 0 {
            let pools = Node::pools_of(frame, node)?;
            sum = sum.saturating_add(Pool::read(value(frame, &pools, at)?).worth(shares));
        }
    }
    Ok(sum)
}

/// All votes at the end of a second that is over.
pub(in crate::modules) fn all_votes(frame: &mut Frame<'_>, at: u64) -> Result<u128, Stop> {
    Ok(History(slots::BONDED_HISTORY).at(frame, at)?.saturating_to())
}

fn value(frame: &mut Frame<'_>, history: &History, at: Option<u64>) -> Result<U256, Stop> {
    match at {
        Some(clock) => history.at(frame, clock),
        None => history.latest(frame),
    }
}

fn trace(frame: &mut Frame<'_>, voter: Address, node: B256) -> Result<History, Stop> {
    let of_voter = frame.mapping(slots::VOTES, voter.into_word())?;
    Ok(History(frame.mapping(of_voter, node)?))
}
