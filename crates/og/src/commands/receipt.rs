//! `og receipt show | verify | export`; `claim` has its own file.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use network::NetworkError;
use payments::Address;
use protocol::{Canonical as _, ShortBundle, Trust, WrittenBundle};
use serde_json::{Value, json};
use verify::Report;

use super::{
    claim,
    kept::{BUNDLE_BYTES_MAX, id, kept_opening},
    payer::Claimed,
    show, wrote,
};
use crate::{
    cli::{Common, Receipt},
    home::{Home, read_trust},
    remote::Remote,
    screen::put,
};

/// How long a receipt that is in no certified epoch yet is waited for.
const EARLY_PATIENCE: Duration = Duration::from_secs(4);

/// Verifies a bundle file, if that is what is asked: no network, no runtime.
pub fn offline(common: &Common, command: &Receipt) -> Result<Option<ExitCode>> {
    let Receipt::Verify { receipt, trust, payer } = command else { return Ok(None) };
    let path = Path::new(receipt);
    if crypto::Digest::from_hex(receipt).is_some() || !path.exists() {
        return Ok(None);
    }
    let bundle = api::face::read(&storage::read_file(path, BUNDLE_BYTES_MAX)?).map_err(|error| error.to_string());
    Ok(Some(judge(common, bundle, trust.as_deref(), *payer)))
}

pub async fn run(remote: &Remote, common: &Common, command: Receipt) -> Result<ExitCode> {
    match command {
        Receipt::Show { receipt } => {
            let shown = match read_bundle_file(&receipt) {
                Some(bytes) => serde_json::from_slice(&bytes?)
                    .context("the bundle file is not JSON; hint: og receipt export writes one")?,
                None => remote.get_json(&format!("/v1/receipts/{}", id(&receipt)?)).await?,
            };
            show(common, &shown, lines);
            Ok(ExitCode::SUCCESS)
        }
        Receipt::Verify { receipt, trust, payer } => {
            let bundle = match fetch(remote, &receipt, true, trust.as_deref()).await {
                Err(error) if is_early(&error) => return Ok(too_early(common, &receipt, &error)),
                fetched => fetched?,
            };
            Ok(judge(common, Ok(WrittenBundle::Short(Box::new(bundle))), trust.as_deref(), payer))
        }
        Receipt::Export { receipt, out, without_opening } => {
            let bundle = fetch(remote, &receipt, !without_opening, None).await?;
            storage::write_file(&out, api::face::to_pretty_json(&bundle.to_value()).as_bytes())?;
            wrote(common, &out, bundle.as_of_epoch());
            Ok(ExitCode::SUCCESS)
        }
        Receipt::Claim(options) => claim::run(remote, common, &options).await,
    }
}

/// The bundle of a receipt as of now, for whoever pinned this trust file (or the folder's), with its opening if that is kept in the
/// folder and wanted.
pub async fn fetch(remote: &Remote, receipt: &str, with_opening: bool, trust: Option<&Path>) -> Result<ShortBundle> {
    let id = id(receipt)?;
    let bytes = wait_for_bundle(remote, id, trust).await?;
    let mut bundle: ShortBundle = api::face::read(&bytes).context("the gateway's bundle cannot be read")?;
    if with_opening {
        bundle.opening = kept_opening(&remote.home, id)?;
    }
    Ok(bundle)
}

/// A fresh receipt is in a certified epoch within a second or two: that is waited for.
async fn wait_for_bundle(remote: &Remote, id: &str, trust: Option<&Path>) -> Result<Vec<u8>> {
    let trust = read_trust(&trust.map_or_else(|| remote.home.trust_file(), Path::to_owned)).ok();
    let reader = trust.map_or_else(String::new, |trust| format!("?pinned={}", trust.network_key));
    let path = format!("/v1/receipts/{id}/bundle{reader}");
    let deadline = Instant::now() + EARLY_PATIENCE;
    loop {
        match remote.get(&path).await {
            Err(error) if is_early(&error) && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            answer => return answer,
        }
    }
}

/// True where the network says that there is no proof yet: neither for the receipt nor against it.
fn is_early(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<NetworkError>().and_then(NetworkError::code);
    matches!(code, Some("not_certified_yet" | "unknown_receipt"))
}

fn too_early(common: &Common, receipt: &str, error: &anyhow::Error) -> ExitCode {
    if common.json {
        let said =
            json!({"verdict": "could_not_tell", "exit_code": 2, "receipt": receipt, "reason": error.to_string()});
        put(&said.to_string());
    } else {
        put(&format!("verdict               could not tell yet: {error} (exit 2)"));
    }
    ExitCode::from(2)
}

/// A bundle file's bytes, if `receipt` names a file.
pub fn read_bundle_file(receipt: &str) -> Option<Result<Vec<u8>>> {
    let path = Path::new(receipt);
    let is_file = crypto::Digest::from_hex(receipt).is_none() && path.exists();
    is_file.then(|| Ok(storage::read_file(path, BUNDLE_BYTES_MAX)?))
}

fn judge(
    common: &Common,
    bundle: Result<WrittenBundle, String>,
    trust: Option<&Path>,
    payer: Option<Address>,
) -> ExitCode {
    let home = Home::new(common.dir.clone());
    let trust_file: PathBuf = trust.map_or_else(|| home.trust_file(), Path::to_owned);
    let claimed = bundle.as_ref().ok().map(Claimed::of);
    let trust: Result<Trust, String> = read_trust(&trust_file).map_err(|error| format!("{error:#}"));
    let mut report = verify::verify_parsed(bundle, trust.as_ref().map_err(Clone::clone));
    if let Some(claimed) = claimed {
        claimed.judge(&home, payer, &mut report);
    }
    print(common, &report);
    ExitCode::from(report.exit_code())
}

fn print(common: &Common, report: &Report) {
    if common.json {
        put(&api::face::to_json(&report.to_value()));
    } else {
        report.lines().iter().for_each(|line| put(line));
    }
}

/// The fields of a JSON object, one a line, nested ones indented.
fn lines(value: &Value) -> Vec<String> {
    fn add(value: &Value, depth: usize, out: &mut Vec<String>) {
        for (key, value) in value.as_object().into_iter().flatten() {
            let indent = "  ".repeat(depth);
            match value {
                Value::Object(_) => {
                    out.push(format!("{indent}{key}"));
                    add(value, depth + 1, out);
                }
                Value::String(text) => out.push(format!("{indent}{key:<20}  {text}")),
                other => out.push(format!("{indent}{key:<20}  {other}")),
            }
        }
    }
    let mut out = Vec::new();
    add(value, 0, &mut out);
    out
}
