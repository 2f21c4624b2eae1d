//! `og chat`, `og infer`: a call through the gateway; the opening stays in the folder, for audits and bundles.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::show;
use crate::{
    cli::{Chat, Common, Infer},
    home::Home,
    remote::Remote,
};

const INPUT_BYTES_MAX: u64 = api::limits::INFER_BODY_BYTES_MAX as u64;

pub async fn chat(remote: &Remote, common: &Common, question: Chat) -> Result<()> {
    let body = json!({
        "model": question.model,
        "messages": [{"role": "user", "content": question.question}],
        "max_tokens": question.max_tokens,
        "temperature": question.temperature,
        "seed": question.seed,
        "og": {"assurance": question.assurance},
    });
    let answer = remote.post_json("/v1/chat/completions", &body).await?;
    keep_opening(&remote.home, &answer["og"])?;
    show(common, &answer, |answer| {
        let text = answer["choices"][0]["message"]["content"].as_str().unwrap_or_default();
        [vec![text.to_owned(), String::new()], receipt_lines(remote, answer)].concat()
    });
    Ok(())
}

pub async fn infer(remote: &Remote, common: &Common, input: Infer) -> Result<()> {
    let bytes = if input.input.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::Read::take(std::io::stdin(), INPUT_BYTES_MAX), &mut bytes)?;
        bytes
    } else {
        storage::read_file(&input.input, INPUT_BYTES_MAX)?
    };
    let inputs: Value = serde_json::from_slice(&bytes).with_context(|| {
        format!("{} is not JSON; hint: an object of named tensors, as og infer --help has it", input.input.display())
    })?;
    let body = json!({"model": input.model, "inputs": inputs, "og": {"assurance": input.assurance}});
    let answer = remote.post_json("/v1/infer", &body).await?;
    keep_opening(&remote.home, &answer["og"])?;
    show(common, &answer, |answer| {
        let outputs = answer["outputs"].as_object().into_iter().flatten();
        let lines: Vec<String> = outputs.map(|(name, output)| format!("{name:<12}  {output}")).collect();
        [lines, vec![String::new()], receipt_lines(remote, answer)].concat()
    });
    Ok(())
}

fn receipt_lines(remote: &Remote, answer: &Value) -> Vec<String> {
    let id = answer["og"]["receipt_id"].as_str().unwrap_or("none");
    vec![format!("receipt  {id}"), format!("check    og receipt verify {id}{}", remote.home.flag())]
}

/// The opening is the caller's own: without it nobody can show later what was asked and answered. `own` is what an answer says of itself.
/// What is kept of a receipt already stays: a server names whatever id it likes.
pub(super) fn keep_opening(home: &Home, own: &Value) -> Result<()> {
    let (Some(id), Value::Object(_)) = (own["receipt_id"].as_str(), &own["opening"]) else {
        return Ok(());
    };
    // An id names a file: take nothing but digits from the other side.
    anyhow::ensure!(crypto::Digest::from_hex(id).is_some(), "the gateway's receipt id is no id");
    let file = home.receipt_file(id);
    if !file.exists() {
        storage::write_file(&file, own["opening"].to_string().as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
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
}
