//! How a network is joined to Base: where its settlement is, kept in `bridge.json`, who pays to carry things there, and what was deployed for
//! it, kept in `deployment.json`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use network::{Client, LedgerClient};
use relayer::{Address, Chain, Depth, Relayer, SignerKey, Site};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use storage::{read_file, write_file};
use tokio::task::JoinHandle;

use crate::{
    amount::opg,
    base::Base,
    cli,
    home::{Home, Network, network_key},
    keys,
    screen::tell,
};

const FILE_BYTES_MAX: u64 = 1 << 12;
/// Which of Base's keys carries settlements in a devnet.
const KEY: &str = "base/3";
/// A chain may take its time to answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// Where Base is, and the network's contract on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    pub rpc: String,
    pub settlement: String,
    /// Blocks on top of one that counts; without it, one counts when the chain calls it final.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub confirmations: Option<u64>,
    pub first_block: u64,
}

/// Contracts of this network that were deployed from this folder, or begun to be: where they lie, and what it takes to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    pub chain_id: u64,
    /// Whose transaction makes the settlement, and its number among those of that account.
    pub from: Address,
    pub nonce: u64,
    pub first_block: u64,
    pub settlement: Address,
    pub token: Address,
}

impl Deployment {
    pub fn of(chain_id: u64, from: Address, site: &Site) -> Self {
        let Site { nonce, first_block, settlement, token } = *site;
        Self { chain_id, from, nonce, first_block, settlement, token }
    }

    /// Written before anything is sent, so that whatever is made is found again.
    pub fn keep(&self, home: &Home) -> Result<()> {
        Ok(write_file(&deployment_file(home), &serde_json::to_vec_pretty(self)?)?)
    }

    pub fn kept(home: &Home) -> Result<Option<Self>> {
        kept(&deployment_file(home))
    }
}

fn file(home: &Home) -> PathBuf {
    home.folder().join("bridge.json")
}

pub fn deployment_file(home: &Home) -> PathBuf {
    home.folder().join("deployment.json")
}

fn kept<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.exists() {
        return Ok(None);
    }
    let read = serde_json::from_slice(&read_file(path, FILE_BYTES_MAX)?);
    read.with_context(|| format!("failed to read {}", path.display())).map(Some)
}

/// Refused where the ledger began with OPG locked for a Base of its own: on another's there would be less than is locked.
pub fn must_begin_with_nothing(home: &Home, network: &Network) -> Result<()> {
    let bridged = home.genesis(network)?.bridged;
    ensure!(
        bridged == 0,
        "this network began with {} OPG locked for the devnet's own Base, and nothing of that is on another; hint: make a network for that one, with --base-rpc from its first start (another --dir)",
        opg(bridged)
    );
    Ok(())
}

/// Writes how to reach the Base of a devnet. Another's RPC is a bridge only where its contract is named.
pub fn write(home: &Home, network: &Network, base: &Base, options: &cli::Devnet) -> Result<Option<Link>> {
    let path = file(home);
    let own = contracts::addresses::DEVNET_SETTLEMENT;
    let link = match (&options.base_rpc, options.base_settlement) {
        (None, _) => {
            let joined = read(home)?.is_some_and(|link| link.settlement != own.to_string());
            let told =
                "this network's contracts are on another chain; hint: --base-rpc and --base-settlement as before";
            ensure!(!joined && Deployment::kept(home)?.is_none(), told);
            Link { rpc: base.url.clone(), settlement: own.to_string(), confirmations: Some(0), first_block: 0 }
        }
        (Some(rpc), Some(named)) => {
            must_begin_with_nothing(home, network)?;
            let others = read(home)?.filter(|link| link.settlement != named.to_string());
            if let Some(link) = others {
                bail!(
                    "this network's settlement is {}; hint: name that one, two would each mint what is locked once",
                    link.settlement
                );
            }
            let deployed = Deployment::kept(home)?.filter(|deployment| deployment.settlement == named);
            let first_block = deployed.map_or(0, |deployment| deployment.first_block);
            Link { rpc: rpc.clone(), settlement: named.to_string(), confirmations: None, first_block }
        }
        (Some(_), None) => {
            if path.exists() {
                std::fs::remove_file(&path).with_context(|| format!("failed to remove {}", path.display()))?;
            }
            return Ok(None);
        }
    };
    write_file(&path, &serde_json::to_vec_pretty(&link)?)?;
    Ok(Some(link))
}

/// How this network is joined to Base, if it is.
pub fn read(home: &Home) -> Result<Option<Link>> {
    kept(&file(home))
}

/// A chain by its RPC.
pub fn chain(rpc: &str) -> Chain {
    Chain::new(Client::new(DEADLINE), rpc.to_owned())
}

impl Link {
    pub fn settlement(&self) -> Result<Address> {
        let told =
            || format!("{:?} is no address of a settlement; hint: 0x and 40 hexadecimal digits", self.settlement);
        self.settlement.parse().with_context(told)
    }

    /// True of the Base that a devnet has itself: its settlement lies where none lies on any other.
    pub fn is_of_a_devnet(&self) -> bool {
        self.settlement == contracts::addresses::DEVNET_SETTLEMENT.to_string()
    }

    pub fn chain(&self) -> Chain {
        chain(&self.rpc)
    }

    /// What a validator reads burns by.
    pub fn watched(&self) -> Result<validator::Base> {
        Ok(validator::Base {
            rpc: self.rpc.clone(),
            settlement: self.settlement()?,
            depth: self.confirmations.map_or(Depth::Finalized, Depth::Blocks),
            first_block: self.first_block,
        })
    }

    pub fn relayer(&self, network: &Network, key: SignerKey) -> Result<Relayer> {
        Ok(Relayer {
            base: self.chain(),
            settlement: self.settlement()?,
            ledger: LedgerClient::new(Client::default(), &network.urls("validator")),
            chain_id: network.chain_id,
            network: network_key(network)?,
            key,
        })
    }
}

/// Carries settlements for as long as the devnet runs.
pub fn carry(home: &Home, network: &Network, link: &Link) -> Result<JoinHandle<()>> {
    let relayer = link.relayer(network, keys::signer(home, KEY)?)?;
    let mut said = None;
    Ok(tokio::spawn(relayer.run(move |told| {
        let now = told.err().map(|error| error.to_string());
        // Once for each trouble, not at every try.
        if let Some(trouble) = now.as_ref().filter(|_| now != said) {
            tell(&format!("relayer: {trouble}"));
        }
        said = now;
    })))
}
