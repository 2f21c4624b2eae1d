//! A channel on its payer's side: a deposit once, then a voucher for each call.

use alloy_primitives::{Address, B256, U256};
use serde_json::{Map, Value, json};

use crate::{
    payer::sign::{Payer, Unpayable, map_of, token_domain},
    signing::{
        Domain,
        channel::{self, ChannelConfig, TRANSFER_COLLECTOR},
        transfer::{By, signed},
    },
    wire::{Accepted, PaymentPayload, PaymentRequired, Requirements, TransferAuthorization, json::read_hex},
};

/// What a payer knows of its channel with one gateway.
#[derive(Clone, Debug)]
pub struct Channel {
    pub config: ChannelConfig,
    pub id: B256,
    /// Deposited in all.
    pub balance: u128,
    /// Charged in all, as far as the gateway told.
    pub charged: u128,
    domain: Domain,
}

impl Channel {
    /// The channel that an offer's terms lead to; `salt` tells apart several of one payer.
    pub fn of(terms: &Requirements, payer: &Payer, salt: B256) -> Result<Self, Unpayable> {
        let authorizer = terms.extra_text("receiverAuthorizer").and_then(read_hex).map(Address::from);
        let delay = terms.extra.get("withdrawDelay").and_then(Value::as_u64);
        let config = ChannelConfig {
            payer: payer.key().address(),
            payer_authorizer: payer.key().address(),
            receiver: terms.pay_to,
            receiver_authorizer: authorizer.ok_or(Unpayable::Extra("receiverAuthorizer"))?,
            token: terms.asset,
            withdraw_delay_s: delay.ok_or(Unpayable::Extra("withdrawDelay"))?,
            salt,
        };
        let domain = channel::domain(terms.network.chain_id());
        Ok(Self { config, id: channel::channel_id(&config, &domain), balance: 0, charged: 0, domain })
    }

    /// The sum that the next call's voucher must cover.
    pub fn next_claimable(&self, amount: u128) -> u128 {
        self.charged.saturating_add(amount)
    }

    pub fn voucher(&self, payer: &Payer, max_claimable: u128) -> Map<String, Value> {
        let mut payload = self.signed(payer, max_claimable);
        payload.insert("type".to_owned(), "voucher".into());
        payload
    }

    pub fn refund(&self, payer: &Payer, amount: Option<u128>) -> Map<String, Value> {
        let mut payload = self.signed(payer, self.charged);
        payload.insert("type".to_owned(), "refund".into());
        if let Some(amount) = amount {
            payload.insert("amount".to_owned(), amount.to_string().into());
        }
        payload
    }

    /// A voucher with a deposit by EIP-3009. `salt` is fresh randomness.
    pub fn deposit(
        &self,
        payer: &Payer,
        terms: &Requirements,
        amount: u128,
        salt: B256,
        now_s: u64,
    ) -> Result<Map<String, Value>, Unpayable> {
        let authorization = TransferAuthorization {
            from: self.config.payer,
            to: TRANSFER_COLLECTOR,
            value: amount,
            valid_after: U256::ZERO,
            valid_before: U256::from(now_s.saturating_add(terms.max_timeout_s)),
            nonce: channel::deposit_nonce(self.id, salt),
        };
        let signature = payer.key().sign(&signed(&authorization, By::Receiver, &token_domain(terms)?));
        let mut payload = self.signed(payer, self.next_claimable(terms.amount));
        payload.insert("type".to_owned(), "deposit".into());
        payload.insert(
            "deposit".to_owned(),
            json!({
                "amount": amount.to_string(),
                "authorization": { "erc3009Authorization": {
                    "validAfter": authorization.valid_after.to_string(),
                    "validBefore": authorization.valid_before.to_string(),
                    "salt": salt.to_string(),
                    "signature": alloy_primitives::hex::encode_prefixed(signature),
                }},
            }),
        );
        Ok(payload)
    }

    fn signed(&self, payer: &Payer, max_claimable: u128) -> Map<String, Value> {
        let signature = payer.key().sign(&channel::voucher(self.id, max_claimable, &self.domain));
        let config = &self.config;
        map_of(json!({
            "channelConfig": {
                "payer": config.payer.to_checksum(None),
                "payerAuthorizer": config.payer_authorizer.to_checksum(None),
                "receiver": config.receiver.to_checksum(None),
                "receiverAuthorizer": config.receiver_authorizer.to_checksum(None),
                "token": config.token.to_checksum(None),
                "withdrawDelay": config.withdraw_delay_s,
                "salt": config.salt.to_string(),
            },
            "voucher": {
                "channelId": self.id.to_string(),
                "maxClaimableAmount": max_claimable.to_string(),
                "signature": alloy_primitives::hex::encode_prefixed(signature),
            },
        }))
    }

    /// What is sent for a payload of this channel.
    pub fn payment(required: &PaymentRequired, terms: &Requirements, payload: Map<String, Value>) -> PaymentPayload {
        PaymentPayload {
            accepted: Accepted::Terms(terms.clone()),
            resource: Some(required.resource.clone()),
            payload,
            extensions: Map::new(),
        }
    }
}
