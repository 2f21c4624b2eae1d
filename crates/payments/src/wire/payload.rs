//! What a client pays with: `PaymentPayload` of version 2, and of version 1 where it says the same.

use alloy_primitives::{Address, B256, U256};
use serde_json::{Map, Value, json};

use crate::wire::{
    json::{Object, WireError},
    network::Network,
    terms::{LEGACY_VERSION, Requirements, Resource, VERSION},
};

/// Longest signature: one of a contract wallet may carry several, and the deployment that makes it.
pub const SIGNATURE_BYTES_MAX: usize = 2_048;

/// A payment as it was sent: read, and nothing of it believed.
#[derive(Clone, Debug, PartialEq)]
pub struct PaymentPayload {
    pub accepted: Accepted,
    /// Where the client says that it pays for; signed by nobody.
    pub resource: Option<Resource>,
    /// The scheme's own part.
    pub payload: Map<String, Value>,
    pub extensions: Map<String, Value>,
}

/// Which offer a payment takes up.
#[derive(Clone, Debug, PartialEq)]
pub enum Accepted {
    /// Version 2 repeats the offer.
    Terms(Requirements),
    /// Version 1 names scheme and network only.
    Named { scheme: String, network: Network },
}

impl Accepted {
    pub fn scheme(&self) -> &str {
        match self {
            Self::Terms(terms) => &terms.scheme,
            Self::Named { scheme, .. } => scheme,
        }
    }

    pub fn network(&self) -> Network {
        match self {
            Self::Terms(terms) => terms.network,
            Self::Named { network, .. } => *network,
        }
    }

    pub const fn is_legacy(&self) -> bool {
        matches!(self, Self::Named { .. })
    }
}

impl PaymentPayload {
    pub fn read(map: &Map<String, Value>) -> Result<Self, WireError> {
        let object = Object::new("", map);
        let accepted = match object.whole("x402Version")? {
            VERSION => Accepted::Terms(Requirements::read(object.object("accepted")?)?),
            LEGACY_VERSION => read_legacy(object)?,
            other => return Err(WireError::field("x402Version", other.to_string(), "2, or 1")),
        };
        let resource = object.optional("resource").map(|_| Resource::read(object.object("resource")?)).transpose()?;
        Ok(Self {
            accepted,
            resource,
            payload: object.object("payload")?.map.clone(),
            extensions: object.object_or_empty("extensions")?,
        })
    }

    /// What it is over: by version 2 the amount of the offer that it repeats; by version 1, which names none, what is signed. `None` where
    /// that cannot be read.
    pub fn amount(&self) -> Option<u128> {
        match &self.accepted {
            Accepted::Terms(terms) => Some(terms.amount),
            Accepted::Named { .. } => {
                Object::new("payload", &self.payload).object("authorization").ok()?.amount("value").ok()
            }
        }
    }

    /// As version 2 writes it.
    pub fn to_json(&self) -> Option<Value> {
        let Accepted::Terms(terms) = &self.accepted else { return None };
        let mut map = Map::new();
        map.insert("x402Version".to_owned(), VERSION.into());
        if let Some(resource) = &self.resource {
            map.insert("resource".to_owned(), resource.to_json());
        }
        map.insert("accepted".to_owned(), terms.to_json());
        map.insert("payload".to_owned(), Value::Object(self.payload.clone()));
        map.insert("extensions".to_owned(), Value::Object(self.extensions.clone()));
        Some(Value::Object(map))
    }
}

fn read_legacy(object: Object<'_>) -> Result<Accepted, WireError> {
    let name = object.text("network")?;
    let network = Network::from_legacy_name(name)
        .ok_or_else(|| WireError::field("network", "another name", "base or base-sepolia in version 1"))?;
    Ok(Accepted::Named { scheme: object.text("scheme")?.to_owned(), network })
}

/// EIP-3009: the payer lets its token pay `value` to `to`, once, within a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferAuthorization {
    pub from: Address,
    pub to: Address,
    pub value: u128,
    pub valid_after: U256,
    pub valid_before: U256,
    pub nonce: B256,
}

impl TransferAuthorization {
    pub fn read(object: Object<'_>) -> Result<Self, WireError> {
        Ok(Self {
            from: object.address("from")?,
            to: object.address("to")?,
            value: object.amount("value")?,
            valid_after: object.number("validAfter")?,
            valid_before: object.number("validBefore")?,
            nonce: object.word("nonce")?,
        })
    }

    pub fn to_json(&self) -> Value {
        json!({
            "from": self.from.to_checksum(None),
            "to": self.to.to_checksum(None),
            "value": self.value.to_string(),
            "validAfter": self.valid_after.to_string(),
            "validBefore": self.valid_before.to_string(),
            "nonce": self.nonce.to_string(),
        })
    }
}

/// What every transfer says that is signed for Permit2, whatever its witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermittedTransfer {
    pub from: Address,
    pub token: Address,
    pub amount: u128,
    /// Who may use it.
    pub spender: Address,
    pub nonce: U256,
    pub deadline: U256,
}

impl PermittedTransfer {
    pub fn read(object: Object<'_>) -> Result<Self, WireError> {
        let permitted = object.object("permitted")?;
        Ok(Self {
            from: object.address("from")?,
            token: permitted.address("token")?,
            amount: permitted.amount("amount")?,
            spender: object.address("spender")?,
            nonce: object.number("nonce")?,
            deadline: object.number("deadline")?,
        })
    }
}

/// Permit2's signed transfer with a witness of the x402 proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermitAuthorization {
    pub from: Address,
    pub token: Address,
    pub amount: u128,
    /// Which proxy may use it.
    pub spender: Address,
    pub nonce: U256,
    pub deadline: U256,
    pub to: Address,
    /// Who may settle; in `upto` only, where the amount is chosen at settlement.
    pub facilitator: Option<Address>,
    pub valid_after: U256,
}

impl PermitAuthorization {
    pub fn read(object: Object<'_>) -> Result<Self, WireError> {
        let PermittedTransfer { from, token, amount, spender, nonce, deadline } = PermittedTransfer::read(object)?;
        let witness = object.object("witness")?;
        let (to, valid_after) = (witness.address("to")?, witness.number("validAfter")?);
        let facilitator = witness.optional("facilitator").map(|_| witness.address("facilitator")).transpose()?;
        Ok(Self { from, token, amount, spender, nonce, deadline, to, facilitator, valid_after })
    }

    pub fn to_json(&self) -> Value {
        let mut witness = json!({ "to": self.to.to_checksum(None), "validAfter": self.valid_after.to_string() });
        if let Some(facilitator) = self.facilitator {
            witness["facilitator"] = facilitator.to_checksum(None).into();
        }
        json!({
            "from": self.from.to_checksum(None),
            "permitted": { "token": self.token.to_checksum(None), "amount": self.amount.to_string() },
            "spender": self.spender.to_checksum(None),
            "nonce": self.nonce.to_string(),
            "deadline": self.deadline.to_string(),
            "witness": witness,
        })
    }
}
