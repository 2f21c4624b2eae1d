//! The registry: nodes, their keys and what they serve. A key is registered once and for ever.
//!
//! The registry module in the EVM has the records, and wallets write them there too; the tables here follow it (`follow`).

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256};
use evm::modules::{
    registry::{EnterSeats, ListNode, Rotate},
    staking::{self, Enroll, FoundNode},
};
use protocol::{
    Amount, Digest, NodeId, PublicKey, Role,
    registry::node_id,
    transaction::{Announce, RegisterNode, RotateKey, SEAT_KEYS_MAX, UpdateNode, possession_holds},
};

use crate::{event::Event, present::Present, purse::address_of, refusal::Refusal};

/// Commission of a node that is registered without a word about it is none. The most that its operator may ask for later, in millionths.
pub const COMMISSION_MAX: u32 = 200_000;
/// By how much it may change it at once, in millionths.
pub const COMMISSION_STEP: u32 = 10_000;

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
    let node = node_id(&action.key);
    let staked = Enroll(founding_of(action.role, &action.key, sender, action.stake));
    present.perform(&staked).map_err(|error| Refusal::module(&error))?;
    present.perform(&listing(node, &action.endpoint, &action.models)).map_err(|error| Refusal::module(&error))
}

pub(super) fn update(present: &mut Present, sender: &PublicKey, action: UpdateNode) -> Result<(), Refusal> {
    let node = present.acting_in_any_role(sender)?.node;
    check_models(present, &action.models)?;
    present.perform(&listing(node, &action.endpoint, &action.models)).map_err(|error| Refusal::module(&error))
}

fn listing(node: NodeId, endpoint: &str, models: &[Digest]) -> ListNode {
    let models = models.iter().map(|root| B256::from(root.0)).collect();
    ListNode { node: B256::from(node.0), endpoint: endpoint.to_owned(), models }
}

/// The old key acts to the end of this epoch, the new one from the next: no epoch is without a key, none has two.
pub(super) fn rotate(present: &mut Present, sender: &PublicKey, action: &RotateKey) -> Result<(), Refusal> {
    let state = &present.state;
    let node = state.nodes.get(&action.node).ok_or(Refusal::UnknownNode(action.node))?;
    if node.operator != address_of(sender) {
        return Err(Refusal::NotOperator);
    }
    // Another's, or one for a seat, or registered in the staking module by a wallet.
    if state.is_key_taken(&action.key) {
        return Err(Refusal::KeyTaken);
    }
    if !possession_holds(&action.key, state.network.chain_id, sender, &action.possession) {
        return Err(Refusal::BadPossession);
    }
    let next = (action.node, present.open.epoch.saturating_add(1));
    if state.keys_of.contains_key(&next) {
        return Err(Refusal::RotatedAlready);
    }
    let rotated = Rotate { node: B256::from(action.node.0), key: B256::from(action.key.0) };
    present.perform(&rotated).map_err(|error| Refusal::module(&error))
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
    if found > SEAT_KEYS_MAX {
        return Err(Refusal::TooManySeatKeys { found, limit: SEAT_KEYS_MAX });
    }
    let keys = action.seats.iter().map(|seat| B256::from(seat.key.0)).collect();
    let entered = EnterSeats { node: B256::from(id.0), keys };
    present.perform(&entered).map_err(|error| Refusal::module(&error))?;
    present.state.nodes.change(&id, |record| record.agreement = action.agreement.clone());
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
