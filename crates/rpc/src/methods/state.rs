//! What accounts hold: balance, code, slots, nonces.

use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use evm::Account;
use serde::Deserialize;

use super::{Method, Run};
use crate::answer::{Answer, answer};
use crate::blocks::EXPECTED;
use crate::error::RpcError;
use crate::node::State;
use crate::params::Params;
use crate::state::Desk;

const ADDRESS: &str = "20 bytes as 0x…";

pub(super) static METHODS: &[Method] = &[
    Method { name: "eth_getBalance", run: Run::Read(balance) },
    Method { name: "eth_getCode", run: Run::Read(code) },
    Method { name: "eth_getStorageAt", run: Run::Read(slot) },
    Method { name: "eth_getTransactionCount", run: Run::Read(nonce) },
];

fn at(desk: &Desk, params: &mut Params) -> Result<(State, bool), RpcError> {
    let id = params.optional::<BlockId>("block", EXPECTED)?.unwrap_or(BlockId::latest());
    params.end()?;
    Ok((desk.node.state(desk.existing(id)?)?, id.is_pending()))
}

fn account(state: &State, address: &Address) -> Result<Account, RpcError> {
    Ok(state.account(address)?.unwrap_or_default())
}

fn balance(desk: &Desk, params: &mut Params) -> Answer {
    let address: Address = params.required("address", ADDRESS)?;
    let (state, _) = at(desk, params)?;
    answer(&account(&state, &address)?.balance)
}

fn code(desk: &Desk, params: &mut Params) -> Answer {
    let address: Address = params.required("address", ADDRESS)?;
    let (state, _) = at(desk, params)?;
    let account = account(&state, &address)?;
    let code = if account.has_code() { state.code(&account.code_hash)? } else { None };
    answer(&code.map_or_else(Bytes::new, |code| code.original_bytes()))
}

/// A slot as clients write it: a quantity, or 32 bytes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Slot {
    Bytes(B256),
    Quantity(U256),
}

fn slot(desk: &Desk, params: &mut Params) -> Answer {
    let address: Address = params.required("address", ADDRESS)?;
    let slot = match params.required("slot", "a number or 32 bytes as 0x…")? {
        Slot::Bytes(bytes) => U256::from_be_bytes(bytes.0),
        Slot::Quantity(number) => number,
    };
    let (state, _) = at(desk, params)?;
    answer(&B256::from(state.slot(&address, &slot)?))
}

/// On `pending`, those that wait without a gap count.
fn nonce(desk: &Desk, params: &mut Params) -> Answer {
    let address: Address = params.required("address", ADDRESS)?;
    let (state, is_pending) = at(desk, params)?;
    let nonce = account(&state, &address)?.nonce;
    let waiting = if is_pending { desk.node.nonce_after_waiting(&address) } else { None };
    answer(&U64::from(waiting.unwrap_or(nonce).max(nonce)))
}
