//! Seats in agreement: whom the ledger names, and who sits.
//!
//! The staking module decides how many seats a node has; it sits on as many as it has keys for, of which its first is one, and on no
//! more than its operator's share of those that have keys.

use evm::modules::{
    parameters::SEATS_OPERATOR_CAP,
    seats::{NOTICE_TERMS, capped, holders_of},
    staking,
};
use protocol::{Digest, List, NodeId, PublicKey, registry::node_id};

use crate::{ledger::Ledger, records::SeatRecord, state::State};

/// A seat as the ledger names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedSeat {
    pub key: PublicKey,
    /// The first key of the node that has it.
    pub node: PublicKey,
}

impl Ledger {
    /// Who shall sit next: the newest seats that are decided, as far as there are keys for them.
    pub fn named_seats(&self) -> Vec<NamedSeat> {
        let state = &self.present.state;
        let holders = state.purse.read(|evm| {
            let term = staking::term(evm)?;
            holders_of(evm, term.saturating_add(NOTICE_TERMS))
        });
        let mut holders = holders.unwrap_or_default();
        for holder in &mut holders {
            let keys = self.keys_for_seats(&Digest(holder.node.0)).len();
            holder.seats = holder.seats.min(u32::try_from(keys).unwrap_or(u32::MAX));
        }
        let mut seats = Vec::new();
        for holder in capped(holders, state.small(&SEATS_OPERATOR_CAP)) {
            let keys = self.keys_for_seats(&Digest(holder.node.0));
            let Some(node) = keys.first().copied() else { continue };
            let count = usize::try_from(holder.seats).unwrap_or(usize::MAX);
            seats.extend(keys.into_iter().take(count).map(|key| NamedSeat { key, node }));
        }
        seats
    }

    /// A node's keys for seats, its first one before those that it has announced; each is one node's, because a key that sat twice
    /// would make no committee of all of them.
    fn keys_for_seats(&self, id: &NodeId) -> Vec<PublicKey> {
        let state = &self.present.state;
        let Some(first) = state.staked(id).map(|staked| PublicKey(staked.key.0)) else { return Vec::new() };
        let more = state.nodes.get(id).map(|node| node.seat_keys.to_vec()).unwrap_or_default();
        let more = more.into_iter().filter(|key| state.node_of_seat(key) == *id);
        std::iter::once(first).chain(more).collect()
    }

    /// Where validators said that their agreement is reached, by their first keys.
    pub fn agreement_addresses(&self) -> Vec<(PublicKey, String)> {
        let state = &self.present.state;
        let said = state.nodes.rows().filter(|node| !node.agreement.is_empty());
        said.filter_map(|node| {
            let first = state.staked(&node.node)?.key;
            Some((PublicKey(first.0), node.agreement.to_string()))
        })
        .collect()
    }

    /// What a validator has announced: its address and how many keys for seats beside its own.
    pub fn announced(&self, node: &NodeId) -> Option<(String, Vec<PublicKey>)> {
        let listed = self.present.state.nodes.get(node)?;
        Some((listed.agreement.to_string(), listed.seat_keys.to_vec()))
    }

    /// How many of the newest seats that are decided are a node's.
    pub fn seats_of(&self, node: &NodeId) -> usize {
        let holders = self.present.state.purse.read(|evm| {
            let term = staking::term(evm)?;
            holders_of(evm, term.saturating_add(NOTICE_TERMS))
        });
        let own = holders.unwrap_or_default().into_iter().find(|holder| holder.node.0 == node.0);
        own.map_or(0, |holder| usize::try_from(holder.seats).unwrap_or(usize::MAX))
    }

    /// Whose seat a key is, or would be.
    pub fn node_of_seat(&self, key: &PublicKey) -> NodeId {
        self.present.state.node_of_seat(key)
    }

    /// The key whose account gets a proposer's tips: the first of the node whose seat proposed.
    pub(crate) fn earner(&self, proposer: &PublicKey) -> PublicKey {
        let state = &self.present.state;
        let seat = state.network.seats.iter().find(|seat| seat.key == *proposer);
        let first = seat.and_then(|seat| state.staked(&seat.node)).map(|staked| PublicKey(staked.key.0));
        first.unwrap_or(*proposer)
    }

    /// These sit from the next block on, which begins agreement's term. What was told before changes nothing.
    pub fn seat(&mut self, term: u64, keys: &[PublicKey]) {
        let state = &mut self.present.state;
        if term <= state.network.term {
            return;
        }
        let seats = keys.iter().map(|key| SeatRecord { key: *key, node: state.node_of_seat(key) });
        let Ok(seats) = List::new(seats.collect()) else { return };
        let mut committee: Vec<NodeId> = Vec::new();
        for seat in seats.iter() {
            if !committee.contains(&seat.node) {
                committee.push(seat.node);
            }
        }
        let is_new = |node: &&NodeId| !state.network.committee.contains(node);
        let mut newcomers = state.network.newcomers.to_vec();
        newcomers.extend(committee.iter().filter(is_new));
        newcomers.retain(|node| committee.contains(node));
        newcomers.sort_unstable();
        newcomers.dedup();
        let network = &mut state.network;
        network.term = term;
        network.seats_before = std::mem::replace(&mut network.seats, seats);
        // Neither is longer than the seats.
        network.committee = List::new(committee).unwrap_or_default();
        network.newcomers = List::new(newcomers).unwrap_or_default();
    }
}

impl State {
    /// A key that is a node's first one is that node's, whoever announced it: it may have been registered afterwards.
    fn node_of_seat(&self, key: &PublicKey) -> NodeId {
        let own = node_id(key);
        let announced = self.seat_keys.get(key).filter(|_| self.staked(&own).is_none());
        announced.copied().unwrap_or(own)
    }
}
