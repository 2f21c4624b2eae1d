//! Extensions of the protocol: what a server declares in a 402, and what a payer says in its payment.

use serde_json::{Map, Value, json};

use crate::wire::json::{Object, WireError};

/// What a server declares of an extension that it takes. The schema of what payers say is the extension's own and not repeated in each
/// 402: proxies take a few kilobytes of headers, payers send back what they were told, and no client needs it.
pub fn declared(description: &str) -> Value {
    json!({ "info": { "description": description, "version": "1" } })
}

/// A text that a payer says in an extension, where it does.
pub fn text<'a>(extensions: &'a Map<String, Value>, name: &str, field: &str) -> Option<&'a str> {
    extensions.get(name)?.get("info")?.get(field)?.as_str()
}

/// What a payer says in an extension, of which the text `sign` is always a part: who only repeats what a server declared says nothing.
pub fn said<'a>(
    extensions: &'a Map<String, Value>,
    name: &'a str,
    sign: &str,
) -> Result<Option<Object<'a>>, WireError> {
    if text(extensions, name, sign).is_none() {
        return Ok(None);
    }
    Object::new("extensions", extensions).object(name)?.object("info").map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_and_repeated_says_nothing() {
        let extensions = |extension: Value| Map::from_iter([("sponsoring".to_owned(), extension)]);
        let silent = [
            declared("It is taken."),
            json!({}),
            json!(1),
            json!({ "info": [] }),
            json!({ "info": { "signature": 1 } }),
        ];
        for silent in silent {
            let extensions = extensions(silent);
            assert!(said(&extensions, "sponsoring", "signature").unwrap().is_none(), "{extensions:?}");
        }
        assert!(said(&Map::new(), "sponsoring", "signature").unwrap().is_none());
        let extensions = extensions(json!({ "info": { "signature": "0x12", "nonce": "3" } }));
        let info = said(&extensions, "sponsoring", "signature").unwrap().unwrap();
        assert_eq!(info.text("nonce"), Ok("3"));
        assert_eq!(info.text("asset").unwrap_err().to_string(), "info.asset: nothing, but a text expected");
        assert_eq!(text(&extensions, "sponsoring", "signature"), Some("0x12"));
    }
}
