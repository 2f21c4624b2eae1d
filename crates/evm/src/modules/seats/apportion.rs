//! The rule from stake to seats.
//!
//! Seats are given one by one, each to the node with the most coins for each of `2 · its seats + 1` (Sainte-Laguë: it favours
//! neither large nor small), the lower id where two are equal, passing over operators that have as many as they may. A threshold
//! signature counts seats and not coins, so this is where stake becomes power.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256};

use super::Holder;
use crate::modules::parameters::MILLION;

/// A validator that stands for seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub node: B256,
    pub operator: Address,
    pub coins: u128,
}

/// The numbers of the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatRules {
    /// Seats of a full committee.
    pub seats: u32,
    /// Share of the seats that one operator may have, in millionths; one seat is always allowed.
    pub operator_cap: u32,
    /// Fewest seats that make a committee.
    pub minimum: u32,
}

/// Who gets how many seats, in the order of node ids. Nothing if too few operators stand for a committee in which none has
/// more than its share.
pub fn apportion(candidates: &[Candidate], rules: &SeatRules) -> Option<Vec<Holder>> {
    let mut standing: Vec<Candidate> = candidates.iter().copied().filter(|candidate| candidate.coins > 0).collect();
    standing.sort_unstable_by_key(|candidate| candidate.node);
    let mut of_operator: BTreeMap<Address, u32> = standing.iter().map(|candidate| (candidate.operator, 0)).collect();
    let seats = largest(rules, u32::try_from(of_operator.len()).unwrap_or(u32::MAX))?;
    let cap = cap(rules.operator_cap, seats);
    let mut holders: Vec<(Candidate, u32)> = standing.into_iter().map(|candidate| (candidate, 0)).collect();
    for _ in 0..seats {
        let free = |operator: &Address| of_operator.get(operator).is_some_and(|seats| *seats < cap);
        let next = holders.iter_mut().filter(|(candidate, _)| free(&candidate.operator)).reduce(|best, other| {
            // Only more is better, so that the lower id wins where two are equal.
            if deserves_more(other, best) { other } else { best }
        })?;
        next.1 = next.1.saturating_add(1);
        let seats = of_operator.entry(next.0.operator).or_default();
        *seats = seats.saturating_add(1);
    }
    let holder =
        |(candidate, seats): (Candidate, u32)| Holder { node: candidate.node, operator: candidate.operator, seats };
    Some(holders.into_iter().filter(|(_, seats)| *seats > 0).map(holder).collect())
}

/// Whether the first has more coins for the seat that it would get than the second.
fn deserves_more(first: &(Candidate, u32), second: &(Candidate, u32)) -> bool {
    let divisor = |seats: u32| U256::from(u64::from(seats).saturating_mul(2).saturating_add(1));
    let (of_first, of_second) = (U256::from(first.0.coins), U256::from(second.0.coins));
    of_first.saturating_mul(divisor(second.1)) > of_second.saturating_mul(divisor(first.1))
}

/// The most seats that so many operators can fill when none has more than its share of *these*. A cap on a committee that
/// stays half empty would be no cap.
fn largest(rules: &SeatRules, operators: u32) -> Option<u32> {
    let fills = |seats: &u32| {
        u64::from(operators).saturating_mul(u64::from(cap(rules.operator_cap, *seats))) >= u64::from(*seats)
    };
    (rules.minimum.max(1)..=rules.seats).rev().find(fills)
}

fn cap(operator_cap: u32, seats: u32) -> u32 {
    let share = u128::from(seats).saturating_mul(u128::from(operator_cap));
    u32::try_from(share.checked_div(MILLION).unwrap_or_default()).unwrap_or(u32::MAX).max(1)
}

/// Takes seats away, one by one from the operator with the most, until none has more than its share of those that are left. What was
/// a third of all seats is more than a third of those that have keys, and a committee that cannot lose one operator stands still
/// with it.
pub fn capped(mut holders: Vec<Holder>, operator_cap: u32) -> Vec<Holder> {
    loop {
        let mut of_operator: BTreeMap<Address, u32> = BTreeMap::new();
        for holder in &holders {
            let seats = of_operator.entry(holder.operator).or_default();
            *seats = seats.saturating_add(holder.seats);
        }
        let seats = of_operator.values().fold(0_u32, |sum, seats| sum.saturating_add(*seats));
        let Some((most, _)) =
            of_operator.into_iter().filter(|(_, its)| *its > cap(operator_cap, seats)).max_by_key(|(_, its)| *its)
        else {
            return holders;
        };
        let its = holders.iter_mut().filter(|holder| holder.operator == most);
        let Some(holder) = its.max_by_key(|holder| holder.seats) else { return holders };
        holder.seats = holder.seats.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidates(coins: &[(u8, u128)]) -> Vec<Candidate> {
        let candidate = |(number, (operator, coins)): (usize, &(u8, u128))| Candidate {
            node: U256::from(number + 1).into(),
            operator: Address::repeat_byte(*operator),
            coins: *coins,
        };
        coins.iter().enumerate().map(candidate).collect()
    }

    fn seats(coins: &[(u8, u128)], rules: SeatRules) -> Option<Vec<u32>> {
        let candidates = candidates(coins);
        let holders = apportion(&candidates, &rules)?;
        let of = |node| holders.iter().find(|holder| holder.node == node).map_or(0, |holder| holder.seats);
        Some(candidates.iter().map(|candidate| of(candidate.node)).collect())
    }

    const FREE: SeatRules = SeatRules { seats: 10, operator_cap: 1_000_000, minimum: 1 };

    #[test]
    fn a_textbook_example_comes_out_as_in_the_textbook() {
        let votes = [(1, 53_000), (2, 24_000), (3, 23_000)];
        assert_eq!(seats(&votes, SeatRules { seats: 7, ..FREE }), Some(vec![3, 2, 2]));
        let votes = [(1, 340_000), (2, 280_000), (3, 160_000), (4, 60_000)];
        assert_eq!(seats(&votes, SeatRules { seats: 7, ..FREE }), Some(vec![3, 2, 1, 1]));
    }

    #[test]
    fn equal_stake_goes_by_the_lower_id() {
        assert_eq!(seats(&[(1, 5), (2, 5), (3, 5)], SeatRules { seats: 4, ..FREE }), Some(vec![2, 1, 1]));
    }

    #[test]
    fn an_operators_nodes_share_its_cap() {
        let rules = SeatRules { seats: 9, operator_cap: 333_334, minimum: 4 };
        assert_eq!(seats(&[(1, 900), (1, 900), (2, 1), (3, 1)], rules), Some(vec![2, 1, 3, 3]));
    }

    #[test]
    fn too_few_operators_make_a_smaller_committee_or_none() {
        let third = SeatRules { seats: 64, operator_cap: 333_333, minimum: 4 };
        // Three operators: a third each cannot be had of 64; with a strict third, of nothing above three.
        assert_eq!(seats(&[(1, 9), (2, 9), (3, 9)], third), None);
        assert_eq!(seats(&[(1, 9), (2, 9), (3, 9), (4, 9)], third).map(|seats| seats.iter().sum::<u32>()), Some(64));
        assert_eq!(seats(&[(1, 9)], third), None);
        assert_eq!(seats(&[], FREE), None);
        assert_eq!(seats(&[(1, 0)], FREE), None);
    }

    fn capped_seats(seats: &[(u8, u32)], operator_cap: u32) -> Vec<u32> {
        let holder = |(number, (operator, seats)): (usize, &(u8, u32))| Holder {
            node: U256::from(number + 1).into(),
            operator: Address::repeat_byte(*operator),
            seats: *seats,
        };
        let holders = seats.iter().enumerate().map(holder).collect();
        capped(holders, operator_cap).into_iter().map(|holder| holder.seats).collect()
    }

    #[test]
    fn where_seats_have_no_keys_nobody_has_more_than_its_share_of_the_others() {
        let third = 333_333;
        assert_eq!(capped_seats(&[(1, 2), (2, 2), (3, 1), (4, 1), (5, 1)], third), [2, 2, 1, 1, 1]);
        // Two of six are not fewer than a third: whoever has them could stop everybody.
        assert_eq!(capped_seats(&[(1, 2), (2, 1), (3, 1), (4, 1), (5, 1)], third), [1, 1, 1, 1, 1]);
        assert_eq!(capped_seats(&[(1, 2), (2, 2), (3, 1), (4, 1)], third), [1, 1, 1, 1]);
        assert_eq!(capped_seats(&[(1, 2), (1, 2), (2, 3), (3, 3), (4, 1)], third), [2, 1, 3, 3, 1]);
        assert_eq!(capped_seats(&[(1, 5), (2, 1)], 1_000_000), [5, 1]);
        assert_eq!(capped_seats(&[(1, 5)], third), [1]);
        assert!(capped_seats(&[], third).is_empty());
    }

    fn stakes() -> impl Strategy<Value = Vec<(u8, u128)>> {
        prop::collection::vec((1_u8..8, 0_u128..1 << 90), 1..20)
    }

    proptest! {
        #[test]
        fn all_seats_are_given_and_nobody_has_more_than_its_share(
            stakes in stakes(),
            count in 1_u32..80,
            cap_share in 10_000_u32..=1_000_000,
        ) {
            let rules = SeatRules { seats: count, operator_cap: cap_share, minimum: 1 };
            let Some(given) = seats(&stakes, rules) else { return Ok(()) };
            let total: u32 = given.iter().sum();
            prop_assert!(total >= 1 && total <= count);
            let cap = cap(cap_share, total);
            for operator in 1..8 {
                let its: u32 = stakes.iter().zip(&given).filter(|(stake, _)| stake.0 == operator).map(|(_, seats)| seats).sum();
                prop_assert!(its <= cap);
            }
            for (stake, seats) in stakes.iter().zip(&given) {
                prop_assert!(stake.1 > 0 || *seats == 0);
            }
        }

        /// By default fewer than a third: agreement goes on without any one operator, however few seats have keys.
        #[test]
        fn whoever_falls_away_leaves_a_quorum(holders in prop::collection::vec((1_u8..12, 1_u32..30), 4..20)) {
            let left = capped_seats(&holders, 333_333);
            let total: u32 = left.iter().sum();
            let quorum = total - (total - 1) / 3;
            let operators: std::collections::BTreeSet<u8> = holders.iter().map(|holder| holder.0).collect();
            for operator in &operators {
                let its: u32 = holders.iter().zip(&left).filter(|(held, _)| held.0 == *operator).map(|(_, seats)| seats).sum();
                prop_assert!(its >= 1 && (operators.len() < 4 || total - its >= quorum));
            }
        }

        /// What defines the rule: no seat could go to somebody with more coins for it.
        #[test]
        fn no_seat_is_better_placed_elsewhere(stakes in stakes(), count in 1_u32..80) {
            let Some(given) = seats(&stakes, SeatRules { seats: count, ..FREE }) else { return Ok(()) };
            for (mine, my_seats) in stakes.iter().zip(&given).filter(|(_, seats)| **seats > 0) {
                for (other, other_seats) in stakes.iter().zip(&given) {
                    let last = U256::from(mine.1) * U256::from(2 * other_seats + 1);
                    prop_assert!(last >= U256::from(other.1) * U256::from(2 * my_seats - 1));
                }
            }
        }

        /// More coins never mean fewer seats, and the order in which candidates are named means nothing.
        #[test]
        fn more_stake_is_never_fewer_seats(stakes in stakes(), count in 1_u32..80, more in 1_u128..1 << 80, who in any::<prop::sample::Index>()) {
            let rules = SeatRules { seats: count, ..FREE };
            let who = who.index(stakes.len());
            let mut richer = stakes.clone();
            richer[who].1 += more;
            let before = seats(&stakes, rules).map_or(0, |seats| seats[who]);
            prop_assert!(seats(&richer, rules).map_or(0, |seats| seats[who]) >= before);
            let mut reversed = candidates(&stakes);
            reversed.reverse();
            prop_assert_eq!(apportion(&reversed, &rules), apportion(&candidates(&stakes), &rules));
        }
    }
}
