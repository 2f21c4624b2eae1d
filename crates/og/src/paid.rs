//! How gateways are paid: prices and chains in `payments.json`, of a devnet's in its folder and of any other in its own.
//!
//! Chains are the devnet's Base, Base where payments are tried out, or the ledger itself, whose coin is OPG and whose genesis has the
//! contracts that payers pay by. A devnet's settling keys are among Base's sealed ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gateway::{LedgerSource, PaidChain, Payments, Prices, PublicUrl, fee_max};
use payments::{
    Address,
    price::{Price, Unit},
    scheme::{KnownToken, TOKENS},
    wire,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use storage::{read_file, write_file};

use crate::{
    amount,
    base::{self, Base},
    cli,
    commands::facilitator,
    home::{Home, Network},
    keys,
};

const FILE_BYTES_MAX: u64 = 1 << 16;
/// Of the file: the first one that names several chains.
const VERSION: u32 = 2;
/// 10^18.
const WHOLE: u128 = 1_000_000_000_000_000_000;
/// What a session may spend, as on the real network: a tenth of an OPG.
const SESSION_CAP: u128 = WHOLE / 10;
/// The devnet's OPG is worth ten cents.
const USD_PER_OPG: u128 = WHOLE / 10;
/// Idle sessions and channels are settled after this: a devnet's users do not want to wait.
const IDLE: Duration = Duration::from_secs(10);
/// The devnet's challenge window.
const WINDOW: Duration = Duration::from_secs(15);
const DAY: Duration = Duration::from_secs(86_400);
/// Blocks that must lie on what happens on a chain which is not the network's own.
pub const CONFIRMATIONS: u64 = 10;
/// Free shares are paid this often.
const PAYOUTS: Duration = Duration::from_secs(10);

/// Prices as people write them: billionths of a dollar, each.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPrice {
    per_call: u64,
    per_input_token: u64,
    per_output_token: u64,
}

/// A chain that payers pay on.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenChain {
    /// By its CAIP-2 name.
    #[serde(default = "base_name")]
    network: String,
    rpc: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usdc: Option<Address>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    opg: Option<Address>,
    /// Blocks that must lie on a settlement before it counts: 0 where blocks are final.
    #[serde(default)]
    confirmations: u64,
    /// The most that is offered for a unit of gas, in billionths of the chain's coin; without it, as its network has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fee_gwei_max: Option<u32>,
    /// Whose payments are taken on the devnet's own Base; without it, anybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payers: Option<BTreeSet<Address>>,
    /// The chain is none on which those alone pay: `payers` is kept, and not applied.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    anybody: bool,
}

/// What a file of before there were several chains says of its one.
const OF_ONE_CHAIN: [&str; 8] = ["network", "rpc", "usdc", "opg", "confirmations", "fee_gwei_max", "payers", "anybody"];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    /// In the order in which payers are asked to pay there.
    chains: Vec<WrittenChain>,
    /// What the gateway's offers name as its address; without it, whatever name their caller asked by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public_url: Option<String>,
    /// A rate that was set longer ago is none.
    #[serde(default = "rate_days")]
    rate_days_max: u32,
    /// Which key settles, and which one settles for other servers: as commands name keys.
    #[serde(default = "settling_key")]
    key: String,
    #[serde(default = "facilitator_key")]
    facilitator_key: String,
    /// In billionths of a dollar.
    default_price: WrittenPrice,
    prices: BTreeMap<String, WrittenPrice>,
}

fn base_name() -> String {
    wire::Network::BASE.to_string()
}

/// Of a devnet's gateway: the fifth of Base's keys, and the sixth.
fn settling_key() -> String {
    format!("{}/4", base::KEY)
}

fn facilitator_key() -> String {
    format!("{}/5", base::KEY)
}

/// A devnet's rate is as old as its genesis, because nobody governs it there: the real network's quarter of a year would end paid calls of
/// one that somebody kept. None is kept for longer than this.
const DEVNET_RATE_DAYS: u32 = 366;

/// A quarter of a year: a vote on a new rate takes ten days, and one that nobody confirms for so long is nobody's.
const fn rate_days() -> u32 {
    90
}

/// How the devnet's gateway is paid.
fn file(home: &Home) -> PathBuf {
    home.folder().join("payments.json")
}

/// How a gateway is paid that was told so by itself.
fn file_of(home: &Home, gateway: &str) -> PathBuf {
    home.node_folder(gateway).join("payments.json")
}

/// What begins to be paid, or is from now on paid on one chain more.
pub struct Begun<'a> {
    pub gateway: &'a str,
    pub network: wire::Network,
    pub rpc: &'a str,
    pub confirmations: u64,
    pub fee_gwei_max: Option<u32>,
    pub keys: &'a Keys,
    pub public_url: Option<&'a PublicUrl>,
}

/// Whose address settles, and whose does so for other servers: as commands name keys.
pub struct Keys {
    pub settles: String,
    pub facilitator: String,
}

/// The keys of a gateway that takes payments already, as it was told by itself, and the chains that it takes them on.
pub fn begun(home: &Home, gateway: &str) -> Result<Option<(Keys, Vec<wire::Network>)>> {
    let path = file_of(home, gateway);
    if !path.exists() {
        return Ok(None);
    }
    let written = read(&path)?;
    let chains = written.chains.iter().map(WrittenChain::on).collect::<Result<_>>()?;
    Ok(Some((Keys { settles: written.key, facilitator: written.facilitator_key }, chains)))
}

/// Writes how a gateway of this folder is paid from its next start on, at the prices of a devnet where it has none; returns where that stands.
pub fn begin(home: &Home, ledger: &Network, begun: &Begun<'_>) -> Result<PathBuf> {
    let path = file_of(home, begun.gateway);
    let is_devnet = wire::Network(ledger.chain_id) == wire::Network::DEVNET_LEDGER;
    let mut written = if path.exists() {
        read(&path)?
    } else {
        Written {
            rate_days_max: if is_devnet { DEVNET_RATE_DAYS } else { rate_days() },
            key: begun.keys.settles.clone(),
            facilitator_key: begun.keys.facilitator.clone(),
            prices: BTreeMap::new(),
            ..demo(&[])
        }
    };
    written.chains.push(WrittenChain {
        rpc: begun.rpc.to_owned(),
        confirmations: begun.confirmations,
        fee_gwei_max: begun.fee_gwei_max,
        ..chain(begun.network)
    });
    written.public_url = begun.public_url.map(PublicUrl::to_string).or(written.public_url);
    write_file(&path, &serde_json::to_vec_pretty(&written)?)?;
    Ok(path)
}

/// True where this network takes payments, or is to from now on.
pub fn is_paid(home: &Home, options: &cli::PaidCalls) -> bool {
    options.paid || options.paid_on.is_some() || file(home).exists()
}

/// The token that calls of this network are best paid with by somebody new, where they are paid: dollars, if its first chain has them.
pub fn token(home: &Home) -> Option<&'static KnownToken> {
    let on = read(&file(home)).ok()?.chains.first()?.on().ok()?;
    KnownToken::counted_in(Unit::Usd, on).or_else(|| KnownToken::on(on).next())
}

/// Writes how to be paid, where, by whom, and at which address; prices and payers that somebody wrote are kept. Where nothing is said it is
/// on the devnet's own Base and on its ledger; where Base is another's, and money at stake, there alone.
pub fn write(home: &Home, network: &Network, base: &Base, options: &cli::PaidCalls) -> Result<()> {
    let path = file(home);
    let ledger = wire::Network(network.chain_id);
    let said = options.paid_on.map(|chain| match chain {
        cli::PaidOn::Base => wire::Network::BASE,
        cli::PaidOn::BaseSepolia => wire::Network::BASE_SEPOLIA,
        cli::PaidOn::Ledger => ledger,
    });
    let mut written = match said {
        _ if path.exists() => read(&path)?,
        Some(said) => demo(&[said]),
        None if base.is_own() => demo(&[wire::Network::BASE, ledger]),
        None => demo(&[wire::Network::BASE]),
    };
    if let Some(said) = said
        && !written.networks()?.contains(&said)
    {
        written.chains.push(chain(said));
    }
    let named = said.or_else(|| written.networks().ok()?.first().copied());
    for chain in &mut written.chains {
        let rpc = options.paid_rpc.as_ref().filter(|_| chain.on().ok() == named);
        chain.update(rpc, network, base)?;
    }
    if let Some(public_url) = &options.public_url {
        written.public_url = Some(public_url.to_string());
    }
    write_file(&path, &serde_json::to_vec_pretty(&written)?)?;
    Ok(())
}

impl WrittenChain {
    /// As it stands now: by the RPC that is named, or the devnet's own, and with whoever pays there.
    fn update(&mut self, named: Option<&String>, network: &Network, base: &Base) -> Result<()> {
        let on = self.on()?;
        let is_base = on == wire::Network::BASE;
        let own = own_urls(on, network, base);
        let named = named.cloned().or_else(|| is_base.then(|| base.url.clone()));
        if let Some(rpc) = named.or_else(|| own.first().cloned()) {
            self.rpc = rpc;
        }
        ensure!(!self.rpc.is_empty(), "no chain to be paid on is known for {on}; hint: --paid-rpc");
        let is_own = own.contains(&self.rpc);
        // Blocks are final on a chain of the devnet's own, and on no other: what its newest have may be taken back.
        if !is_own && self.confirmations == 0 {
            self.confirmations = CONFIRMATIONS;
        }
        // Its own Base has the real one's id: what a stranger signs for it, anybody can have settled there.
        self.anybody = !(is_base && is_own);
        if !self.anybody && self.payers.is_none() {
            self.payers = Some(base.keys.iter().map(|key| key.address).collect());
        }
        Ok(())
    }

    fn on(&self) -> Result<wire::Network> {
        self.network.parse().with_context(|| format!("{:?} is no network", self.network))
    }

    /// Whose payments are taken, where not anybody's are.
    fn listed(&self) -> Option<BTreeSet<Address>> {
        self.payers.clone().filter(|_| !self.anybody)
    }

    fn meant(&self) -> Result<PaidChain> {
        let on = self.on()?;
        Ok(PaidChain {
            rpc: self.rpc.clone(),
            network: on,
            fee_max: self.fee_gwei_max.map_or_else(|| fee_max(on), wei),
            usdc: self.usdc,
            opg: self.opg,
            confirmations: self.confirmations,
            payers: self.listed(),
        })
    }
}

/// JSON-RPC of a chain, where it is the devnet's own.
fn own_urls(on: wire::Network, network: &Network, base: &Base) -> Vec<String> {
    if on == wire::Network::BASE {
        return base.is_own().then(|| base.url.clone()).into_iter().collect();
    }
    if on.chain_id() == network.chain_id { network.ethereum_urls() } else { Vec::new() }
}

/// The tokens that are known on a network, and nothing else of it yet.
fn chain(network: wire::Network) -> WrittenChain {
    let token = |unit| KnownToken::counted_in(unit, network).map(|token| token.address);
    WrittenChain {
        network: network.to_string(),
        rpc: String::new(),
        usdc: token(Unit::Usd),
        opg: token(Unit::Opg),
        confirmations: 0,
        fee_gwei_max: None,
        payers: None,
        anybody: false,
    }
}

/// A dollar a million tokens in, ten a million out, nothing for being called; in the tokens that are known on these networks.
fn demo(networks: &[wire::Network]) -> Written {
    Written {
        version: VERSION,
        chains: networks.iter().copied().map(chain).collect(),
        public_url: None,
        rate_days_max: DEVNET_RATE_DAYS,
        key: settling_key(),
        facilitator_key: facilitator_key(),
        default_price: WrittenPrice { per_call: 0, per_input_token: 1_000, per_output_token: 10_000 },
        prices: BTreeMap::from([(
            "risk-scorer".to_owned(),
            WrittenPrice { per_call: 1_000_000, per_input_token: 0, per_output_token: 0 },
        )]),
    }
}

/// Reads what one of this version wrote, or one of before there were several chains.
fn read(path: &Path) -> Result<Written> {
    let unread = || format!("failed to read {}", path.display());
    let mut value: Value = serde_json::from_slice(&read_file(path, FILE_BYTES_MAX)?).with_context(unread)?;
    if let Some(map) = value.as_object_mut().filter(|map| !map.contains_key("version")) {
        let chain: Map<String, Value> = OF_ONE_CHAIN.iter().filter_map(|key| map.remove_entry(*key)).collect();
        map.insert("chains".to_owned(), Value::Array(vec![Value::Object(chain)]));
        map.insert("version".to_owned(), VERSION.into());
    }
    let found = value["version"].clone();
    ensure!(
        found == VERSION,
        "{} is of version {found}, and {VERSION} expected; hint: start it with the og that wrote it",
        path.display()
    );
    serde_json::from_value(value).with_context(unread)
}

/// What a gateway is told, if it takes payments: what was said of it alone, else of its network's.
pub fn payments(home: &Home, gateway: &str) -> Result<Option<Payments>> {
    let Some(path) = [file_of(home, gateway), file(home)].into_iter().find(|path| path.exists()) else {
        return Ok(None);
    };
    let written = read(&path)?;
    let public_url = written.public_url.as_deref().map(str::parse::<PublicUrl>).transpose();
    let prices = written.prices.iter().map(|(model, price)| (model.clone(), price.meant())).collect();
    Ok(Some(Payments {
        chains: written.chains.iter().map(WrittenChain::meant).collect::<Result<_>>()?,
        secret: keys::signer(home, &written.key)?.secret(),
        facilitator_secret: keys::signer(home, &written.facilitator_key)?.secret(),
        pay_to: None,
        public_url: public_url.with_context(|| format!("failed to read {}", path.display()))?,
        prices: Prices { default: written.default_price.meant(), by_model: prices },
        usd_per_opg: Some(USD_PER_OPG),
        session_cap: SESSION_CAP,
        idle: IDLE,
        window: WINDOW,
        payouts: PAYOUTS,
        merchants: facilitator::merchants(home)?,
        ledger: ledger(home, written.rate_days_max)?,
    }))
}

fn wei(gwei: u32) -> u128 {
    u128::from(gwei).saturating_mul(WHOLE / 1_000_000_000)
}

/// Where the ledger is read: at all validators, because none is believed alone.
fn ledger(home: &Home, rate_days: u32) -> Result<Option<LedgerSource>> {
    let network = home.network()?;
    let (rpcs, began_at_ms) = (network.ethereum_urls(), home.genesis(&network)?.time_ms);
    let rate_age = DAY.saturating_mul(rate_days);
    Ok((!rpcs.is_empty()).then_some(LedgerSource { rpcs, began_at_ms, rate_age }))
}

impl Written {
    /// The chains that payers pay on.
    fn networks(&self) -> Result<Vec<wire::Network>> {
        self.chains.iter().map(WrittenChain::on).collect()
    }
}

impl WrittenPrice {
    fn meant(self) -> Price {
        let billionth = |count: u64| u128::from(count).saturating_mul(WHOLE / 1_000_000_000);
        Price {
            unit: Unit::Usd,
            per_call: billionth(self.per_call),
            per_input_token: billionth(self.per_input_token),
            per_output_token: billionth(self.per_output_token),
        }
    }
}

/// What a gateway says that it gained by the rate between OPG and each asset that callers pay it in, or lost; in OPG. Of what is paid in OPG
/// itself it is nothing.
pub fn gains(status: &Value) -> Vec<String> {
    let gain = |sums: &Value| {
        let (network, asset) = (sums["network"].as_str()?, sums["asset"].as_str()?);
        let is_it =
            |token: &&KnownToken| token.network.to_string() == network && token.address.to_checksum(None) == asset;
        let known = TOKENS.iter().find(is_it);
        if known.is_some_and(|token| token.money.unit == Unit::Opg) {
            return None;
        }
        let gained: i128 = sums["gained_opg"].as_str()?.parse().ok()?;
        let (sign, amount) = (if gained < 0 { "-" } else { "" }, amount::opg(gained.unsigned_abs()));
        Some(format!("gained {sign}{amount} OPG on {}", known.map_or(asset, |token| token.symbol)))
    };
    status["paid"].as_array().into_iter().flatten().filter_map(gain).collect()
}

/// What is wrong with the chains that a gateway says it is paid on.
pub fn troubles(status: &Value) -> Vec<String> {
    let trouble = |chain: &Value| {
        let is_so = |key: &str| chain[key].as_bool().unwrap_or_default();
        let what = match (is_so("away"), is_so("short_of_gas")) {
            (true, _) => "away",
            (false, true) => "short of gas",
            (false, false) => return None,
        };
        Some(format!("{} {what}", chain["network"].as_str()?))
    };
    status["chains"].as_array().into_iter().flatten().filter_map(trouble).collect()
}

#[cfg(test)]
mod tests {
    use devchain::FundedKey;
    use serde_json::json;

    use super::*;
    use crate::home::NodeEntry;

    #[test]
    fn what_was_gained_or_lost_by_the_rate_is_told_of_each_asset_but_opg() {
        let sums = |token: &KnownToken, gained: &str| {
            let (network, asset) = (token.network.to_string(), token.address.to_checksum(None));
            json!({ "network": network, "asset": asset, "gained_opg": gained })
        };
        let known = |unit| KnownToken::counted_in(unit, wire::Network::BASE).unwrap();
        let foreign = json!({ "network": "eip155:7", "asset": "0xdc", "gained_opg": "2000000000000000000" });
        let paid = [sums(known(Unit::Usd), "-1500000000000000000"), sums(known(Unit::Opg), "0"), foreign];
        let said = gains(&json!({ "role": "gateway", "paid": paid }));
        assert_eq!(said, ["gained -1.5 OPG on USDC", "gained 2 OPG on 0xdc"]);
        assert!(gains(&json!({ "role": "worker" })).is_empty());
    }

    #[test]
    fn a_chain_that_is_away_or_short_of_gas_is_told_of() {
        let chain = |network: &str, away, short_of_gas| json!({ "network": network, "away": away, "short_of_gas": short_of_gas });
        let chains = [chain("eip155:1", true, true), chain("eip155:2", false, true), chain("eip155:3", false, false)];
        assert_eq!(troubles(&json!({ "chains": chains })), ["eip155:1 away", "eip155:2 short of gas"]);
        assert!(troubles(&json!({ "role": "worker" })).is_empty());
    }

    /// A network whose only node is a validator with JSON-RPC.
    fn network() -> Network {
        let (listen, nothing) = (std::net::SocketAddr::from(([127, 0, 0, 1], 1)), String::new);
        let node = NodeEntry {
            name: "validator-0".to_owned(),
            role: "validator".to_owned(),
            listen,
            url: None,
            agreement: None,
            ethereum: Some(listen),
            key: None,
            audit_rate: None,
            keep_blocks: None,
            adversary: None,
        };
        Network {
            network: nothing(),
            chain_id: wire::Network::LEDGER.chain_id(),
            genesis: nothing(),
            network_key: nothing(),
            polynomial: nothing(),
            nodes: vec![node],
        }
    }

    fn options() -> cli::PaidCalls {
        cli::PaidCalls { paid: true, public_url: None, paid_on: None, paid_rpc: None, any_payer: false }
    }

    /// What is written down of a chain.
    fn of(home: &Home, network: wire::Network) -> WrittenChain {
        let written = read(&file(home)).unwrap();
        written.chains.into_iter().find(|chain| chain.on().unwrap() == network).unwrap()
    }

    fn networks(home: &Home) -> Vec<wire::Network> {
        read(&file(home)).unwrap().networks().unwrap()
    }

    fn put(home: &Home, written: &Written) {
        write_file(&file(home), &serde_json::to_vec(written).unwrap()).unwrap();
    }

    #[test]
    fn no_blocks_of_anothers_base_are_final_and_who_was_written_down_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(Some(folder.path().to_owned()));
        let base = Base::of_another("https://mainnet.base.org".to_owned(), vec![FundedKey::derive(&[7; 32], 0)]);
        write(&home, &network(), &base, &options()).unwrap();
        assert_eq!(networks(&home), [wire::Network::BASE], "a devnet's own coin is worth nothing beside it");
        let new = of(&home, wire::Network::BASE);
        assert_eq!((new.rpc == base.url, new.confirmations, new.listed()), (true, CONFIRMATIONS, None));
        // One that was made with the devnet's own Base, and to which somebody has added a payer.
        let payers = BTreeSet::from([Address::repeat_byte(7)]);
        let mut own = demo(&[wire::Network::BASE]);
        own.chains[0].payers = Some(payers.clone());
        assert_eq!((own.chains[0].confirmations, own.chains[0].listed()), (0, Some(payers.clone())));
        put(&home, &own);
        write(&home, &network(), &base, &options()).unwrap();
        let moved = of(&home, wire::Network::BASE);
        assert_eq!((moved.confirmations, moved.listed(), moved.payers), (CONFIRMATIONS, None, Some(payers)));
        let mut said = demo(&[wire::Network::BASE]);
        said.chains[0].confirmations = 3;
        put(&home, &said);
        write(&home, &network(), &base, &options()).unwrap();
        assert_eq!(of(&home, wire::Network::BASE).confirmations, 3, "what somebody wrote is kept");
    }

    #[test]
    fn the_ledgers_blocks_are_final_as_long_as_it_is_asked_itself() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(Some(folder.path().to_owned()));
        let (base, network) = (Base::of_another("https://mainnet.base.org".to_owned(), Vec::new()), network());
        let on_ledger = cli::PaidCalls { paid_on: Some(cli::PaidOn::Ledger), ..options() };
        write(&home, &network, &base, &on_ledger).unwrap();
        let written = of(&home, wire::Network::LEDGER);
        assert_eq!((vec![written.rpc], written.confirmations), (network.ethereum_urls(), 0));
        let elsewhere = cli::PaidCalls { paid_rpc: Some("https://rpc.example.com".to_owned()), ..on_ledger };
        write(&home, &network, &base, &elsewhere).unwrap();
        assert_eq!(of(&home, wire::Network::LEDGER).confirmations, CONFIRMATIONS);
        assert_eq!(networks(&home), [wire::Network::LEDGER], "that is where it is paid");
        let base_too = cli::PaidCalls { paid_on: Some(cli::PaidOn::Base), ..options() };
        write(&home, &network, &base, &base_too).unwrap();
        assert_eq!(networks(&home), [wire::Network::LEDGER, wire::Network::BASE]);
        let nowhere = cli::PaidCalls { paid_on: Some(cli::PaidOn::BaseSepolia), ..options() };
        let refused = write(&home, &network, &base, &nowhere).unwrap_err().to_string();
        assert!(refused.contains("known for eip155:84532") && refused.contains("hint: --paid-rpc"), "{refused}");
    }

    #[test]
    fn a_file_of_one_chain_is_read_and_one_of_a_later_version_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(Some(folder.path().to_owned()));
        let (usdc, price) =
            (Address::repeat_byte(5), json!({ "per_call": 1, "per_input_token": 2, "per_output_token": 3 }));
        let mut old = json!({
            "network": "eip155:84532", "rpc": "http://127.0.0.1:1", "usdc": usdc, "confirmations": 7, "fee_gwei_max": 9,
            "payers": [usdc], "rate_days_max": 366, "public_url": "https://api.example.com", "default_price": price,
            "prices": { "risk-scorer": price },
        });
        write_file(&file(&home), old.to_string().as_bytes()).unwrap();
        let written = read(&file(&home)).unwrap();
        let chain = of(&home, wire::Network::BASE_SEPOLIA).meant().unwrap();
        assert_eq!((chain.rpc.as_str(), chain.usdc, chain.opg), ("http://127.0.0.1:1", Some(usdc), None));
        assert_eq!((chain.confirmations, chain.fee_max, chain.payers), (7, wei(9), Some(BTreeSet::from([usdc]))));
        assert_eq!((written.version, written.key.as_str(), written.prices.len()), (VERSION, "base/4", 1));
        put(&home, &written);
        assert_eq!(networks(&home), [wire::Network::BASE_SEPOLIA], "and is written as one of several");
        for (key, value, word) in
            [("version", json!(3), "hint: start it with the og that wrote it"), ("rpcs", json!([]), "failed to read")]
        {
            old[key] = value;
            write_file(&file(&home), old.to_string().as_bytes()).unwrap();
            let refused = read(&file(&home)).err().unwrap().to_string();
            assert!(refused.contains(word), "{key}: {refused}");
            old.as_object_mut().unwrap().remove(key);
        }
    }
}
