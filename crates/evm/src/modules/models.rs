//! Models: who published which, at what price, made from which others, and who is paid when one earns.
//!
//! A root is published once and never removed: receipts name it, and other models are made from it. Parents are published before
//! their children, so lineage has no circles, and it has few generations, so that an income can be divided at once.

mod divide;
mod earners;
mod faces;
mod publish;
mod records;

use alloy_primitives::{Address, address};
use alloy_sol_types::sol;

use super::layout::List;
use super::{Frame, Method, Module, Stop};

pub(super) use faces::told;
pub use publish::EnterModel;
pub(super) use records::kind_of;

pub use earners::lineage;

sol!("../../contracts/IModels.sol");

/// Where the module lives.
pub const ADDRESS: Address = address!("0000000000000000000000000000000000000a06");

/// The module.
pub const MODULE: Module = Module { name: "models", address: ADDRESS, methods: METHODS };

static METHODS: &[Method] = &[
    publish::PUBLISH,
    publish::PUBLISH_FLOAT,
    publish::SET_PRICE,
    publish::SET_RETIRED,
    faces::MODEL_COUNT,
    faces::MODELS,
    faces::MODEL,
    faces::VERSIONS,
    faces::COST,
    divide::PAYOUTS,
];

/// Every root, in this module's storage.
pub(super) const fn list() -> List {
    List(slots::MODEL_LIST)
}

/// Refuses a root that nobody published.
pub(super) fn must_be_published(frame: &mut Frame<'_>, root: alloy_primitives::B256) -> Result<(), Stop> {
    frame.within(ADDRESS, |frame| records::Model::get(frame, root).map(|_| ()))
}

/// Places in the module's storage, as Solidity would number its variables.
mod slots {
    use alloy_primitives::U256;

    /// `mapping(bytes32 root => Model)`.
    pub const MODELS: U256 = U256::from_limbs([0, 0, 0, 0]);
    /// `bytes32[]`: every root, in order of publication.
    pub const MODEL_LIST: U256 = U256::from_limbs([1, 0, 0, 0]);
    /// `mapping(bytes32 repository => bytes32[])`: roots of one publisher's name.
    pub const VERSIONS: U256 = U256::from_limbs([2, 0, 0, 0]);
    /// `mapping(bytes32 repository => mapping(bytes32 versionHash => bytes32 root))`.
    pub const NAMED: U256 = U256::from_limbs([3, 0, 0, 0]);
}
