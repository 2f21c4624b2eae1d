//! Anyone may register a node whose key agrees, with enough stake behind it.

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolEvent as _;
use crypto::PublicKey;
use protocol::{Role, registry::node_id};

use super::bond::{bond, coins_of};
use super::records::{Node, current_term};
use super::{IStaking, POSSESSION_DOMAIN, slots};
use crate::modules::layout::List;
use crate::modules::parameters::{self, MILLION, Parameter};
use crate::modules::{Frame, Method, Stop, registered};

pub(super) const REGISTER: Method = Method::payable::<IStaking::registerCall>(|frame| {
    let call = frame.arguments::<IStaking::registerCall>()?;
    let node = register(frame, &call)?;
    frame.returns::<IStaking::registerCall>(&node)
});

/// What a node's operator decides at its registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub operator: Address,
    pub role: Role,
    pub key: B256,
    pub coins: u128,
    pub commission: u32,
    pub commission_max: u32,
    pub commission_step: u32,
}

/// Registers a node of the caller with the call's value, which is in the module's account.
pub(in crate::modules) fn register(frame: &mut Frame<'_>, call: &IStaking::registerCall) -> Result<B256, Stop> {
    let operator = frame.caller();
    let role = role_of(call.role).ok_or_else(|| Stop::revert(&IStaking::RoleUnknown { role: call.role }))?;
    if !agrees(frame, call.key, operator, call.role, &call.possession)? {
        return Err(Stop::revert(&IStaking::PossessionInvalid { key: call.key, operator }));
    }
    let terms = Terms {
        operator,
        role,
        key: call.key,
        coins: coins_of(frame.value()),
        commission: call.commission,
        commission_max: call.commissionMax,
        commission_step: call.commissionStep,
    };
    found(frame, &terms)
}

/// Whether a key signed that this operator may have it for a node of this role.
pub(in crate::modules) fn agrees(
    frame: &mut Frame<'_>,
    key: B256,
    operator: Address,
    role: u8,
    possession: &[u8],
) -> Result<bool, Stop> {
    let message = message_of(frame.chain_id(), operator, role);
    frame.verifies(key, POSSESSION_DOMAIN, &message, possession)
}

/// What a node's key signs, in `POSSESSION_DOMAIN`, for the operator that may register it.
pub fn possession_message(chain_id: u64, operator: Address, role: Role) -> Vec<u8> {
    message_of(chain_id, operator, number_of(role))
}

fn message_of(chain_id: u64, operator: Address, role: u8) -> Vec<u8> {
    [&chain_id.to_be_bytes()[..], operator.as_slice(), &[role]].concat()
}

/// Registers a node whose stake is in the module's account.
pub(super) fn found(frame: &mut Frame<'_>, terms: &Terms) -> Result<B256, Stop> {
    let id = B256::from(node_id(&PublicKey(terms.key.0)).0);
    let mut node = Node::empty(frame, id)?;
    if node.is_registered() {
        return Err(Stop::revert(&IStaking::KeyRegistered { key: terms.key, node: id }));
    }
    // It may be the later key of another node, or one for a seat.
    if let Some(node) = registered::owner(frame, terms.key)? {
        return Err(Stop::revert(&IStaking::KeyRegistered { key: terms.key, node }));
    }
    check_commission(terms)?;
    let least = self_stake(terms.role).value(frame)?;
    if terms.coins < least {
        let (coins, least) = (U256::from(terms.coins), U256::from(least));
        return Err(Stop::revert(&IStaking::SelfStakeTooSmall { coins, least }));
    }
    node.operator = terms.operator;
    node.role = number_of(terms.role);
    node.registered_term = current_term(frame)?;
    (node.commission, node.commission_max) = (terms.commission, terms.commission_max);
    (node.commission_step, node.commission_changed) = (terms.commission_step, frame.now());
    enlist(frame, &mut node)?;
    node.save(frame)?;
    node.set_key(frame, terms.key)?;
    node.commissions().set(frame, U256::from(terms.commission))?;
    List(slots::NODE_LIST).push(frame, id.into())?;
    let role = node.role;
    registered::enter_node(frame, id, terms.key, terms.operator, role)?;
    let event = IStaking::NodeRegistered { node: id, operator: terms.operator, role, key: terms.key };
    frame.log(event.encode_log_data())?;
    let shares = U256::from(bond(frame, &node, terms.operator, terms.coins)?);
    let (delegator, coins) = (terms.operator, U256::from(terms.coins));
    frame.log(IStaking::Delegated { delegator, node: id, coins, shares }.encode_log_data())?;
    Ok(id)
}

fn check_commission(terms: &Terms) -> Result<(), Stop> {
    let limits = [
        (terms.commission_max, u32::try_from(MILLION).unwrap_or(u32::MAX)),
        (terms.commission, terms.commission_max),
        (terms.commission_step, terms.commission_max),
    ];
    match limits.iter().find(|(value, most)| value > most) {
        Some((commission, most)) => {
            Err(Stop::revert(&IStaking::CommissionOutOfBounds { commission: *commission, most: *most }))
        }
        None => Ok(()),
    }
}

/// Puts a validator on the list of those that stand for seats.
pub(super) fn enlist(frame: &mut Frame<'_>, node: &mut Node) -> Result<(), Stop> {
    if node.role == number_of(Role::Validator) && node.place == 0 {
        let place = List(slots::VALIDATOR_LIST).push(frame, node.id.into())?;
        node.place = u32::try_from(place).unwrap_or(u32::MAX);
    }
    Ok(())
}

/// What an operator must have staked itself behind a node of this role.
pub fn self_stake(role: Role) -> &'static Parameter {
    match role {
        Role::Validator => &parameters::SELF_STAKE_VALIDATOR,
        Role::Worker => &parameters::SELF_STAKE_WORKER,
        Role::Gateway => &parameters::SELF_STAKE_GATEWAY,
        Role::Auditor => &parameters::SELF_STAKE_AUDITOR,
    }
}

/// A role as interfaces have it: the numbers are those of the wire.
pub fn number_of(role: Role) -> u8 {
    match role {
        Role::Validator => 1,
        Role::Worker => 2,
        Role::Gateway => 3,
        Role::Auditor => 4,
    }
}

/// The role of a number, as interfaces have it.
pub fn role_of(number: u8) -> Option<Role> {
    Role::ALL.iter().copied().find(|role| number_of(*role) == number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Canonical as _;

    #[test]
    fn roles_are_numbered_as_on_the_wire() {
        for role in Role::ALL {
            let mut bytes = Vec::new();
            role.write(&mut bytes);
            assert_eq!(bytes, [number_of(*role)]);
            assert_eq!(role_of(number_of(*role)), Some(*role));
        }
        assert_eq!(role_of(0), None);
    }
}
