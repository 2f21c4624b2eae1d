//! A whole network on this machine: in this process, or each node in its own.

use std::{
    fs::{File, TryLockError},
    path::PathBuf,
    process::Stdio,
    task::Poll,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use network::{Client, LedgerClient};
use payments::price::Unit;
use serde_json::{Value, json};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    task::{JoinHandle, JoinSet},
};

use crate::{
    base::{self, Base},
    bridge,
    cli::{self, Capacity},
    genesis,
    home::{Home, Network, NodeEntry},
    keys,
    node::{self, Overrides, Running},
    paid,
    screen::{put, row, tell},
};

/// How long a devnet may take to be ready.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);
/// Between the end of a node's process and its next start.
const RESTART_WAIT: Duration = Duration::from_millis(300);
/// Nodes start in these groups, one after the other.
const ORDER: [&[&str]; 3] = [&["hub"], &["validator"], &["worker", "gateway", "auditor"]];

/// Runs until it is interrupted.
pub async fn run(home: &Home, options: &cli::Devnet, json: bool) -> Result<()> {
    let started = Instant::now();
    if options.paid_calls.public_url.is_some() && !paid::is_paid(home, &options.paid_calls) {
        bail!("a public address is named by what is offered, and nothing is offered here; hint: --paid");
    }
    if home.has_network() && !options.models.is_empty() {
        bail!("the network in {} has its models already; hint: another --dir", home.folder().display());
    }
    if home.has_network() && options.allocated.allocations.is_some() {
        bail!("the network in {} has its allocations already; hint: another --dir", home.folder().display());
    }
    let _alone = alone(home)?;
    let network = if home.has_network() {
        tell(&format!("resuming the network in {}", home.folder().display()));
        home.network()?
    } else {
        tell(&format!("making a network in {}", home.folder().display()));
        let (home, options) = (home.clone(), options.clone());
        tokio::task::spawn_blocking(move || genesis::make(&home, &options)).await??
    };
    let mut terminate = signal(SignalKind::terminate())?;
    // Validators have to know where OPG is destroyed for them, and the gateway where payers pay.
    let base = Base::start(home, &network, options).await?;
    let link = bridge::write(home, &network, &base, options)?;
    if paid::is_paid(home, &options.paid_calls) {
        paid::write(home, &network, &base, &options.paid_calls)?;
    }
    let mut nodes = Nodes::start(home, &network, options).await?;
    wait_until_ready(&network, &mut nodes).await?;
    let carried = link.filter(|_| !options.no_relayer);
    let relayer = carried.map(|link| bridge::carry(home, &network, &link)).transpose()?;
    announce(home, &network, &nodes, &base, json, started.elapsed()).await?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
        error = nodes.failed() => return Err(error),
    }
    tell("stopping");
    relayer.iter().for_each(JoinHandle::abort);
    nodes.stop().await;
    base.stop().await;
    Ok(())
}

fn lock_of(home: &Home) -> PathBuf {
    home.folder().join("devnet.lock")
}

/// Whether a devnet runs in this folder, or ran.
pub fn is_folder(home: &Home) -> bool {
    lock_of(home).exists()
}

/// Keeps another devnet from the folder until dropped.
fn alone(home: &Home) -> Result<File> {
    let (folder, path) = (home.folder().display(), lock_of(home));
    std::fs::create_dir_all(home.folder()).with_context(|| format!("failed to make {folder}"))?;
    let failed = || format!("failed to lock {}", path.display());
    let lock = File::options().create(true).truncate(false).write(true).open(&path).with_context(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            bail!("a devnet runs in {folder} already; hint: use it, stop it, or start another with --dir and --port")
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(failed),
    }
}

/// The running nodes.
enum Nodes {
    Inside(Vec<Running>),
    Processes(JoinSet<Result<()>>),
}

impl Nodes {
    async fn start(home: &Home, network: &Network, options: &cli::Devnet) -> Result<Self> {
        if options.processes {
            return Self::spawn(home, network, options);
        }
        let mut running = Vec::new();
        let (threads, capacity) = (threads(home, network, options)?, capacity(home, network, options)?);
        for roles in ORDER {
            let mut starting = JoinSet::new();
            for entry in network.nodes.iter().filter(|entry| roles.contains(&entry.role.as_str())) {
                let (home, network, name) = (home.clone(), network.clone(), entry.name.clone());
                let adversary = adversary(&network, entry, options);
                let any_payer = options.paid_calls.any_payer;
                let (faucet, threads) = (has_faucet(&home, entry), Some(threads));
                let overrides = Overrides { adversary, threads, capacity, any_payer, faucet, ..Overrides::default() };
                starting.spawn(async move { node::start(&home, &network, &name, overrides).await });
            }
            while let Some(started) = starting.join_next().await {
                running.push(started??);
            }
        }
        Ok(Self::Inside(running))
    }

    fn spawn(home: &Home, network: &Network, options: &cli::Devnet) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut keepers = JoinSet::new();
        let (threads, capacity) = (threads(home, network, options)?, capacity(home, network, options)?);
        for entry in &network.nodes {
            let child = ChildNode {
                program: program.clone(),
                network_file: home.network_file(),
                folder: home.node_folder(&entry.name),
                name: entry.name.clone(),
                adversary: adversary(network, entry, options).map(|adversary| adversary.to_string()),
                threads,
                capacity: (entry.role == "worker").then_some(capacity),
                any_payer: options.paid_calls.any_payer,
                faucet: has_faucet(home, entry),
            };
            std::fs::create_dir_all(&child.folder)?;
            keepers.spawn(child.keep());
        }
        Ok(Self::Processes(keepers))
    }

    /// Resolves only if a node that should run cannot be kept running. One in a process of its own is started again by its keeper.
    async fn failed(&mut self) -> anyhow::Error {
        match self {
            Self::Inside(running) => ended(running).await.context("a node of this devnet cannot go on"),
            Self::Processes(keepers) => match keepers.join_next().await {
                Some(Ok(Err(error))) => error,
                _ => anyhow::anyhow!("a node's keeper ended"),
            },
        }
    }

    async fn stop(self) {
        match self {
            Self::Inside(running) => {
                let mut stopping: JoinSet<()> = running.into_iter().map(Running::stop).collect();
                while stopping.join_next().await.is_some() {}
            }
            // Each child is killed with its keeper.
            Self::Processes(mut keepers) => keepers.shutdown().await,
        }
    }
}

/// Resolves once one of these has ended by itself, with its reason.
async fn ended(running: &[Running]) -> anyhow::Error {
    let mut ends: Vec<_> = running.iter().map(|node| Box::pin(node.ended())).collect();
    std::future::poll_fn(|context| {
        let mut polled = ends.iter_mut().map(|end| end.as_mut().poll(context));
        polled.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

/// Threads of each worker's each model: what was said, or a share of this machine, on which all of them run.
fn threads(home: &Home, network: &Network, options: &cli::Devnet) -> Result<usize> {
    let said = options.threads.map(usize::from);
    let models = home.genesis(network)?.models.len();
    Ok(said.unwrap_or_else(|| node::threads(network.urls("worker").len(), models)))
}

/// What its workers serve at a time, all of them on this machine.
fn capacity(home: &Home, network: &Network, options: &cli::Devnet) -> Result<Capacity> {
    let (workers, models) = (network.urls("worker").len(), home.genesis(network)?.models.len());
    let cache_memory = Some(worker::cache_bytes(options.capacity.cache_memory, workers, models)?);
    Ok(Capacity { cache_memory, ..options.capacity })
}

/// The last worker misbehaves when told so, also in a network that exists.
fn adversary(network: &Network, entry: &NodeEntry, options: &cli::Devnet) -> Option<worker::Adversary> {
    let last = network.nodes.iter().rfind(|node| node.role == "worker");
    options.adversary.filter(|_| last.is_some_and(|last| last.name == entry.name))
}

/// A devnet's gateway gives away what its faucet has, as long as the folder has that key.
fn has_faucet(home: &Home, entry: &NodeEntry) -> bool {
    entry.role == "gateway" && keys::has(home, keys::FAUCET)
}

/// One node in a process of its own.
struct ChildNode {
    program: PathBuf,
    network_file: PathBuf,
    folder: PathBuf,
    name: String,
    adversary: Option<String>,
    threads: usize,
    /// Of a worker.
    capacity: Option<Capacity>,
    any_payer: bool,
    faucet: bool,
}

impl ChildNode {
    /// Starts it again whenever it ends.
    async fn keep(self) -> Result<()> {
        loop {
            let mut child = self.start()?;
            // Waiting for a child closes its standard input, which would end it: hold it here.
            let _held = child.stdin.take();
            let pid = child.id().unwrap_or_default();
            storage::write_file(&self.folder.join("pid"), pid.to_string().as_bytes())?;
            let status = child.wait().await?;
            tell(&format!("{} (process {pid}) ended: {status}; starting it again", self.name));
            tokio::time::sleep(RESTART_WAIT).await;
        }
    }

    fn start(&self) -> Result<Child> {
        let log = File::options().create(true).append(true).open(self.folder.join("log"))?;
        let mut command = Command::new(&self.program);
        command.args(["node", "start", "--join"]).arg(&self.network_file).args(["--name", &self.name, "--attached"]);
        command.args(["--threads", &self.threads.to_string()]);
        if let Some(bytes) = self.capacity.and_then(|capacity| capacity.cache_memory) {
            command.args(["--cache-memory", &bytes.to_string()]);
        }
        if let Some(places) = self.capacity.and_then(|capacity| capacity.places) {
            command.args(["--places", &places.to_string()]);
        }
        if let Some(adversary) = &self.adversary {
            command.args(["--adversary", adversary]);
        }
        if self.any_payer {
            command.arg("--any-payer");
        }
        if self.faucet {
            command.arg("--faucet");
        }
        // The child ends when its standard input does, so none is left over however this process ends.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        command.spawn().with_context(|| format!("failed to start {}", self.name))
    }
}

/// Ready: an epoch is certified, and the gateway has models and workers for them.
async fn wait_until_ready(network: &Network, nodes: &mut Nodes) -> Result<()> {
    let client = Client::new(Duration::from_secs(2));
    let ledger = LedgerClient::new(client.clone(), &network.urls("validator"));
    let gateway = network.urls("gateway").into_iter().next().context("the network has no gateway")?;
    let ready = async {
        loop {
            let certified = ledger.latest_epoch().await.is_ok();
            if certified && serves(&client, network, &gateway).await {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::select! {
        ready = tokio::time::timeout(PATIENCE, ready) => {
            ready.with_context(|| format!("not ready within {} s; hint: OG_LOG=info tells more", PATIENCE.as_secs()))
        }
        error = nodes.failed() => Err(error),
    }
}

async fn serves(client: &Client, network: &Network, gateway: &str) -> bool {
    for worker in network.urls("worker") {
        if client.get_bytes(&format!("{worker}/status")).await.is_err() {
            return false;
        }
    }
    let Ok(bytes) = client.get_bytes(&format!("{gateway}/v1/models")).await else { return false };
    let models: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    models["data"].as_array().is_some_and(|models| !models.is_empty())
}

async fn announce(
    home: &Home,
    network: &Network,
    nodes: &Nodes,
    base: &Base,
    json: bool,
    took: Duration,
) -> Result<()> {
    let gateway = network.urls("gateway").into_iter().next().context("the network has no gateway")?;
    let ledger = network.ethereum_urls().into_iter().next().context("the network has no validator")?;
    if json {
        let listed: Vec<Value> = network
            .nodes
            .iter()
            .map(|node| json!({"name": node.name, "role": node.role, "url": node.url(), "pid": pid(home, node, nodes)}))
            .collect();
        put(&json!({
            "event": "ready",
            "seconds": took.as_secs_f64(),
            "gateway": gateway,
            "faucet": keys::has(home, keys::FAUCET).then(|| format!("{gateway}/faucet")),
            "trust": home.trust_file(),
            "network": home.network_file(),
            "chat_model": "demo-chat",
            "tensor_model": "risk-scorer",
            "nodes": listed,
            "ledger": { "chain_id": network.chain_id, "url": ledger, "urls": network.ethereum_urls() },
            "base": base.json(),
        })
        .to_string());
        return Ok(());
    }
    put(&format!("ready after {:.1} s, chain {}\n", took.as_secs_f64(), network.chain_id));
    for line in status_lines(network).await {
        put(&line);
    }
    put("\nfunded test keys (sealed, in the keys folder)");
    for file in keys::list(home)? {
        let is_shown_elsewhere = file.name == base::KEY || genesis::is_bucket(&file.name);
        if !is_shown_elsewhere && network.nodes.iter().all(|node| node.name != file.name) {
            put(&row(&[(&file.name, 12), (&file.public_key, 64)]));
        }
    }
    put("whose the other OPG are: og wallet allocations");
    put(&format!("\nledger (chain {})  {ledger}", network.chain_id));
    base.lines().iter().for_each(|line| put(line));
    put(&format!("\ntrust file   {}\ngateway      {gateway}/v1\n\ntry it:", home.trust_file().display()));
    tries(home, &gateway).iter().for_each(|line| put(line));
    put("\nctrl-c stops it; the same command resumes it");
    Ok(())
}

/// Lines to paste: a call, paid for where calls have prices, and the check of its receipt.
fn tries(home: &Home, gateway: &str) -> Vec<String> {
    let body = r#"'{"model":"demo-chat","messages":[{"role":"user","content":"What is a receipt?"}]}'"#;
    let flag = home.flag();
    let mut lines = match paid::token(home) {
        None => {
            vec![format!("  curl {gateway}/v1/chat/completions -H 'content-type: application/json' \\\n    -d {body}")]
        }
        Some(token) => {
            let (per_call, per_day) = match token.money.unit {
                Unit::Usd => ("0.05", "2"),
                Unit::Opg => ("0.5", "20"),
            };
            let token = token.symbol;
            vec![
                format!("  og wallet limit --token {token} --per-call {per_call} --per-day {per_day}{flag}"),
                format!("  og pay /v1/chat/completions --token {token}{flag} \\\n    -d {body}"),
            ]
        }
    };
    lines.push(format!("  og receipt verify <receipt id>{flag}"));
    if keys::has(home, keys::FAUCET) {
        lines.push(format!("  og faucet <address>{flag}"));
    }
    lines
}

fn pid(home: &Home, entry: &NodeEntry, nodes: &Nodes) -> Option<u32> {
    match nodes {
        Nodes::Inside(_) => Some(std::process::id()),
        Nodes::Processes(_) => {
            let bytes = storage::read_file(&home.node_folder(&entry.name).join("pid"), 32).ok()?;
            String::from_utf8(bytes).ok()?.trim().parse().ok()
        }
    }
}

/// One line of fixed width for each node, from what it says of itself and the ledger of it.
pub async fn status_lines(network: &Network) -> Vec<String> {
    let mut lines = vec![row(&[("node", 12), ("role", 10), ("address", 24), ("state", 0)])];
    for Status { entry, said, is_jailed } in statuses(network).await {
        let mut state = said.map_or_else(|| "away".to_owned(), |said| describe(&entry.role, &said));
        if is_jailed {
            state = format!("jailed {state}");
        }
        lines.push(row(&[(&entry.name, 12), (&entry.role, 10), (&entry.url(), 24), (&state, 0)]));
    }
    lines
}

/// How a node is.
pub struct Status<'a> {
    pub entry: &'a NodeEntry,
    /// What it says of itself, an object; nothing where it is away.
    pub said: Option<Value>,
    /// What the ledger says; false where no validator answers, or of what is in no registry.
    pub is_jailed: bool,
}

pub async fn statuses(network: &Network) -> Vec<Status<'_>> {
    let client = Client::new(Duration::from_secs(2));
    let listed = LedgerClient::new(client.clone(), &network.urls("validator")).nodes().await.unwrap_or_default();
    let mut all = Vec::with_capacity(network.nodes.len());
    for entry in &network.nodes {
        let id = entry.id();
        let is_jailed = listed.iter().any(|node| Some(node.node) == id && node.jailed);
        all.push(Status { entry, said: status(&client, entry).await, is_jailed });
    }
    all
}

async fn status(client: &Client, entry: &NodeEntry) -> Option<Value> {
    let bytes = client.get_bytes(&format!("{}/status", entry.url())).await.ok()?;
    serde_json::from_slice(&bytes).ok().filter(Value::is_object)
}

fn describe(role: &str, status: &Value) -> String {
    let fields: &[(&str, &str)] = match role {
        "validator" => &[
            ("seats", "seats"),
            ("height", "height"),
            ("epoch", "epoch"),
            ("certified", "certified_epoch"),
            ("pending", "pending"),
        ],
        "worker" => &[("receipts", "receipts"), ("free", "free_places"), ("adversary", "adversary")],
        "auditor" => &[("epoch", "epoch"), ("equal", "equal"), ("challenged", "challenged"), ("withheld", "withheld")],
        "hub" => &[("artefacts", "artefacts")],
        _ => &[("models", "models"), ("workers", "workers"), ("outbox", "receipts_waiting")],
    };
    let said = fields.iter().filter(|(_, key)| !status[key].is_null());
    said.map(|(word, key)| format!("{word} {:<6}", status[key].to_string().trim_matches('"')))
        .chain(paid::gains(status))
        .chain(paid::troubles(status))
        .collect::<Vec<_>>()
        .join(" ")
}
