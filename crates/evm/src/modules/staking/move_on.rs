//! Stake moves from one node to another at once, and still answers for the first.

use alloy_primitives::{Bytes, U256};
use alloy_sol_types::SolEvent as _;

use super::IStaking;
use super::bond::bond;
use super::leave::unbond;
use super::records::{MOVES_MAX, Moved, Node, Position, current_term};
use crate::modules::parameters;
use crate::modules::{Frame, Method, Stop};

pub(super) const REDELEGATE: Method = Method::write::<IStaking::redelegateCall>(redelegate);

fn redelegate(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStaking::redelegateCall>()?;
    if call.from == call.to {
        return Err(Stop::revert(&IStaking::SameNode { node: call.from }));
    }
    let (delegator, mut from, to) = (frame.caller(), Node::get(frame, call.from)?, Node::get(frame, call.to)?);
    let term = current_term(frame)?;
    let until = term.saturating_add(parameters::UNBONDING_TERMS.small(frame)?);
    let (_, coins) = unbond(frame, &mut from, delegator, call.coins)?;
    let least = parameters::DELEGATION_MIN.value(frame)?;
    if coins < least {
        return Err(Stop::revert(&IStaking::DelegationTooSmall { coins: U256::from(coins), least: U256::from(least) }));
    }
    let shares = bond(frame, &to, delegator, coins)?;
    let mut position = Position::get(frame, delegator, to.id)?;
    position.lock(shares, term, until);
    position.save(frame)?;
    remember(frame, &from, term, Moved { delegator, begun: term, until, to: to.id, shares })?;
    let moved = U256::from(coins);
    let event = IStaking::Redelegated {
        delegator,
        from: from.id,
        to: to.id,
        coins: moved,
        shares: U256::from(shares),
        lockedUntil: position.locked_until,
    };
    frame.log(event.encode_log_data())?;
    frame.returns::<IStaking::redelegateCall>(&moved)
}

/// Writes a move down and forgets those before it that no longer answer for the node.
fn remember(frame: &mut Frame<'_>, from: &Node, term: u32, moved: Moved) -> Result<(), Stop> {
    let (mut first, end) = from.moved_ends(frame)?;
    while first < end && from.moved(frame, first)?.until <= term {
        first = first.saturating_add(1);
    }
    if end.saturating_sub(first) >= MOVES_MAX {
        let most = U256::from(MOVES_MAX);
        return Err(Stop::revert(&IStaking::TooManyRedelegations { from: from.id, most }));
    }
    from.set_moved(frame, end, &moved)?;
    from.set_moved_ends(frame, (first, end.saturating_add(1)))
}
