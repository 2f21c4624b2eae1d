//! What the module keeps, read from and written to words. Nothing here decides.

use alloy_primitives::{Address, B256, U256};

use super::{IStaking, slots};
use crate::modules::layout::{AMOUNT_MAX, History, Reader, Writer, behind, proportion, proportion_up};
use crate::modules::{Frame, Stop};

/// Most nodes at which one delegator has shares: what must be done for all of them stays small.
pub(super) const POSITIONS_MAX: u64 = 32;
/// Most moves away from one node that may still answer for it: a slash looks at each.
pub(super) const MOVES_MAX: u64 = 128;

/// Places inside of a node's record.
mod fields {
    pub const IDENTITY: u64 = 0;
    pub const KEY: u64 = 1;
    pub const STANDING: u64 = 2;
    pub const REWARD_PER_SHARE: u64 = 3;
    pub const REWARD_REST: u64 = 4;
    pub const WORK: u64 = 5;
    pub const FAULTS: u64 = 6;
    pub const POOL: u64 = 7;
    pub const COMMISSIONS: u64 = 8;
    pub const MOVED_ENDS: u64 = 9;
    pub const MOVED: u64 = 10;
    pub const BONDS: u64 = 11;
    pub const REPORTS: u64 = 12;
}

/// A node, but for its pool and its counters.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub id: B256,
    slot: U256,
    pub operator: Address,
    /// As `protocol::Role` numbers them.
    pub role: u8,
    pub jailed: bool,
    pub tombstoned: bool,
    pub registered_term: u32,
    pub jailed_until: u32,
    pub commission: u32,
    pub commission_max: u32,
    pub commission_step: u32,
    pub commission_changed: u64,
    /// Its place in the list of validators, from one; zero if it is not there.
    pub place: u32,
}

impl Node {
    /// A place for a node that is not registered.
    pub fn empty(frame: &mut Frame<'_>, id: B256) -> Result<Self, Stop> {
        Self::read(frame, id)
    }

    fn read(frame: &mut Frame<'_>, id: B256) -> Result<Self, Stop> {
        let slot = frame.mapping(slots::NODES, id)?;
        let mut identity = Reader(frame.load(behind(slot, fields::IDENTITY))?);
        let mut standing = Reader(frame.load(behind(slot, fields::STANDING))?);
        Ok(Self {
            id,
            slot,
            operator: identity.address(),
            role: identity.u8(),
            jailed: identity.flag(),
            tombstoned: identity.flag(),
            registered_term: standing.u32(),
            jailed_until: standing.u32(),
            commission: standing.u32(),
            commission_max: standing.u32(),
            commission_step: standing.u32(),
            commission_changed: standing.u48(),
            place: standing.u32(),
        })
    }

    pub fn is_registered(&self) -> bool {
        self.role != 0
    }

    pub fn get(frame: &mut Frame<'_>, id: B256) -> Result<Self, Stop> {
        let node = Self::read(frame, id)?;
        if node.is_registered() { Ok(node) } else { Err(Stop::revert(&IStaking::NodeUnknown { node: id })) }
    }

    pub fn save(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        let identity = Writer::default().address(self.operator).u8(self.role).flag(self.jailed).flag(self.tombstoned);
        frame.store(behind(self.slot, fields::IDENTITY), identity.word())?;
        let standing = Writer::default()
            .u32(self.registered_term)
            .u32(self.jailed_until)
            .u32(self.commission)
            .u32(self.commission_max)
            .u32(self.commission_step)
            .u48(self.commission_changed)
            .u32(self.place);
        frame.store(behind(self.slot, fields::STANDING), standing.word())
    }

    /// Refuses whoever is not the operator.
    pub fn operated_by_caller(self, frame: &Frame<'_>) -> Result<Self, Stop> {
        let caller = frame.caller();
        if caller == self.operator {
            return Ok(self);
        }
        Err(Stop::revert(&IStaking::OperatorOnly { caller, operator: self.operator }))
    }

    pub fn key(&self, frame: &mut Frame<'_>) -> Result<B256, Stop> {
        frame.load(behind(self.slot, fields::KEY)).map(B256::from)
    }

    pub fn set_key(&self, frame: &mut Frame<'_>, key: B256) -> Result<(), Stop> {
        frame.store(behind(self.slot, fields::KEY), key.into())
    }

    pub fn reward_per_share(&self, frame: &mut Frame<'_>) -> Result<U256, Stop> {
        frame.load(behind(self.slot, fields::REWARD_PER_SHARE))
    }

    pub fn set_reward_per_share(&self, frame: &mut Frame<'_>, value: U256) -> Result<(), Stop> {
        frame.store(behind(self.slot, fields::REWARD_PER_SHARE), value)
    }

    /// What the last reward left undivided (in 2^-128 coins), and the commission owed to the operator.
    pub fn reward_rest(&self, frame: &mut Frame<'_>) -> Result<(u128, u128), Stop> {
        let mut word = Reader(frame.load(behind(self.slot, fields::REWARD_REST))?);
        Ok((word.u128(), word.u128()))
    }

    pub fn set_reward_rest(&self, frame: &mut Frame<'_>, rest: u128, commission: u128) -> Result<(), Stop> {
        frame.store(behind(self.slot, fields::REWARD_REST), Writer::default().u128(rest).u128(commission).word())
    }

    /// Its commissions since its registration.
    pub fn commissions(&self) -> History {
        History(behind(self.slot, fields::COMMISSIONS))
    }

    /// Its pools in the past, by its id alone.
    pub fn pools_of(frame: &mut Frame<'_>, id: B256) -> Result<History, Stop> {
        let slot = frame.mapping(slots::NODES, id)?;
        Ok(History(behind(slot, fields::POOL)))
    }

    fn pools(&self) -> History {
        History(behind(self.slot, fields::POOL))
    }

    pub fn pool(&self, frame: &mut Frame<'_>) -> Result<Pool, Stop> {
        Ok(Pool::read(self.pools().latest(frame)?))
    }

    pub fn set_pool(&self, frame: &mut Frame<'_>, pool: Pool) -> Result<(), Stop> {
        self.pools().set(frame, pool.word())
    }

    /// The slot of the counters of what it did.
    pub fn work(&self) -> U256 {
        behind(self.slot, fields::WORK)
    }

    /// The slot of the counters of what it did wrong.
    pub fn faults(&self) -> U256 {
        behind(self.slot, fields::FAULTS)
    }

    /// The slot of the counters of what it reported.
    pub fn reports(&self) -> U256 {
        behind(self.slot, fields::REPORTS)
    }

    /// Coins of its operator that are out of the pool for a while, because they stand for something.
    pub fn bonds(&self, frame: &mut Frame<'_>) -> Result<u128, Stop> {
        Ok(Reader(frame.load(behind(self.slot, fields::BONDS))?).u128())
    }

    /// Changes them, and the sum over all nodes.
    pub fn change_bonds(&self, frame: &mut Frame<'_>, change: Change) -> Result<(), Stop> {
        let (own, all) = (self.bonds(frame)?, Reader(frame.load(slots::BONDS)?).u128());
        let (own, all) = (change.of(own)?, change.of(all)?);
        frame.store(behind(self.slot, fields::BONDS), U256::from(own))?;
        frame.store(slots::BONDS, U256::from(all))
    }

    /// First number of the stake that moved away and may still answer for this node, and the next that is free.
    pub fn moved_ends(&self, frame: &mut Frame<'_>) -> Result<(u64, u64), Stop> {
        let mut word = Reader(frame.load(behind(self.slot, fields::MOVED_ENDS))?);
        Ok((word.u64(), word.u64()))
    }

    pub fn set_moved_ends(&self, frame: &mut Frame<'_>, ends: (u64, u64)) -> Result<(), Stop> {
        frame.store(behind(self.slot, fields::MOVED_ENDS), Writer::default().u64(ends.0).u64(ends.1).word())
    }

    pub fn moved(&self, frame: &mut Frame<'_>, number: u64) -> Result<Moved, Stop> {
        let slot = self.moved_slot(frame, number)?;
        let mut first = Reader(frame.load(slot)?);
        let (delegator, begun, until) = (first.address(), first.u32(), first.u32());
        let to = B256::from(frame.load(behind(slot, 1))?);
        let shares = Reader(frame.load(behind(slot, 2))?).u104();
        Ok(Moved { delegator, begun, until, to, shares })
    }

    pub fn set_moved(&self, frame: &mut Frame<'_>, number: u64, moved: &Moved) -> Result<(), Stop> {
        let slot = self.moved_slot(frame, number)?;
        let first = Writer::default().address(moved.delegator).u32(moved.begun).u32(moved.until);
        frame.store(slot, first.word())?;
        frame.store(behind(slot, 1), moved.to.into())?;
        frame.store(behind(slot, 2), Writer::default().u104(moved.shares).word())
    }

    /// The places are a ring: they never take more room than the most that count at once.
    fn moved_slot(&self, frame: &mut Frame<'_>, number: u64) -> Result<U256, Stop> {
        let place = number.checked_rem(MOVES_MAX).unwrap_or_default();
        frame.mapping(behind(self.slot, fields::MOVED), U256::from(place).into())
    }
}

/// Coins of many in shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pool {
    pub coins: u128,
    pub shares: u128,
}

impl Pool {
    pub fn read(word: U256) -> Self {
        let mut reader = Reader(word);
        Self { coins: reader.u104(), shares: reader.u104() }
    }

    pub fn word(self) -> U256 {
        Writer::default().u104(self.coins).u104(self.shares).word()
    }

    /// Takes coins in; the shares for them, rounded down. Nothing if shares are worth nothing or the books would overflow.
    pub fn enter(&mut self, coins: u128) -> Option<u128> {
        let shares = if self.shares == 0 { coins } else { proportion(coins, self.shares, self.coins) };
        let after = Self { coins: self.coins.checked_add(coins)?, shares: self.shares.checked_add(shares)? };
        if shares == 0 || after.coins > AMOUNT_MAX || after.shares > AMOUNT_MAX {
            return None;
        }
        *self = after;
        Some(shares)
    }

    /// What shares are worth, rounded down.
    pub fn worth(self, shares: u128) -> u128 {
        proportion(self.coins, shares, self.shares)
    }

    /// How many shares it takes to be paid so many coins.
    pub fn shares_for(self, coins: u128) -> u128 {
        proportion_up(coins, self.shares, self.coins)
    }

    /// Gives shares up; the coins for them.
    pub fn leave(&mut self, shares: u128) -> u128 {
        let coins = self.worth(shares);
        self.coins = self.coins.saturating_sub(coins);
        self.shares = self.shares.saturating_sub(shares);
        coins
    }
}

/// One delegator at one node.
#[derive(Clone, Debug)]
pub(super) struct Position {
    slot: U256,
    pub shares: u128,
    locked: u128,
    pub locked_until: u32,
    /// Its place in the delegator's list, from one; zero if it is not there.
    pub place: u32,
    /// The node's reward per share up to which `owed` counts.
    pub paid_up_to: U256,
    pub owed: u128,
}

impl Position {
    pub fn get(frame: &mut Frame<'_>, delegator: Address, node: B256) -> Result<Self, Stop> {
        let of_delegator = frame.mapping(slots::POSITIONS, delegator.into_word())?;
        let slot = frame.mapping(of_delegator, node)?;
        let mut first = Reader(frame.load(slot)?);
        let (shares, locked) = (first.u104(), first.u104());
        let paid_up_to = frame.load(behind(slot, 1))?;
        let mut third = Reader(frame.load(behind(slot, 2))?);
        Ok(Self { slot, shares, locked, paid_up_to, owed: third.u128(), locked_until: third.u32(), place: third.u32() })
    }

    pub fn save(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        frame.store(self.slot, Writer::default().u104(self.shares).u104(self.locked).word())?;
        frame.store(behind(self.slot, 1), self.paid_up_to)?;
        let third = Writer::default().u128(self.owed).u32(self.locked_until).u32(self.place);
        frame.store(behind(self.slot, 2), third.word())
    }

    /// Shares that came from another node and still answer for it.
    pub fn locked(&self, term: u32) -> u128 {
        if term < self.locked_until { self.locked } else { 0 }
    }

    pub fn free(&self, term: u32) -> u128 {
        self.shares.saturating_sub(self.locked(term))
    }

    /// Locks shares until a term; those that are locked already wait as long.
    pub fn lock(&mut self, shares: u128, term: u32, until: u32) {
        self.locked = self.locked(term).saturating_add(shares);
        self.locked_until = self.locked_until.max(until);
    }

    /// How many shares are left when some that were locked are taken away.
    pub fn forfeited(&mut self, shares: u128) -> u128 {
        self.locked = self.locked.saturating_sub(shares);
        self.shares.saturating_sub(shares)
    }
}

/// Stake that moved from one node to another.
#[derive(Clone, Debug)]
pub(super) struct Moved {
    pub delegator: Address,
    /// In this term it left: it answers for what the first node did up to then.
    pub begun: u32,
    /// From this term on it no longer does.
    pub until: u32,
    pub to: B256,
    /// What is left of it, in shares of the second node.
    pub shares: u128,
}

/// Stake that left a node in one term: its operator's own, or that of all others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    slot: U256,
    pub pool: Pool,
    /// First term in which it is paid; zero if nothing was ever in it.
    pub release: u32,
}

impl Bucket {
    pub fn get(frame: &mut Frame<'_>, node: B256, term: u32, is_own: bool) -> Result<Self, Stop> {
        let buckets = if is_own { slots::OWN_BUCKETS } else { slots::BUCKETS };
        let of_node = frame.mapping(buckets, node)?;
        let slot = frame.mapping(of_node, U256::from(term).into())?;
        let mut word = Reader(frame.load(slot)?);
        Ok(Self { slot, pool: Pool { coins: word.u104(), shares: word.u104() }, release: word.u32() })
    }

    pub fn save(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        let word = Writer::default().u104(self.pool.coins).u104(self.pool.shares).u32(self.release);
        frame.store(self.slot, word.word())
    }
}

/// What one delegator waits for, in order.
pub(super) struct Queue {
    slot: U256,
    pub first: u64,
    pub end: u64,
}

/// One entry of it: shares of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub node: B256,
    pub shares: u128,
    pub begun: u32,
    /// Of the bucket of the node's operator.
    pub is_own: bool,
}

impl Queue {
    pub fn get(frame: &mut Frame<'_>, delegator: Address) -> Result<Self, Stop> {
        let slot = frame.mapping(slots::QUEUES, delegator.into_word())?;
        let mut ends = Reader(frame.load(slot)?);
        Ok(Self { slot, first: ends.u64(), end: ends.u64() })
    }

    pub fn save(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        frame.store(self.slot, Writer::default().u64(self.first).u64(self.end).word())
    }

    pub fn entry(&self, frame: &mut Frame<'_>, number: u64) -> Result<Waiting, Stop> {
        let slot = self.entry_slot(frame, number)?;
        let node = B256::from(frame.load(slot)?);
        let mut second = Reader(frame.load(behind(slot, 1))?);
        Ok(Waiting { node, shares: second.u104(), begun: second.u32(), is_own: second.flag() })
    }

    pub fn set_entry(&self, frame: &mut Frame<'_>, number: u64, entry: Waiting) -> Result<(), Stop> {
        let slot = self.entry_slot(frame, number)?;
        frame.store(slot, entry.node.into())?;
        frame.store(behind(slot, 1), Writer::default().u104(entry.shares).u32(entry.begun).flag(entry.is_own).word())
    }

    pub fn clear_entry(&self, frame: &mut Frame<'_>, number: u64) -> Result<(), Stop> {
        let slot = self.entry_slot(frame, number)?;
        frame.store(slot, U256::ZERO)?;
        frame.store(behind(slot, 1), U256::ZERO)
    }

    fn entry_slot(&self, frame: &mut Frame<'_>, number: u64) -> Result<U256, Stop> {
        frame.mapping(behind(self.slot, 1), U256::from(number).into())
    }
}

/// All coins of the module's account that are spoken for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub bonded: u128,
    pub unbonding: u128,
    pub rewards: u128,
    pub pool: u128,
}

impl Totals {
    pub fn get(frame: &mut Frame<'_>) -> Result<Self, Stop> {
        let mut stake = Reader(frame.load(slots::STAKE)?);
        let mut rewards = Reader(frame.load(slots::REWARDS)?);
        Ok(Self { bonded: stake.u128(), unbonding: stake.u128(), rewards: rewards.u128(), pool: rewards.u128() })
    }

    /// Changes what is staked.
    pub fn change_stake(frame: &mut Frame<'_>, bonded: Change, unbonding: Change) -> Result<(), Stop> {
        let mut word = Reader(frame.load(slots::STAKE)?);
        let (bonded_before, unbonding_before) = (word.u128(), word.u128());
        let bonded = bonded.of(bonded_before)?;
        let after = Writer::default().u128(bonded).u128(unbonding.of(unbonding_before)?);
        frame.store(slots::STAKE, after.word())?;
        if bonded == bonded_before {
            return Ok(());
        }
        History(slots::BONDED_HISTORY).set(frame, U256::from(bonded))
    }

    /// Changes what is owed and what is not yet anybody's.
    pub fn change_rewards(frame: &mut Frame<'_>, rewards: Change, pool: Change) -> Result<(), Stop> {
        let mut word = Reader(frame.load(slots::REWARDS)?);
        let (rewards, pool) = (rewards.of(word.u128())?, pool.of(word.u128())?);
        frame.store(slots::REWARDS, Writer::default().u128(rewards).u128(pool).word())
    }
}

/// A step of a sum. One that does not fit is a mistake of the module, not of the caller, and ends the block.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    None,
    Up(u128),
    Down(u128),
}

impl Change {
    fn of(self, before: u128) -> Result<u128, Stop> {
        let after = match self {
            Self::None => Some(before),
            Self::Up(amount) => before.checked_add(amount),
            Self::Down(amount) => before.checked_sub(amount),
        };
        after.ok_or_else(|| Stop::Fatal(format!("the sums of the stake do not fit: {before} and {self:?}")))
    }
}

/// The term that has begun.
pub(super) fn current_term(frame: &mut Frame<'_>) -> Result<u32, Stop> {
    Ok(frame.load(slots::TERM)?.saturating_to())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_coins_are_shares_one_to_one() {
        let mut pool = Pool::default();
        assert_eq!(pool.enter(1_000), Some(1_000));
        assert_eq!(pool.leave(1_000), 1_000);
        assert_eq!(pool, Pool::default());
    }

    #[test]
    fn a_pool_that_is_worth_nothing_takes_nothing() {
        let mut pool = Pool { coins: 0, shares: 5 };
        assert_eq!(pool.enter(1_000), None);
        let mut full = Pool { coins: AMOUNT_MAX, shares: AMOUNT_MAX };
        assert_eq!(full.enter(1), None);
        let mut diluted = Pool { coins: 1, shares: 1 << 60 };
        assert_eq!(diluted.enter(1 << 60), None);
    }

    proptest! {
        /// Whoever enters and leaves at once never gains, and nobody else loses.
        #[test]
        fn rounding_never_favours_who_moves(coins in 1_u128..1 << 90, lost in 0_u32..1_000_000, amount in 1_u128..1 << 90) {
            let mut pool = Pool { coins: proportion(coins, u128::from(1_000_000 - lost), 1_000_000), shares: coins };
            let before = pool.worth(coins);
            if let Some(shares) = pool.enter(amount) {
                prop_assert!(pool.worth(shares) <= amount);
                prop_assert!(pool.worth(coins) >= before);
                prop_assert!(pool.leave(shares) <= amount);
                prop_assert!(pool.worth(coins) >= before);
            }
        }

        /// Asking for coins takes enough shares for them and never more than one's own.
        #[test]
        fn shares_for_coins_suffice(coins in 1_u128..1 << 90, shares in 1_u128..1 << 90, own in 1_u128..1 << 90) {
            let pool = Pool { coins, shares };
            let own = own.min(shares);
            let worth = pool.worth(own);
            prop_assume!(worth > 0);
            let needed = pool.shares_for(worth);
            prop_assert!(needed <= own && pool.worth(needed) >= worth);
        }
    }
}
