//! Staking: native coins behind nodes, in pools of shares, and what happens to them.
//!
//! A node's pool holds the coins of its operator and of its delegators; a slash lowers what a share is worth and nothing
//! raises it, so nobody can make others' coins round away. Stake that leaves stays in a bucket of its term, and stake that moves
//! is marked, until it no longer answers for what the node did. An operator's debts reach its own stake only. Amounts round against whoever moves. The module's account
//! holds at least what `totals` says, at every moment.

pub(super) mod ballots;
mod bond;
mod bonds;
mod collect;
mod commission;
mod faces;
mod facts;
mod found;
mod jail;
mod leave;
mod move_on;
mod now;
mod offence;
mod penalty;
mod records;
mod register;
mod rewards;
mod term;

use alloy_primitives::{Address, address};
use alloy_sol_types::sol;

use super::{Method, Module};

pub use bonds::{EndBond, PutUp};
pub use collect::{Collect, left};
pub(super) use faces::{Seen, node_list, seen};
pub use facts::Observe;
pub use found::{Enroll, FoundNode};
pub use jail::JailAbsent;
pub use now::{Staked, reward_pool, spoken_for, staked, term};
pub use offence::Offence;
pub use penalty::{Slash, Slashed};
pub(super) use register::{agrees, register};
pub use register::{number_of, possession_message, role_of, self_stake};
pub use rewards::{Fill, FoundPool, Reward};
pub use term::{BeginTerm, FoundTerms};

sol!("../../contracts/IStaking.sol");
sol!("../../contracts/IStakedVotes.sol");

/// Where the module lives.
pub const ADDRESS: Address = address!("0000000000000000000000000000000000000a01");

/// Where the votes of stake are asked for: another face of the same records.
pub const VOTES_ADDRESS: Address = address!("0000000000000000000000000000000000000a02");

/// The module.
pub const MODULE: Module = Module { name: "staking", address: ADDRESS, methods: METHODS };

/// In which domain a node's key says who may register it.
pub const POSSESSION_DOMAIN: &str = "og/node/possession/v2";

static METHODS: &[Method] = &[
    register::REGISTER,
    bond::DELEGATE,
    leave::UNDELEGATE,
    leave::WITHDRAW,
    move_on::REDELEGATE,
    rewards::CLAIM,
    rewards::COMPOUND,
    rewards::CLAIM_COMMISSION,
    commission::SET,
    jail::UNJAIL,
    rewards::FUND,
    faces::TERM,
    faces::TOTALS,
    faces::NODE_COUNT,
    faces::NODES,
    faces::VALIDATORS,
    faces::NODE,
    faces::FACTS,
    bonds::BONDS,
    faces::POSITION,
    faces::POSITIONS,
    faces::UNBONDING,
    commission::HISTORY,
    faces::SLASHING_TABLE,
];

/// Places in the module's storage, as Solidity would number its variables. The records are in `specs/staking.md`.
mod slots {
    use alloy_primitives::U256;

    /// `uint32`: the term that has begun.
    pub const TERM: U256 = U256::from_limbs([0, 0, 0, 0]);
    /// `(uint128 bonded, uint128 unbonding)`.
    pub const STAKE: U256 = U256::from_limbs([1, 0, 0, 0]);
    /// `(uint128 rewards, uint128 pool)`: what is owed to delegators and operators, and what is not yet anybody's.
    pub const REWARDS: U256 = U256::from_limbs([2, 0, 0, 0]);
    /// `mapping(bytes32 node => Node)`.
    pub const NODES: U256 = U256::from_limbs([3, 0, 0, 0]);
    /// `mapping(address delegator => mapping(bytes32 node => Position))`.
    pub const POSITIONS: U256 = U256::from_limbs([4, 0, 0, 0]);
    /// `mapping(address delegator => bytes32[])`: where it has shares.
    pub const POSITION_LISTS: U256 = U256::from_limbs([5, 0, 0, 0]);
    /// `mapping(address delegator => Queue)`.
    pub const QUEUES: U256 = U256::from_limbs([6, 0, 0, 0]);
    /// `mapping(bytes32 node => mapping(uint256 term => (uint104 coins, uint104 shares, uint32 release)))`.
    pub const BUCKETS: U256 = U256::from_limbs([7, 0, 0, 0]);
    /// `bytes32[]`: every node ever registered.
    pub const NODE_LIST: U256 = U256::from_limbs([8, 0, 0, 0]);
    /// `bytes32[]`: validators that stand for seats.
    pub const VALIDATOR_LIST: U256 = U256::from_limbs([9, 0, 0, 0]);
    /// `History`: all bonded coins.
    pub const BONDED_HISTORY: U256 = U256::from_limbs([10, 0, 0, 0]);
    /// `mapping(bytes32 evidence => bool)`.
    pub const EVIDENCE: U256 = U256::from_limbs([11, 0, 0, 0]);
    /// `mapping(address account => address voter)`: zero where the account votes itself.
    pub const DELEGATEES: U256 = U256::from_limbs([12, 0, 0, 0]);
    /// `mapping(address voter => mapping(bytes32 node => History))`: shares that it votes with.
    pub const VOTES: U256 = U256::from_limbs([13, 0, 0, 0]);
    /// `mapping(address voter => bytes32[])`: where it has or had votes.
    pub const VOTE_LISTS: U256 = U256::from_limbs([14, 0, 0, 0]);
    /// `uint256`: coins that are out of the pools for a while.
    pub const BONDS: U256 = U256::from_limbs([15, 0, 0, 0]);
    /// As `BUCKETS`, of what nodes' operators take out of their own: their debts reach it, and no delegator's.
    pub const OWN_BUCKETS: U256 = U256::from_limbs([16, 0, 0, 0]);
}
