//! Nodes: registered with stake, listed by their operators, read by anyone.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolEvent as _;

use super::change::{describe, list};
use crate::modules::layout::List;
use crate::modules::registered::{ADDRESS, IRegistry, Listing};
use crate::modules::staking::{self, IStaking, Seen};
use crate::modules::{Frame, Method, Stop};

pub(super) const REGISTER: Method = Method::payable::<IRegistry::registerCall>(register);
pub(super) const LIST: Method = Method::write::<IRegistry::listCall>(|frame| {
    let call = frame.arguments::<IRegistry::listCall>()?;
    operated(frame, call.node)?;
    list(frame, call.node, &call.endpoint, &call.models)?;
    Ok(Bytes::new())
});
pub(super) const DESCRIBE: Method = Method::write::<IRegistry::describeCall>(|frame| {
    let call = frame.arguments::<IRegistry::describeCall>()?;
    operated(frame, call.node)?;
    describe(frame, call.node, &call.capabilities)?;
    Ok(Bytes::new())
});
pub(super) const SET_PAYOUT: Method = Method::write::<IRegistry::setPayoutCall>(set_payout);
pub(super) const NODE_COUNT: Method = Method::view::<IRegistry::nodeCountCall>(|frame| {
    let list = staking::node_list();
    let count = frame.within(staking::ADDRESS, |frame| list.len(frame))?;
    frame.returns::<IRegistry::nodeCountCall>(&U256::from(count))
});
pub(super) const NODES: Method = Method::view::<IRegistry::nodesCall>(|frame| {
    let call = frame.arguments::<IRegistry::nodesCall>()?;
    let list = staking::node_list();
    let page = frame.within(staking::ADDRESS, |frame| list.page(frame, call.from, call.count))?;
    frame.returns::<IRegistry::nodesCall>(&roots(page))
});
pub(super) const NODE: Method = Method::view::<IRegistry::nodeCall>(node);

/// The node, if the caller operates it.
pub(super) fn operated(frame: &mut Frame<'_>, node: B256) -> Result<Seen, Stop> {
    let (seen, caller) = (staking::seen(frame, node)?, frame.caller());
    if seen.operator == caller {
        return Ok(seen);
    }
    Err(Stop::revert(&IStaking::OperatorOnly { caller, operator: seen.operator }))
}

pub(super) fn roots(words: Vec<U256>) -> Vec<B256> {
    words.into_iter().map(B256::from).collect()
}

fn register(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let wanted = frame.arguments::<IRegistry::registerCall>()?.registration;
    let call = IStaking::registerCall {
        role: wanted.role,
        key: wanted.key,
        possession: wanted.possession,
        commission: wanted.commission,
        commissionMax: wanted.commissionMax,
        commissionStep: wanted.commissionStep,
    };
    frame.pay(staking::ADDRESS, frame.value())?;
    let node = frame.within(staking::ADDRESS, |frame| staking::register(frame, &call))?;
    list(frame, node, &wanted.endpoint, &wanted.models)?;
    frame.returns::<IRegistry::registerCall>(&node)
}

/// Whether an address is among the 256 that the network keeps for itself.
fn is_networks(address: &Address) -> bool {
    let place = ADDRESS;
    address.iter().zip(place.iter()).take(19).all(|(found, kept)| found == kept)
}

fn set_payout(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IRegistry::setPayoutCall>()?;
    let (node, payout) = (call.node, call.payout);
    let operator = operated(frame, node)?.operator;
    // What a module or the place of allocations is paid would be nobody's, or upset its books.
    if payout.is_zero() || is_networks(&payout) {
        return Err(Stop::revert(&IRegistry::PayoutInvalid { payout }));
    }
    let listing = Listing::get(frame, node)?;
    let kept = if payout == operator { Address::ZERO } else { payout };
    Listing { payout: kept, ..listing }.save(frame)?;
    frame.log(IRegistry::PayoutSet { node, payout }.encode_log_data())?;
    Ok(Bytes::new())
}

fn node(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IRegistry::nodeCall>()?;
    let seen = staking::seen(frame, call.id)?;
    let listing = Listing::get(frame, call.id)?;
    let told = IRegistry::Node {
        operator: seen.operator,
        payout: if listing.payout.is_zero() { seen.operator } else { listing.payout },
        role: seen.role,
        key: listing.key(frame)?,
        registeredEpoch: listing.registered_epoch,
        jailed: seen.jailed,
        tombstoned: seen.tombstoned,
        stake: U256::from(seen.coins),
        endpoint: listing.endpoint().get(frame)?,
        models: whole(frame, &listing.models())?,
        capabilities: whole(frame, &listing.capabilities())?,
    };
    frame.returns::<IRegistry::nodeCall>(&told)
}

fn whole(frame: &mut Frame<'_>, list: &List) -> Result<Vec<B256>, Stop> {
    list.page(frame, U256::ZERO, U256::MAX).map(roots)
}
