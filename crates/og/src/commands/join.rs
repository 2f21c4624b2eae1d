//! `og node init | register`: a node of one's own, made in one's own folder and entered into the ledger. Nobody has to agree.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use evm::modules::{
    parameters::{self, IParameters},
    registry::{IRegistry, MODULE},
    staking::{POSSESSION_DOMAIN, number_of, possession_message, self_stake},
};
use ledger::{COMMISSION_MAX, COMMISSION_STEP, Genesis};
use network::{Client, LedgerClient};
use protocol::{Action, Amount, List, NodeId, Role, Text, registry::node_id, transaction::Announce};
use serde_json::json;

use super::{
    module::{self, Caller},
    posted::post,
    show,
    terms::millionths,
    wallet::base_units,
};
use crate::{
    cli::{Common, NodeInit, NodeRegister},
    genesis,
    home::{Home, Network, NodeEntry},
    keys,
    remote::Remote,
    screen::tell,
};

/// How often and for how long it is asked whether a registration is executed.
const PAUSE: Duration = Duration::from_millis(200);
const TRIES: u32 = 150;

/// Makes what a node needs to be started, before the ledger knows of it.
pub async fn init(common: &Common, options: &NodeInit) -> Result<()> {
    check_host(options)?;
    let (home, mut network) = folder(common, options).await?;
    ensure!(
        network.nodes.iter().all(|node| node.name != options.name),
        "{} is a node of this network already; hint: choose another name",
        options.name
    );
    let (entry, key) = genesis::joining(options)?;
    check_ports(&home, &network, &entry)?;
    // The keys of a validator's seats are made from this one; its shares are dealt once it sits.
    keys::make(&home, &keys::passphrase(&home)?, &options.name, &key, Vec::new())?;
    network.nodes.push(entry.clone());
    home.write_nodes(&network)?;
    let (name, role, url) = (&entry.name, &entry.role, entry.url());
    let node = entry.key.is_some().then(|| node_id(&key.public_key()).to_string());
    let said = json!({ "name": name, "role": role, "node": node, "url": url });
    show(common, &said, |_| vec![format!("{name} is {role} {}at {url}", node.map(|id| id + " ").unwrap_or_default())]);
    let start = format!("og node start --join {} --name {name}", home.network_file().display());
    tell(&match entry.key {
        Some(_) => format!("hint: og node register --dir {} --name {name} --from …; {start}", home.folder().display()),
        None => format!("hint: {start}; a hub is in no registry: whoever uses it names it in a network file"),
    });
    Ok(())
}

/// All addresses of a machine are none where others reach it.
fn check_host(options: &NodeInit) -> Result<()> {
    let host = options.host;
    ensure!(
        !host.is_unspecified() || options.role != "validator",
        "the others reach a validator where it listens, and {host} is no such place; hint: --host of an address that they reach"
    );
    ensure!(!host.is_unspecified() || options.url.is_some(), "nobody reaches {host}; hint: --url says where others do");
    Ok(())
}

/// Nodes of one folder run on one machine: no two of them listen at the same place, whether they run now or not.
fn check_ports(home: &Home, network: &Network, entry: &NodeEntry) -> Result<()> {
    let own = network.nodes.iter().filter(|node| keys::has(home, &node.name));
    for (node, taken) in own.flat_map(|node| listens(node).map(move |at| (node, at))) {
        let clash = listens(entry).find(|at| {
            let is_same_host = at.ip() == taken.ip() || at.ip().is_unspecified() || taken.ip().is_unspecified();
            at.port() == taken.port() && is_same_host
        });
        if let Some(at) = clash {
            bail!("{} of this folder listens at {taken}, so nobody else can at {at}; hint: another --port", node.name);
        }
    }
    Ok(())
}

fn listens(node: &NodeEntry) -> impl Iterator<Item = SocketAddr> {
    [Some(node.listen), node.agreement, node.ethereum].into_iter().flatten()
}

/// The operator's own folder and the network as it is written there, at first by the file that was handed over.
async fn folder(common: &Common, options: &NodeInit) -> Result<(Home, Network)> {
    let source = Home::of_network_file(&options.join);
    let home = common.dir.clone().map_or_else(|| source.clone(), |folder| Home::new(Some(folder)));
    let mut network = Network::read(&options.join)?;
    if home.has_network() {
        let own = home.network()?;
        ensure!(
            own.genesis == network.genesis,
            "{} is the folder of another network; hint: another --dir",
            home.folder().display()
        );
        network = own;
    } else {
        home.take_over(&source)?;
    }
    if home.genesis_file().exists() {
        home.genesis(&network)?;
    } else {
        fetch_genesis(&home, &network).await?;
    }
    Ok((home, network))
}

/// Has a validator hand the genesis over. None is believed: the network file names its digest.
async fn fetch_genesis(home: &Home, network: &Network) -> Result<()> {
    let client = Client::default();
    let mut last = anyhow!("the network file names no validator");
    for url in network.urls("validator") {
        let answer = client.get::<Genesis>(&format!("{url}/genesis")).await.map_err(anyhow::Error::new);
        match answer.and_then(|genesis| network.checked(genesis, &url)) {
            Ok(genesis) => return home.write_genesis(&genesis),
            Err(error) => last = error,
        }
    }
    Err(last
        .context("no validator hands the genesis over; hint: put another node's genesis.bin beside the network file"))
}

/// Enters a node into the ledger, with its key's consent.
pub async fn register(remote: &Remote, common: &Common, options: &NodeRegister) -> Result<()> {
    let network = remote.network()?;
    let entry = network.node(&options.name)?;
    let (name, endpoint) = (&entry.name, entry.url());
    let unlisted =
        || format!("{name} is a {}, which is in no registry; hint: og node start is all it needs", entry.role);
    let role = genesis::role(&entry.role).with_context(unlisted)?;
    let node = keys::open(&remote.home, &keys::passphrase(&remote.home)?, name)?.key;
    let operator = Caller::open(remote, &options.from)?;
    let stake = match &options.stake {
        Some(stake) => base_units(stake)?,
        None => least(remote, role).await?,
    };
    let consent = possession_message(network.chain_id, operator.address(), role);
    let registration = IRegistry::Registration {
        role: number_of(role),
        key: node.public_key().0.into(),
        possession: node.sign(POSSESSION_DOMAIN, &consent).0.to_vec().into(),
        commission: millionths(&options.commission)?,
        commissionMax: COMMISSION_MAX,
        commissionStep: COMMISSION_STEP,
        endpoint: endpoint.clone(),
        models: Vec::new(),
    };
    let refused = || format!("{name} is not registered; hint: og wallet show says what there is to stake");
    let call = IRegistry::registerCall { registration };
    let sent = module::send(remote, &MODULE, operator, stake, &call).await.with_context(refused)?;
    let (ledger, id) = (remote.ledger()?, node_id(&node.public_key()));
    wait_until_listed(&ledger, &id).await?;
    if let Some(agreement) = entry.agreement {
        // Those that sit let nobody in of whom they do not know where its agreement is reached.
        let action = Announce { agreement: Text::new(agreement.to_string())?, seats: List::default() };
        let unannounced = || {
            format!(
                "{name} is registered, and where its agreement is reached is not announced; hint: it does so itself once it runs"
            )
        };
        post(remote, node, Action::Announce(action)).await.with_context(unannounced)?;
    }
    let (id, transaction) = (id.to_string(), sent.transaction);
    let said = json!({ "node": id, "url": endpoint, "transaction": transaction });
    show(common, &said, |_| vec![format!("node {id}: transaction {transaction}")]);
    Ok(())
}

/// The least that an operator stakes itself behind a node of this role.
pub(super) async fn least(remote: &Remote, role: Role) -> Result<Amount> {
    let call = IParameters::valueCall { name: self_stake(role).key() };
    Ok(module::view(remote, &parameters::MODULE, &call).await?.saturating_to())
}

async fn wait_until_listed(ledger: &LedgerClient, node: &NodeId) -> Result<()> {
    for _ in 0..TRIES {
        if ledger.node(node).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    bail!("the ledger did not take the node in; hint: is there still so much OPG to stake?")
}
