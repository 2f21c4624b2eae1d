//! Coins become shares of a node's pool.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolEvent as _;

use super::ballots;
use super::records::{Change, Node, POSITIONS_MAX, Position, Totals};
use super::{IStaking, slots};
use crate::modules::layout::{AMOUNT_MAX, List};
use crate::modules::parameters;
use crate::modules::{Frame, Method, Stop};

pub(super) const DELEGATE: Method = Method::payable::<IStaking::delegateCall>(delegate);

/// Rewards per share are counted in 2^-128 coins.
pub(super) const REWARD_SCALE_BITS: usize = 128;

fn delegate(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStaking::delegateCall>()?;
    let node = Node::get(frame, call.node)?;
    let (delegator, coins) = (frame.caller(), coins_of(frame.value()));
    let least = parameters::DELEGATION_MIN.value(frame)?;
    if coins < least {
        return Err(Stop::revert(&IStaking::DelegationTooSmall { coins: U256::from(coins), least: U256::from(least) }));
    }
    let shares = bond(frame, &node, delegator, coins)?;
    let (coins, shares) = (U256::from(coins), U256::from(shares));
    frame.log(IStaking::Delegated { delegator, node: node.id, coins, shares }.encode_log_data())?;
    frame.returns::<IStaking::delegateCall>(&shares)
}

/// An amount as records hold it. What is wider does not exist, and is refused as too much for any pool.
pub(super) fn coins_of(value: U256) -> u128 {
    value.saturating_to()
}

/// Makes coins that are in the module's account a delegator's shares of a node.
pub(super) fn bond(frame: &mut Frame<'_>, node: &Node, delegator: Address, coins: u128) -> Result<u128, Stop> {
    if node.tombstoned {
        return Err(Stop::revert(&IStaking::NodeTombstoned { node: node.id }));
    }
    // Its operator may fill up what is missing; nobody else should add to what a jailed node may still lose.
    if node.jailed && delegator != node.operator {
        return Err(Stop::revert(&IStaking::NodeJailed { node: node.id, until: node.jailed_until }));
    }
    let closed = || Stop::revert(&IStaking::PoolClosed { node: node.id });
    if Totals::get(frame)?.bonded.saturating_add(coins) > AMOUNT_MAX {
        return Err(closed());
    }
    let mut pool = node.pool(frame)?;
    let shares = pool.enter(coins).ok_or_else(closed)?;
    node.set_pool(frame, pool)?;
    Totals::change_stake(frame, Change::Up(coins), Change::None)?;
    let mut position = Position::get(frame, delegator, node.id)?;
    let after = position.shares.saturating_add(shares);
    hold(frame, node, delegator, &mut position, after)?;
    Ok(shares)
}

/// Writes down that a delegator holds so many shares from now on. What they earned until now is owed first.
pub(super) fn hold(
    frame: &mut Frame<'_>,
    node: &Node,
    delegator: Address,
    position: &mut Position,
    shares: u128,
) -> Result<(), Stop> {
    accrue(frame, node, position)?;
    let list = List(frame.mapping(slots::POSITION_LISTS, delegator.into_word())?);
    if shares > 0 && position.place == 0 {
        let place = list.push(frame, node.id.into())?;
        if place > POSITIONS_MAX {
            return Err(Stop::revert(&IStaking::TooManyPositions { most: U256::from(POSITIONS_MAX) }));
        }
        position.place = u32::try_from(place).unwrap_or(u32::MAX);
    } else if shares == 0 && position.place != 0 {
        if let Some(other) = list.remove(frame, u64::from(position.place))? {
            let mut moved = Position::get(frame, delegator, B256::from(other))?;
            moved.place = position.place;
            moved.save(frame)?;
        }
        position.place = 0;
    }
    ballots::follow(frame, delegator, node.id, position.shares, shares)?;
    position.shares = shares;
    position.save(frame)
}

/// Counts what a position's shares earned since it was last looked at.
pub(super) fn accrue(frame: &mut Frame<'_>, node: &Node, position: &mut Position) -> Result<(), Stop> {
    let per_share = node.reward_per_share(frame)?;
    let earned = per_share.saturating_sub(position.paid_up_to).saturating_mul(U256::from(position.shares));
    position.owed = position.owed.saturating_add(earned.wrapping_shr(REWARD_SCALE_BITS).saturating_to());
    position.paid_up_to = per_share;
    Ok(())
}
