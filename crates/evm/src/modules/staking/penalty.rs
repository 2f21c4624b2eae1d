//! A slash: the same share of all stake that answers for a node, wherever it is by now.
//!
//! Everybody whose coins were behind the node when it did wrong loses alike: those that are still there, those that left
//! since and are not yet paid, and those that moved to another node and are still locked there.

use std::ops::RangeInclusive;

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolEvent as _;

use super::bond::hold;
use super::facts::count_offence;
use super::jail::{if_too_little_is_its_own, jail};
use super::offence::Row;
use super::records::{Bucket, Change, Moved, Node, Position, Totals, current_term};
use super::{ADDRESS, IStaking, Offence, slots};
use crate::modules::layout::proportion;
use crate::modules::parameters::{self, MILLION};
use crate::modules::{Frame, Stop, SystemCall};

/// The ledger found that a node did wrong. Each evidence counts once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slash {
    pub node: B256,
    pub offence: Offence,
    /// What shows it, by its digest.
    pub evidence: B256,
    /// When it happened: what had left before that term pays nothing.
    pub term: u32,
    /// Who showed it, if that earns something.
    pub reporter: Option<Address>,
}

/// What a slash took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slashed {
    pub taken: u128,
    pub burned: u128,
}

impl SystemCall for Slash {
    type Outcome = Slashed;

    fn run(&self, frame: &mut Frame<'_>) -> Result<Slashed, Stop> {
        frame.within(ADDRESS, |frame| self.slash(frame))
    }
}

impl Slash {
    fn slash(&self, frame: &mut Frame<'_>) -> Result<Slashed, Stop> {
        let node = Node::get(frame, self.node)?;
        let current = current_term(frame)?;
        if self.term > current {
            return Err(Stop::revert(&IStaking::OffenceFromTheFuture { term: self.term, current }));
        }
        let used = frame.mapping(slots::EVIDENCE, self.evidence)?;
        if !frame.load(used)?.is_zero() {
            return Err(Stop::revert(&IStaking::EvidenceUsed { evidence: self.evidence }));
        }
        frame.store(used, U256::ONE)?;
        let row = self.offence.row().ok_or_else(|| Stop::Fatal(format!("no row for {:?}", self.offence)))?;
        let share = row.share.value(frame)?;
        let bonded = take_bonded(frame, &node, share)?;
        let moved = self.take_moved(frame, &node, current, share)?;
        let unbonding = self.take_unbonding(frame, &node, current, share)?;
        Totals::change_stake(frame, Change::Down(bonded.saturating_add(moved)), Change::Down(unbonding))?;
        let taken = bonded.saturating_add(moved).saturating_add(unbonding);
        let slashed = self.spend(frame, row, taken)?;
        count_offence(frame, &node, self.offence, taken)?;
        self.announce(frame, row, slashed)?;
        self.sentence(frame, row)?;
        Ok(slashed)
    }

    /// What moved to other nodes at or after the offence, in shares of those.
    fn take_moved(&self, frame: &mut Frame<'_>, node: &Node, current: u32, share: u128) -> Result<u128, Stop> {
        let (first, end) = node.moved_ends(frame)?;
        let mut taken = 0_u128;
        for number in first..end {
            let moved = node.moved(frame, number)?;
            let shares = proportion(moved.shares, share, MILLION);
            if moved.until <= current || moved.begun < self.term || shares == 0 {
                continue;
            }
            taken = taken.saturating_add(forfeit(frame, node, number, moved, shares)?);
        }
        Ok(taken)
    }

    /// What left at or after the offence and is not yet released.
    fn take_unbonding(&self, frame: &mut Frame<'_>, node: &Node, current: u32, share: u128) -> Result<u128, Stop> {
        let mut taken = 0_u128;
        let terms = unbonding_terms(self.term, current);
        for (term, is_own) in terms.flat_map(|term| [(term, false), (term, true)]) {
            let mut bucket = Bucket::get(frame, node.id, term, is_own)?;
            let part = proportion(bucket.pool.coins, share, MILLION);
            if bucket.release <= current || part == 0 {
                continue;
            }
            bucket.pool.coins = bucket.pool.coins.saturating_sub(part);
            bucket.save(frame)?;
            taken = taken.saturating_add(part);
        }
        Ok(taken)
    }

    /// Pays who showed it, and burns the rest.
    fn spend(&self, frame: &mut Frame<'_>, row: &Row, taken: u128) -> Result<Slashed, Stop> {
        let earned = row.reporter.value(frame)?;
        let reward = self.reporter.map_or(0, |_| proportion(taken, earned, MILLION));
        if let Some(reporter) = self.reporter.filter(|_| reward > 0) {
            frame.pay(reporter, U256::from(reward))?;
        }
        let burned = taken.saturating_sub(reward);
        frame.burn(U256::from(burned))?;
        Ok(Slashed { taken, burned })
    }

    /// Jails or tombstones, as the table says; and jails whoever has too little left.
    fn sentence(&self, frame: &mut Frame<'_>, row: &Row) -> Result<(), Stop> {
        // Read again: jailing another node may have moved this one's place in the list of validators.
        let mut node = Node::get(frame, self.node)?;
        let terms = row.jail.small(frame)?;
        if terms > 0 || row.tombstones {
            jail(frame, &mut node, terms)?;
        }
        if row.tombstones && !node.tombstoned {
            node.tombstoned = true;
            node.save(frame)?;
            frame.log(IStaking::Tombstoned { node: node.id }.encode_log_data())?;
        }
        if_too_little_is_its_own(frame, &mut node)
    }

    fn announce(&self, frame: &mut Frame<'_>, row: &Row, slashed: Slashed) -> Result<(), Stop> {
        let event = IStaking::Slashed {
            node: self.node,
            offence: row.number,
            evidence: self.evidence,
            term: self.term,
            taken: U256::from(slashed.taken),
            burned: U256::from(slashed.burned),
            reporter: self.reporter.unwrap_or_default(),
        };
        frame.log(event.encode_log_data())
    }
}

/// Terms whose leavers may still answer for what was in `since`.
pub(super) fn unbonding_terms(since: u32, current: u32) -> RangeInclusive<u32> {
    let longest = u32::try_from(parameters::UNBONDING_TERMS.most).unwrap_or(u32::MAX);
    since.max(current.saturating_sub(longest))..=current
}

/// Takes shares of what moved away out of the pool that it went to; the coins for them.
pub(super) fn forfeit(
    frame: &mut Frame<'_>,
    node: &Node,
    number: u64,
    mut moved: Moved,
    shares: u128,
) -> Result<u128, Stop> {
    let mut there = Node::get(frame, moved.to)?;
    let mut pool = there.pool(frame)?;
    let taken = pool.leave(shares);
    there.set_pool(frame, pool)?;
    let mut position = Position::get(frame, moved.delegator, moved.to)?;
    let after = position.forfeited(shares);
    hold(frame, &there, moved.delegator, &mut position, after)?;
    moved.shares = moved.shares.saturating_sub(shares);
    node.set_moved(frame, number, &moved)?;
    if_too_little_is_its_own(frame, &mut there)?;
    Ok(taken)
}

/// The share of what is in the pool now.
fn take_bonded(frame: &mut Frame<'_>, node: &Node, share: u128) -> Result<u128, Stop> {
    let mut pool = node.pool(frame)?;
    let taken = proportion(pool.coins, share, MILLION);
    pool.coins = pool.coins.saturating_sub(taken);
    node.set_pool(frame, pool)?;
    Ok(taken)
}
