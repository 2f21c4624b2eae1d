//! What a payment is asked for: `PaymentRequired` and its `PaymentRequirements`.

use alloy_primitives::Address;
use serde_json::{Map, Value, json};

use crate::wire::{
    json::{Object, WireError, kind},
    network::Network,
};

pub const VERSION: u64 = 2;
pub const LEGACY_VERSION: u64 = 1;
/// Ways to pay that one offer may name.
const ACCEPTS_MAX: usize = 64;

/// What is paid for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Resource {
    pub url: String,
    pub description: Option<String>,
    pub mime_type: Option<String>,
}

/// One way to pay.
#[derive(Clone, Debug, PartialEq)]
pub struct Requirements {
    pub scheme: String,
    pub network: Network,
    /// Base units of the asset: exactly, or at most, depending on the scheme.
    pub amount: u128,
    pub asset: Address,
    pub pay_to: Address,
    pub max_timeout_s: u64,
    pub extra: Map<String, Value>,
}

/// The 402: all ways to pay.
#[derive(Clone, Debug, PartialEq)]
pub struct PaymentRequired {
    pub error: Option<String>,
    pub resource: Resource,
    pub accepts: Vec<Requirements>,
    pub extensions: Map<String, Value>,
}

impl Resource {
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("url".to_owned(), self.url.clone().into());
        let texts = [("description", &self.description), ("mimeType", &self.mime_type)];
        for (name, text) in texts {
            if let Some(text) = text {
                map.insert(name.to_owned(), text.clone().into());
            }
        }
        Value::Object(map)
    }

    pub fn read(object: Object<'_>) -> Result<Self, WireError> {
        Ok(Self {
            url: object.text("url")?.to_owned(),
            description: object.optional_text("description")?.map(str::to_owned),
            mime_type: object.optional_text("mimeType")?.map(str::to_owned),
        })
    }
}

impl Requirements {
    pub fn to_json(&self) -> Value {
        json!({
            "scheme": self.scheme,
            "network": self.network.to_string(),
            "amount": self.amount.to_string(),
            "asset": self.asset.to_checksum(None),
            "payTo": self.pay_to.to_checksum(None),
            "maxTimeoutSeconds": self.max_timeout_s,
            "extra": self.extra,
        })
    }

    pub fn read(object: Object<'_>) -> Result<Self, WireError> {
        Ok(Self {
            scheme: object.text("scheme")?.to_owned(),
            network: object.text("network")?.parse()?,
            amount: object.amount("amount")?,
            asset: object.address("asset")?,
            pay_to: object.address("payTo")?,
            max_timeout_s: object.whole("maxTimeoutSeconds")?,
            extra: object.object_or_empty("extra")?,
        })
    }

    /// As version 1 writes it, without what it says of the resource.
    pub fn read_legacy(object: Object<'_>) -> Result<Self, WireError> {
        let name = object.text("network")?;
        let network = Network::from_legacy_name(name)
            .ok_or_else(|| WireError::field("network", "another name", "base or base-sepolia in version 1"))?;
        Ok(Self {
            scheme: object.text("scheme")?.to_owned(),
            network,
            amount: object.amount("maxAmountRequired")?,
            asset: object.address("asset")?,
            pay_to: object.address("payTo")?,
            max_timeout_s: object.whole("maxTimeoutSeconds")?,
            extra: object.object_or_empty("extra")?,
        })
    }

    /// As version 1 writes it; `None` for a network without a name there.
    pub fn to_legacy_json(&self, resource: &Resource) -> Option<Value> {
        Some(json!({
            "scheme": self.scheme,
            "network": self.network.legacy_name()?,
            "maxAmountRequired": self.amount.to_string(),
            "resource": resource.url,
            "description": resource.description.clone().unwrap_or_default(),
            "mimeType": resource.mime_type.clone().unwrap_or_default(),
            "payTo": self.pay_to.to_checksum(None),
            "maxTimeoutSeconds": self.max_timeout_s,
            "asset": self.asset.to_checksum(None),
            "extra": self.extra,
        }))
    }

    /// Version 1 knows one scheme, and one method for it.
    fn is_of_version_1(&self) -> bool {
        self.scheme == "exact" && self.extra_text("assetTransferMethod").is_none_or(|method| method == "eip3009")
    }

    pub fn extra_text(&self, name: &str) -> Option<&str> {
        self.extra.get(name)?.as_str()
    }

    /// The first difference from what was offered that money depends on.
    ///
    /// `extra` is not compared: what a scheme needs of it is taken from the offer, never from the client's echo.
    pub fn difference(&self, offered: &Self) -> Option<&'static str> {
        let same = [
            ("scheme", self.scheme == offered.scheme),
            ("network", self.network == offered.network),
            ("asset", self.asset == offered.asset),
            ("payTo", self.pay_to == offered.pay_to),
            ("amount", self.amount == offered.amount),
            ("maxTimeoutSeconds", self.max_timeout_s == offered.max_timeout_s),
        ];
        same.iter().find(|(_, equal)| !equal).map(|(name, _)| *name)
    }
}

impl PaymentRequired {
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("x402Version".to_owned(), VERSION.into());
        if let Some(error) = &self.error {
            map.insert("error".to_owned(), error.clone().into());
        }
        map.insert("resource".to_owned(), self.resource.to_json());
        map.insert("accepts".to_owned(), self.accepts.iter().map(Requirements::to_json).collect());
        map.insert("extensions".to_owned(), Value::Object(self.extensions.clone()));
        Value::Object(map)
    }

    /// As version 1 writes it, with the ways to pay that it has: its clients read no document that names another.
    pub fn to_legacy_json(&self) -> Value {
        let known = self.accepts.iter().filter(|terms| terms.is_of_version_1());
        let accepts: Vec<Value> = known.filter_map(|terms| terms.to_legacy_json(&self.resource)).collect();
        let error = self.error.as_deref().unwrap_or("X-PAYMENT header is required");
        json!({ "x402Version": LEGACY_VERSION, "error": error, "accepts": accepts })
    }

    /// Reads what a server of version 1 asks for; `url` stands where it does not say for what.
    pub fn read_legacy(map: &Map<String, Value>, url: &str) -> Result<Self, WireError> {
        let object = Object::new("", map);
        let version = object.whole("x402Version")?;
        if version != LEGACY_VERSION {
            return Err(WireError::field("x402Version", version.to_string(), "1"));
        }
        let mut accepts = Vec::new();
        let mut resource = Resource { url: url.to_owned(), ..Resource::default() };
        for map in listed(object)? {
            let offered = Object::new("accepts", map);
            if let Ok(terms) = Requirements::read_legacy(offered) {
                let text = |name| offered.optional_text(name).ok().flatten().map(str::to_owned);
                resource.url = text("resource").unwrap_or(resource.url);
                accepts.push(terms);
            }
        }
        let error = object.optional_text("error")?.map(str::to_owned);
        Ok(Self { error, resource, accepts, extensions: Map::new() })
    }

    /// Reads what a server asks for, as a client does.
    pub fn read(map: &Map<String, Value>) -> Result<Self, WireError> {
        let object = Object::new("", map);
        let version = object.whole("x402Version")?;
        if version != VERSION {
            return Err(WireError::field("x402Version", version.to_string(), "2"));
        }
        // What this client cannot read it cannot pay: others of the list may do.
        let accepts = listed(object)?.into_iter().flat_map(|map| Requirements::read(Object::new("accepts", map)));
        let accepts = accepts.collect();
        Ok(Self {
            error: object.optional_text("error")?.map(str::to_owned),
            resource: Resource::read(object.object("resource")?)?,
            accepts,
            extensions: object.object_or_empty("extensions")?,
        })
    }
}

fn listed<'a>(object: Object<'a>) -> Result<Vec<&'a Map<String, Value>>, WireError> {
    let listed = object.list("accepts")?;
    if listed.len() > ACCEPTS_MAX {
        return Err(WireError::field("accepts", format!("{} ways", listed.len()), "at most 64 ways to pay"));
    }
    let map = |value: &'a Value| value.as_object().ok_or_else(|| WireError::field("accepts", kind(value), "objects"));
    listed.iter().map(map).collect()
}
