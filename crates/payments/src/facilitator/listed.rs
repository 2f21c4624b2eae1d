//! Discovery: resources that were paid for through a facilitator and whose server wants them found (extension `bazaar`).

use protocol::{Bytes, Milliseconds, Text};
use serde_json::{Value, json};

use crate::{
    facilitator::{Asked, Listed},
    wire::VERSION,
};

impl Listed {
    /// What is listed of a payment that was settled: only that costs its sender something, so the list cannot be filled for nothing.
    pub fn of(asked: &Asked, at_ms: Milliseconds) -> Option<Self> {
        let resource = asked.payment.resource.as_ref()?;
        let declared = asked.payment.extensions.get("bazaar")?;
        let is_address = resource.url.starts_with("http://") || resource.url.starts_with("https://");
        if !is_address || resource.url.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return None;
        }
        // Of an address, what one payer asked for is nobody else's.
        let url = resource.url.split(['?', '#']).next().unwrap_or_default();
        let terms = json!({
            "accepts": [asked.terms.to_json()],
            "description": resource.description,
            "mimeType": resource.mime_type,
            "info": declared.get("info"),
        });
        let terms = Bytes::new(terms.to_string().into_bytes()).ok()?;
        Some(Self { url: Text::new(url).ok()?, terms, at_ms })
    }
}

/// As discovery tells it.
pub fn listing(listed: &Listed) -> Value {
    let terms: Value = serde_json::from_slice(&listed.terms).unwrap_or_default();
    json!({
        "resource": &listed.url[..],
        "type": "http",
        "x402Version": VERSION,
        "accepts": terms["accepts"],
        "lastUpdated": listed.at_ms / 1_000,
        "metadata": { "description": terms["description"], "mimeType": terms["mimeType"], "info": terms["info"] },
    })
}
