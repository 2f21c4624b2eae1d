//! EIP-2612: what a payer signs so that its token lets somebody move so much of it.

use alloy_primitives::{Address, B256, U256};

use crate::signing::typed::{Domain, Words, digest};

const PERMIT: &str = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)";

/// An approval by signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approval {
    pub owner: Address,
    pub spender: Address,
    pub value: u128,
    /// Of the owner in its token: approvals have an order.
    pub nonce: U256,
    pub deadline: U256,
}

/// What is signed, under the token's domain.
pub fn signed(approval: &Approval, token: &Domain) -> B256 {
    let mut words = Words::new(PERMIT);
    words
        .address(approval.owner)
        .address(approval.spender)
        .number(U256::from(approval.value))
        .number(approval.nonce)
        .number(approval.deadline);
    digest(token, words.hash())
}
