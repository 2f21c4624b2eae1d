//! Governance: what the network decides by votes of its stake, with notice before and time after.
//!
//! A proposal is a few typed actions and no call: nothing can be done by vote that has no kind here. Its times and its
//! thresholds are fixed when it is made, its votes are those of its snapshot. A guardian takes trust away, and gives none.

mod action;
mod due;
mod faces;
mod propose;
mod records;
mod trust;
mod vote;

use alloy_primitives::{Address, B256, U256, address, keccak256};
use alloy_sol_types::sol;

use super::layout::{Reader, behind};
use super::{Method, Module};
use crate::state::{StateError, StateRead};

pub use action::Action;
pub use due::{Enact, FindDue};
pub use trust::{FoundTrust, Vendor};

sol!("../../contracts/IGovernance.sol");

/// Where the module lives.
pub const ADDRESS: Address = address!("0000000000000000000000000000000000000a05");

/// The module.
pub const MODULE: Module = Module { name: "governance", address: ADDRESS, methods: METHODS };

static METHODS: &[Method] = &[
    propose::PROPOSE,
    propose::CANCEL,
    vote::CAST,
    vote::CAST_WITH_REASON,
    propose::EXECUTE,
    trust::REVOKE_MEASUREMENT,
    trust::REVOKE_VENDOR,
    faces::PROPOSAL_COUNT,
    faces::PROPOSAL,
    faces::BALLOT,
    faces::GUARDIAN,
    faces::IS_TRUSTED,
    faces::MEASUREMENT,
    faces::MEASUREMENTS,
    faces::IS_VENDOR_TRUSTED,
    faces::VENDOR_ROOTS,
    faces::UPGRADES,
];

/// Places in the module's storage, as Solidity would number its variables.
mod slots {
    use alloy_primitives::U256;

    /// `uint256`: proposals made.
    pub const COUNT: U256 = U256::from_limbs([0, 0, 0, 0]);
    /// `mapping(uint256 id => Proposal)`.
    pub const PROPOSALS: U256 = U256::from_limbs([1, 0, 0, 0]);
    /// `mapping(uint256 id => mapping(address voter => (bool cast, uint8 support, uint128 votes)))`.
    pub const BALLOTS: U256 = U256::from_limbs([2, 0, 0, 0]);
    /// `mapping(address proposer => uint256 id)`: its newest.
    pub const NEWEST: U256 = U256::from_limbs([3, 0, 0, 0]);
    /// `address`.
    pub const GUARDIAN: U256 = U256::from_limbs([4, 0, 0, 0]);
    /// `mapping(bytes32 digest => (uint8 vendor, bool accepted))`.
    pub const MEASUREMENTS: U256 = U256::from_limbs([5, 0, 0, 0]);
    /// `bytes32[]`: measurements ever accepted.
    pub const MEASUREMENT_LIST: U256 = U256::from_limbs([6, 0, 0, 0]);
    /// `mapping(uint256 vendor => bool)`.
    pub const VENDORS: U256 = U256::from_limbs([7, 0, 0, 0]);
    /// `mapping(bytes32 rules => uint256 height)`.
    pub const UPGRADES: U256 = U256::from_limbs([8, 0, 0, 0]);
    /// `bytes32[]`: rules ever scheduled.
    pub const UPGRADE_LIST: U256 = U256::from_limbs([9, 0, 0, 0]);
}

/// Whether evidence with this measurement counts, as a state has it.
pub fn trusts(state: &dyn StateRead, measurement: &B256) -> Result<bool, StateError> {
    let mut word = Reader(state.slot(&ADDRESS, &mapping(slots::MEASUREMENTS, *measurement))?);
    let (vendor, accepted) = (word.u8(), word.flag());
    let vendor = state.slot(&ADDRESS, &mapping(slots::VENDORS, U256::from(vendor).into()))?;
    Ok(accepted && !vendor.is_zero())
}

/// New rules and the heights from which they hold, as a state has them.
pub fn upgrades(state: &dyn StateRead) -> Result<Vec<(B256, u64)>, StateError> {
    let len: u64 = state.slot(&ADDRESS, &slots::UPGRADE_LIST)?.saturating_to();
    let start = U256::from_be_bytes(keccak256(slots::UPGRADE_LIST.to_be_bytes::<32>()).0);
    let mut upgrades = Vec::new();
    for index in 0..len {
        let rules = B256::from(state.slot(&ADDRESS, &behind(start, index))?);
        let height = state.slot(&ADDRESS, &mapping(slots::UPGRADES, rules))?;
        if !height.is_zero() {
            upgrades.push((rules, height.saturating_to()));
        }
    }
    Ok(upgrades)
}

fn mapping(slot: U256, key: B256) -> U256 {
    U256::from_be_bytes(keccak256([key.0, slot.to_be_bytes::<32>()].concat()).0)
}
