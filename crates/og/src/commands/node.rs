//! `og node start | serve | list`, `og status`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use crypto::PublicKey;
use protocol::Digest;
use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt as _,
    signal::unix::{SignalKind, signal},
};

use super::{describe, join, model, paid, show};
use crate::{
    amount::opg,
    cli::{Capacity, Common, Node, NodeServe, NodeStart},
    devnet,
    home::{Home, Network},
    keys,
    node::{self, Overrides},
    remote::Remote,
    screen::{row, tell},
    serving,
};

/// A model of many gigabytes is fetched and loaded in this time, and how it goes is told this often.
const SERVED_PATIENCE: Duration = Duration::from_secs(1_800);
const SERVED_NEWS: Duration = Duration::from_secs(5);
const SERVED_PAUSE: Duration = Duration::from_millis(200);

pub async fn run(common: &Common, command: Node) -> Result<()> {
    match command {
        Node::Start(options) => start(options).await,
        Node::Init(options) => join::init(common, &options).await,
        Node::Register(options) => join::register(&Remote::new(common), common, &options).await,
        Node::Payments(options) => paid::begin(&Home::new(common.dir.clone()), common, &options).await,
        Node::Serve(options) => serve(&Remote::new(common), common, &options).await,
        Node::Describe(options) => describe::describe(&Remote::new(common), common, &options).await,
        Node::Show { node } => describe::show_node(&Remote::new(common), common, &node).await,
        Node::List => list(&Remote::new(common), common).await,
    }
}

async fn start(options: NodeStart) -> Result<()> {
    let home = Home::of_network_file(&options.join);
    let unread = || format!("failed to join by {}; hint: name the network's file", options.join.display());
    let network = Network::read(&options.join).with_context(unread)?;
    let entry = network.node(&options.name)?;
    if let Some(role) = options.role.filter(|role| *role != entry.role) {
        bail!("{} has the role {}, not {role}; hint: leave --role out, or name another node", entry.name, entry.role);
    }
    if options.public_url.is_some() && entry.role != "gateway" {
        bail!("{} has the role {}; a gateway has a public address", entry.name, entry.role);
    }
    if options.faucet && entry.role != "gateway" {
        bail!("{} has the role {}; a devnet's gateway has its faucet", entry.name, entry.role);
    }
    let Capacity { cache_memory, places } = options.capacity;
    if (cache_memory.is_some() || places.is_some()) && entry.role != "worker" {
        bail!("{} has the role {}; a worker has places, and memory for texts", entry.name, entry.role);
    }
    if options.origins.is_some() && !["gateway", "validator"].contains(&entry.role.as_str()) {
        bail!("{} has the role {}; gateways and validators answer browsers' pages", entry.name, entry.role);
    }
    let overrides = Overrides {
        listen: options.listen,
        keep_blocks: options.keep_blocks,
        sync: options.sync,
        adversary: options.adversary,
        threads: options.threads.map(usize::from),
        capacity: options.capacity,
        public_url: options.public_url,
        any_payer: options.any_payer,
        faucet: options.faucet,
        origins: options.origins.unwrap_or_default(),
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let running = tokio::select! {
        running = node::start(&home, &network, &options.name, overrides) => running?,
        () = keeper_gone(options.attached) => bail!("the process that keeps this node is gone"),
    };
    tell(&format!(
        "{} runs at {}",
        entry.name,
        options.listen.map_or_else(|| entry.url(), |at| format!("http://{at}"))
    ));
    let ended = tokio::select! {
        _ = tokio::signal::ctrl_c() => Ok(()),
        _ = terminate.recv() => Ok(()),
        () = keeper_gone(options.attached) => Ok(()),
        // Whoever keeps this process starts it again: nothing is agreed on or answered here any more.
        error = running.ended() => Err(error.context(format!("{} cannot go on", entry.name))),
    };
    running.stop().await;
    ended
}

/// Has a worker load a model, and waits until the ledger lists it there.
async fn serve(remote: &Remote, common: &Common, options: &NodeServe) -> Result<()> {
    let network = remote.network()?;
    let worker = network.node(&options.name)?;
    if worker.role != "worker" {
        bail!("{} has the role {}, a worker's expected; hint: --name of a worker", worker.name, worker.role);
    }
    if !keys::has(&remote.home, &worker.name) {
        bail!(
            "the key of {} is not in {}: another folder says what it serves; hint: --dir of its operator's folder",
            worker.name,
            remote.home.folder().display()
        );
    }
    let root = match Digest::from_hex(&options.model) {
        Some(root) => root,
        None => model::root(remote, &options.model).await?,
    };
    let mut models = serving::wanted(&remote.home, &network, worker)?;
    models.retain(|known| *known != root);
    if !options.stop {
        models.push(root);
    }
    serving::write(&remote.home, &worker.name, &models)?;
    if remote.client.get_bytes(&format!("{}/status", worker.url())).await.is_err() {
        bail!("{} does not run; it will do so once it is started; hint: og node start --name {0}", worker.name);
    }
    let key =
        worker.key.as_deref().and_then(PublicKey::from_hex).context("a worker's key is 32 bytes of hexadecimal")?;
    let (ledger, begun) = (remote.ledger()?, Instant::now());
    let node = ledger.key(&key).await?.node;
    let mut told = Instant::now();
    while ledger.node(&node).await?.models.contains(&root) == options.stop {
        if begun.elapsed() > SERVED_PATIENCE {
            bail!("the ledger does not say so after {} s; hint: the worker's log says why", SERVED_PATIENCE.as_secs());
        }
        if told.elapsed() > SERVED_NEWS {
            let word = if options.stop { "stops" } else { "loads" };
            tell(&format!("{} {word} {}: {} s", worker.name, options.model, begun.elapsed().as_secs()));
            told = Instant::now();
        }
        tokio::time::sleep(SERVED_PAUSE).await;
    }
    let said =
        json!({ "worker": worker.name, "model": options.model, "root": root.to_string(), "serves": !options.stop });
    show(common, &said, |_| {
        let word = if options.stop { "no longer serves" } else { "serves" };
        vec![format!("{} {word} {} ({root})", worker.name, options.model)]
    });
    Ok(())
}

/// Resolves when standard input ends, if that is what this process was told to watch.
async fn keeper_gone(attached: bool) {
    if !attached {
        return std::future::pending().await;
    }
    let mut nothing = [0; 64];
    // Anything but data means that the other end is closed.
    while tokio::io::stdin().read(&mut nothing).await.is_ok_and(|count| count > 0) {}
}

/// The nodes as the ledger has them.
async fn list(remote: &Remote, common: &Common) -> Result<()> {
    let nodes = remote.ledger()?.nodes().await.context("no validator answers; hint: og devnet")?;
    let listed: Vec<Value> = nodes
        .iter()
        .map(|node| {
            json!({
                "node": node.node.to_string(),
                "role": node.role.word(),
                "endpoint": &*node.endpoint,
                "stake": node.stake.to_string(),
                "slashed": node.slashed.to_string(),
                "jailed": node.jailed,
            })
        })
        .collect();
    show(common, &Value::Array(listed), |listed| {
        let widths = [64, 10, 24, 14, 14, 6];
        let cells = |cells: [&str; 6]| row(&cells.into_iter().zip(widths).collect::<Vec<_>>());
        let header = cells(["node", "role", "endpoint", "stake, OPG", "slashed, OPG", "jailed"]);
        let text = |node: &Value, key: &str| node[key].as_str().map_or_else(|| node[key].to_string(), str::to_owned);
        let coins = |node: &Value, key: &str| text(node, key).parse().map_or_else(|_| text(node, key), opg);
        let rows = listed.as_array().into_iter().flatten().map(|node| {
            let (id, role, endpoint) = (text(node, "node"), text(node, "role"), text(node, "endpoint"));
            let (stake, slashed, jailed) = (coins(node, "stake"), coins(node, "slashed"), text(node, "jailed"));
            cells([&id, &role, &endpoint, &stake, &slashed, &jailed])
        });
        std::iter::once(header).chain(rows).collect()
    });
    Ok(())
}

/// What every node of the folder's network says of itself, and the ledger of it.
pub async fn status(remote: &Remote, common: &Common) -> Result<()> {
    let network = remote.network()?;
    if common.json {
        let mut all = serde_json::Map::new();
        for devnet::Status { entry, said, is_jailed } in devnet::statuses(&network).await {
            let said = said.map(|mut said| {
                said["jailed"] = is_jailed.into();
                said
            });
            all.insert(entry.name.clone(), said.unwrap_or_default());
        }
        show(common, &Value::Object(all), |_| Vec::new());
    } else {
        let lines = devnet::status_lines(&network).await;
        show(common, &Value::Null, |_| lines);
    }
    Ok(())
}
