//! Discovery: resources that were paid for through a facilitator and whose server wants them found (extension `bazaar`).
//!
//! Whoever pays may name any address as what it paid for, and say anything of it. Only the address itself can say whose it is and what it
//! sells: it is listed where it asks to be paid, in the same token and no more than was paid, by the payee that the settled payment went
//! to; and nothing is listed of it but what it says itself to whoever has not paid.

use protocol::{Bytes, Milliseconds, Text};
use serde_json::{Value, json};

use crate::{
    facilitator::{Asked, Listed, URL_BYTES_MAX},
    wire::{PaymentRequired, Requirements, VERSION},
};

/// The extension's name.
const BAZAAR: &str = "bazaar";

/// How long an entry is shown after it was paid for last.
pub const LISTED_FOR_MS: Milliseconds = 30 * 86_400_000;
/// An entry that says the same is not written again for so long.
pub const LISTED_AGAIN_MS: Milliseconds = 3_600_000;

/// The address that a payment was for, where it is to be found there. Without what one payer asked for, which is nobody else's.
pub fn address_to_list(asked: &Asked) -> Option<Text<URL_BYTES_MAX>> {
    let resource = asked.payment.resource.as_ref()?;
    asked.payment.extensions.get(BAZAAR)?;
    let is_address = resource.url.starts_with("http://") || resource.url.starts_with("https://");
    if !is_address || resource.url.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return None;
    }
    Text::new(resource.url.split(['?', '#']).next().unwrap_or_default()).ok()
}

impl Listed {
    /// What is listed of the address that a settled payment was for, which `required` itself asks to be paid: only a settlement of what it
    /// asks for costs its sender something, so the list cannot be filled for nothing. `None` where it does not ask so, or does not want to
    /// be found.
    pub fn of(asked: &Asked, paid: u128, required: &PaymentRequired, at_ms: Milliseconds) -> Option<Self> {
        let declared = required.extensions.get(BAZAAR).filter(|_| is_its_own(asked, paid, required))?;
        let own = required.accepts.iter().filter(|offered| offered.pay_to == asked.terms.pay_to);
        let terms = json!({
            "accepts": own.map(Requirements::to_json).collect::<Vec<_>>(),
            "description": required.resource.description,
            "mimeType": required.resource.mime_type,
            "info": declared.get("info"),
        });
        let terms = Bytes::new(terms.to_string().into_bytes()).ok()?;
        Some(Self { url: address_to_list(asked)?, terms, at_ms })
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
    let input = asked.payment.extensions.get(BAZAAR).map(|declared| &declared["info"]["input"]);
    match input.and_then(|input| input["method"].as_str()) {
        Some(word) if word.eq_ignore_ascii_case("POST") => "POST",
        Some(_) | None => "GET",
    }
}

/// Whether a resource asks to be paid as the settled payment was, in which its payer signed for `paid`.
pub fn is_its_own(asked: &Asked, paid: u128, required: &PaymentRequired) -> bool {
    let terms = &asked.terms;
    let is_it = |offered: &Requirements| {
        let is_payees = (offered.pay_to, offered.asset, offered.network) == (terms.pay_to, terms.asset, terms.network);
        is_payees && offered.scheme == terms.scheme && offered.amount <= paid
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
