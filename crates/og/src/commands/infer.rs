//! `og chat`, `og infer`: a call through the gateway; the opening stays in the folder, for audits and bundles.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{kept::keep_opening, show};
use crate::{
    cli::{Chat, Common, Infer},
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
