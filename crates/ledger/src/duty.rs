//! What a block begins with: as an epoch begins, what governance decided is done, a term may end, be paid for, and the next begin; and
//! who proposed is counted.
//!
//! A term's duty is proposing: a finalized block says who proposed it, and nothing that the ledger sees says who voted. Bounded by the
//! committee, whose size the genesis bounds.

use alloy_primitives::B256;
use evm::modules::{
    governance::{Enact, FindDue},
    parameters,
    registry::BeginEpoch,
    staking::{self, BeginTerm, JailAbsent, Observe, Reward},
};
use protocol::{Amount, List, NodeId, PublicKey, registry::node_id};

use crate::{
    event::Event,
    present::Present,
    records::DutyRecord,
    rules::{part, proportion},
};

/// A validator that proposed nothing was away if it should have proposed at least so many blocks.
const ABSENT_FROM: u64 = 16;

/// One of the committee, and what became of its duty.
struct Served {
    node: NodeId,
    proposed: u64,
    seats: u64,
    /// Whether it sits, and did as the term began.
    is_old: bool,
    /// What backs it, if it may earn.
    coins: Amount,
    is_jailed: bool,
}

/// Begins a block: before its transactions, after the close that came before it.
pub(crate) fn begin_block(present: &mut Present, proposer: &PublicKey, is_first_of_epoch: bool) {
    if is_first_of_epoch {
        // The module has no bound on epochs, so this cannot fail.
        let _: Result<(), _> = present.perform(&BeginEpoch(present.open.epoch));
        enact(present);
        let due = present.state.network.rules.term_of(present.open.epoch);
        let term = present.state.purse.read(staking::term).unwrap_or(due);
        if term < due {
            end_term(present);
            // One that fails leaves everything as it was, and the next epoch tries again.
            if let Ok(term) = present.perform(&BeginTerm) {
                present.events.push(Event::TermBegun { term });
            }
        }
    }
    count(present, proposer);
}

/// Does what governance has decided, when its time has come. What cannot be done stays, until it can or expires.
fn enact(present: &mut Present) {
    for id in present.perform(&FindDue).unwrap_or_default() {
        if present.perform(&Enact { id }).is_ok() {
            present.events.push(Event::Enacted { proposal: id.saturating_to() });
        }
    }
}

fn count(present: &mut Present, proposer: &PublicKey) {
    let seat = present.state.network.seats.iter().find(|seat| seat.key == *proposer);
    let node = seat.map_or_else(|| node_id(proposer), |seat| seat.node);
    if !present.state.network.committee.contains(&node) {
        return;
    }
    if !present.state.duties.contains(&node) {
        present.state.duties.put(DutyRecord { node, proposed: 0 });
    }
    present.state.duties.change(&node, |duty| duty.proposed = duty.proposed.saturating_add(1));
}

/// Tells the module what the committee did, pays for it, and jails who was away.
fn end_term(present: &mut Present) {
    let served = served(present);
    let blocks = served.iter().fold(0_u64, |sum, one| sum.saturating_add(one.proposed));
    let seats = served.iter().fold(0_u64, |sum, one| sum.saturating_add(one.seats));
    let backing = served.iter().fold(0, |sum: Amount, one| sum.saturating_add(one.coins));
    let pool = present.state.purse.read(staking::reward_pool).unwrap_or(0);
    let budget = part(pool, present.state.small(&parameters::TERM_REWARD));
    for one in &served {
        let (node, id) = (one.node, B256::from(one.node.0));
        // Who has left is asked for nothing more.
        let part = blocks.saturating_mul(one.seats).checked_div(seats).unwrap_or(0);
        let expected = if one.seats == 0 { one.proposed } else { part };
        let missed = expected.saturating_sub(one.proposed);
        let seen = Observe { node: id, proposed: one.proposed, missed, ..Observe::default() };
        let _: Result<(), _> = present.perform(&seen);
        let whole = proportion(budget, one.coins, backing);
        let coins = proportion(whole, Amount::from(one.proposed.min(expected)), Amount::from(expected));
        if coins > 0 && present.perform(&Reward { node: id, coins }).is_ok() {
            present.events.push(Event::Rewarded { node, amount: coins });
        }
        if one.is_old && one.proposed == 0 && expected >= ABSENT_FROM && !one.is_jailed {
            let _: Result<(), _> = present.perform(&JailAbsent { node: id });
            present.events.push(Event::Jailed { node });
        }
        present.state.duties.remove(&node);
    }
    present.state.network.newcomers = List::default();
}

fn served(present: &Present) -> Vec<Served> {
    let state = &present.state;
    let of = |node: &NodeId| {
        let staked = state.staked(node);
        let is_jailed = staked.is_none_or(|staked| staked.jailed);
        Served {
            node: *node,
            proposed: state.duties.get(node).map_or(0, |duty| duty.proposed),
            seats: state
                .network
                .seats
                .iter()
                .filter(|seat| seat.node == *node)
                .fold(0_u64, |sum, _| sum.saturating_add(1)),
            is_old: !state.network.newcomers.contains(node),
            coins: staked.filter(|_| !is_jailed).map_or(0, |staked| staked.coins),
            is_jailed,
        }
    };
    let committee = &state.network.committee;
    let left = state.duties.rows().map(|duty| duty.node).filter(|node| !committee.contains(node));
    committee.iter().copied().chain(left).map(|node| of(&node)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::MILLION;

    #[test]
    fn the_whole_reward_of_a_term_is_at_most_its_share_of_the_pool() {
        let shares = [3, 5, 7_u128].map(|coins| proportion(1_000, coins, 15));
        assert!(shares.iter().sum::<u128>() <= 1_000);
        assert_eq!(part(1_000_000, MILLION / 1_000), 1_000);
    }
}
