//! Is the opening what the receipt commits to? A bundle without one shows the receipt and not the answer.

use crate::check::{Check, Fault, Finding, Subject};

pub(crate) const CHECK: Check = Check {
    name: "opening",
    needs: &[],
    optional: true,
    run,
    hint: "the opening is that of another answer, or was altered: use the one that came with this receipt",
};

fn run(subject: &Subject<'_>) -> Finding {
    let Some(opening) = &subject.bundle.opening else {
        return Err(Fault::Skipped("the bundle carries no opening: prompt and answer are not shown".to_owned()));
    };
    let receipt = &subject.bundle.receipt.receipt;
    let differs = |mismatch: protocol::receipt::Mismatch| {
        Fault::Failed(format!("the receipt's `{}` is not what the opening gives", mismatch.0))
    };
    opening.matches(receipt).map_err(differs)?;
    Ok(format!("{} prompt and {} output tokens, as committed", receipt.prompt_tokens, receipt.output_tokens))
}
