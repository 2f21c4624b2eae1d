//! What anyone may read.

use alloy_primitives::{Address, B256, Bytes, U256};

use super::bond::accrue;
use super::records::{Bucket, Node, POSITIONS_MAX, Position, Queue, Totals, Waiting, current_term};
use super::{ADDRESS, IStaking, facts, offence, slots};
use crate::modules::layout::List;
use crate::modules::{Frame, Method, Stop};

pub(super) const TERM: Method = Method::view::<IStaking::termCall>(|frame| {
    let term = current_term(frame)?;
    frame.returns::<IStaking::termCall>(&term)
});
pub(super) const TOTALS: Method = Method::view::<IStaking::totalsCall>(totals);
pub(super) const NODE_COUNT: Method = Method::view::<IStaking::nodeCountCall>(|frame| {
    let count = List(slots::NODE_LIST).len(frame)?;
    frame.returns::<IStaking::nodeCountCall>(&U256::from(count))
});
pub(super) const NODES: Method = Method::view::<IStaking::nodesCall>(|frame| {
    let call = frame.arguments::<IStaking::nodesCall>()?;
    let page = List(slots::NODE_LIST).page(frame, call.from, call.count)?;
    frame.returns::<IStaking::nodesCall>(&page.into_iter().map(B256::from).collect())
});
pub(super) const VALIDATORS: Method = Method::view::<IStaking::validatorsCall>(|frame| {
    let call = frame.arguments::<IStaking::validatorsCall>()?;
    let page = List(slots::VALIDATOR_LIST).page(frame, call.from, call.count)?;
    frame.returns::<IStaking::validatorsCall>(&page.into_iter().map(B256::from).collect())
});
pub(super) const NODE: Method = Method::view::<IStaking::nodeCall>(node);
pub(super) const FACTS: Method = Method::view::<IStaking::factsCall>(|frame| {
    let call = frame.arguments::<IStaking::factsCall>()?;
    let node = Node::get(frame, call.node)?;
    let facts = facts::facts(frame, &node)?;
    frame.returns::<IStaking::factsCall>(&facts)
});
pub(super) const POSITION: Method = Method::view::<IStaking::positionCall>(position);
pub(super) const POSITIONS: Method = Method::view::<IStaking::positionsCall>(|frame| {
    let call = frame.arguments::<IStaking::positionsCall>()?;
    let list = List(frame.mapping(slots::POSITION_LISTS, call.delegator.into_word())?);
    let page = list.page(frame, U256::ZERO, U256::from(POSITIONS_MAX))?;
    frame.returns::<IStaking::positionsCall>(&page.into_iter().map(B256::from).collect())
});
pub(super) const UNBONDING: Method = Method::view::<IStaking::unbondingCall>(unbonding);
pub(super) const SLASHING_TABLE: Method = Method::view::<IStaking::slashingTableCall>(slashing_table);

/// What other modules say of a node beside their own.
#[derive(Clone, Copy, Debug)]
pub(in crate::modules) struct Seen {
    pub operator: Address,
    /// As `protocol::Role` numbers them.
    pub role: u8,
    pub jailed: bool,
    pub tombstoned: bool,
    pub coins: u128,
}

/// A registered node, for another module.
pub(in crate::modules) fn seen(frame: &mut Frame<'_>, id: B256) -> Result<Seen, Stop> {
    frame.within(ADDRESS, |frame| {
        let node = Node::get(frame, id)?;
        let coins = node.pool(frame)?.coins;
        let Node { operator, role, jailed, tombstoned, .. } = node;
        Ok(Seen { operator, role, jailed, tombstoned, coins })
    })
}

/// Every node ever registered, in this module's storage.
pub(in crate::modules) const fn node_list() -> List {
    List(slots::NODE_LIST)
}

fn totals(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let totals = Totals::get(frame)?;
    frame.returns::<IStaking::totalsCall>(&IStaking::totalsReturn {
        bonded: U256::from(totals.bonded),
        unbonding: U256::from(totals.unbonding),
        rewards: U256::from(totals.rewards),
        pool: U256::from(totals.pool),
    })
}

fn node(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStaking::nodeCall>()?;
    let node = Node::get(frame, call.id)?;
    let (pool, own) = (node.pool(frame)?, Position::get(frame, node.operator, node.id)?);
    let told = IStaking::Node {
        operator: node.operator,
        role: node.role,
        key: node.key(frame)?,
        registeredTerm: node.registered_term,
        jailed: node.jailed,
        jailedUntil: node.jailed_until,
        tombstoned: node.tombstoned,
        commission: node.commission,
        commissionMax: node.commission_max,
        commissionStep: node.commission_step,
        coins: U256::from(pool.coins),
        shares: U256::from(pool.shares),
        selfCoins: U256::from(pool.worth(own.shares)),
        commissionOwed: U256::from(node.reward_rest(frame)?.1),
    };
    frame.returns::<IStaking::nodeCall>(&told)
}

fn position(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStaking::positionCall>()?;
    let (node, term) = (Node::get(frame, call.node)?, current_term(frame)?);
    let mut position = Position::get(frame, call.delegator, node.id)?;
    accrue(frame, &node, &mut position)?;
    let told = IStaking::Position {
        shares: U256::from(position.shares),
        coins: U256::from(node.pool(frame)?.worth(position.shares)),
        lockedShares: U256::from(position.locked(term)),
        lockedUntil: position.locked_until,
        rewards: U256::from(position.owed),
    };
    frame.returns::<IStaking::positionCall>(&told)
}

fn unbonding(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStaking::unbondingCall>()?;
    let queue = Queue::get(frame, call.delegator)?;
    let first = queue.first.saturating_add(call.from.saturating_to());
    let end = first.saturating_add(call.count.saturating_to()).min(queue.end);
    let told: Vec<_> = (first..end)
        .map(|number| {
            let Waiting { node, shares, begun, is_own } = queue.entry(frame, number)?;
            let bucket = Bucket::get(frame, node, begun, is_own)?;
            let coins = U256::from(bucket.pool.worth(shares));
            Ok(IStaking::Unbonding { node, coins, begunTerm: begun, releaseTerm: bucket.release })
        })
        .collect::<Result<_, Stop>>()?;
    frame.returns::<IStaking::unbondingCall>(&told)
}

fn slashing_table(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    frame.arguments::<IStaking::slashingTableCall>()?;
    let rows: Vec<_> = offence::TABLE
        .iter()
        .map(|row| {
            Ok(IStaking::Penalty {
                offence: row.number,
                name: row.name.to_owned(),
                share: row.share.small(frame)?,
                reporterShare: row.reporter.small(frame)?,
                jailTerms: row.jail.small(frame)?,
                tombstones: row.tombstones,
                inForce: row.in_force,
            })
        })
        .collect::<Result<_, Stop>>()?;
    frame.returns::<IStaking::slashingTableCall>(&rows)
}
