//! `og node payments`: a gateway of one's own begins to take payments, on a chain that is asked first whether it is the one that was named.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use network::{Client, JsonRpc};
use payments::{scheme::KnownToken, wire};
use serde_json::json;

use super::show;
use crate::{
    cli::{Common, NodePayments},
    devnet,
    home::{Home, Network},
    keys,
    paid::{self, Begun, Keys},
    screen::tell,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// Writes how a gateway is paid, or on which chain more, and makes its key where none is named.
pub async fn begin(home: &Home, common: &Common, options: &NodePayments) -> Result<()> {
    let network = home.network()?;
    check_gateway(home, &network, &options.name)?;
    let chain = chain(&options.chain, &network)?;
    let own = if chain.chain_id() == network.chain_id { network.ethereum_urls() } else { Vec::new() };
    let rpc = options.rpc.clone().or_else(|| own.first().cloned());
    let rpc = rpc.with_context(|| format!("no JSON-RPC of {chain} is known here; hint: --rpc"))?;
    let confirmations = confirmations(options.confirmations, chain, own.contains(&rpc))?;
    check_rpc(chain, &rpc).await?;
    let keys = keys_of(home, options, chain)?;
    let begun = Begun {
        gateway: &options.name,
        network: chain,
        rpc: &rpc,
        confirmations,
        fee_gwei_max: options.fee_gwei_max,
        keys: &keys,
        public_url: options.public_url.as_ref(),
    };
    let file = paid::begin(home, &network, &begun)?;
    let address = |key: &str| keys::signer(home, key).map(|key| key.address());
    let (settles, facilitator) = (address(&keys.settles)?, address(&keys.facilitator)?);
    let file = file.display().to_string();
    let tokens: Vec<&str> = KnownToken::on(chain).map(|token| token.symbol).collect();
    let said = json!({
        "name": options.name,
        "network": chain.to_string(),
        "rpc": rpc,
        "confirmations": confirmations,
        "tokens": tokens,
        "settles": settles,
        "facilitator": facilitator,
        "file": file,
    });
    show(common, &said, |_| {
        vec![
            format!("{} takes {} on {chain} by {rpc} from its next start on", options.name, tokens.join(" and ")),
            format!("{settles}  is paid, and settles"),
            format!("{facilitator}  settles other servers' payments"),
            format!("{file}  has its prices"),
        ]
    });
    tell("hint: both addresses need coins of that chain for gas; og node start is what comes next");
    Ok(())
}

/// A gateway whose key is here.
fn check_gateway(home: &Home, network: &Network, name: &str) -> Result<()> {
    let entry = network.node(name)?;
    ensure!(
        !devnet::is_folder(home),
        "{} is a devnet's, which says itself how its gateways are paid; hint: og devnet --paid, or --dir of a folder that og node init made",
        home.folder().display()
    );
    ensure!(
        entry.role == "gateway",
        "{name} has the role {}, a gateway's expected; hint: --name of a gateway, og node init --role gateway makes one",
        entry.role
    );
    ensure!(
        keys::has(home, name),
        "the key of {name} is not in {}: another folder says how it is paid; hint: --dir of its operator's folder",
        home.folder().display()
    );
    ensure!(
        !network.ethereum_urls().is_empty(),
        "the network file names no validator's JSON-RPC, and what OPG is worth is read there; hint: take the file from where the network was made"
    );
    Ok(())
}

/// The chain that is named, if a token of it is known.
fn chain(said: &str, network: &Network) -> Result<wire::Network> {
    let chain = match said {
        "base" => wire::Network::BASE,
        "base-sepolia" => wire::Network::BASE_SEPOLIA,
        "ledger" => wire::Network(network.chain_id),
        name => name.parse().with_context(|| {
            format!("{name:?} is no chain; hint: base, base-sepolia, ledger, or a name such as eip155:8453")
        })?,
    };
    ensure!(
        KnownToken::on(chain).next().is_some(),
        "no token of {chain} is known here; hint: --chain base, base-sepolia or ledger"
    );
    check_worth(chain, wire::Network(network.chain_id))?;
    Ok(chain)
}

/// Whoever works and publishes is owed OPG for what is paid in whichever token, out of the gateway's stake where it has none.
fn check_worth(chain: wire::Network, ledger: wire::Network) -> Result<()> {
    let is_for_trials = [wire::Network::BASE_SEPOLIA, wire::Network::DEVNET_LEDGER].contains(&chain);
    ensure!(
        ledger != wire::Network::LEDGER || !is_for_trials,
        "tokens of {chain} are worth nothing, and a gateway of this network owes OPG for what it is paid in them; hint: --chain base or ledger"
    );
    Ok(())
}

/// Blocks are final on the network's own ledger as its validators tell of it, and nowhere else.
fn confirmations(said: Option<u64>, chain: wire::Network, is_own: bool) -> Result<u64> {
    match said {
        Some(0) if !is_own => {
            bail!(
                "blocks of {chain} may be taken back, so that some must lie on what is paid there; hint: --confirmations 10"
            )
        }
        Some(confirmations) => Ok(confirmations),
        None if is_own => Ok(0),
        None => Ok(paid::CONFIRMATIONS),
    }
}

async fn check_rpc(chain: wire::Network, rpc: &str) -> Result<()> {
    let asked = JsonRpc::new(Client::new(PATIENCE), rpc.to_owned()).small("eth_chainId", json!([])).await;
    let id = asked.with_context(|| format!("{rpc} does not answer as a chain does; hint: --rpc of {chain}"))?;
    ensure!(id == chain.chain_id(), "the RPC is of chain {id}, and {chain} is named; hint: --rpc of that chain");
    Ok(())
}

/// The keys by which a gateway is paid already, else those of the key that is named, else of a new one; never of one that lies here without
/// being named. No chain is named twice.
fn keys_of(home: &Home, options: &NodePayments, chain: wire::Network) -> Result<Keys> {
    let name = &options.name;
    if let Some((keys, chains)) = paid::begun(home, name)? {
        ensure!(
            !chains.contains(&chain),
            "{name} takes payments on {chain} already; hint: payments.json of its folder says how"
        );
        ensure!(options.key.is_none(), "{name} settles by {} already; hint: leave --key out", keys.settles);
        return Ok(keys);
    }
    let key = match &options.key {
        Some(key) => {
            ensure!(keys::has(home, key), "no key {key:?}; hint: og keys new makes it, or leave --key out");
            key.clone()
        }
        None => {
            let key = format!("{name}-payments");
            ensure!(!keys::has(home, &key), "there is a key {key} already; hint: --key {key} takes it");
            keys::make(home, &keys::passphrase(home)?, &key, &keys::random_key()?, Vec::new())?;
            key
        }
    };
    Ok(Keys { settles: format!("{key}/0"), facilitator: format!("{key}/1") })
}

#[cfg(test)]
mod tests {
    use payments::wire::Network as On;

    use super::*;

    #[test]
    fn what_is_worth_nothing_pays_for_nothing_that_opg_is_owed_for() {
        for (chain, ledger, is_taken) in [
            (On::BASE_SEPOLIA, On::LEDGER, false),
            (On::DEVNET_LEDGER, On::LEDGER, false),
            (On::BASE, On::LEDGER, true),
            (On::LEDGER, On::LEDGER, true),
            (On::BASE_SEPOLIA, On::DEVNET_LEDGER, true),
            (On::DEVNET_LEDGER, On::DEVNET_LEDGER, true),
        ] {
            let checked = check_worth(chain, ledger);
            assert_eq!(checked.is_ok(), is_taken, "{chain} {ledger}");
            if let Err(refused) = checked {
                assert!(refused.to_string().contains("are worth nothing"), "{refused}");
            }
        }
    }
}
