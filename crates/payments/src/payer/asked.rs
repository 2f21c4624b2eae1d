//! What a server asks for in a 402, by either version of the protocol, and how it is answered.

use serde_json::{Map, Value};

use crate::wire::{
    Accepted, PaymentPayload, PaymentRequired, SettleResponse, WireError, header,
    json::{self, Object},
};

/// Longest body in which version 1 asks.
pub const ASKED_BYTES_MAX: usize = 256 << 10;

/// A 402 as its payer reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub required: PaymentRequired,
    /// Asks by version 1, and understands no other.
    pub is_legacy: bool,
}

impl Asked {
    /// `headers` are all values of `PAYMENT-REQUIRED`; without one, the body asks. `url` is what version 1 may leave out.
    pub fn read(headers: &[&[u8]], body: &[u8], url: &str) -> Result<Self, WireError> {
        match headers {
            [] => Self::read_body(body, url),
            [value] => Ok(Self { required: PaymentRequired::read(&header::read(value)?)?, is_legacy: false }),
            more => Err(WireError::Repeated { name: header::REQUIRED, found: more.len() }),
        }
    }

    fn read_body(body: &[u8], url: &str) -> Result<Self, WireError> {
        if body.len() > ASKED_BYTES_MAX {
            return Err(WireError::TooLarge { found: body.len(), limit: ASKED_BYTES_MAX });
        }
        let map = json::parse(body)?;
        match Object::new("", &map).whole("x402Version")? {
            1 => Ok(Self { required: PaymentRequired::read_legacy(&map, url)?, is_legacy: true }),
            // Some servers of version 2 repeat the header in the body, or have it there only.
            _ => Ok(Self { required: PaymentRequired::read(&map)?, is_legacy: false }),
        }
    }

    /// The header that pays: its name and value. `None` where version 1 cannot say what `payment` says.
    pub fn answer(&self, payment: &PaymentPayload) -> Option<(&'static str, String)> {
        if self.is_legacy {
            return Some((header::LEGACY_SIGNATURE, header::write(&payment.to_legacy_json()?)));
        }
        Some((header::SIGNATURE, header::write(&payment.to_json()?)))
    }

    /// What came of it, as the server tells in the header `name`s of its version.
    pub fn outcome(&self, values: &[&[u8]]) -> Result<Option<SettleResponse>, WireError> {
        match values {
            [] => Ok(None),
            [value] if self.is_legacy => SettleResponse::read_legacy(&header::read(value)?).map(Some),
            [value] => SettleResponse::read(&header::read(value)?).map(Some),
            more => Err(WireError::Repeated { name: self.outcome_name(), found: more.len() }),
        }
    }

    /// The header in which a server tells what came of a payment.
    pub const fn outcome_name(&self) -> &'static str {
        if self.is_legacy { header::LEGACY_RESPONSE } else { header::RESPONSE }
    }
}

impl PaymentPayload {
    /// As version 1 writes it; `None` for what has no name there.
    pub fn to_legacy_json(&self) -> Option<Value> {
        let network = match &self.accepted {
            Accepted::Terms(terms) => terms.network,
            Accepted::Named { network, .. } => *network,
        };
        let mut map = Map::new();
        map.insert("x402Version".to_owned(), crate::wire::LEGACY_VERSION.into());
        map.insert("scheme".to_owned(), self.accepted.scheme().into());
        map.insert("network".to_owned(), network.legacy_name()?.into());
        map.insert("payload".to_owned(), Value::Object(self.payload.clone()));
        Some(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn terms(amount: &str, network: &str, named: &str) -> Value {
        json!({
            "scheme": "exact", "network": network, amount: "10", "asset": format!("0x{}", "11".repeat(20)),
            "payTo": format!("0x{}", "22".repeat(20)), "maxTimeoutSeconds": 60, "extra": {}, "resource": named,
        })
    }

    fn asks(version: u64, accepts: &[Value]) -> Value {
        json!({ "x402Version": version, "error": "pay", "resource": { "url": "https://a/b" }, "accepts": accepts })
    }

    #[test]
    fn either_version_is_read_where_it_asks() {
        let new = asks(2, &[terms("amount", "eip155:8453", "")]);
        let by_header = Asked::read(&[header::write(&new).as_bytes()], b"whatever", "").unwrap();
        assert!(!by_header.is_legacy && by_header.required.accepts.len() == 1);
        assert_eq!(Asked::read(&[], new.to_string().as_bytes(), "").unwrap(), by_header);
        let old =
            asks(1, &[terms("maxAmountRequired", "base", "https://c/d"), terms("maxAmountRequired", "solana", "x")]);
        let by_body = Asked::read(&[], old.to_string().as_bytes(), "https://own/").unwrap();
        assert!(by_body.is_legacy && by_body.required.accepts.len() == 1, "what it cannot read it leaves");
        assert_eq!(by_body.required.resource.url, "https://c/d");
        let none = asks(1, &[]).to_string();
        assert_eq!(Asked::read(&[], none.as_bytes(), "https://own/").unwrap().required.resource.url, "https://own/");
    }

    #[test]
    fn what_asks_for_nothing_that_can_be_read_is_refused() {
        let two = [b"e30=".as_slice(), b"e30="];
        assert!(matches!(Asked::read(&two, b"", ""), Err(WireError::Repeated { found: 2, .. })));
        let long = vec![b' '; ASKED_BYTES_MAX + 1];
        assert!(matches!(Asked::read(&[], &long, ""), Err(WireError::TooLarge { .. })));
        let many: Vec<Value> = (0..65).map(|_| terms("maxAmountRequired", "base", "")).collect();
        for body in [json!({}), asks(3, &[]), asks(1, &[json!(1)]), asks(1, &many), json!({ "x402Version": 1 })] {
            assert!(Asked::read(&[], body.to_string().as_bytes(), "").is_err(), "{body}");
        }
        assert!(Asked::read(&[b"e30="], b"", "").is_err() && Asked::read(&[], b"pay me", "").is_err());
    }

    #[test]
    fn what_came_of_it_is_read_by_the_same_version() {
        let asked = |is_legacy| {
            let (version, amount, network) =
                if is_legacy { (1, "maxAmountRequired", "base") } else { (2, "amount", "eip155:8453") };
            Asked::read(&[], asks(version, &[terms(amount, network, "")]).to_string().as_bytes(), "").unwrap()
        };
        let said = |network: &str| header::write(&json!({ "success": true, "transaction": "0x1", "network": network }));
        for (is_legacy, good, bad) in [(false, "eip155:8453", "base"), (true, "base", "eip155:8453")] {
            let asked = asked(is_legacy);
            assert_eq!(asked.outcome(&[]), Ok(None));
            assert_eq!(asked.outcome(&[said(good).as_bytes()]).unwrap().unwrap().transaction, "0x1");
            assert!(asked.outcome(&[said(bad).as_bytes()]).is_err());
            let twice = said(good);
            assert!(asked.outcome(&[twice.as_bytes(), twice.as_bytes()]).is_err());
        }
        assert_eq!(
            (asked(true).outcome_name(), asked(false).outcome_name()),
            ("x-payment-response", "payment-response")
        );
    }
}
