//! `og facilitator start | token`: settles x402 payments for servers that take them; receivers whose word it takes for an amount.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use gateway::{Facilitator, FacilitatorConfig, FacilitatorPace, fee_max};
use payments::{
    Address,
    facilitator::{Merchant, MerchantToken},
    price::{Money, Unit},
    scheme::{Asset, KnownToken},
    wire::Network,
};
use protocol::Digest;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::{random_bytes, read_file, write_file};
use tokio::signal::unix::{SignalKind, signal};

use super::show;
use crate::{
    base,
    cli::{self, Common},
    home::Home,
    keys,
    screen::{put, tell},
};

const FILE_BYTES_MAX: u64 = 1 << 20;
/// Receivers of one facilitator.
const MERCHANTS_MAX: usize = 4_096;

/// A receiver as it is written down: the token itself is nowhere.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMerchant {
    pay_to: Address,
    token_digest: String,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    merchants: Vec<WrittenMerchant>,
}

fn file(home: &Home) -> PathBuf {
    home.folder().join("facilitator.json")
}

fn read(home: &Home) -> Result<Written> {
    let path = file(home);
    if !path.exists() {
        return Ok(Written::default());
    }
    serde_json::from_slice(&read_file(&path, FILE_BYTES_MAX)?)
        .with_context(|| format!("failed to read {}", path.display()))
}

/// The receivers that this folder's facilitator knows.
pub fn merchants(home: &Home) -> Result<Vec<Merchant>> {
    let merchant = |written: &WrittenMerchant| {
        let token = Digest::from_hex(&written.token_digest).context("a token's digest is 64 hexadecimal digits")?;
        Ok(Merchant { pay_to: written.pay_to, token })
    };
    read(home)?.merchants.iter().map(merchant).collect()
}

pub async fn run(common: &Common, command: cli::Facilitator) -> Result<()> {
    let home = Home::new(common.dir.clone());
    match command {
        cli::Facilitator::Start(options) => start(&home, common, &options).await,
        cli::Facilitator::Token { pay_to } => token(&home, common, &pay_to),
    }
}

async fn start(home: &Home, common: &Common, options: &cli::FacilitatorStart) -> Result<()> {
    let network = Network(options.chain);
    let rpc = options.rpc.clone().or_else(|| base::own_url(home, options.chain));
    let rpc = rpc.with_context(|| {
        format!("no chain {} is in {}; hint: --rpc, or a --dir with a devnet", options.chain, home.folder().display())
    })?;
    let key = keys::signer(home, &options.key)?;
    let config = FacilitatorConfig {
        listen: options.listen,
        directory: home.folder().join("facilitator"),
        rpc: rpc.clone(),
        network,
        fee_max: fee_max(network),
        assets: assets(network, &options.assets)?,
        secret: key.secret(),
        merchants: merchants(home)?,
        pace: FacilitatorPace::default(),
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let facilitator = Facilitator::start(config).await?;
    let said = json!({
        "event": "ready",
        "facilitator": facilitator.url(),
        "network": network.to_string(),
        "rpc": rpc,
        "address": key.address(),
    });
    show(common, &said, |_| {
        vec![format!("facilitator  {}  settles on {network} as {}", facilitator.url(), key.address())]
    });
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    tell("stopping");
    facilitator.stop().await;
    Ok(())
}

/// The tokens of the network that are known, and those that are named: `ADDRESS,NAME,VERSION` of its EIP-712 domain.
fn assets(network: Network, named: &[String]) -> Result<Vec<Asset>> {
    let usd = Money { unit: Unit::Usd, decimals: 6 };
    let mut assets: Vec<Asset> = KnownToken::on(network).map(KnownToken::asset).collect();
    for text in named {
        let parts: Vec<&str> = text.splitn(3, ',').collect();
        let [address, name, version] = parts[..] else {
            bail!("{text:?} is no token; hint: ADDRESS,NAME,VERSION as in its EIP-712 domain");
        };
        let address = address.parse().with_context(|| format!("{address:?} is no address; hint: 0x and 40 digits"))?;
        assets.push(Asset::new(network, address, name, version, usd));
    }
    ensure!(!assets.is_empty(), "no token of {network} is known here; hint: --asset ADDRESS,NAME,VERSION");
    Ok(assets)
}

/// Makes a receiver's token, in place of one that it had.
fn token(home: &Home, common: &Common, pay_to: &str) -> Result<()> {
    let pay_to: Address =
        pay_to.parse().with_context(|| format!("{pay_to:?} is no address; hint: 0x and 40 digits"))?;
    let token = MerchantToken::from_random(random_bytes()?);
    let mut written = read(home)?;
    written.merchants.retain(|merchant| merchant.pay_to != pay_to);
    ensure!(
        written.merchants.len() < MERCHANTS_MAX,
        "{MERCHANTS_MAX} receivers are known already; hint: take old ones out of {}",
        file(home).display()
    );
    written.merchants.push(WrittenMerchant { pay_to, token_digest: token.digest().to_string() });
    write_file(&file(home), &serde_json::to_vec_pretty(&written)?)?;
    if common.json {
        put(&json!({ "pay_to": pay_to, "token": token.expose() }).to_string());
    } else {
        put(token.expose());
        tell(
            "shown this once; the receiver's server sends it as `Authorization: Bearer`, after the facilitator's next start",
        );
    }
    Ok(())
}
