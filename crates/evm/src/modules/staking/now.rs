//! What a state says of a node's stake, for a ledger that asks between transactions: the records of this module, without a frame.

use alloy_primitives::{Address, B256, U256};
use protocol::Role;

use super::records::Pool;
use super::register::role_of;
use super::{ADDRESS, slots};
use crate::modules::layout::{Past, Reader, behind, place_in};
use crate::state::{StateError, StateRead};

/// A node's stake and standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staked {
    pub operator: Address,
    /// Its first key.
    pub key: B256,
    pub role: Role,
    pub jailed: bool,
    pub jailed_until: u32,
    pub tombstoned: bool,
    /// All coins behind it, and what of them is the operator's own.
    pub coins: u128,
    pub own: u128,
    /// What of that may leave: it did not come from another node for which it still answers.
    pub free: u128,
    /// Own coins that stand for something and will be back.
    pub bonds: u128,
    /// What it lost so far.
    pub slashed: u128,
}

/// The node of this id, if it was ever registered.
pub fn staked(state: &dyn StateRead, node: B256) -> Result<Option<Staked>, StateError> {
    let slot = place_in(slots::NODES, node);
    let field = |offset| state.slot(&ADDRESS, &behind(slot, offset));
    let mut identity = Reader(field(0)?);
    let operator = identity.address();
    let Some(role) = role_of(identity.u8()) else { return Ok(None) };
    let (jailed, tombstoned) = (identity.flag(), identity.flag());
    let key = B256::from(field(1)?);
    let mut standing = Reader(field(2)?);
    let (_, jailed_until) = (standing.u32(), standing.u32());
    let mut faults = Reader(field(6)?);
    let (_, _, slashed) = (faults.u64(), faults.u64(), faults.u128());
    let pool = Pool::read(Past { address: ADDRESS, slot: behind(slot, 7) }.latest(state)?);
    let position = place_in(place_in(slots::POSITIONS, operator.into_word()), node);
    let mut held = Reader(state.slot(&ADDRESS, &position)?);
    let (shares, locked) = (held.u104(), held.u104());
    let is_locked = locked > 0 && term(state)? < locked_until(state, position)?;
    let free = shares.saturating_sub(if is_locked { locked } else { 0 });
    let bonds = Reader(field(11)?).u128();
    let (coins, own, free) = (pool.coins, pool.worth(shares), pool.worth(free));
    Ok(Some(Staked { operator, key, role, jailed, jailed_until, tombstoned, coins, own, free, bonds, slashed }))
}

fn locked_until(state: &dyn StateRead, position: U256) -> Result<u32, StateError> {
    let mut third = Reader(state.slot(&ADDRESS, &behind(position, 2))?);
    let (_, until) = (third.u128(), third.u32());
    Ok(until)
}

/// The term that has begun.
pub fn term(state: &dyn StateRead) -> Result<u32, StateError> {
    Ok(state.slot(&ADDRESS, &slots::TERM)?.saturating_to())
}

/// Coins from which nodes are rewarded.
pub fn reward_pool(state: &dyn StateRead) -> Result<u128, StateError> {
    let mut rewards = Reader(state.slot(&ADDRESS, &slots::REWARDS)?);
    let (_, pool) = (rewards.u128(), rewards.u128());
    Ok(pool)
}

/// Coins of the module's account that are spoken for: bonded, unbonding, earned, waiting to be earned, put up.
pub fn spoken_for(state: &dyn StateRead) -> Result<U256, StateError> {
    [slots::STAKE, slots::REWARDS, slots::BONDS].into_iter().try_fold(U256::ZERO, |sum, slot| {
        let mut word = Reader(state.slot(&ADDRESS, &slot)?);
        Ok(sum.saturating_add(U256::from(word.u128())).saturating_add(U256::from(word.u128())))
    })
}
