//! Rewards: from the pool to a node, by its shares; to its delegators when they ask.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolEvent as _;

use super::bond::{REWARD_SCALE_BITS, accrue, bond, coins_of};
use super::records::{Change, Node, Position, Totals};
use super::{ADDRESS, IStaking};
use crate::modules::layout::{AMOUNT_MAX, proportion};
use crate::modules::parameters::MILLION;
use crate::modules::{Frame, Method, Stop, SystemCall};

pub(super) const CLAIM: Method = Method::write::<IStaking::claimCall>(claim);
pub(super) const COMPOUND: Method = Method::write::<IStaking::compoundCall>(compound);
pub(super) const CLAIM_COMMISSION: Method = Method::write::<IStaking::claimCommissionCall>(claim_commission);
pub(super) const FUND: Method = Method::payable::<IStaking::fundCall>(fund);

/// The ledger rewards a node, out of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reward {
    pub node: B256,
    pub coins: u128,
}

/// A network begins with coins in the pool; they are already in the module's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundPool {
    pub coins: u128,
}

/// Coins of another account go into the pool; the account has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    pub from: Address,
    pub coins: u128,
}

impl SystemCall for Fill {
    type Outcome = ();

    fn run(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        frame.within(ADDRESS, |frame| {
            frame.transfer(self.from, ADDRESS, U256::from(self.coins))?;
            Totals::change_rewards(frame, Change::None, Change::Up(self.coins))?;
            frame.log(IStaking::PoolFunded { from: self.from, coins: U256::from(self.coins) }.encode_log_data())
        })
    }
}

impl SystemCall for FoundPool {
    type Outcome = ();

    fn run(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        frame.within(ADDRESS, |frame| Totals::change_rewards(frame, Change::None, Change::Up(self.coins)))
    }
}

impl SystemCall for Reward {
    type Outcome = ();

    fn run(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        frame.within(ADDRESS, |frame| self.give(frame))
    }
}

impl Reward {
    fn give(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        let node = Node::get(frame, self.node)?;
        if node.jailed {
            return Err(Stop::revert(&IStaking::NodeJailed { node: node.id, until: node.jailed_until }));
        }
        let pool = Totals::get(frame)?.pool;
        if self.coins > pool {
            let (pool, needed) = (U256::from(pool), U256::from(self.coins));
            return Err(Stop::revert(&IStaking::RewardPoolTooSmall { pool, needed }));
        }
        let commission = proportion(self.coins, u128::from(node.commission), MILLION);
        let (rest, owed) = node.reward_rest(frame)?;
        let shares = U256::from(node.pool(frame)?.shares);
        // What the division leaves waits for the next reward: no coin is lost by rounding, however often that happens.
        let divided = U256::from(self.coins.saturating_sub(commission)).wrapping_shl(REWARD_SCALE_BITS);
        let divided = divided.saturating_add(U256::from(rest));
        let (Some(each), Some(rest)) = (divided.checked_div(shares), divided.checked_rem(shares)) else {
            return Err(Stop::revert(&IStaking::PoolClosed { node: node.id }));
        };
        let per_share = node.reward_per_share(frame)?.saturating_add(each);
        node.set_reward_per_share(frame, per_share)?;
        node.set_reward_rest(frame, rest.saturating_to(), owed.saturating_add(commission))?;
        Totals::change_rewards(frame, Change::Up(self.coins), Change::Down(self.coins))?;
        let (coins, commission) = (U256::from(self.coins), U256::from(commission));
        frame.log(IStaking::Rewarded { node: node.id, coins, commission }.encode_log_data())
    }
}

/// Takes what a position is owed.
fn collect(frame: &mut Frame<'_>, node: &Node) -> Result<u128, Stop> {
    let mut position = Position::get(frame, frame.caller(), node.id)?;
    accrue(frame, node, &mut position)?;
    let coins = std::mem::take(&mut position.owed);
    if coins == 0 {
        return Err(Stop::revert(&IStaking::NothingToMove {}));
    }
    position.save(frame)?;
    Totals::change_rewards(frame, Change::Down(coins), Change::None)?;
    Ok(coins)
}

fn claim(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStaking::claimCall>()?;
    let (delegator, node) = (frame.caller(), Node::get(frame, call.node)?);
    let coins = U256::from(collect(frame, &node)?);
    frame.pay(delegator, coins)?;
    frame.log(IStaking::RewardsClaimed { delegator, node: node.id, coins }.encode_log_data())?;
    frame.returns::<IStaking::claimCall>(&coins)
}

fn compound(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStaking::compoundCall>()?;
    let (delegator, node) = (frame.caller(), Node::get(frame, call.node)?);
    let collected = collect(frame, &node)?;
    bond(frame, &node, delegator, collected)?;
    let coins = U256::from(collected);
    frame.log(IStaking::RewardsCompounded { delegator, node: node.id, coins }.encode_log_data())?;
    frame.returns::<IStaking::compoundCall>(&coins)
}

fn claim_commission(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStaking::claimCommissionCall>()?;
    let node = Node::get(frame, call.node)?.operated_by_caller(frame)?;
    let (rest, owed) = node.reward_rest(frame)?;
    if owed == 0 {
        return Err(Stop::revert(&IStaking::NothingToMove {}));
    }
    node.set_reward_rest(frame, rest, 0)?;
    Totals::change_rewards(frame, Change::Down(owed), Change::None)?;
    let coins = U256::from(owed);
    frame.pay(node.operator, coins)?;
    frame.log(IStaking::CommissionClaimed { node: node.id, coins }.encode_log_data())?;
    frame.returns::<IStaking::claimCommissionCall>(&coins)
}

fn fund(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    frame.arguments::<IStaking::fundCall>()?;
    let (from, coins) = (frame.caller(), coins_of(frame.value()));
    if coins == 0 || Totals::get(frame)?.pool.saturating_add(coins) > AMOUNT_MAX {
        return Err(Stop::revert(&IStaking::NothingToMove {}));
    }
    Totals::change_rewards(frame, Change::None, Change::Up(coins))?;
    frame.log(IStaking::PoolFunded { from, coins: U256::from(coins) }.encode_log_data())?;
    Ok(Bytes::new())
}
