//! Extensions of the protocol: what a server declares in a 402.

use serde_json::{Value, json};

/// What a server declares of an extension that it takes. The schema of what payers say is the extension's own and not repeated in each
/// 402: proxies take a few kilobytes of headers, payers send back what they were told, and no client needs it.
pub fn declared(description: &str) -> Value {
    json!({ "info": { "description": description, "version": "1" } })
}
