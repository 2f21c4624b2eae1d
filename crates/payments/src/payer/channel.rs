//! A channel on its payer's side: a deposit once, then a voucher for each call.

use alloy_primitives::{Address, B256, U256};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::{
    payer::sign::{Payer, Unpayable, map_of, token_domain},
    scheme::Method,
    signing::{
        Domain,
        channel::{self, ChannelConfig, PERMIT2_COLLECTOR, TRANSFER_COLLECTOR},
        permit2, recover,
        transfer::{By, signed},
    },
    wire::{
        Accepted, PaymentPayload, PaymentRequired, Requirements, TransferAuthorization, WireError,
        json::{Object, read_hex},
    },
};

/// A signature over a sum.
const SIGNATURE_BYTES: usize = 65;

/// What a receiver says of a channel and cannot be so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Untrue {
    #[error("{0}")]
    Form(#[from] WireError),
    #[error("it speaks of the channel {found}, and {expected} is this payer's")]
    OtherChannel { found: B256, expected: B256 },
    #[error("it shows a voucher that this payer's key did not sign")]
    Signature,
    #[error("{found} are said to be charged in all, and {signed} were signed")]
    BeyondSigned { found: u128, signed: u128 },
}

/// What a payer knows of its channel with one gateway.
#[derive(Clone, Debug)]
pub struct Channel {
    pub config: ChannelConfig,
    pub id: B256,
    /// Deposited in all.
    pub balance: u128,
    /// Charged in all, as far as the gateway told.
    pub charged: u128,
    /// The most that any voucher was signed for: so much can be taken.
    pub signed: u128,
    /// As much of it as stands against the payer's limits already: deposits with the vouchers that were signed beyond them.
    pub counted: u128,
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
        Ok(Self {
            config,
            id: channel::channel_id(&config, &domain),
            balance: 0,
            charged: 0,
            signed: 0,
            counted: 0,
            domain,
        })
    }

    /// Takes over what the receiver says of the channel, in a response or to correct a voucher (`channelState`, `voucherState`): never
    /// more than was signed, and what this payer has forgotten only by its own signature.
    pub fn told(&mut self, extra: &Map<String, Value>) -> Result<(), Untrue> {
        let told = Object::new("extra", extra);
        let state = told.object("channelState")?;
        let found = state.word("channelId")?;
        if found != self.id {
            return Err(Untrue::OtherChannel { found, expected: self.id });
        }
        let (charged, balance) = (state.amount("chargedCumulativeAmount")?, state.amount("balance")?);
        let shown = told.optional("voucherState").map(|_| self.shown(told.object("voucherState")?)).transpose()?;
        let signed = self.signed.max(shown.unwrap_or(0));
        if charged > signed {
            return Err(Untrue::BeyondSigned { found: charged, signed });
        }
        (self.charged, self.balance, self.signed) = (charged, balance, signed);
        Ok(())
    }

    /// A sum that this channel's payer signed.
    fn shown(&self, state: Object<'_>) -> Result<u128, Untrue> {
        let (sum, signature) = (state.amount("signedMaxClaimable")?, state.bytes("signature", SIGNATURE_BYTES)?);
        let signer = recover(&channel::voucher(self.id, sum, &self.domain), &signature);
        if signer != Ok(self.config.payer_authorizer) {
            return Err(Untrue::Signature);
        }
        Ok(sum)
    }

    /// The sum that the next call's voucher must cover.
    pub fn next_claimable(&self, amount: u128) -> u128 {
        self.charged.saturating_add(amount)
    }

    /// What a voucher over `next` lets be taken that could not be before, and that no limit has counted, nor counts with `deposit`.
    pub fn fresh(&self, next: u128, deposit: u128) -> u128 {
        next.saturating_sub(self.counted.saturating_add(deposit).max(self.signed))
    }

    /// Notes that a voucher over `next` is signed, and `deposit` with it.
    pub fn sign(&mut self, next: u128, deposit: u128) {
        self.counted = self.counted.saturating_add(deposit).max(next);
        self.signed = self.signed.max(next);
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

    /// A voucher with a deposit, by the method that the terms name. `salt` is fresh randomness: what is signed with the same one again can
    /// be taken once.
    pub fn deposit(
        &self,
        payer: &Payer,
        terms: &Requirements,
        amount: u128,
        salt: B256,
        now_s: u64,
    ) -> Result<Map<String, Value>, Unpayable> {
        let is_permit2 = terms.extra_text("assetTransferMethod") == Some(Method::Permit2.word());
        let authorization = if is_permit2 {
            self.permit(payer, terms, amount, salt, now_s)
        } else {
            self.transfer(payer, terms, amount, salt, now_s)?
        };
        let mut payload = self.signed(payer, self.next_claimable(terms.amount));
        payload.insert("type".to_owned(), "deposit".into());
        payload.insert("deposit".to_owned(), json!({ "amount": amount.to_string(), "authorization": authorization }));
        Ok(payload)
    }

    fn transfer(
        &self,
        payer: &Payer,
        terms: &Requirements,
        amount: u128,
        salt: B256,
        now_s: u64,
    ) -> Result<Value, Unpayable> {
        let authorization = TransferAuthorization {
            from: self.config.payer,
            to: TRANSFER_COLLECTOR,
            value: amount,
            valid_after: U256::ZERO,
            valid_before: U256::from(now_s.saturating_add(terms.max_timeout_s)),
            nonce: channel::deposit_nonce(self.id, salt),
        };
        let signature = payer.key().sign(&signed(&authorization, By::Receiver, &token_domain(terms)?));
        Ok(json!({ "erc3009Authorization": {
            "validAfter": authorization.valid_after.to_string(),
            "validBefore": authorization.valid_before.to_string(),
            "salt": salt.to_string(),
            "signature": alloy_primitives::hex::encode_prefixed(signature),
        }}))
    }

    fn permit(&self, payer: &Payer, terms: &Requirements, amount: u128, salt: B256, now_s: u64) -> Value {
        let (nonce, deadline) = (U256::from_be_bytes(salt.0), U256::from(now_s.saturating_add(terms.max_timeout_s)));
        let domain = permit2::domain(terms.network.chain_id());
        let digest = channel::permit_deposit(terms.asset, amount, nonce, deadline, self.id, &domain);
        json!({ "permit2Authorization": {
            "from": self.config.payer.to_checksum(None),
            "permitted": { "token": terms.asset.to_checksum(None), "amount": amount.to_string() },
            "spender": PERMIT2_COLLECTOR.to_checksum(None),
            "nonce": nonce.to_string(),
            "deadline": deadline.to_string(),
            "witness": { "channelId": self.id.to_string() },
            "signature": alloy_primitives::hex::encode_prefixed(payer.key().sign(&digest)),
        }})
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{signing::SignerKey, wire::Network};

    fn payer() -> Payer {
        Payer::new(SignerKey::from_secret([7; 32]).unwrap())
    }

    fn channel() -> Channel {
        let terms = Requirements {
            scheme: "batch-settlement".to_owned(),
            network: Network::BASE,
            amount: 10,
            asset: Address::repeat_byte(1),
            pay_to: Address::repeat_byte(2),
            max_timeout_s: 60,
            extra: map_of(json!({ "receiverAuthorizer": Address::repeat_byte(3), "withdrawDelay": 900 })),
        };
        Channel { balance: 100, signed: 20, ..Channel::of(&terms, &payer(), B256::ZERO).unwrap() }
    }

    fn state(id: B256, charged: &str) -> Value {
        json!({ "channelState": { "channelId": id, "balance": "90", "chargedCumulativeAmount": charged } })
    }

    /// What a receiver shows that it signed itself, or that the payer did.
    fn shown(mut state: Value, sum: u128, by: &Payer) -> Map<String, Value> {
        let voucher = channel().signed(by, sum);
        state["voucherState"] = json!({
            "signedMaxClaimable": sum.to_string(), "signature": voucher["voucher"]["signature"],
        });
        map_of(state)
    }

    #[test]
    fn what_was_charged_is_taken_over_up_to_what_was_signed() {
        let mut channel = channel();
        channel.told(&map_of(state(channel.id, "20"))).unwrap();
        assert_eq!((channel.charged, channel.balance, channel.signed), (20, 90, 20));
        channel.told(&map_of(state(channel.id, "5"))).unwrap();
        assert_eq!((channel.charged, channel.signed), (5, 20), "what was signed stays signed");
        let beyond = channel.told(&map_of(state(channel.id, "21")));
        assert_eq!(beyond, Err(Untrue::BeyondSigned { found: 21, signed: 20 }));
        assert_eq!(channel.charged, 5, "and nothing changed");
    }

    #[test]
    fn what_was_forgotten_is_believed_by_the_payers_own_signature_only() {
        let mut forgotten = Channel { signed: 0, ..channel() };
        let forged = shown(state(forgotten.id, "40"), 50, &Payer::new(SignerKey::from_secret([8; 32]).unwrap()));
        assert_eq!(forgotten.told(&forged), Err(Untrue::Signature));
        forgotten.told(&shown(state(forgotten.id, "40"), 50, &payer())).unwrap();
        assert_eq!((forgotten.charged, forgotten.signed), (40, 50));
    }

    #[test]
    fn what_a_deposit_was_counted_for_is_not_counted_again() {
        let mut channel = Channel { signed: 0, ..channel() };
        assert_eq!((channel.fresh(10, 0), channel.fresh(10, 50)), (10, 0), "nothing was counted yet");
        channel.sign(10, 50);
        assert_eq!((channel.signed, channel.counted), (10, 50));
        assert_eq!((channel.fresh(50, 0), channel.fresh(60, 0)), (0, 10), "the deposit is spent when it is signed");
        channel.sign(60, 0);
        assert_eq!((channel.fresh(60, 0), channel.fresh(61, 0)), (0, 1));
        channel.sign(20, 0);
        assert_eq!((channel.signed, channel.counted), (60, 60), "what was signed stays signed");
    }

    #[test]
    fn another_channel_or_none_is_refused() {
        let mut channel = channel();
        let other = state(B256::repeat_byte(9), "1");
        assert!(matches!(channel.told(&map_of(other)), Err(Untrue::OtherChannel { .. })));
        for bad in [json!({}), json!({ "channelState": 1 }), state(channel.id, "-1"), state(channel.id, "01")] {
            assert!(matches!(channel.told(&map_of(bad)), Err(Untrue::Form(_))));
        }
    }
}
