//! Did the key that the receipt names sign exactly this receipt?

use crate::check::{Check, Finding, Subject, ensure, short};

pub(crate) const CHECK: Check = Check {
    name: "signature",
    needs: &[],
    optional: false,
    run,
    hint: "the receipt was altered after it was signed, or never signed by this key: ask its gateway for it again",
};

fn run(subject: &Subject<'_>) -> Finding {
    let signed = &subject.bundle.receipt;
    let key = short(&signed.receipt.worker_key);
    ensure(signed.signature_holds(), || format!("the signature is not that of key {key} over this receipt"))?;
    Ok(format!("by key {key}"))
}
