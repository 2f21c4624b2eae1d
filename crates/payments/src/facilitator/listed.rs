//! Discovery: resources that were paid for through a facilitator and whose server wants them found (extension `bazaar`).
//!
//! Whoever pays may name any address as what it paid for. Only the address itself can say whose it is: it is listed where it asks to be
//! paid, in the same token, by the payee that the settled payment went to.

use protocol::{Bytes, Milliseconds, Text};
use serde_json::{Value, json};

use crate::{
    facilitator::{Asked, Listed},
    wire::{PaymentRequired, VERSION},
};

/// How long an entry is shown after it was paid for last.
pub const LISTED_FOR_MS: Milliseconds = 30 * 86_400_000;
/// An entry that says the same is not written again for so long.
pub const LISTED_AGAIN_MS: Milliseconds = 3_600_000;

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

    /// Who answers at its address: all of it before the path.
    pub fn origin(&self) -> &str {
        let host_at = self.url.find("://").map_or(0, |at| at.saturating_add(3));
        let path_at = self.url.get(host_at..).and_then(|rest| rest.find('/')).map(|at| at.saturating_add(host_at));
        self.url.get(..path_at.unwrap_or(self.url.len())).unwrap_or_default()
    }

    pub fn is_at(&self, origin: &str) -> bool {
        self.url.strip_prefix(origin).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether it would add nothing to what is listed already.
    pub fn is_repeated_by(&self, next: &Self) -> bool {
        self.terms == next.terms && next.at_ms.saturating_sub(self.at_ms) < LISTED_AGAIN_MS
    }
}

/// The method by which a resource is asked what it costs.
pub fn method_of(asked: &Asked) -> &'static str {
    let input = asked.payment.extensions.get("bazaar").map(|declared| &declared["info"]["input"]);
    match input.and_then(|input| input["method"].as_str()) {
        Some(word) if word.eq_ignore_ascii_case("POST") => "POST",
        Some(_) | None => "GET",
    }
}

/// Whether a resource asks to be paid as the settled payment was.
pub fn is_its_own(asked: &Asked, required: &PaymentRequired) -> bool {
    let terms = &asked.terms;
    let is_it = |offered: &crate::wire::Requirements| {
        (offered.pay_to, offered.asset, offered.network) == (terms.pay_to, terms.asset, terms.network)
    };
    required.accepts.iter().any(is_it)
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
