//! Starts one node of a network from its folder, whatever its role.

use std::{net::SocketAddr, path::Path};

use anyhow::{Context as _, Result, bail};
use auditor::{Auditor, RATE_WHOLE};
use gateway::{Gateway, PublicUrl};
use hub::{Hub, Shelf};
use validator::Validator;
use worker::{Adversary, Lifetime, Worker};

use crate::{
    cli::Capacity,
    faucet,
    genesis::MODELS,
    home::{Home, Network, NodeEntry, network_key, unhex},
    keys::{self, Secrets},
    serving,
};

/// Jobs that a worker runs at the same time; each of its models has some of its own.
const PLACES: usize = 16;

/// A running node.
pub enum Running {
    Validator(Validator),
    Worker(Worker),
    Gateway(Gateway),
    Hub(Hub),
    Auditor(Auditor),
}

impl Running {
    /// Resolves if it ended by itself, with the reason. Only a validator does: the others wait for the ledger.
    pub async fn ended(&self) -> anyhow::Error {
        match self {
            Self::Validator(node) => node.ended().await.into(),
            Self::Worker(_) | Self::Gateway(_) | Self::Hub(_) | Self::Auditor(_) => std::future::pending().await,
        }
    }

    pub async fn stop(self) {
        match self {
            Self::Validator(node) => node.stop().await,
            Self::Worker(node) => node.stop().await,
            Self::Gateway(node) => node.stop().await,
            Self::Hub(node) => node.stop().await,
            Self::Auditor(node) => node.stop().await,
        }
    }
}

/// What may be said differently than the node's entry says it.
#[derive(Clone, Default)]
pub struct Overrides {
    pub listen: Option<SocketAddr>,
    pub keep_blocks: Option<u64>,
    /// A validator begins from the others' state.
    pub sync: bool,
    pub adversary: Option<Adversary>,
    /// Threads of each of a worker's models; without them, those that this machine has for it.
    pub threads: Option<usize>,
    /// How much of it a worker serves at a time.
    pub capacity: Capacity,
    /// Where callers reach a gateway that takes payments.
    pub public_url: Option<PublicUrl>,
    /// Such a gateway takes them from anybody.
    pub any_payer: bool,
    /// A gateway gives away what the devnet's faucet has.
    pub faucet: bool,
    /// Whose pages a gateway, or a validator's JSON-RPC, answers in a browser.
    pub origins: network::Origins,
}

/// Cores of this machine, as far as this process may use them.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What each of a worker's models runs on where nobody says it: its share of this machine, which so many workers share.
pub fn threads(workers: usize, models: usize) -> usize {
    (cores() / workers.max(1) / models.max(1)).max(1)
}

/// Starts the node called `name`.
pub async fn start(home: &Home, network: &Network, name: &str, overrides: Overrides) -> Result<Running> {
    let mut entry = network.node(name)?.clone();
    if let Some(listen) = overrides.listen {
        entry.listen = listen;
    }
    entry.keep_blocks = overrides.keep_blocks.or(entry.keep_blocks);
    let directory = home.node_folder(name);
    if entry.role == "hub" {
        return Ok(Running::Hub(start_hub(&entry, &directory).await?));
    }
    let secrets = keys::open(home, &keys::passphrase(home)?, name)?;
    let adversary = overrides.adversary.or(entry.adversary()?);
    let context = || format!("failed to start {name}");
    Ok(match entry.role.as_str() {
        "validator" => Running::Validator(
            start_validator(home, network, &entry, &directory, secrets, overrides).await.with_context(context)?,
        ),
        "worker" => {
            let config = worker_config(home, network, &entry, &directory, secrets)?;
            let threads = overrides.threads.unwrap_or_else(|| threads(1, config.models.len()));
            let places = overrides.capacity.places.map_or(config.places, usize::from);
            let cache_bytes = overrides.capacity.cache_memory;
            let config = worker::Config { adversary, threads, places, cache_bytes, ..config };
            Running::Worker(Worker::start(config).await.with_context(context)?)
        }
        "gateway" => {
            let config = gateway_config(home, network, &entry, &directory, &secrets, overrides)?;
            Running::Gateway(Gateway::start(config).await.with_context(context)?)
        }
        "auditor" => {
            let config = auditor_config(home, network, &entry, &directory, &secrets)?;
            Running::Auditor(Auditor::start(config).await.with_context(context)?)
        }
        other => bail!("{name} has the role {other:?}; hint: validator, worker, gateway, hub or auditor"),
    })
}

async fn start_hub(entry: &NodeEntry, directory: &Path) -> Result<Hub> {
    let shelf = Shelf::open(directory)?;
    for (name, artefact) in MODELS {
        shelf.put(artefact).with_context(|| format!("failed to shelve {name}"))?;
    }
    Ok(Hub::start(hub::Config { listen: entry.listen, directory: directory.to_owned() }).await?)
}

async fn start_validator(
    home: &Home,
    network: &Network,
    entry: &NodeEntry,
    directory: &Path,
    secrets: Secrets,
    overrides: Overrides,
) -> Result<Validator> {
    let peers = network.nodes.iter().filter_map(|node| Some((node.key.as_deref()?, node.agreement?)));
    let peers = peers.map(|(key, address)| {
        let key = crypto::PublicKey::from_hex(key).context("a validator's key is not 32 bytes of hexadecimal")?;
        Ok((key.0, address))
    });
    let others = network.urls("validator").into_iter().filter(|url| *url != entry.url());
    let config = validator::Config {
        listen: entry.listen,
        ethereum_listen: entry
            .ethereum
            .context("the network file names no address for its JSON-RPC; hint: og node init makes a validator")?,
        client: format!("og/v{}/validator", env!("CARGO_PKG_VERSION")),
        agreement_listen: entry
            .agreement
            .context("the network file names no address for agreement; hint: og node init makes a validator")?,
        agreement_peers: peers.collect::<Result<_>>()?,
        directory: directory.to_owned(),
        key: secrets.key,
        share: secrets.share,
        polynomial: unhex(&network.polynomial)?,
        network_key: network_key(network)?,
        network: network.network.clone(),
        genesis: home.genesis(network)?,
        hubs: network.urls("hub"),
        judge: Some(judge_program()?),
        keep_blocks: entry.keep_blocks,
        sync: others.collect(),
        begins_from_others: overrides.sync,
        base: crate::bridge::read(home)?.map(|link| link.watched()).transpose()?,
        origins: overrides.origins,
    };
    Ok(Validator::start(config).await?)
}

fn worker_config(
    home: &Home,
    network: &Network,
    entry: &NodeEntry,
    directory: &Path,
    secrets: Secrets,
) -> Result<worker::Config> {
    let genesis = home.genesis(network)?;
    let models = serving::wanted(home, network, entry)?;
    Ok(worker::Config {
        listen: entry.listen,
        directory: directory.to_owned(),
        chain_id: network.chain_id,
        key: secrets.key,
        sealer: secrets.sealer,
        validators: network.urls("validator"),
        hubs: network.urls("hub"),
        places: PLACES.max(2 * models.len()),
        wanted: Some(serving::watch(home, &entry.name, models.clone())),
        models,
        cache_bytes: None,
        threads: 1,
        float: float_program()?,
        prompter: prompter_program()?,
        evidence: Lifetime {
            anchoring_ms: genesis.rules.receipt_age_ms.into(),
            epochs: genesis.rules.evidence_epochs(),
            least_ms: genesis.rules.evidence_ms(),
        },
        work_max: genesis.rules.work_max(),
        adversary: None,
    })
}

/// This program, as the process of a float runtime.
pub fn float_program() -> Result<float::Program> {
    let path = std::env::current_exe().context("cannot find this program's own file")?;
    Ok(float::Program { path, arguments: vec!["float-runtime".into()] })
}

/// This program, as a process that makes prompts.
fn prompter_program() -> Result<worker::Program> {
    worker::Program::own("prompter").context("cannot find this program's own file")
}

fn gateway_config(
    home: &Home,
    network: &Network,
    entry: &NodeEntry,
    directory: &Path,
    secrets: &Secrets,
    overrides: Overrides,
) -> Result<gateway::Config> {
    let mut payments = crate::paid::payments(home, &entry.name)?;
    if overrides.any_payer {
        payments.iter_mut().flat_map(|payments| &mut payments.chains).for_each(|chain| chain.payers = None);
    }
    if let Some(public_url) = overrides.public_url {
        let missing = "a public address is named by what is offered, and this gateway takes no payments; hint: og node payments, or og devnet --paid";
        payments.as_mut().context(missing)?.public_url = Some(public_url);
    }
    Ok(gateway::Config {
        listen: entry.listen,
        key: secrets.key.clone(),
        chain_id: network.chain_id,
        validators: network.urls("validator"),
        hubs: network.urls("hub"),
        directory: directory.to_owned(),
        counter: counter_program()?,
        pace: gateway::Pace::default(),
        payments,
        origins: overrides.origins,
        further: if overrides.faucet { faucet::routes(home, network)? } else { Default::default() },
    })
}

/// This program, as a process that counts prompts.
fn counter_program() -> Result<network::process::Program> {
    network::process::Program::own("counter").context("cannot find this program's own file")
}

/// This program, as the process of a judge.
fn judge_program() -> Result<auditor::Program> {
    let path = std::env::current_exe().context("cannot find this program's own file")?;
    Ok(auditor::Program { path, arguments: vec!["judge".into()] })
}

fn auditor_config(
    home: &Home,
    network: &Network,
    entry: &NodeEntry,
    directory: &Path,
    secrets: &Secrets,
) -> Result<auditor::Config> {
    Ok(auditor::Config {
        listen: entry.listen,
        directory: directory.to_owned(),
        chain_id: network.chain_id,
        key: secrets.key.clone(),
        validators: network.urls("validator"),
        hubs: network.urls("hub"),
        judge: Some(judge_program()?),
        windows: validator::windows(&home.genesis(network)?.rules),
        rate: entry.audit_rate.unwrap_or(RATE_WHOLE),
    })
}
