//! ERC-20.

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::SolEvent as _;

use super::{IOPG, slots};
use crate::modules::{Frame, Method, Stop, is_nobodys};

pub(super) const NAME: Method = Method::view::<IOPG::nameCall>(|frame| frame.returns::<IOPG::nameCall>(&name()));
pub(super) const SYMBOL: Method =
    Method::view::<IOPG::symbolCall>(|frame| frame.returns::<IOPG::symbolCall>(&"OPG".to_owned()));
pub(super) const DECIMALS: Method =
    Method::view::<IOPG::decimalsCall>(|frame| frame.returns::<IOPG::decimalsCall>(&18));
pub(super) const TOTAL_SUPPLY: Method = Method::view::<IOPG::totalSupplyCall>(total_supply);
pub(super) const BURNED: Method = Method::view::<IOPG::burnedCall>(burned);
pub(super) const BALANCE_OF: Method = Method::view::<IOPG::balanceOfCall>(balance_of);
pub(super) const ALLOWANCE: Method = Method::view::<IOPG::allowanceCall>(allowance);
pub(super) const TRANSFER: Method = Method::write::<IOPG::transferCall>(transfer);
pub(super) const APPROVE: Method = Method::write::<IOPG::approveCall>(approve);
pub(super) const TRANSFER_FROM: Method = Method::write::<IOPG::transferFromCall>(transfer_from);

pub(in crate::modules) fn name() -> String {
    "OpenGradient".to_owned()
}

fn total_supply(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let (supply, burned) = (frame.load(slots::SUPPLY)?, frame.load(slots::BURNED)?);
    frame.returns::<IOPG::totalSupplyCall>(&supply.saturating_sub(burned))
}

fn burned(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let burned = frame.load(slots::BURNED)?;
    frame.returns::<IOPG::burnedCall>(&burned)
}

fn balance_of(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IOPG::balanceOfCall>()?;
    let balance = frame.look(call.account)?.balance;
    frame.returns::<IOPG::balanceOfCall>(&balance)
}

fn allowance(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IOPG::allowanceCall>()?;
    let slot = allowance_slot(frame, call.owner, call.spender)?;
    let allowance = frame.load(slot)?;
    frame.returns::<IOPG::allowanceCall>(&allowance)
}

fn transfer(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IOPG::transferCall>()?;
    move_coins(frame, frame.caller(), call.to, call.value)?;
    frame.returns::<IOPG::transferCall>(&true)
}

fn approve(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IOPG::approveCall>()?;
    set_allowance(frame, frame.caller(), call.spender, call.value)?;
    frame.returns::<IOPG::approveCall>(&true)
}

fn transfer_from(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IOPG::transferFromCall>()?;
    let spender = frame.caller();
    let slot = allowance_slot(frame, call.from, spender)?;
    let allowance = frame.load(slot)?;
    // The largest allowance stands for "as much as there is" and is not used up.
    if allowance != U256::MAX {
        let left = allowance.checked_sub(call.value).ok_or_else(|| {
            Stop::revert(&IOPG::ERC20InsufficientAllowance { spender, allowance, needed: call.value })
        })?;
        frame.store(slot, left)?;
    }
    move_coins(frame, call.from, call.to, call.value)?;
    frame.returns::<IOPG::transferFromCall>(&true)
}

/// Moves coins and says so.
pub(super) fn move_coins(frame: &mut Frame<'_>, from: Address, to: Address, value: U256) -> Result<(), Stop> {
    if is_nobodys(&to) {
        return Err(Stop::revert(&IOPG::ERC20InvalidReceiver { receiver: to }));
    }
    let balance = frame.look(from)?.balance;
    if value > balance {
        return Err(Stop::revert(&IOPG::ERC20InsufficientBalance { sender: from, balance, needed: value }));
    }
    frame.transfer(from, to, value)?;
    frame.log(IOPG::Transfer { from, to, value }.encode_log_data())
}

/// Sets what a spender may take and says so.
pub(super) fn set_allowance(frame: &mut Frame<'_>, owner: Address, spender: Address, value: U256) -> Result<(), Stop> {
    if spender.is_zero() {
        return Err(Stop::revert(&IOPG::ERC20InvalidSpender { spender }));
    }
    let slot = allowance_slot(frame, owner, spender)?;
    frame.store(slot, value)?;
    frame.log(IOPG::Approval { owner, spender, value }.encode_log_data())
}

fn allowance_slot(frame: &mut Frame<'_>, owner: Address, spender: Address) -> Result<U256, Stop> {
    let of_owner = frame.mapping(slots::ALLOWANCES, owner.into_word())?;
    frame.mapping(of_owner, spender.into_word())
}
