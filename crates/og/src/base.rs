//! The devnet's Base: a chain of one node in this process, or whatever RPC is named in its place.
//!
//! It carries the real Base's id, so what is signed for it would be valid there too: its keys are the devnet's own, made from a sealed
//! seed, and never well-known ones, and the gateway takes payments there from no others unless it is told to.

use std::{net::Ipv4Addr, net::SocketAddr, sync::Arc};

use alloy_primitives::U256;
use anyhow::{Context as _, Result, bail};
use contracts::addresses::{self, BASE_CHAIN_ID as CHAIN_ID};
use devchain::{BaseStart, Config, DevChain, FundedKey, PoolLimits};
use rpc::{Limits, Server};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use storage::{read_file, write_file};
use tokio::task::JoinHandle;

use crate::{
    cli,
    home::{Home, Network, network_key},
    keys,
};

/// The key file that the others are derived from.
pub const KEY: &str = "base";
/// The last four carry settlements, settle payments of the gateway's own callers, those of other servers, and those that a facilitator
/// by itself is brought: keys that send beside each other take each other's nonces.
const KEYS: u32 = 7;
/// Of each funded key: 10,000 ether, 10,000 OPG where the ledger has them locked, 10,000 dollars.
const COIN: u128 = 1_000_000_000_000_000_000;
const FUNDS: u128 = 10_000 * COIN;
const DOLLARS: u64 = 10_000_000_000;
/// OPG on Base from the start, which the ledger's genesis holds locked.
pub const BRIDGED: u128 = FUNDS * KEYS as u128;
/// States of the past that calls and traces can be asked of.
const STATES: u64 = 1_024;
/// From the devnet's first port to Base's, if none is named: above the most nodes that a devnet has.
const PORT_STEP: u16 = 99;
const FILE_BYTES_MAX: u64 = 1 << 10;

/// What the devnet knows of its Base.
pub struct Base {
    pub url: String,
    pub keys: Vec<FundedKey>,
    own: Option<Own>,
}

struct Own {
    server: Server,
    chain: DevChain,
    running: JoinHandle<()>,
}

/// Where it listens, kept so that a resumed network keeps its port.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    listen: SocketAddr,
}

impl Base {
    pub async fn start(home: &Home, network: &Network, options: &cli::Devnet) -> Result<Self> {
        if let Some(url) = &options.base_rpc {
            return Ok(Self::of_another(url.clone(), funded(home)?));
        }
        let keys = funded(home)?;
        let config = config(home, network, &keys)?;
        let (chain, running) = devchain::open(config).await.context("failed to start the devnet's Base")?;
        let (file, node) = (home.folder().join("base.json"), Arc::new(chain.clone()));
        let listen = listen(&file, options)?;
        let client = format!("og/v{}/devnet-base", env!("CARGO_PKG_VERSION"));
        let server = Server::start(listen, node, client, Limits::default()).await;
        let server = server
            .with_context(|| format!("port {} is taken; hint: choose another with --base-port", listen.port()))?;
        write_file(&file, &serde_json::to_vec_pretty(&Kept { listen: server.address() })?)?;
        Ok(Self { url: server.url(), keys, own: Some(Own { server, chain, running }) })
    }

    /// A chain that somebody else has, by its JSON-RPC.
    pub fn of_another(url: String, keys: Vec<FundedKey>) -> Self {
        Self { url, keys, own: None }
    }

    /// Ends it once what it took is durable.
    pub async fn stop(self) {
        let Some(Own { server, chain, running }) = self.own else { return };
        server.stop().await;
        drop(chain);
        // Connections that were cut may hold the chain a moment longer.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), running).await;
    }

    /// True of the chain that this devnet made, whose money is worth nothing.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    pub fn json(&self) -> Value {
        let key = |key: &FundedKey| match self.own {
            Some(_) => json!({ "address": key.address, "secret": key.secret }),
            // Where money is at stake, nothing but what can be funded is shown.
            None => json!({ "address": key.address }),
        };
        let keys = self.keys.iter().map(key);
        let contracts = self.own.as_ref().map(|_| contracts());
        json!({ "url": self.url, "chain_id": CHAIN_ID, "keys": keys.collect::<Vec<_>>(), "contracts": contracts })
    }

    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("\nBase (chain {CHAIN_ID})  {}", self.url)];
        if self.own.is_some() {
            lines.push(
                "funded keys of both, this devnet's own: what they sign for Base is valid on the real Base too"
                    .to_owned(),
            );
            lines.extend(self.keys.iter().map(|key| format!("{}  {}", key.address, key.secret)));
        } else {
            lines.push("this network's keys there, for you to fund with what they need for gas".to_owned());
            let roles =
                ["carries settlements", "settles payments", "settles other servers' payments", "og facilitator start"];
            let working = self.keys.iter().skip(self.keys.len().saturating_sub(roles.len()));
            lines.extend(working.zip(roles).map(|(key, role)| format!("{}  {role}", key.address)));
        }
        lines
    }
}

/// What people look for there; everything else is where it is on the real Base.
fn contracts() -> Value {
    json!({
        "opg": addresses::OPG,
        "usdc": addresses::USDC,
        "permit2": addresses::PERMIT2,
        "batch_settlement": addresses::BATCH_SETTLEMENT,
        "settlement": addresses::DEVNET_SETTLEMENT,
    })
}

/// The devnet's own keys, the same ones each time it is resumed; they have coins on Base and on the ledger.
pub fn funded(home: &Home) -> Result<Vec<FundedKey>> {
    let passphrase = keys::passphrase(home)?;
    if !home.keys_folder().join(format!("{KEY}.json")).exists() {
        keys::make(home, &passphrase, KEY, &keys::random_key()?, Vec::new())?;
    }
    let seed = keys::open(home, &passphrase, KEY)?.key.seed();
    Ok((0..KEYS).map(|index| FundedKey::derive(&seed, index)).collect())
}

fn config(home: &Home, network: &Network, keys: &[FundedKey]) -> Result<Config> {
    let network_key = network_key(network)?.uncompressed().context("the network's key is none")?;
    let genesis = home.genesis(network)?;
    let start = BaseStart {
        timestamp: genesis.time_ms / 1_000,
        funded: keys.iter().map(|key| key.address).collect(),
        coins: U256::from(FUNDS),
        // As much as the ledger began with locked for it: nothing, where the network was made for a Base of somebody else's.
        opg: U256::from(genesis.bridged / u128::from(KEYS)),
        dollars: U256::from(DOLLARS),
        ledger_chain_id: network.chain_id,
        network_key,
    };
    Ok(Config {
        chain: devchain::plain(CHAIN_ID),
        genesis: start.genesis()?,
        directory: home.folder().join("base"),
        beneficiary: Default::default(),
        clock: || network::now_ms() / 1_000,
        pool: PoolLimits::default(),
        states: STATES,
    })
}

/// JSON-RPC of a chain that this folder has itself: its devnet's Base, or its ledger.
pub fn own_url(home: &Home, chain_id: u64) -> Option<String> {
    if chain_id == CHAIN_ID {
        return kept_url(home).ok();
    }
    let ledger = home.network().ok().filter(|ledger| ledger.chain_id == chain_id)?;
    ledger.ethereum_urls().into_iter().next()
}

/// Where the devnet of this folder has its Base.
fn kept_url(home: &Home) -> Result<String> {
    let path = home.folder().join("base.json");
    let kept: Kept = serde_json::from_slice(&read_file(&path, FILE_BYTES_MAX)?)
        .with_context(|| format!("failed to read {}", path.display()))?;
    Ok(format!("http://{}", kept.listen))
}

fn listen(file: &std::path::Path, options: &cli::Devnet) -> Result<SocketAddr> {
    if let Some(port) = options.base_port {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    if file.exists() {
        let kept: Kept = serde_json::from_slice(&read_file(file, FILE_BYTES_MAX)?)
            .with_context(|| format!("failed to read {}", file.display()))?;
        return Ok(kept.listen);
    }
    let port = if options.port == 0 { Some(0) } else { options.port.checked_add(PORT_STEP) };
    let Some(port) = port else { bail!("ports run out; hint: choose a lower --port, or --base-port") };
    Ok((Ipv4Addr::LOCALHOST, port).into())
}
