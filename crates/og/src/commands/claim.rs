//! `og receipt claim`: the refund of a receipt that was withheld goes to whoever paid for it, whom its opening shows.

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result, ensure};
use protocol::{Action, Digest, Opening, PayerProof, transaction::ClaimRefund};
use serde_json::{Value, json};

use super::{
    kept::{id, kept_opening},
    posted::post,
    show,
    wallet::written,
};
use crate::{
    cli::{Claim, Common},
    keys,
    remote::Remote,
};

const ANSWER_BYTES_MAX: u64 = 16 << 20;
/// Where an opening stands in what a gateway answered, in what `og pay --json` made of that, and in a bundle.
const PLACES: [&str; 3] = ["/og/opening", "/body/og/opening", "/opening"];

pub async fn run(remote: &Remote, common: &Common, options: &Claim) -> Result<ExitCode> {
    let digits = id(&options.receipt)?;
    let opening = match &options.opening {
        Some(file) => opening_in(file)?,
        None => kept_opening(&remote.home, digits)?.with_context(|| {
            format!("the folder has no opening of {digits}; hint: --opening FILE, where FILE has the answer that came with it")
        })?,
    };
    let receipt = Digest::from_hex(digits).context("a receipt's id is 64 hexadecimal digits")?;
    let proof = PayerProof::of(&opening).context("nobody paid for this answer")?;
    let view = remote.ledger()?.receipt_agreed(&receipt).await?;
    let standing = view.status.standing;
    ensure!(
        standing.is_refuted(),
        "the receipt is {standing}, and only what was refuted or withheld is refunded; hint: og receipt show {receipt}"
    );
    let payer = proof.payer_of(&view.receipt.receipt).context("the opening is of another receipt")?.account;
    let secrets = keys::open(&remote.home, &keys::passphrase(&remote.home)?, &options.key)?;
    let transaction = post(remote, secrets.key, Action::ClaimRefund(ClaimRefund { receipt, proof })).await?;
    let said = json!({
        "receipt": receipt.to_string(),
        "payer": written(&payer),
        "standing": standing.word(),
        "transaction": transaction.to_string(),
    });
    show(common, &said, |_| {
        let payer = written(&payer);
        vec![format!("the refund of {receipt} goes to {payer}: og wallet owed {payer}")]
    });
    Ok(ExitCode::SUCCESS)
}

/// The opening in a file: by itself, or where an answer or a bundle has it.
fn opening_in(file: &Path) -> Result<Opening> {
    let bytes = storage::read_file(file, ANSWER_BYTES_MAX)?;
    let said: Value = serde_json::from_slice(&bytes).with_context(|| format!("{} is not JSON", file.display()))?;
    let found = PLACES.iter().find_map(|place| said.pointer(place)).unwrap_or(&said);
    api::face::read(found.to_string().as_bytes()).with_context(|| {
        format!("{} has no opening; hint: og pay -H 'x-og-opening: include' asks for one", file.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_opening_is_refused_with_what_would_have_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("answer.json");
        for (text, expected) in [("hello", "is not JSON"), (r#"{"og":{"receipt_id":"00"}}"#, "x-og-opening: include")] {
            std::fs::write(&file, text).unwrap();
            let refused = format!("{:#}", opening_in(&file).unwrap_err());
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
