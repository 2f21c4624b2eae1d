//! What a folder keeps of answers: the opening of each receipt, by its id.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use protocol::{Digest, Opening};
use serde_json::Value;

use crate::home::Home;

/// Largest bundle or opening that is read.
pub const BUNDLE_BYTES_MAX: u64 = 16 << 20;

/// The opening is the caller's own: without it nobody can show later what was asked and answered. `own` is what an answer says of itself.
/// What is kept of a receipt already stays: a server names whatever id it likes.
pub fn keep_opening(home: &Home, own: &Value) -> Result<()> {
    let (Some(id), Value::Object(_)) = (own["receipt_id"].as_str(), &own["opening"]) else {
        return Ok(());
    };
    write_once(home, id, "", &own["opening"]).map(|_| ())
}

/// Keeps all that an answer said of itself, with the receipt that its worker signed, beside the openings.
pub fn keep_evidence(home: &Home, own: &Value) -> Result<PathBuf> {
    write_once(home, own["receipt_id"].as_str().unwrap_or_default(), ".evidence", own)
}

fn write_once(home: &Home, id: &str, kind: &str, said: &Value) -> Result<PathBuf> {
    // An id names a file: take nothing but digits from the other side.
    ensure!(Digest::from_hex(id).is_some(), "the gateway's receipt id is no id");
    let file = home.receipt_file(&format!("{id}{kind}"));
    if !file.exists() {
        storage::write_file(&file, said.to_string().as_bytes())?;
    }
    Ok(file)
}

/// The opening that was kept.
pub fn kept_opening(home: &Home, id: &str) -> Result<Option<Opening>> {
    let path = home.receipt_file(id);
    if !path.exists() {
        return Ok(None);
    }
    let bytes = storage::read_file(&path, BUNDLE_BYTES_MAX)?;
    api::face::read(&bytes).map(Some).with_context(|| format!("failed to read {}", path.display()))
}

/// A receipt's id, or an error that says what one looks like.
pub fn id(text: &str) -> Result<&str> {
    Digest::from_hex(text)
        .map(|_| text)
        .with_context(|| format!("{text:?} is neither a file nor a receipt's id; hint: an id is 64 hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_opening_is_kept_once_under_its_receipts_id() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(Some(folder.path().to_owned()));
        let id = "ab".repeat(32);
        let said = |opening: Value| json!({ "receipt_id": id, "opening": opening });
        keep_opening(&home, &said(json!({ "output": 1 }))).unwrap();
        keep_opening(&home, &said(json!({ "output": 2 }))).unwrap();
        assert_eq!(std::fs::read_to_string(home.receipt_file(&id)).unwrap(), r#"{"output":1}"#);
        let elsewhere = json!({ "receipt_id": "../keys/alice", "opening": {} });
        assert!(keep_opening(&home, &elsewhere).unwrap_err().to_string().contains("is no id"));
        keep_opening(&home, &json!({ "receipt_id": "cd" })).unwrap();
    }

    #[test]
    fn evidence_is_kept_whole_and_once_under_its_receipts_id() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(Some(folder.path().to_owned()));
        let own = json!({ "receipt_id": "ab".repeat(32), "receipt": { "charge": 1 }, "opening": { "output": 1 } });
        let file = keep_evidence(&home, &own).unwrap();
        assert!(file.ends_with(format!("receipts/{}.evidence.json", own["receipt_id"].as_str().unwrap())));
        keep_evidence(&home, &json!({ "receipt_id": own["receipt_id"] })).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&std::fs::read(file).unwrap()).unwrap(), own);
        let refused = keep_evidence(&home, &json!({ "receipt_id": "../keys/alice" })).unwrap_err().to_string();
        assert!(refused.contains("is no id"), "{refused}");
    }
}
