//! A deposit: money that its payer lets into the channel, by EIP-3009 or Permit2, through x402's collectors.

use alloy_primitives::{B256, U256};
use serde_json::{Value, json};

use crate::{
    scheme::{
        Approved, Method, Offer, Refused, all_hold,
        permit::{in_time, signature_of, whole_seconds},
    },
    signing::{
        channel::{self, ChannelConfig, PERMIT2_COLLECTOR, TRANSFER_COLLECTOR},
        transfer::{By, signed},
    },
    wire::{PermittedTransfer, TransferAuthorization, json::Object},
};

/// A deposit whose signature was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Deposit {
    pub amount: u128,
    pub method: DepositMethod,
    pub signature: Vec<u8>,
    pub expires_at_s: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DepositMethod {
    Transfer {
        valid_after: U256,
        valid_before: U256,
        salt: B256,
        nonce: B256,
    },
    Permit2 {
        nonce: U256,
        deadline: U256,
        /// What lets Permit2 move just this, where it comes with the deposit.
        approved: Option<Approved>,
    },
}

impl Deposit {
    pub fn read(
        object: Object<'_>,
        config: &ChannelConfig,
        channel: B256,
        offer: &Offer,
        now_s: u64,
    ) -> Result<Self, Refused> {
        let amount = object.amount("amount")?;
        let authorization = object.object("authorization")?;
        let deposit = match offer.method {
            Method::Transfer => {
                let inner = authorization.object("erc3009Authorization")?;
                read_transfer(inner, amount, config, channel, offer, now_s)?
            }
            Method::Permit2 => {
                let inner = authorization.object("permit2Authorization")?;
                read_permit(inner, amount, config, channel, offer, now_s)?
            }
        };
        if amount == 0 {
            return Err(Refused::Deposit { found: 0, expected: 1 });
        }
        Ok(deposit)
    }

    pub const fn nonce(&self) -> B256 {
        match &self.method {
            DepositMethod::Transfer { nonce, .. } => *nonce,
            DepositMethod::Permit2 { nonce, .. } => B256::new(nonce.to_be_bytes::<32>()),
        }
    }

    /// What the collector of this deposit is handed, for a log.
    pub fn to_json(&self) -> Value {
        json!({ "amount": self.amount.to_string(), "nonce": self.nonce().to_string() })
    }
}

fn read_transfer(
    inner: Object<'_>,
    amount: u128,
    config: &ChannelConfig,
    channel: B256,
    offer: &Offer,
    now_s: u64,
) -> Result<Deposit, Refused> {
    let salt = inner.word("salt")?;
    let nonce = channel::deposit_nonce(channel, salt);
    let authorization = TransferAuthorization {
        from: config.payer,
        to: TRANSFER_COLLECTOR,
        value: amount,
        valid_after: inner.number("validAfter")?,
        valid_before: inner.number("validBefore")?,
        nonce,
    };
    let (valid_after, valid_before) = (authorization.valid_after, authorization.valid_before);
    in_time(whole_seconds(valid_after), whole_seconds(valid_before), offer, now_s)?;
    let digest = signed(&authorization, By::Receiver, offer.asset.domain());
    let signature = signature_of(config.payer, &digest, inner)?;
    let method = DepositMethod::Transfer { valid_after, valid_before, salt, nonce };
    Ok(Deposit { amount, method, signature, expires_at_s: whole_seconds(valid_before) })
}

fn read_permit(
    inner: Object<'_>,
    amount: u128,
    config: &ChannelConfig,
    channel: B256,
    offer: &Offer,
    now_s: u64,
) -> Result<Deposit, Refused> {
    let permitted = PermittedTransfer::read(inner)?;
    all_hold([
        (permitted.from == config.payer, Refused::Signer),
        (permitted.token == offer.asset.address, Refused::Token),
        (permitted.spender == PERMIT2_COLLECTOR, Refused::Spender),
        (inner.object("witness")?.word("channelId")? == channel, Refused::ChannelId),
        (permitted.amount == amount, Refused::Amount { found: permitted.amount, expected: amount }),
    ])?;
    let PermittedTransfer { nonce, deadline, .. } = permitted;
    in_time(0, whole_seconds(deadline), offer, now_s)?;
    let digest = channel::permit_deposit(offer.asset.address, amount, nonce, deadline, channel, offer.asset.permit2());
    let signature = signature_of(config.payer, &digest, inner)?;
    let method = DepositMethod::Permit2 { nonce, deadline, approved: None };
    Ok(Deposit { amount, method, signature, expires_at_s: whole_seconds(deadline) })
}
