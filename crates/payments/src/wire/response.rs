//! What came of a payment: `SettleResponse` in `PAYMENT-RESPONSE`, and a facilitator's `VerifyResponse`.

use alloy_primitives::Address;
use serde_json::{Map, Value};

use crate::wire::{
    json::{Object, WireError},
    network::Network,
};

/// The outcome of a settlement, or of a charge that is settled later: then `transaction` is empty.
#[derive(Clone, Debug, PartialEq)]
pub struct SettleResponse {
    pub success: bool,
    pub error_reason: Option<String>,
    /// The same for people.
    pub error_message: Option<String>,
    pub payer: Option<Address>,
    pub transaction: String,
    pub network: Network,
    pub amount: Option<u128>,
    pub extra: Map<String, Value>,
    pub extensions: Map<String, Value>,
}

impl SettleResponse {
    pub fn charged(network: Network, payer: Address, amount: u128, transaction: String) -> Self {
        Self {
            success: true,
            error_reason: None,
            error_message: None,
            payer: Some(payer),
            transaction,
            network,
            amount: Some(amount),
            extra: Map::new(),
            extensions: Map::new(),
        }
    }

    pub fn failed(network: Network, payer: Option<Address>, reason: impl Into<String>) -> Self {
        Self {
            success: false,
            error_reason: Some(reason.into()),
            error_message: None,
            payer,
            transaction: String::new(),
            network,
            amount: None,
            extra: Map::new(),
            extensions: Map::new(),
        }
    }

    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("success".to_owned(), self.success.into());
        if let Some(reason) = &self.error_reason {
            map.insert("errorReason".to_owned(), reason.clone().into());
        }
        if let Some(message) = &self.error_message {
            map.insert("errorMessage".to_owned(), message.clone().into());
        }
        if let Some(payer) = self.payer {
            map.insert("payer".to_owned(), payer.to_checksum(None).into());
        }
        map.insert("transaction".to_owned(), self.transaction.clone().into());
        map.insert("network".to_owned(), self.network.to_string().into());
        if let Some(amount) = self.amount {
            map.insert("amount".to_owned(), amount.to_string().into());
        }
        for (name, inner) in [("extra", &self.extra), ("extensions", &self.extensions)] {
            if !inner.is_empty() {
                map.insert(name.to_owned(), Value::Object(inner.clone()));
            }
        }
        Value::Object(map)
    }

    pub fn read(map: &Map<String, Value>) -> Result<Self, WireError> {
        let network = Object::new("", map).text("network")?.parse()?;
        Self::read_on(network, map)
    }

    /// As version 1 writes it, where networks have names.
    pub fn read_legacy(map: &Map<String, Value>) -> Result<Self, WireError> {
        let network = Network::from_legacy_name(Object::new("", map).text("network")?);
        let wrong = || WireError::field("network", "another name", "base or base-sepolia in version 1");
        Self::read_on(network.ok_or_else(wrong)?, map)
    }

    fn read_on(network: Network, map: &Map<String, Value>) -> Result<Self, WireError> {
        let object = Object::new("", map);
        Ok(Self {
            success: object.flag("success")?,
            error_reason: object.optional_text("errorReason")?.map(str::to_owned),
            error_message: object.optional_text("errorMessage")?.map(str::to_owned),
            payer: object.optional("payer").map(|_| object.address("payer")).transpose()?,
            transaction: object.optional_text("transaction")?.unwrap_or_default().to_owned(),
            network,
            amount: object.optional("amount").map(|_| object.amount("amount")).transpose()?,
            extra: object.object_or_empty("extra")?,
            extensions: object.object_or_empty("extensions")?,
        })
    }
}

/// A facilitator's word on whether a payment would settle.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VerifyResponse {
    pub invalid_reason: Option<String>,
    /// The same for people.
    pub invalid_message: Option<String>,
    pub payer: Option<Address>,
    /// What a scheme tells besides: a channel's state.
    pub extra: Map<String, Value>,
}

impl VerifyResponse {
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("isValid".to_owned(), self.invalid_reason.is_none().into());
        if let Some(reason) = &self.invalid_reason {
            map.insert("invalidReason".to_owned(), reason.clone().into());
        }
        if let Some(message) = &self.invalid_message {
            map.insert("invalidMessage".to_owned(), message.clone().into());
        }
        if let Some(payer) = self.payer {
            map.insert("payer".to_owned(), payer.to_checksum(None).into());
        }
        if !self.extra.is_empty() {
            map.insert("extra".to_owned(), Value::Object(self.extra.clone()));
        }
        Value::Object(map)
    }
}
