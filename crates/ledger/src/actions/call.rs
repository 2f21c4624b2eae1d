//! Calls of native modules by the accounts of ed25519 keys: what wallets do with transactions of their own, on the same state.
//!
//! Native transactions pay no fee, so the work of all calls of a block is bounded, as a block's gas is.

use alloy_primitives::{Address, U256};
use evm::{ModuleCall, modules};
use protocol::{PublicKey, transaction::Call};

use crate::{present::Present, purse::address_of, refusal::Refusal};

/// Gas of all calls of a block: what its Ethereum transactions may use.
pub(crate) const BLOCK_CALL_GAS: u64 = 30_000_000;
/// Gas of one.
const CALL_GAS: u64 = 5_000_000;

pub(super) fn apply(present: &mut Present, sender: &PublicKey, call: Call) -> Result<(), Refusal> {
    let module = Address::from(call.module.0);
    if !modules::ALL.iter().any(|known| known.address == module) {
        return Err(Refusal::UnknownModule(call.module));
    }
    let caller = address_of(sender);
    let available = present.state.purse.balance(&caller);
    if available < call.value {
        return Err(Refusal::InsufficientBalance { available, wanted: call.value });
    }
    if present.call_gas < CALL_GAS {
        return Err(Refusal::NoCallRoom);
    }
    let (value, input) = (U256::from(call.value), call.input.into_inner().into());
    let call = ModuleCall { caller: Address::from(caller.0), module, value, input, gas: CALL_GAS };
    let before = present.state.purse.logs().len();
    let (result, used) = present.state.purse.perform_call(present.open.time_ms, &call);
    present.follow_logs(before);
    present.call_gas = present.call_gas.saturating_sub(used);
    result.map(drop).map_err(|error| Refusal::module(&error))
}
