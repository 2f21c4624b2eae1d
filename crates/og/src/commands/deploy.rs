//! `og bridge deploy`: the network's settlement and its OPG on a chain that has neither.
//!
//! What it begins is kept in the folder before anything is sent, so that the same again goes on with it.

use anyhow::{Error, Result, bail, ensure};
use relayer::{CarryError, DeployError, Deployer};
use serde_json::json;

use super::{refused::by_chain, show};
use crate::{
    bridge::{self, Deployment},
    cli::{self, Common},
    home::{Home, network_key},
    keys,
    remote::Remote,
    screen::{row, tell},
};

pub(super) async fn run(remote: &Remote, common: &Common, options: &cli::Deploy) -> Result<()> {
    let (home, network) = (&remote.home, remote.network()?);
    bridge::must_begin_with_nothing(home, &network)?;
    if let Some(link) = bridge::read(home)? {
        bail!("this network is joined to Base already, by {} on {}; hint: og bridge status", link.settlement, link.rpc);
    }
    let deployer = Deployer {
        base: bridge::chain(&options.base_rpc),
        base_id: options.chain,
        ledger: remote.ledger()?,
        chain_id: network.chain_id,
        network: network_key(&network)?,
        key: keys::signer(home, &options.from)?,
    };
    let begun = begun(home, &deployer)?;
    deployer.check().await.map_err(told)?;
    let site = deployer.site(begun).await.map_err(told)?;
    let deployment = Deployment::of(options.chain, deployer.key.address(), &site);
    deployment.keep(home)?;
    tell(&format!("deploying from {}: the settlement to {}, OPG to {}", deployment.from, site.settlement, site.token));
    let sent = deployer.finish(&site).await.map_err(told)?;
    let arguments = format!("--base-rpc {} --base-settlement {}", options.base_rpc, site.settlement);
    let said = json!({
        "chain_id": options.chain,
        "from": deployment.from,
        "settlement": site.settlement,
        "token": site.token,
        "first_block": site.first_block,
        "transactions": sent,
        "arguments": arguments,
    });
    show(common, &said, |_| {
        vec![
            row(&[("settlement", 12), (&site.settlement.to_string(), 0)]),
            row(&[("OPG", 12), (&site.token.to_string(), 0)]),
            format!("{} transactions; now join the network to it:", sent.len()),
            format!("  og devnet {arguments}{}", home.flag()),
        ]
    });
    Ok(())
}

/// What this folder has begun with the same key on the same chain. Anything else that it has begun stands in the way: two settlements of one
/// network would each mint what is locked once.
fn begun(home: &Home, deployer: &Deployer) -> Result<Option<(u64, u64)>> {
    let Some(begun) = Deployment::kept(home)? else { return Ok(None) };
    let (chain, from) = (deployer.base_id, deployer.key.address());
    ensure!(
        (begun.chain_id, begun.from) == (chain, from),
        "this network's contracts were begun on chain {} from {}, not on chain {chain} from {from}; hint: go on with those, or remove {} if nobody uses them",
        begun.chain_id,
        begun.from,
        bridge::deployment_file(home).display()
    );
    Ok(Some((begun.nonce, begun.first_block)))
}

/// Why, in the contract's or the chain's own words where they are known.
fn told(error: DeployError) -> Error {
    let cause = match error {
        DeployError::Chain(error) | DeployError::Carry(CarryError::Base(error)) => by_chain(error),
        error => error.into(),
    };
    cause.context("failed to deploy")
}
