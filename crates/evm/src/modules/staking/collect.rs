//! What a node's operator owes is taken out of what is the operator's own, wherever that is by now. Nobody who delegated answers for a debt.

use alloy_primitives::{Address, B256, Log, U256};
use alloy_sol_types::SolEvent as _;

use super::bond::hold;
use super::jail::if_too_little_is_its_own;
use super::penalty::{forfeit, unbonding_terms};
use super::records::{Bucket, Change, Node, Position, Totals, current_term};
use super::{ADDRESS, IStaking};
use crate::modules::{Frame, Stop, SystemCall};

/// An operator owes coins: first those that it takes out already, then those that it moved to other nodes, then its free ones at the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collect {
    pub node: B256,
    /// The account that gives it to those who are owed.
    pub to: Address,
    /// In base units.
    pub coins: u128,
}

impl SystemCall for Collect {
    /// What there was of it: rounding may make it a unit more.
    type Outcome = u128;

    fn run(&self, frame: &mut Frame<'_>) -> Result<u128, Stop> {
        frame.within(ADDRESS, |frame| self.collect(frame))
    }
}

impl Collect {
    fn collect(&self, frame: &mut Frame<'_>) -> Result<u128, Stop> {
        let (node, term) = (Node::get(frame, self.node)?, current_term(frame)?);
        let unbonding = take_leaving(frame, &node, term, self.coins)?;
        let moved = take_moved(frame, &node, term, self.coins.saturating_sub(unbonding))?;
        let taken = unbonding.saturating_add(moved);
        let bonded = take_free(frame, &node, term, self.coins.saturating_sub(taken))?;
        let taken = taken.saturating_add(bonded);
        if taken == 0 {
            return Ok(0);
        }
        Totals::change_stake(frame, Change::Down(moved.saturating_add(bonded)), Change::Down(unbonding))?;
        let coins = U256::from(taken);
        frame.pay(self.to, coins)?;
        frame.log(IStaking::Collected { node: node.id, coins, to: self.to }.encode_log_data())?;
        // Read again: jailing another node may have moved this one's place in the list of validators.
        let mut node = Node::get(frame, self.node)?;
        if_too_little_is_its_own(frame, &mut node)?;
        Ok(taken)
    }
}

/// Of what the operator takes out and has not got yet, the newest first.
fn take_leaving(frame: &mut Frame<'_>, node: &Node, current: u32, wanted: u128) -> Result<u128, Stop> {
    let mut taken = 0_u128;
    for term in unbonding_terms(0, current).rev() {
        let missing = wanted.saturating_sub(taken);
        if missing == 0 {
            break;
        }
        let mut bucket = Bucket::get(frame, node.id, term, true)?;
        let part = bucket.pool.coins.min(missing);
        if bucket.release <= current || part == 0 {
            continue;
        }
        bucket.pool.coins = bucket.pool.coins.saturating_sub(part);
        bucket.save(frame)?;
        taken = taken.saturating_add(part);
    }
    Ok(taken)
}

/// Of what the operator moved to other nodes and that is still locked there, the newest first.
fn take_moved(frame: &mut Frame<'_>, node: &Node, current: u32, wanted: u128) -> Result<u128, Stop> {
    let ((first, end), mut taken) = (node.moved_ends(frame)?, 0_u128);
    for number in (first..end).rev() {
        let missing = wanted.saturating_sub(taken);
        if missing == 0 {
            break;
        }
        let moved = node.moved(frame, number)?;
        if moved.delegator != node.operator || moved.until <= current {
            continue;
        }
        let pool = Node::get(frame, moved.to)?.pool(frame)?;
        let shares = pool.shares_for(missing).min(moved.shares);
        if shares > 0 {
            taken = taken.saturating_add(forfeit(frame, node, number, moved, shares)?);
        }
    }
    Ok(taken)
}

/// Takes coins out of a node's pool, of its operator's own free ones there; how many that were. The sums of the stake are the caller's to change.
pub(super) fn take_free(frame: &mut Frame<'_>, node: &Node, current: u32, wanted: u128) -> Result<u128, Stop> {
    let mut position = Position::get(frame, node.operator, node.id)?;
    let mut pool = node.pool(frame)?;
    let shares = pool.shares_for(wanted).min(position.free(current));
    if shares == 0 {
        return Ok(0);
    }
    let coins = pool.leave(shares);
    node.set_pool(frame, pool)?;
    let after = position.shares.saturating_sub(shares);
    hold(frame, node, node.operator, &mut position, after)?;
    Ok(coins)
}

/// Which nodes stake left by these logs, and whose it was: it was taken out, or moved to other nodes.
pub fn left<'a>(logs: impl Iterator<Item = &'a Log>) -> Vec<(B256, Address)> {
    logs.filter(|log| log.address == ADDRESS).filter_map(leaver).collect()
}

fn leaver(log: &Log) -> Option<(B256, Address)> {
    if let Ok(event) = IStaking::Undelegated::decode_log(log) {
        return Some((event.data.node, event.data.delegator));
    }
    let event = IStaking::Redelegated::decode_log(log).ok()?;
    Some((event.data.from, event.data.delegator))
}
