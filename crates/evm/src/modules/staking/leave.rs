//! Shares become coins again, after the terms in which they can still be slashed.

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::SolEvent as _;

use super::IStaking;
use super::bond::{coins_of, hold};
use super::jail;
use super::records::{Bucket, Change, Node, Pool, Position, Queue, Totals, Waiting, current_term};
use crate::modules::parameters;
use crate::modules::{Frame, Method, Stop};

pub(super) const UNDELEGATE: Method = Method::write::<IStaking::undelegateCall>(undelegate);
pub(super) const WITHDRAW: Method = Method::write::<IStaking::withdrawCall>(withdraw);

fn undelegate(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStaking::undelegateCall>()?;
    let (delegator, mut node) = (frame.caller(), Node::get(frame, call.node)?);
    let term = current_term(frame)?;
    let (shares, coins) = unbond(frame, &mut node, delegator, call.coins)?;
    let is_own = delegator == node.operator;
    let mut bucket = Bucket::get(frame, node.id, term, is_own)?;
    if bucket.release == 0 {
        bucket.release = term.saturating_add(parameters::UNBONDING_TERMS.small(frame)?);
    }
    let closed = || Stop::revert(&IStaking::PoolClosed { node: node.id });
    let entry = bucket.pool.enter(coins).ok_or_else(closed)?;
    bucket.save(frame)?;
    Totals::change_stake(frame, Change::None, Change::Up(coins))?;
    wait(frame, delegator, Waiting { node: node.id, shares: entry, begun: term, is_own })?;
    let (node, moved, shares) = (node.id, U256::from(coins), U256::from(shares));
    let release = bucket.release;
    let event = IStaking::Undelegated { delegator, node, coins: moved, shares, releaseTerm: release };
    frame.log(event.encode_log_data())?;
    frame.returns::<IStaking::undelegateCall>(&IStaking::undelegateReturn { moved, releaseTerm: release })
}

/// Takes coins out of a node's pool, or all that may move; the shares given up, and the coins for them.
pub(super) fn unbond(
    frame: &mut Frame<'_>,
    node: &mut Node,
    delegator: Address,
    wanted: U256,
) -> Result<(u128, u128), Stop> {
    let term = current_term(frame)?;
    let mut position = Position::get(frame, delegator, node.id)?;
    let mut pool = node.pool(frame)?;
    let free = position.free(term);
    let shares = if wanted == U256::MAX { free } else { shares_worth(pool, &position, wanted)? };
    if shares > free {
        let (shares, free) = (U256::from(shares), U256::from(free));
        return Err(Stop::revert(&IStaking::SharesLocked { shares, free, lockedUntil: position.locked_until }));
    }
    let coins = pool.leave(shares);
    if coins == 0 {
        return Err(Stop::revert(&IStaking::NothingToMove {}));
    }
    node.set_pool(frame, pool)?;
    Totals::change_stake(frame, Change::Down(coins), Change::None)?;
    let after = position.shares.saturating_sub(shares);
    hold(frame, node, delegator, &mut position, after)?;
    jail::if_too_little_is_its_own(frame, node)?;
    Ok((shares, coins))
}

/// How many shares so many coins are, if the position has them.
fn shares_worth(pool: Pool, position: &Position, wanted: U256) -> Result<u128, Stop> {
    let (coins, worth) = (coins_of(wanted), pool.worth(position.shares));
    if coins > worth {
        return Err(Stop::revert(&IStaking::StakeTooSmall { coins: U256::from(worth), needed: wanted }));
    }
    Ok(pool.shares_for(coins).min(position.shares))
}

/// Queues an entry; what left the same node in the same term is one.
fn wait(frame: &mut Frame<'_>, delegator: Address, entry: Waiting) -> Result<(), Stop> {
    let mut queue = Queue::get(frame, delegator)?;
    if queue.end > queue.first {
        let last = queue.end.saturating_sub(1);
        let before = queue.entry(frame, last)?;
        if (before.node, before.begun) == (entry.node, entry.begun) {
            let shares = before.shares.saturating_add(entry.shares);
            return queue.set_entry(frame, last, Waiting { shares, ..entry });
        }
    }
    queue.set_entry(frame, queue.end, entry)?;
    queue.end = queue.end.saturating_add(1);
    queue.save(frame)
}

fn withdraw(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStaking::withdrawCall>()?;
    let (delegator, term) = (frame.caller(), current_term(frame)?);
    let mut queue = Queue::get(frame, delegator)?;
    let end = queue.first.saturating_add(call.most.saturating_to()).min(queue.end);
    let mut coins = 0_u128;
    while queue.first < end {
        let entry = queue.entry(frame, queue.first)?;
        let mut bucket = Bucket::get(frame, entry.node, entry.begun, entry.is_own)?;
        if term < bucket.release {
            break;
        }
        coins = coins.saturating_add(bucket.pool.leave(entry.shares));
        bucket.save(frame)?;
        queue.clear_entry(frame, queue.first)?;
        queue.first = queue.first.saturating_add(1);
    }
    queue.save(frame)?;
    Totals::change_stake(frame, Change::None, Change::Down(coins))?;
    let paid = U256::from(coins);
    if coins > 0 {
        frame.pay(delegator, paid)?;
        frame.log(IStaking::Withdrawn { delegator, coins: paid }.encode_log_data())?;
    }
    frame.returns::<IStaking::withdrawCall>(&paid)
}
