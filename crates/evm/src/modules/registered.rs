//! What the registries keep of nodes and keys: records in the storage of their module, and how one comes in.
//!
//! Beneath staking, which enters each node that it registers, and the registries' methods, which ask staking who operates one.

mod enter;
mod records;

use alloy_primitives::{Address, address};
use alloy_sol_types::sol;

pub(super) use enter::{enter_key, enter_node, owner};
pub(super) use records::{Key, Listing, Time};

sol!("../../contracts/IRegistry.sol");

/// Where the module of the registries lives.
pub const ADDRESS: Address = address!("0000000000000000000000000000000000000a08");

/// The end of what has none yet.
pub const OPEN_END: u64 = protocol::registry::OPEN_END;

/// Places in the module's storage, as Solidity would number its variables. The records are in `specs/registry.md`.
mod slots {
    use alloy_primitives::U256;

    /// `(uint64 epoch, uint64 grace)`: the open epoch, and for how many epochs a retired worker's key answers for its receipts.
    pub const TIME: U256 = U256::from_limbs([0, 0, 0, 0]);
    /// `mapping(bytes32 node => Node)`.
    pub const NODES: U256 = U256::from_limbs([1, 0, 0, 0]);
    /// `mapping(bytes32 key => Key)`.
    pub const KEYS: U256 = U256::from_limbs([2, 0, 0, 0]);
}
