//! What lies at canonical addresses from the genesis of a chain on, so that official clients find it.

use alloy_primitives::Address;

use crate::{addresses, artefact::Artefact};

/// A contract with its place.
#[derive(Clone, Copy, Debug)]
pub struct Canonical {
    pub address: Address,
    pub contract: Artefact,
}

const fn at(address: Address, contract: Artefact) -> Canonical {
    Canonical { address, contract }
}

/// What keeps nothing from a constructor: code alone makes it whole. Tokens and the settlement begin with storage (`token`,
/// `bridged_opg`, `settlement`) and are therefore not here.
pub const CANONICAL: &[Canonical] = &[
    at(addresses::PERMIT2, Artefact::PERMIT2),
    at(addresses::MULTICALL3, Artefact::MULTICALL3),
    at(addresses::CREATE2_DEPLOYER, Artefact::CREATE2_DEPLOYER),
    at(addresses::EXACT_PERMIT2_PROXY, Artefact::EXACT_PERMIT2_PROXY),
    at(addresses::UPTO_PERMIT2_PROXY, Artefact::UPTO_PERMIT2_PROXY),
    at(addresses::BATCH_SETTLEMENT, Artefact::BATCH_SETTLEMENT),
    at(addresses::ERC3009_DEPOSIT_COLLECTOR, Artefact::ERC3009_DEPOSIT_COLLECTOR),
    at(addresses::PERMIT2_DEPOSIT_COLLECTOR, Artefact::PERMIT2_DEPOSIT_COLLECTOR),
];
