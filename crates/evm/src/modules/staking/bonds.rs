//! A node's operator puts up coins for a while: for a challenge, that its word is true. They leave the pool and come back, or not.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolEvent as _;

use super::bond::hold;
use super::collect::take_free;
use super::facts::count_loss;
use super::jail::if_too_little_is_its_own;
use super::records::{Change, Node, Position, Totals, current_term};
use super::{ADDRESS, IStaking, slots};
use crate::modules::layout::Reader;
use crate::modules::{Frame, Method, Stop, SystemCall};

pub(super) const BONDS: Method = Method::view::<IStaking::bondsCall>(bonds);

/// At least so many coins of the operator's own free stake stand for something from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutUp {
    pub node: B256,
    pub coins: u128,
}

/// A bond ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndBond {
    pub node: B256,
    /// What was put up.
    pub coins: u128,
    /// What of it is lost.
    pub lost: u128,
    /// Who gets how much of what is lost; the rest is burned.
    pub paid: Option<(Address, u128)>,
    /// Whether the loss is held against the node.
    pub is_fault: bool,
}

impl SystemCall for PutUp {
    /// What was put up: rounding may make it a unit more.
    type Outcome = u128;

    fn run(&self, frame: &mut Frame<'_>) -> Result<u128, Stop> {
        frame.within(ADDRESS, |frame| {
            let node = Node::get(frame, self.node)?;
            let term = current_term(frame)?;
            let free = Position::get(frame, node.operator, node.id)?.free(term);
            let free = node.pool(frame)?.worth(free);
            if free < self.coins {
                let (coins, needed) = (U256::from(free), U256::from(self.coins));
                return Err(Stop::revert(&IStaking::StakeTooSmall { coins, needed }));
            }
            let coins = take_free(frame, &node, term, self.coins)?;
            Totals::change_stake(frame, Change::Down(coins), Change::None)?;
            node.change_bonds(frame, Change::Up(coins))?;
            frame.log(IStaking::Bonded { node: node.id, coins: U256::from(coins) }.encode_log_data())?;
            Ok(coins)
        })
    }
}

impl SystemCall for EndBond {
    /// What was burned.
    type Outcome = u128;

    fn run(&self, frame: &mut Frame<'_>) -> Result<u128, Stop> {
        frame.within(ADDRESS, |frame| self.end(frame))
    }
}

impl EndBond {
    fn end(&self, frame: &mut Frame<'_>) -> Result<u128, Stop> {
        let mut node = Node::get(frame, self.node)?;
        node.change_bonds(frame, Change::Down(self.coins))?;
        let lost = self.lost.min(self.coins);
        let back = self.coins.saturating_sub(lost);
        give_back(frame, &node, back)?;
        let (to, paid) = self.paid.map_or((Address::ZERO, 0), |(to, paid)| (to, paid.min(lost)));
        if paid > 0 {
            frame.pay(to, U256::from(paid))?;
        }
        let burned = lost.saturating_sub(paid);
        if burned > 0 {
            frame.burn(U256::from(burned))?;
        }
        if self.is_fault {
            count_loss(frame, &node, lost)?;
        }
        let (back, burned_coins, paid) = (U256::from(back), U256::from(burned), U256::from(paid));
        let event = IStaking::BondEnded { node: node.id, back, burned: burned_coins, paid, to };
        frame.log(event.encode_log_data())?;
        if_too_little_is_its_own(frame, &mut node)?;
        Ok(burned)
    }
}

/// To the operator's stake, where it has any left; to its account, where it has gone or where nothing would be got for it.
fn give_back(frame: &mut Frame<'_>, node: &Node, coins: u128) -> Result<(), Stop> {
    if coins == 0 {
        return Ok(());
    }
    let mut position = Position::get(frame, node.operator, node.id)?;
    let mut pool = node.pool(frame)?;
    let shares = if position.shares > 0 { pool.enter(coins) } else { None };
    let Some(shares) = shares else { return frame.pay(node.operator, U256::from(coins)) };
    node.set_pool(frame, pool)?;
    Totals::change_stake(frame, Change::Up(coins), Change::None)?;
    let after = position.shares.saturating_add(shares);
    hold(frame, node, node.operator, &mut position, after)
}

fn bonds(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStaking::bondsCall>()?;
    let open = Node::get(frame, call.node)?.bonds(frame)?;
    let all = Reader(frame.load(slots::BONDS)?).u128();
    frame.returns::<IStaking::bondsCall>(&IStaking::bondsReturn { open: U256::from(open), all: U256::from(all) })
}
