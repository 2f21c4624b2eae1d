//! How the devnet's gateway is paid: prices and the chain in `payments.json`, its settling keys among Base's sealed ones.
//!
//! The chain is the devnet's Base, Base where payments are tried out, or the ledger itself, whose coin is OPG and whose genesis has the
//! contracts that payers pay by.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gateway::{LedgerSource, Payments, Prices, PublicUrl, fee_max};
use payments::{
    Address,
    price::{Price, Unit},
    scheme::{KnownToken, TOKENS},
    wire,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
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
/// 10^18.
const WHOLE: u128 = 1_000_000_000_000_000_000;
/// What a session may spend, as on the real network: a tenth of an OPG.
const SESSION_CAP: u128 = WHOLE / 10;
/// Decimals of OPG.
const OPG_DECIMALS: u8 = 18;
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

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The chain that payers pay on, by its CAIP-2 name.
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
    /// What the gateway's offers name as its address; without it, whatever name their caller asked by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public_url: Option<String>,
    /// Whose payments are taken on the devnet's own Base; without it, anybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payers: Option<BTreeSet<Address>>,
    /// The chain is none on which those alone pay: `payers` is kept, and not applied.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    anybody: bool,
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

/// What begins to be paid.
pub struct Begun<'a> {
    pub gateway: &'a str,
    pub network: wire::Network,
    pub rpc: &'a str,
    pub confirmations: u64,
    pub fee_gwei_max: Option<u32>,
    /// The key whose first address settles, and whose second one does so for other servers.
    pub key: &'a str,
    pub public_url: Option<&'a PublicUrl>,
}

/// True where a gateway was told by itself how it is paid.
pub fn has_begun(home: &Home, gateway: &str) -> bool {
    file_of(home, gateway).exists()
}

/// Writes how a gateway of this folder is paid from its next start on, at the prices of a devnet; returns where that stands.
pub fn begin(home: &Home, ledger: &Network, begun: &Begun<'_>) -> Result<PathBuf> {
    let is_devnet = wire::Network(ledger.chain_id) == wire::Network::DEVNET_LEDGER;
    let written = Written {
        rpc: begun.rpc.to_owned(),
        confirmations: begun.confirmations,
        fee_gwei_max: begun.fee_gwei_max,
        public_url: begun.public_url.map(PublicUrl::to_string),
        rate_days_max: if is_devnet { DEVNET_RATE_DAYS } else { rate_days() },
        key: format!("{}/0", begun.key),
        facilitator_key: format!("{}/1", begun.key),
        prices: BTreeMap::new(),
        ..demo(begun.network)
    };
    let path = file_of(home, begun.gateway);
    write_file(&path, &serde_json::to_vec_pretty(&written)?)?;
    Ok(path)
}

/// True where this network takes payments, or is to from now on.
pub fn is_paid(home: &Home, options: &cli::PaidCalls) -> bool {
    options.paid || options.paid_on.is_some() || file(home).exists()
}

/// The token that calls of this network are best paid with by somebody new, where they are paid: dollars, if its chain has them.
pub fn token(home: &Home) -> Option<&'static KnownToken> {
    let on = read(&file(home)).ok()?.on().ok()?;
    KnownToken::counted_in(Unit::Usd, on).or_else(|| KnownToken::on(on).next())
}

/// Writes how to be paid, where, by whom, and at which address; prices and payers that somebody wrote are kept.
pub fn write(home: &Home, network: &Network, base: &Base, options: &cli::PaidCalls) -> Result<()> {
    let path = file(home);
    let said = options.paid_on.map(|chain| match chain {
        cli::PaidOn::Base => wire::Network::BASE,
        cli::PaidOn::BaseSepolia => wire::Network::BASE_SEPOLIA,
        cli::PaidOn::Ledger => wire::Network(network.chain_id),
    });
    let mut written = if path.exists() { read(&path)? } else { demo(said.unwrap_or(wire::Network::BASE)) };
    let on = written.on()?;
    // What its books hold was signed for that chain and is settled there.
    ensure!(said.is_none_or(|said| said == on), "this network is paid on {on} already; hint: another --dir");
    let is_base = on == wire::Network::BASE;
    let own = own_urls(on, network, base);
    let named = options.paid_rpc.clone().or_else(|| is_base.then(|| base.url.clone()));
    written.rpc = named.or_else(|| own.first().cloned()).unwrap_or(written.rpc);
    ensure!(!written.rpc.is_empty(), "no chain to be paid on is known for {on}; hint: --paid-rpc");
    let is_own = own.contains(&written.rpc);
    // Blocks are final on a chain of the devnet's own, and on no other: what its newest have may be taken back.
    if !is_own && written.confirmations == 0 {
        written.confirmations = CONFIRMATIONS;
    }
    // Its own Base has the real one's id: what a stranger signs for it, anybody can have settled there.
    written.anybody = !(is_base && is_own);
    if !written.anybody {
        written.payers = written.payers.or_else(|| Some(base.keys.iter().map(|key| key.address).collect()));
    }
    if let Some(public_url) = &options.public_url {
        written.public_url = Some(public_url.to_string());
    }
    write_file(&path, &serde_json::to_vec_pretty(&written)?)?;
    Ok(())
}

/// JSON-RPC of a chain, where it is the devnet's own.
fn own_urls(on: wire::Network, network: &Network, base: &Base) -> Vec<String> {
    if on == wire::Network::BASE {
        return base.is_own().then(|| base.url.clone()).into_iter().collect();
    }
    if on.chain_id() == network.chain_id { network.ethereum_urls() } else { Vec::new() }
}

/// A dollar a million tokens in, ten a million out, nothing for being called; in the tokens that are known on a network.
fn demo(network: wire::Network) -> Written {
    let token = |unit| KnownToken::counted_in(unit, network).map(|token| token.address);
    Written {
        network: network.to_string(),
        rpc: String::new(),
        confirmations: 0,
        fee_gwei_max: None,
        public_url: None,
        payers: None,
        anybody: false,
        rate_days_max: DEVNET_RATE_DAYS,
        key: settling_key(),
        facilitator_key: facilitator_key(),
        usdc: token(Unit::Usd),
        opg: token(Unit::Opg),
        default_price: WrittenPrice { per_call: 0, per_input_token: 1_000, per_output_token: 10_000 },
        prices: BTreeMap::from([(
            "risk-scorer".to_owned(),
            WrittenPrice { per_call: 1_000_000, per_input_token: 0, per_output_token: 0 },
        )]),
    }
}

fn read(path: &Path) -> Result<Written> {
    serde_json::from_slice(&read_file(path, FILE_BYTES_MAX)?)
        .with_context(|| format!("failed to read {}", path.display()))
}

/// What a gateway is told, if it takes payments: what was said of it alone, else of its network's.
pub fn payments(home: &Home, gateway: &str) -> Result<Option<Payments>> {
    let Some(path) = [file_of(home, gateway), file(home)].into_iter().find(|path| path.exists()) else {
        return Ok(None);
    };
    let written = read(&path)?;
    let public_url = written.public_url.as_deref().map(str::parse::<PublicUrl>).transpose();
    let on = written.on()?;
    let prices = written.prices.iter().map(|(model, price)| (model.clone(), price.meant())).collect();
    Ok(Some(Payments {
        rpc: written.rpc.clone(),
        network: on,
        fee_max: written.fee_gwei_max.map_or_else(|| fee_max(on), wei),
        usdc: written.usdc,
        opg: written.opg,
        secret: keys::signer(home, &written.key)?.secret(),
        facilitator_secret: keys::signer(home, &written.facilitator_key)?.secret(),
        pay_to: None,
        payers: written.listed(),
        public_url: public_url.with_context(|| format!("failed to read {}", path.display()))?,
        prices: Prices { default: written.default_price.meant(), by_model: prices },
        usd_per_opg: Some(USD_PER_OPG),
        session_cap: SESSION_CAP,
        idle: IDLE,
        confirmations: written.confirmations,
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
    /// The chain that payers pay on.
    fn on(&self) -> Result<wire::Network> {
        self.network.parse().with_context(|| format!("{:?} is no network", self.network))
    }

    /// Whose payments are taken, where not anybody's are.
    fn listed(&self) -> Option<BTreeSet<Address>> {
        self.payers.clone().filter(|_| !self.anybody)
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
        let (sign, amount) = (if gained < 0 { "-" } else { "" }, amount::write(gained.unsigned_abs(), OPG_DECIMALS));
        Some(format!("gained {sign}{amount} OPG on {}", known.map_or(asset, |token| token.symbol)))
    };
    status["paid"].as_array().into_iter().flatten().filter_map(gain).collect()
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

    #[test]
    fn no_blocks_of_anothers_base_are_final_and_who_was_written_down_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(Some(folder.path().to_owned()));
        let base = Base::of_another("https://mainnet.base.org".to_owned(), vec![FundedKey::derive(&[7; 32], 0)]);
        write(&home, &network(), &base, &options()).unwrap();
        let new = read(&file(&home)).unwrap();
        assert_eq!((new.rpc == base.url, new.confirmations, new.listed()), (true, CONFIRMATIONS, None));
        // One that was made with the devnet's own Base, and to which somebody has added a payer.
        let payers = BTreeSet::from([Address::repeat_byte(7)]);
        let own = Written { payers: Some(payers.clone()), ..demo(wire::Network::BASE) };
        assert_eq!((own.confirmations, own.listed()), (0, Some(payers.clone())));
        write_file(&file(&home), &serde_json::to_vec(&own).unwrap()).unwrap();
        write(&home, &network(), &base, &options()).unwrap();
        let moved = read(&file(&home)).unwrap();
        assert_eq!((moved.confirmations, moved.listed(), moved.payers), (CONFIRMATIONS, None, Some(payers)));
        let said = Written { confirmations: 3, ..demo(wire::Network::BASE) };
        write_file(&file(&home), &serde_json::to_vec(&said).unwrap()).unwrap();
        write(&home, &network(), &base, &options()).unwrap();
        assert_eq!(read(&file(&home)).unwrap().confirmations, 3, "what somebody wrote is kept");
    }

    #[test]
    fn the_ledgers_blocks_are_final_as_long_as_it_is_asked_itself() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(Some(folder.path().to_owned()));
        let (base, network) = (Base::of_another("https://mainnet.base.org".to_owned(), Vec::new()), network());
        let on_ledger = cli::PaidCalls { paid_on: Some(cli::PaidOn::Ledger), ..options() };
        write(&home, &network, &base, &on_ledger).unwrap();
        let written = read(&file(&home)).unwrap();
        assert_eq!((vec![written.rpc], written.confirmations), (network.ethereum_urls(), 0));
        let elsewhere = cli::PaidCalls { paid_rpc: Some("https://rpc.example.com".to_owned()), ..on_ledger };
        write(&home, &network, &base, &elsewhere).unwrap();
        assert_eq!(read(&file(&home)).unwrap().confirmations, CONFIRMATIONS);
    }
}
