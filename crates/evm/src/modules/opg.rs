//! OPG: the native coin with an ERC-20 face.
//!
//! There is no second book: `balanceOf` is the account's balance. What is kept here is what the machine does not keep:
//! allowances, nonces, and what was burned, so that balances and booked burns are always the supply of the genesis.

mod authorization;
mod coin;
pub(super) mod domain;
mod permit;
mod release;

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256, address};
use alloy_sol_types::sol;

use super::{Method, Module};
use crate::overlay::Overlay;
use crate::state::{StateError, StateRead as _};

pub use release::Release;

sol!("../../contracts/IOPG.sol");

/// Where the module lives.
pub const ADDRESS: Address = address!("0000000000000000000000000000000000000a00");

/// Where the module's storage says what was burned.
pub const BURNED: U256 = slots::BURNED;

/// The module.
pub const MODULE: Module = Module { name: "opg", address: ADDRESS, methods: METHODS };

static METHODS: &[Method] = &[
    coin::NAME,
    coin::SYMBOL,
    coin::DECIMALS,
    coin::TOTAL_SUPPLY,
    coin::BURNED,
    coin::BALANCE_OF,
    coin::ALLOWANCE,
    coin::TRANSFER,
    coin::APPROVE,
    coin::TRANSFER_FROM,
    domain::VERSION,
    domain::DOMAIN_SEPARATOR,
    domain::EIP712_DOMAIN,
    permit::NONCES,
    permit::PERMIT,
    authorization::STATE,
    authorization::TRANSFER,
    authorization::TRANSFER_BYTES,
    authorization::RECEIVE,
    authorization::RECEIVE_BYTES,
    authorization::CANCEL,
    authorization::CANCEL_BYTES,
];

/// Places in the module's storage, as Solidity would number its variables.
mod slots {
    use alloy_primitives::U256;

    /// `uint256`: all coins of the genesis.
    pub const SUPPLY: U256 = U256::from_limbs([0, 0, 0, 0]);
    /// `uint256`: coins burned since.
    pub const BURNED: U256 = U256::from_limbs([1, 0, 0, 0]);
    /// `mapping(address owner => mapping(address spender => uint256))`.
    pub const ALLOWANCES: U256 = U256::from_limbs([2, 0, 0, 0]);
    /// `mapping(address owner => uint256)`: the next permit's number.
    pub const NONCES: U256 = U256::from_limbs([3, 0, 0, 0]);
    /// `mapping(address authorizer => mapping(bytes32 nonce => bool))`.
    pub const AUTHORIZATIONS: U256 = U256::from_limbs([4, 0, 0, 0]);
}

pub(crate) fn genesis_storage(supply: U256) -> BTreeMap<U256, U256> {
    BTreeMap::from([(slots::SUPPLY, supply)])
}

/// Writes down what a transaction burned: its base fee, and what a contract destroyed together with itself.
pub(crate) fn book_burned(overlay: &mut Overlay<'_>, amount: U256) -> Result<(), StateError> {
    if amount.is_zero() {
        return Ok(());
    }
    let before = overlay.slot(&ADDRESS, &slots::BURNED)?;
    let after = before.checked_add(amount).ok_or_else(|| StateError("more burned than 256 bits hold".to_owned()))?;
    overlay.set_slot(ADDRESS, slots::BURNED, after);
    Ok(())
}

/// What exists and what was burned, as a state has it.
pub fn supply_and_burned(state: &dyn crate::state::StateRead) -> Result<(U256, U256), StateError> {
    let (genesis, burned) = (state.slot(&ADDRESS, &slots::SUPPLY)?, state.slot(&ADDRESS, &slots::BURNED)?);
    Ok((genesis.saturating_sub(burned), burned))
}
