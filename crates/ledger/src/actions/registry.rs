//! The registry: nodes, their keys and what they serve. A key is registered once and for ever.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256};
use evm::modules::staking::{self, Enroll, FoundNode};
use protocol::{
    Amount, Digest, KeyRecord, List, PublicKey, Role, Text,
    registry::{OPEN_END, node_id},
    transaction::{Announce, RegisterNode, RotateKey, SEAT_KEYS_MAX, UpdateNode, possession_holds},
};

use crate::{event::Event, present::Present, purse::address_of, records::ListedNode, refusal::Refusal};

/// Commission of a node that is registered without a word about it: none, and within which bounds and steps its operator may ask
/// for some later, in millionths.
const COMMISSION_MAX: u32 = 200_000;
const COMMISSION_STEP: u32 = 10_000;

/// A node as the staking module enters it.
pub(crate) fn founding_of(role: Role, key: &PublicKey, operator: &PublicKey, coins: Amount) -> FoundNode {
    FoundNode {
        operator: Address::from(address_of(operator).0),
        role,
        key: B256::from(key.0),
        coins,
        commission: 0,
        commission_max: COMMISSION_MAX,
        commission_step: COMMISSION_STEP,
    }
}

pub(super) fn register(present: &mut Present, sender: &PublicKey, action: RegisterNode) -> Result<(), Refusal> {
    let state = &present.state;
    // A wallet may have registered it in the staking module.
    if state.is_key_taken(&action.key) {
        return Err(Refusal::KeyTaken);
    }
    if !possession_holds(&action.key, state.network.chain_id, sender, &action.possession) {
        return Err(Refusal::BadPossession);
    }
    let wanted = state.parameter(staking::self_stake(action.role));
    if action.stake < wanted {
        return Err(Refusal::InsufficientStake { available: action.stake, wanted });
    }
    check_models(present, &action.models)?;
    let available = present.state.balance(sender);
    if available < action.stake {
        return Err(Refusal::InsufficientBalance { available, wanted: action.stake });
    }
    let (node, epoch) = (node_id(&action.key), present.open.epoch);
    let staked = Enroll(founding_of(action.role, &action.key, sender, action.stake));
    present.perform(&staked).map_err(|error| Refusal::module(&error))?;
    let record = ListedNode {
        node,
        role: action.role,
        operator: *sender,
        endpoint: action.endpoint,
        registered_epoch: epoch,
        models: action.models,
        agreement: Text::default(),
        seat_keys: List::default(),
    };
    let key = KeyRecord { key: action.key, node, role: action.role, valid_from: epoch, valid_until: OPEN_END };
    present.state.enter(record, key);
    present.events.push(Event::NodeRegistered { node, role: action.role });
    Ok(())
}

pub(super) fn update(present: &mut Present, sender: &PublicKey, action: UpdateNode) -> Result<(), Refusal> {
    let node = present.acting_in_any_role(sender)?.node;
    check_models(present, &action.models)?;
    present.state.nodes.change(&node, |record| {
        record.endpoint = action.endpoint;
        record.models = action.models;
    });
    present.events.push(Event::NodeUpdated { node });
    Ok(())
}

/// The old key counts to the end of this epoch, the new one from the next: no epoch is without a key, none has two.
pub(super) fn rotate(present: &mut Present, sender: &PublicKey, action: &RotateKey) -> Result<(), Refusal> {
    let state = &present.state;
    let node = state.nodes.get(&action.node).ok_or(Refusal::UnknownNode(action.node))?;
    if node.operator != *sender {
        return Err(Refusal::NotOperator);
    }
    // Another's, or one for a seat, or registered in the staking module by a wallet.
    if state.is_key_taken(&action.key) {
        return Err(Refusal::KeyTaken);
    }
    if !possession_holds(&action.key, state.network.chain_id, sender, &action.possession) {
        return Err(Refusal::BadPossession);
    }
    let unknown = Refusal::UnknownNode(action.node);
    let old = state.newest_keys.get(&action.node).and_then(|key| state.keys.get(key)).ok_or(unknown)?.clone();
    if old.valid_from > present.open.epoch {
        return Err(Refusal::RotatedAlready);
    }
    let valid_from = present.open.epoch.saturating_add(1);
    present.state.keys.change(&old.key, |record| record.valid_until = valid_from);
    present.state.add_key(KeyRecord { key: action.key, valid_from, ..old });
    present.events.push(Event::KeyRotated { node: action.node, key: action.key });
    Ok(())
}

/// Where agreement is reached has to be an address, and a key for a seat nobody's yet.
pub(super) fn announce(present: &mut Present, sender: &PublicKey, action: &Announce) -> Result<(), Refusal> {
    let node = present.acting(sender, Role::Validator)?;
    if !is_address(&action.agreement) {
        return Err(Refusal::NotAnAddress);
    }
    let (id, mut seat_keys) = (node.node, node.seat_keys.to_vec());
    let state = &present.state;
    for seat in action.seats.iter() {
        if state.is_key_taken(&seat.key) || seat_keys.contains(&seat.key) {
            return Err(Refusal::KeyTaken);
        }
        if !possession_holds(&seat.key, state.network.chain_id, sender, &seat.possession) {
            return Err(Refusal::BadPossession);
        }
        seat_keys.push(seat.key);
    }
    let found = seat_keys.len();
    let added = seat_keys.clone();
    let seat_keys = List::new(seat_keys).map_err(|_| Refusal::TooManySeatKeys { found, limit: SEAT_KEYS_MAX })?;
    present.state.seat_keys.extend(added.into_iter().map(|key| (key, id)));
    present.state.nodes.change(&id, |record| {
        record.agreement = action.agreement.clone();
        record.seat_keys = seat_keys;
    });
    present.events.push(Event::NodeUpdated { node: id });
    Ok(())
}

/// An IP address and a port, as far as a state machine asks; whoever cannot read it does not connect.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '[' | ']'));
    is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn check_models(present: &Present, models: &[Digest]) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for model in models {
        if !present.state.models.contains(model) {
            return Err(Refusal::UnknownModel(*model));
        }
        if !seen.insert(model) {
            return Err(Refusal::RepeatedModel(*model));
        }
    }
    Ok(())
}
