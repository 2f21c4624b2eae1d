//! What a chain says of a payer or a channel; asked for by whoever has a connection, given here as an argument.

use alloy_primitives::{Address, B256, U256};
use protocol::Digest;
use serde_json::{Map, Value};

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

impl Question {
    /// The identity of the payment that is asked about.
    pub fn id(&self) -> Digest {
        payment_id(self.method, self.network, &self.asset, &self.payer, &self.nonce)
    }
}

/// A payment's identity: what its chain takes once only.
pub(super) fn payment_id(method: Method, network: Network, asset: &Address, payer: &Address, nonce: &B256) -> Digest {
    let is_permit2 = method == Method::Permit2;
    let parts: [&[u8]; 6] = [
        &[u8::from(is_permit2)],
        &network.chain_id().to_be_bytes(),
        // Permit2 counts nonces for all tokens together, a token for itself.
        if is_permit2 { &[] } else { asset.as_slice() },
        payer.as_slice(),
        nonce.as_slice(),
        &[],
    ];
    crypto::hash("og/payment/v1", &parts)
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

impl ChannelFacts {
    /// The channel's state as clients read it. Who keeps books adds what is charged and not claimed.
    pub fn state(&self, channel: B256) -> Map<String, Value> {
        let words = [
            ("channelId", channel.to_string().into()),
            ("balance", self.balance.to_string().into()),
            ("totalClaimed", self.total_claimed.to_string().into()),
            ("withdrawRequestedAt", self.withdraw_requested_at_s.into()),
            ("refundNonce", self.refund_nonce.to_string().into()),
        ];
        words.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facts {
    Wallet(WalletFacts),
    Channel(ChannelFacts),
}
