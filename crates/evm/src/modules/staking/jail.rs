//! A jailed node earns nothing, stands for no seat and takes no new stake, until its operator ends it.

use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::SolEvent as _;

use super::records::{Node, Position, current_term};
use super::register::{enlist, role_of, self_stake};
use super::{ADDRESS, IStaking, slots};
use crate::modules::layout::List;
use crate::modules::parameters;
use crate::modules::{Frame, Method, Stop, SystemCall};

pub(super) const UNJAIL: Method = Method::write::<IStaking::unjailCall>(unjail);

/// A node was away for longer than the ledger allows: jailed, and nothing taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JailAbsent {
    pub node: B256,
}

impl SystemCall for JailAbsent {
    type Outcome = ();

    fn run(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        frame.within(ADDRESS, |frame| {
            let mut node = Node::get(frame, self.node)?;
            let terms = parameters::DOWNTIME_JAIL.small(frame)?;
            jail(frame, &mut node, terms)
        })
    }
}

/// Jails a node for so many terms from now, or for longer if it is already.
pub(super) fn jail(frame: &mut Frame<'_>, node: &mut Node, terms: u32) -> Result<(), Stop> {
    let until = current_term(frame)?.saturating_add(terms);
    if node.jailed && until <= node.jailed_until {
        return Ok(());
    }
    node.jailed = true;
    node.jailed_until = until.max(node.jailed_until);
    delist(frame, node)?;
    node.save(frame)?;
    frame.log(IStaking::Jailed { node: node.id, until: node.jailed_until }.encode_log_data())
}

/// Jails a node behind which its operator stands with too little of its own, until it has filled that up.
pub(super) fn if_too_little_is_its_own(frame: &mut Frame<'_>, node: &mut Node) -> Result<(), Stop> {
    if node.jailed || own_and_least(frame, node)?.is_none() {
        return Ok(());
    }
    jail(frame, node, 0)
}

/// The operator's own coins and what is asked of it, if they are too few.
fn own_and_least(frame: &mut Frame<'_>, node: &Node) -> Result<Option<(u128, u128)>, Stop> {
    let own = Position::get(frame, node.operator, node.id)?.shares;
    // A bond is out of the pool only for a while.
    let own = node.pool(frame)?.worth(own).saturating_add(node.bonds(frame)?);
    let Some(role) = role_of(node.role) else { return Ok(None) };
    let least = self_stake(role).value(frame)?;
    Ok(Some((own, least)).filter(|(own, least)| own < least))
}

/// Takes a validator off the list of those that stand for seats.
fn delist(frame: &mut Frame<'_>, node: &mut Node) -> Result<(), Stop> {
    if node.place == 0 {
        return Ok(());
    }
    if let Some(other) = List(slots::VALIDATOR_LIST).remove(frame, u64::from(node.place))? {
        let mut moved = Node::get(frame, B256::from(other))?;
        moved.place = node.place;
        moved.save(frame)?;
    }
    node.place = 0;
    Ok(())
}

fn unjail(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStaking::unjailCall>()?;
    let mut node = Node::get(frame, call.node)?.operated_by_caller(frame)?;
    if node.tombstoned {
        return Err(Stop::revert(&IStaking::NodeTombstoned { node: node.id }));
    }
    if !node.jailed {
        return Err(Stop::revert(&IStaking::NodeNotJailed { node: node.id }));
    }
    if current_term(frame)? < node.jailed_until {
        return Err(Stop::revert(&IStaking::NodeJailed { node: node.id, until: node.jailed_until }));
    }
    if let Some((own, least)) = own_and_least(frame, &node)? {
        let (coins, least) = (U256::from(own), U256::from(least));
        return Err(Stop::revert(&IStaking::SelfStakeTooSmall { coins, least }));
    }
    node.jailed = false;
    enlist(frame, &mut node)?;
    node.save(frame)?;
    frame.log(IStaking::Unjailed { node: node.id }.encode_log_data())?;
    Ok(Bytes::new())
}
