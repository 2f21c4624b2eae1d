//! What of a charge goes to whom, by the ledger's governed parameters as they are now.

use anyhow::{Context as _, Result};
use evm::modules::parameters::{
    IParameters, MODULE, Parameter, SHARE_AUDITORS, SHARE_BURN, SHARE_PROTOCOL, SHARE_PUBLISHER,
};
use payments::price::{MILLION, Parts};
use serde_json::{Value, json};

use super::{module, terms::percent};
use crate::remote::Remote;

pub(super) async fn read(remote: &Remote) -> Result<Parts> {
    Ok(Parts {
        publisher: share(remote, &SHARE_PUBLISHER).await?,
        auditors: share(remote, &SHARE_AUDITORS).await?,
        protocol: share(remote, &SHARE_PROTOCOL).await?,
        burn: share(remote, &SHARE_BURN).await?,
    })
}

async fn share(remote: &Remote, parameter: &Parameter) -> Result<u32> {
    let value = module::view(remote, &MODULE, &IParameters::valueCall { name: parameter.key() }).await?;
    let share = u32::try_from(value).ok().filter(|share| *share <= MILLION);
    share.with_context(|| format!("{} is {value}, at most {MILLION} millionths expected", parameter.name))
}

/// What the others leave.
fn worker(parts: &Parts) -> u32 {
    [parts.publisher, parts.auditors, parts.protocol, parts.burn].into_iter().fold(MILLION, u32::saturating_sub)
}

/// In millionths.
pub(super) fn told(parts: &Parts) -> Value {
    json!({
        "worker": worker(parts),
        "publisher": parts.publisher,
        "auditors": parts.auditors,
        "protocol": parts.protocol,
        "burn": parts.burn,
    })
}

/// The same as people read it.
pub(super) fn written(parts: &Parts) -> String {
    let parts = [
        (parts.publisher, "to the publisher and whom it splits that with"),
        (worker(parts), "to the worker"),
        (parts.auditors, "to auditors"),
        (parts.protocol, "to the protocol"),
        (parts.burn, "burned"),
    ];
    let parts = parts.into_iter().filter(|(share, _)| *share > 0);
    parts.map(|(share, whom)| format!("{} {whom}", percent(share))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_is_divided_without_a_rest() {
        let parts = Parts::DEFAULT;
        let sum: u64 = told(&parts).as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!((sum, worker(&parts)), (MILLION.into(), 730_000));
        let expected =
            "20% to the publisher and whom it splits that with, 73% to the worker, 5% to auditors, 2% to the protocol";
        assert_eq!(written(&parts), expected);
        assert!(written(&Parts { burn: 1, ..parts }).ends_with("0.0001% burned"));
    }
}
