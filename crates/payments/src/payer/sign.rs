//! Payments for offers: what an x402 client sends.

use alloy_primitives::{Address, B256, U256};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::{
    scheme::{Method, Scheme, sponsoring},
    signing::{
        Domain, SignerKey,
        approval::{self, Approval},
        permit2::{self, PERMIT2},
        transfer::{By, signed},
    },
    wire::{Accepted, PaymentPayload, PaymentRequired, PermitAuthorization, Requirements, TransferAuthorization},
};

/// Permits begin so long ago: chains' clocks lag.
const EARLIER_S: u64 = 600;

/// Why an offer cannot be paid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unpayable {
    #[error("none of the offers is by a scheme and on a network that this wallet pays")]
    NoOffer,
    #[error("the offer lacks extra.{0}, without which nothing can be signed")]
    Extra(&'static str),
}

/// A wallet that pays.
#[derive(Clone, Debug)]
pub struct Payer {
    key: SignerKey,
}

impl Payer {
    pub fn new(key: SignerKey) -> Self {
        Self { key }
    }

    pub fn key(&self) -> &SignerKey {
        &self.key
    }

    /// The first offer that is by `scheme`, if one is named, and that can be signed without a channel.
    pub fn choose(required: &PaymentRequired, scheme: Option<Scheme>) -> Result<&Requirements, Unpayable> {
        let fits = |terms: &&Requirements| match scheme {
            Some(scheme) => terms.scheme == scheme.word(),
            None => matches!(Scheme::from_word(&terms.scheme), Some(Scheme::Exact | Scheme::Upto)),
        };
        required.accepts.iter().find(fits).ok_or(Unpayable::NoOffer)
    }

    /// Pays one offer by `exact` or `upto`. `nonce` is fresh randomness.
    pub fn pay(
        &self,
        required: &PaymentRequired,
        terms: &Requirements,
        nonce: B256,
        now_s: u64,
    ) -> Result<PaymentPayload, Unpayable> {
        let is_permit2 = terms.extra_text("assetTransferMethod") == Some(Method::Permit2.word());
        let payload = match Scheme::from_word(&terms.scheme) {
            Some(Scheme::Exact) if is_permit2 => self.permit(terms, nonce, now_s, false)?,
            Some(Scheme::Exact) => self.transfer(terms, nonce, now_s)?,
            Some(Scheme::Upto) => self.permit(terms, nonce, now_s, true)?,
            Some(Scheme::Batch) | None => return Err(Unpayable::NoOffer),
        };
        Ok(PaymentPayload {
            accepted: Accepted::Terms(terms.clone()),
            resource: Some(required.resource.clone()),
            payload,
            extensions: Map::new(),
        })
    }

    /// Lets Permit2 move just what a payment takes, by a signature that whoever settles hands to the token. `nonce` is the payer's next one
    /// there.
    pub fn approve(&self, (asset, domain): (Address, &Domain), amount: u128, nonce: U256, until_s: u64) -> Value {
        let deadline = U256::from(until_s);
        let approval = Approval { owner: self.key.address(), spender: PERMIT2, value: amount, nonce, deadline };
        sponsoring(&approval, asset, &self.key.sign(&approval::signed(&approval, domain)))
    }

    fn transfer(&self, terms: &Requirements, nonce: B256, now_s: u64) -> Result<Map<String, Value>, Unpayable> {
        let authorization = TransferAuthorization {
            from: self.key.address(),
            to: terms.pay_to,
            value: terms.amount,
            valid_after: U256::from(now_s.saturating_sub(EARLIER_S)),
            valid_before: U256::from(now_s.saturating_add(terms.max_timeout_s)),
            nonce,
        };
        let signature = self.key.sign(&signed(&authorization, By::Anyone, &token_domain(terms)?));
        let payload = json!({
            "authorization": authorization.to_json(),
            "signature": alloy_primitives::hex::encode_prefixed(signature),
        });
        Ok(map_of(payload))
    }

    fn permit(
        &self,
        terms: &Requirements,
        nonce: B256,
        now_s: u64,
        is_upto: bool,
    ) -> Result<Map<String, Value>, Unpayable> {
        let facilitator = terms.extra.get("facilitatorAddress").and_then(Value::as_str);
        let facilitator = facilitator.and_then(crate::wire::json::read_hex).map(alloy_primitives::Address::from);
        if is_upto && facilitator.is_none() {
            return Err(Unpayable::Extra("facilitatorAddress"));
        }
        let permit = PermitAuthorization {
            from: self.key.address(),
            token: terms.asset,
            amount: terms.amount,
            spender: if is_upto { permit2::UPTO_PROXY } else { permit2::EXACT_PROXY },
            nonce: nonce.into(),
            deadline: U256::from(now_s.saturating_add(terms.max_timeout_s)),
            to: terms.pay_to,
            facilitator: facilitator.filter(|_| is_upto),
            valid_after: U256::from(now_s.saturating_sub(EARLIER_S)),
        };
        let signature = self.key.sign(&permit2::signed(&permit, &permit2::domain(terms.network.chain_id())));
        let payload = json!({
            "permit2Authorization": permit.to_json(),
            "signature": alloy_primitives::hex::encode_prefixed(signature),
        });
        Ok(map_of(payload))
    }
}

/// The token's domain, as the offer tells it.
pub fn token_domain(terms: &Requirements) -> Result<Domain, Unpayable> {
    let name = terms.extra_text("name").ok_or(Unpayable::Extra("name"))?;
    let version = terms.extra_text("version").ok_or(Unpayable::Extra("version"))?;
    Ok(Domain::new(name, version, terms.network.chain_id(), terms.asset))
}

pub fn map_of(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}
