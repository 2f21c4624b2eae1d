//! A devnet's beginning: keys, stakes, shares of the network key, addresses; dealt by this process, once.
//!
//! Whoever deals knows the network's secret key while dealing: good for a devnet, and said so in SECURITY.md.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    ops::Range,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use crypto::{PublicKey, SigningKey, digest::hex, threshold::GroupKey};
use engine::Model;
use evm::modules::governance::Vendor;
use evm::modules::parameters::{Misfit, Parameter, UNBONDING_TERMS};
use hub::Shelf;
use ledger::{
    FirstTrust, Genesis, GenesisAccount, GenesisModel, GenesisNode, GenesisParameter, GenesisTrust, GenesisWallet,
    Ledger, OPG, Rules, WORK_RATE,
};
use protocol::{Amount, Digest, EvmAddress, List, Noun as _, Role, Text, Trust, Version};
use rand::{SeedableRng as _, rngs::StdRng};
use storage::{Passphrase, random_bytes};

use crate::{
    base::{self, BRIDGED},
    cli,
    home::{Home, Network, NodeEntry},
    keys,
};

mod allocations;

pub use allocations::is_bucket;

use allocations::{Beneficiaries, supply};

/// What a devnet's receipts and signatures are bound to.
pub const CHAIN_ID: u64 = payments::wire::Network::DEVNET_LEDGER.chain_id();
/// What each named test account starts with.
const ALLOWANCE: Amount = 1_000_000 * OPG;
const STAKE: Amount = 100_000 * OPG;
/// Accounts for whoever tries the network.
const ACCOUNTS: [&str; 5] = ["publisher", "alice", "bob", keys::FAUCET, keys::GUARDIAN];

/// Models that a devnet publishes: name and artefact.
pub const MODELS: [(&str, &[u8]); 2] = [
    ("demo-chat", include_bytes!("../../../models/demo/demo-integer.ogm")),
    ("risk-scorer", include_bytes!("../../../models/risk/risk-integer.ogm")),
];

/// A model that the genesis publishes.
struct Published {
    artefact: Bytes,
    root: Digest,
    name: String,
    float_manifest: Option<Digest>,
    /// Of re-executing a text of its whole context.
    work: u64,
}

impl Published {
    fn of(artefact: Bytes, name: Option<&str>) -> Result<Self> {
        let model = Model::load(artefact.clone())?;
        let name = name.unwrap_or(&model.card().name).to_owned();
        let work = model.as_language().map_or(0, |language| language.work().of(language.context()));
        Ok(Self { root: model.root(), name, float_manifest: model.float_manifest(), work, artefact })
    }
}

struct Seat {
    entry: NodeEntry,
    key: SigningKey,
}

/// Makes a network in `home` and returns how to join it.
pub fn make(home: &Home, options: &cli::Devnet) -> Result<Network> {
    let named = Beneficiaries::read(options.allocated.allocations.as_deref())?;
    keys::make_passphrase(home)?;
    let passphrase = keys::passphrase(home)?;
    let seats = seats(options)?;
    let models = published(options)?;
    must_fit(&seats, &models, options)?;
    let validators: Vec<[u8; 32]> =
        seats.iter().filter(|seat| seat.entry.role == "validator").map(|seat| seat.key.public_key().0).collect();
    let mut rng = StdRng::from_seed(random_bytes()?);
    let dealing = consensus::deal(&mut rng, &validators).context("failed to deal the network key")?;
    let mut shares = dealing.shares.into_iter();
    for seat in &seats {
        let share = if seat.entry.role == "validator" { shares.next().unwrap_or_default() } else { Vec::new() };
        keys::make(home, &passphrase, &seat.entry.name, &seat.key, share)?;
    }
    let accounts = accounts(home, &passphrase)?;
    let beneficiaries = named.with_keys(home, &passphrase)?;
    let wallets: Vec<EvmAddress> = base::funded(home)?.iter().map(|key| EvmAddress(key.address.into_array())).collect();
    let genesis = genesis(&seats, &accounts, &wallets, &beneficiaries, &models, options)?;
    // The hub shelves the demo models by itself, whenever it starts.
    let shelf = Shelf::open(&home.node_folder("hub"))?;
    models.iter().skip(MODELS.len()).try_for_each(|model| shelf.put(&model.artefact).map(drop))?;
    let network = Network {
        network: "devnet".to_owned(),
        chain_id: CHAIN_ID,
        genesis: genesis.digest().to_string(),
        network_key: hex(&dealing.group_key),
        polynomial: hex(&dealing.polynomial),
        nodes: seats.into_iter().map(|seat| seat.entry).collect(),
    };
    let trust = Trust {
        version: Version,
        network: Text::new(network.network.clone())?,
        chain_id: CHAIN_ID,
        network_key: GroupKey(dealing.group_key),
    };
    Ledger::new(&genesis).context("no network can begin like this")?;
    home.write_network(&network, &genesis, &trust)?;
    Ok(network)
}

/// The demo models, and those that are named.
fn published(options: &cli::Devnet) -> Result<Vec<Published>> {
    let demo = MODELS.iter().map(|(name, artefact)| Published::of(Bytes::from_static(artefact), Some(name)));
    let named = options.models.iter().map(|path| {
        let context = || format!("{} is no artefact; hint: og model compile makes one", path.display());
        Published::of(storage::map_file(path)?, None).with_context(context)
    });
    demo.chain(named).collect()
}

/// Refuses numbers that no network can begin with, before anything is made.
fn must_fit(seats: &[Seat], models: &[Published], options: &cli::Devnet) -> Result<()> {
    let rules = rules(models, options);
    misfit(&rules, &parameters(seats, &rules, options)?).map_or(Ok(()), |misfit| Err(misfit.into()))
}

fn misfit(rules: &Rules, set: &[GenesisParameter]) -> Option<Misfit> {
    let value = |parameter: &'static Parameter| {
        let found = set.iter().find(|set| *set.name == *parameter.name);
        Ok::<_, Infallible>(found.map_or(parameter.default, |set| set.value))
    };
    let Ok(misfit) = rules.limits().misfit(value);
    misfit
}

/// Test accounts by name, with keys in the folder.
fn accounts(home: &Home, passphrase: &Passphrase) -> Result<Vec<PublicKey>> {
    ACCOUNTS.iter().map(|name| keys::make(home, passphrase, name, &keys::random_key()?, Vec::new())).collect()
}

fn seats(options: &cli::Devnet) -> Result<Vec<Seat>> {
    let mut ports = Ports::new(Ipv4Addr::LOCALHOST.into(), options.port);
    // The gateway has the first port, because it is the one that people type.
    let mut seats = vec![seat("gateway", "gateway", &mut ports)?, seat("hub", "hub", &mut ports)?];
    for index in 1..=options.validators {
        let mut validator = seat(&format!("validator-{index}"), "validator", &mut ports)?;
        validator.entry.agreement = Some(ports.next()?);
        validator.entry.ethereum = Some(ports.next()?);
        validator.entry.keep_blocks = options.keep_blocks;
        seats.push(validator);
    }
    for index in 1..=options.workers {
        let mut worker = seat(&format!("worker-{index}"), "worker", &mut ports)?;
        let adversary = options.adversary.filter(|_| index == options.workers);
        worker.entry.adversary = adversary.map(|adversary| adversary.to_string());
        seats.push(worker);
    }
    let mut auditor = seat("auditor-1", "auditor", &mut ports)?;
    auditor.entry.audit_rate = Some(options.audit_rate);
    seats.push(auditor);
    Ok(seats)
}

fn seat(name: &str, role: &str, ports: &mut Ports) -> Result<Seat> {
    let key = keys::random_key()?;
    let public = (role != "hub").then(|| key.public_key().to_string());
    let entry = NodeEntry {
        name: name.to_owned(),
        role: role.to_owned(),
        listen: ports.next()?,
        url: None,
        agreement: None,
        ethereum: None,
        key: public,
        audit_rate: None,
        keep_blocks: None,
        adversary: None,
    };
    Ok(Seat { entry, key })
}

/// The entry of a node that joins a network, and its key.
pub fn joining(options: &cli::NodeInit) -> Result<(NodeEntry, SigningKey)> {
    let mut ports = Ports::new(options.host, options.port);
    let Seat { mut entry, key } = seat(&options.name, &options.role, &mut ports)?;
    entry.url = options.url.as_ref().map(ToString::to_string);
    if options.role == "validator" {
        entry.agreement = Some(ports.next()?);
        entry.ethereum = Some(ports.next()?);
    }
    Ok((entry, key))
}

/// Where free ports are looked for: below those that systems take for outgoing connections (Linux from 32,768 on, others from 49,152).
/// A node listens only later, and what is free now must not be a connection's by then.
const FREE: Range<u16> = 10_240..32_768;
const DRAWS: usize = 64;

/// Hands out ports of an address: one after the other from the first, or free ones.
struct Ports {
    host: IpAddr,
    next: u16,
    /// Kept open until all are handed out, so that none is given twice.
    held: Vec<TcpListener>,
}

impl Ports {
    fn new(host: IpAddr, first: u16) -> Self {
        Self { host, next: first, held: Vec::new() }
    }

    fn next(&mut self) -> Result<SocketAddr> {
        if self.next == 0 {
            let mut drawn = (0..DRAWS).map(|_| rand::random_range(FREE)).chain([0]);
            let free = drawn.find_map(|port| TcpListener::bind((self.host, port)).ok());
            let missing = || format!("no free port at {}; hint: an address of this machine", self.host);
            let listener = free.with_context(missing)?;
            let address = listener.local_addr()?;
            self.held.push(listener);
            return Ok(address);
        }
        let address = SocketAddr::from((self.host, self.next));
        if let Err(error) = TcpListener::bind(address) {
            bail!(
                "nobody can listen at {address} ({error}); hint: choose others with --port, or free ones with --port 0"
            );
        }
        self.next = self.next.checked_add(1).context("ports run out; hint: choose a lower --port")?;
        Ok(address)
    }
}

fn genesis(
    seats: &[Seat],
    accounts: &[PublicKey],
    wallets: &[EvmAddress],
    beneficiaries: &Beneficiaries,
    models: &[Published],
    options: &cli::Devnet,
) -> Result<Genesis> {
    let &[publisher, .., guardian] = accounts else { bail!("too few accounts for a publisher and a guardian") };
    let nodes = seats.iter().filter_map(|seat| Some((seat, role(&seat.entry.role)?)));
    let nodes: Vec<GenesisNode> = nodes.map(|(seat, role)| genesis_node(seat, role, models)).collect::<Result<_>>()?;
    // Gateways pay shares on the ledger out of what they were paid on Base.
    let gateways = seats.iter().filter(|seat| role(&seat.entry.role) == Some(Role::Gateway));
    let accounts: Vec<PublicKey> = accounts.iter().copied().chain(gateways.map(|seat| seat.key.public_key())).collect();
    let funded = (accounts.len() + wallets.len()) as Amount;
    let bridged = bridged(options);
    let staked = STAKE * nodes.len() as Amount + ALLOWANCE * funded + bridged;
    let balances: Vec<GenesisAccount> =
        accounts.iter().map(|key| GenesisAccount { key: *key, balance: ALLOWANCE }).collect();
    let listed = models.iter().map(|model| {
        let (root, float_manifest) = (model.root, model.float_manifest);
        Ok(GenesisModel { root, name: Text::new(model.name.as_str())?, publisher, float_manifest })
    });
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let rules = rules(models, options);
    Ok(Genesis {
        version: Version,
        chain_id: CHAIN_ID,
        time_ms: u64::try_from(now.as_millis())?,
        accounts: List::new(balances)?,
        wallets: List::new(
            wallets.iter().map(|address| GenesisWallet { address: *address, balance: ALLOWANCE }).collect(),
        )?,
        allocations: List::new(supply(staked, beneficiaries)?)?,
        nodes: List::new(nodes)?,
        models: List::new(listed.collect::<Result<_>>()?)?,
        reward_pool: 0,
        parameters: List::new(parameters(seats, &rules, options)?)?,
        bridged,
        rules,
        trust: FirstTrust(Some(trust(&guardian)?)),
    })
}

/// A devnet trusts every vendor that the protocol knows, and no measurement yet.
fn trust(guardian: &PublicKey) -> Result<GenesisTrust> {
    Ok(GenesisTrust {
        guardian: Some(ledger::address_of(guardian)),
        vendors: List::new(Vendor::ALL.iter().map(|vendor| vendor.number()).collect())?,
        measurements: List::default(),
    })
}

/// Locked for Base from the beginning is what the devnet's own one begins with; on another's there is nothing of this network yet.
fn bridged(options: &cli::Devnet) -> Amount {
    if options.base_rpc.is_some() { 0 } else { BRIDGED }
}

/// Longest challenge window that a devnet chooses by itself: until then, no receipt is final.
const CHALLENGE_WINDOW_MOST: u64 = 600;

/// A devnet's rules: its window is long enough for the whole contexts of the models that it begins with, as far as that is bearable.
fn rules(models: &[Published], options: &cli::Devnet) -> Rules {
    let rules = Rules { term_blocks: options.term_blocks, ..Rules::default() };
    let most = models.iter().map(|model| model.work).max().unwrap_or(0);
    // Half of a window is for judging.
    let wanted = most.div_ceil(WORK_RATE).saturating_mul(2_000).div_ceil(u64::from(rules.epoch_ms));
    let wanted = u32::try_from(wanted.min(CHALLENGE_WINDOW_MOST)).unwrap_or(u32::MAX);
    let challenge_window = options.challenge_window.unwrap_or_else(|| wanted.max(rules.challenge_window));
    // The validators judge what auditors did, and no longer window is worth anything without theirs.
    let vote_epochs = rules.vote_epochs.max(challenge_window.saturating_mul(2));
    let rules = Rules { challenge_window, vote_epochs, ..rules };
    Rules { term_epochs: options.term_epochs.unwrap_or_else(|| term_epochs(&rules)), ..rules }
}

/// Blocks that an idle network makes in an epoch.
const BLOCKS_OF_EPOCH: u32 = 5;

/// The usual epochs of a term, or so many more that stake can be bound for long enough, and that a term of blocks is not many of these.
fn term_epochs(rules: &Rules) -> u32 {
    let bound = u64::try_from(UNBONDING_TERMS.most).unwrap_or(u64::MAX).saturating_sub(1);
    let judged = u32::try_from(rules.offence_epochs().div_ceil(bound)).unwrap_or(u32::MAX);
    rules.term_epochs.max(judged).max(rules.term_blocks.div_ceil(BLOCKS_OF_EPOCH))
}

/// For how many terms a devnet's stake is bound: the usual ones, or as many as its rules and the life of its key ask for.
fn unbonding_terms(rules: &Rules, key_terms: u32) -> Amount {
    let limits = rules.limits();
    let asked = limits.unbonding.max(key_terms.saturating_add(limits.key_delay));
    // What is too much for the table is refused by the genesis, which says why.
    UNBONDING_TERMS.default.max(asked.into()).min(UNBONDING_TERMS.most)
}

/// Where the seats of a devnet change, so many there are: more than validators, so that some have two.
const SEATS_OF_DEVNET: Amount = 7;

/// A devnet decides in minutes, and its few operators share all seats.
fn parameters(seats: &[Seat], rules: &Rules, options: &cli::Devnet) -> Result<Vec<GenesisParameter>> {
    let validators = seats.iter().filter(|seat| seat.entry.role == "validator").count() as Amount;
    let set = [
        ("governance.delay_seconds", 10),
        ("governance.period_seconds", 60),
        ("governance.timelock_seconds", 5),
        ("governance.upgrade_notice_blocks", 100),
        ("seats.minimum", validators.clamp(1, 4)),
        (UNBONDING_TERMS.name, unbonding_terms(rules, options.key_terms)),
    ];
    // Four can do without one of them, if none has a third of the seats or more: that is the default.
    let cap = (validators < 4).then(|| ("seats.operator_cap", 1_000_000_u128.div_ceil(validators.max(1))));
    // Each seat is a part of agreement, and one machine carries them all.
    let changing = [("seats.count", SEATS_OF_DEVNET.max(validators)), ("key.terms", options.key_terms.into())];
    let changing = changing.into_iter().filter(|_| options.term_blocks > 0);
    set.into_iter()
        .chain(cap)
        .chain(changing)
        .map(|(name, value)| Ok(GenesisParameter { name: Text::new(name)?, value }))
        .collect()
}

fn genesis_node(seat: &Seat, role: Role, models: &[Published]) -> Result<GenesisNode> {
    let served = if role == Role::Worker { models.iter().map(|model| model.root).collect() } else { Vec::new() };
    Ok(GenesisNode {
        role,
        key: seat.key.public_key(),
        // Each devnet node is its own operator, so that auditors and workers are strangers to each other.
        operator: seat.key.public_key(),
        endpoint: Text::new(seat.entry.url())?,
        stake: STAKE,
        models: List::new(served)?,
    })
}

/// The role in the registry; a hub is in no registry.
pub fn role(word: &str) -> Option<Role> {
    Role::from_word(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn devnet(more: &[&str]) -> cli::Devnet {
        match cli::CommandLine::try_parse_from(["og", "devnet"].iter().chain(more)).unwrap().verb {
            cli::Verb::Devnet(devnet) => devnet,
            _ => panic!("another verb"),
        }
    }

    /// Terms in epochs, for how many of them stake is bound, and what does not fit.
    fn fit(more: &[&str]) -> (u32, Amount, Option<Misfit>) {
        let options = devnet(more);
        let rules = rules(&[], &options);
        let set = parameters(&[], &rules, &options).unwrap();
        let value = |name: &str| set.iter().find(|set| *set.name == *name).map(|set| set.value);
        (rules.term_epochs, value(UNBONDING_TERMS.name).unwrap(), misfit(&rules, &set))
    }

    #[test]
    fn whatever_is_said_of_terms_and_windows_stake_is_bound_for_long_enough() {
        assert_eq!(fit(&[]), (60, 21, None));
        assert_eq!(fit(&["--term-blocks", "0"]), (60, 21, None));
        assert_eq!(fit(&["--term-blocks", "40", "--key-terms", "2"]), (60, 21, None));
        assert_eq!(fit(&["--term-blocks", "80", "--term-epochs", "16", "--key-terms", "2"]), (16, 40, None));
        assert_eq!(fit(&["--key-terms", "21"]), (60, 36, None));
        assert_eq!(fit(&["--term-blocks", "3000"]), (600, 21, None));
        assert_eq!(fit(&["--challenge-window", "600"]), (60, 32, None));
        assert_eq!(fit(&["--challenge-window", "100000"]), (4_762, 64, None));
    }

    #[test]
    fn nothing_is_locked_for_a_base_that_has_nothing_of_the_network() {
        assert_eq!(bridged(&devnet(&[])), BRIDGED);
        assert_eq!(bridged(&devnet(&["--base-rpc", "http://127.0.0.1:1"])), 0);
    }

    #[test]
    fn what_cannot_fit_is_said_by_name() {
        let (_, bound, misfit) = fit(&["--key-terms", "50"]);
        assert_eq!((bound, misfit.unwrap().other), (64, "key.terms"));
        let (_, bound, misfit) = fit(&["--term-epochs", "5"]);
        assert_eq!((bound, misfit.unwrap().other), (64, "rules.vote_epochs"));
    }
}
