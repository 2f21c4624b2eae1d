//! `og faucet`: asks a devnet's gateway for some OPG.

use anyhow::{Error, Result};
use network::NetworkError;
use protocol::Beneficiary;
use serde_json::json;

use super::{
    show,
    wallet::{beneficiary, written},
};
use crate::{
    cli::{self, Common},
    remote::Remote,
};

pub async fn run(remote: &Remote, common: &Common, options: &cli::Faucet) -> Result<()> {
    let to = match beneficiary(remote, &options.to)? {
        Beneficiary::Wallet(address) => written(&address),
        Beneficiary::Key(key) => key.to_string(),
    };
    let given = remote.post_json("/faucet", &json!({ "address": to })).await.map_err(explained)?;
    show(common, &given, |given| {
        let text = |name: &str| given[name].as_str().unwrap_or("-").to_owned();
        let gas = if given["gas"].is_null() { "" } else { ", and a little for gas on Base" };
        vec![format!("{} OPG to {}{gas}, transaction {}", text("opg"), text("address"), text("transaction"))]
    });
    Ok(())
}

/// A gateway that does not know the path has no faucet.
fn explained(error: Error) -> Error {
    match error.downcast_ref::<NetworkError>() {
        Some(NetworkError::Refused { status: 404, .. }) => {
            error.context("this gateway has no faucet; hint: a devnet's has, and og node start --faucet gives it one")
        }
        _ => error,
    }
}
