//! What a chain says of a payer or a channel; asked for by whoever has a connection, given here as an argument.

use alloy_primitives::{Address, B256, U256};

use crate::{scheme::offer::Method, wire::Network};

/// What has to be known of a payer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub network: Network,
    pub asset: Address,
    pub payer: Address,
    pub method: Method,
    pub nonce: B256,
    /// A digest and a signature that only a contract could take for its own.
    pub contract_signature: Option<(B256, Vec<u8>)>,
}

/// What is known of a payer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalletFacts {
    pub balance: u128,
    /// What Permit2 may take of it.
    pub allowance: u128,
    pub nonce_is_used: bool,
    pub has_code: bool,
    /// When it was asked for, on our clock.
    pub asked_at_ms: u64,
}

/// What is known of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelFacts {
    pub balance: u128,
    pub total_claimed: u128,
    /// When the payer asked to withdraw; zero where it did not.
    pub withdraw_requested_at_s: u64,
    pub refund_nonce: U256,
    pub asked_at_ms: u64,
}

/// Either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facts {
    Wallet(WalletFacts),
    Channel(ChannelFacts),
}
