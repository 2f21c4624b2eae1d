//! The folder of a network: what is written in it, under which names.
//!
//! `network.json` tells how to join, `trust.json` what to pin, `keys/` holds sealed keys, `nodes/<name>/` a node's data.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use crypto::{PublicKey, threshold::GroupKey};
use ledger::Genesis;
use protocol::{Canonical as _, NodeId, Noun as _, Trust, registry::node_id};
use serde::{Deserialize, Serialize};
use storage::{read_file, write_file};
use worker::Adversary;

const FILE_BYTES_MAX: u64 = 64 << 20;

/// The folder where nothing is said.
const DEFAULT: &str = ".og";

/// A network's folder.
#[derive(Clone, Debug)]
pub struct Home(PathBuf);

/// How to join a network. Addresses are of nodes that anyone may ask.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    pub network: String,
    pub chain_id: u64,
    /// Digest of the genesis file beside this file.
    pub genesis: String,
    /// The network's public key and the polynomial behind it, in hexadecimal.
    pub network_key: String,
    pub polynomial: String,
    pub nodes: Vec<NodeEntry>,
}

/// One node of the network.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeEntry {
    pub name: String,
    pub role: String,
    /// Where its interface listens.
    pub listen: SocketAddr,
    /// Where others reach it, if not there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub url: Option<String>,
    /// Where a validator's agreement listens.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agreement: Option<SocketAddr>,
    /// Where a validator speaks Ethereum's JSON-RPC.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ethereum: Option<SocketAddr>,
    /// Its public key, in hexadecimal; a hub has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub audit_rate: Option<u32>,
    /// How many of the newest blocks a validator keeps; all of them if it is not said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub keep_blocks: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub adversary: Option<String>,
}

impl NodeEntry {
    pub fn url(&self) -> String {
        self.url.clone().unwrap_or_else(|| format!("http://{}", self.listen))
    }

    /// Its name on the ledger; none of what is in no registry.
    pub fn id(&self) -> Option<NodeId> {
        self.key.as_deref().and_then(PublicKey::from_hex).map(|key| node_id(&key))
    }

    pub fn adversary(&self) -> Result<Option<Adversary>> {
        self.adversary.as_deref().map(|word| word.parse().map_err(anyhow::Error::msg)).transpose()
    }
}

impl Network {
    pub fn read(file: &Path) -> Result<Self> {
        let bytes = read_file(file, FILE_BYTES_MAX)?;
        serde_json::from_slice(&bytes).with_context(|| format!("failed to read {}", file.display()))
    }

    /// A genesis, if it is this network's; `source` is who has it.
    pub fn checked(&self, genesis: Genesis, source: &str) -> Result<Genesis> {
        let found = genesis.digest().to_string();
        ensure!(
            found == self.genesis,
            "the genesis of {source} has the digest {found}, the network file says {}; hint: take both from where the network was made",
            self.genesis
        );
        Ok(genesis)
    }

    pub fn urls(&self, role: &str) -> Vec<String> {
        self.nodes.iter().filter(|node| node.role == role).map(NodeEntry::url).collect()
    }

    /// Where the ledger's JSON-RPC is found, one address for each validator.
    pub fn ethereum_urls(&self) -> Vec<String> {
        self.nodes.iter().filter_map(|node| Some(format!("http://{}", node.ethereum?))).collect()
    }

    pub fn node(&self, name: &str) -> Result<&NodeEntry> {
        let names = || self.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
        self.nodes
            .iter()
            .find(|node| node.name == name)
            .with_context(|| format!("no node {name:?}; hint: one of {}", names()))
    }
}

impl Home {
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self(folder.unwrap_or_else(|| PathBuf::from(DEFAULT)))
    }

    /// The folder that a network file lies in.
    pub fn of_network_file(file: &Path) -> Self {
        Self(file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned())
    }

    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// What lines that people paste say of it after everything else: nothing where it is the folder of whoever names none.
    pub fn flag(&self) -> String {
        let folder = self.0.to_string_lossy();
        if folder == DEFAULT {
            return String::new();
        }
        let is_plain = folder.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
        if is_plain { format!(" --dir {folder}") } else { format!(" --dir '{}'", folder.replace('\'', r"'\''")) }
    }

    pub fn network_file(&self) -> PathBuf {
        self.0.join("network.json")
    }

    pub fn trust_file(&self) -> PathBuf {
        self.0.join("trust.json")
    }

    pub fn genesis_file(&self) -> PathBuf {
        self.0.join("genesis.bin")
    }

    pub fn node_folder(&self, name: &str) -> PathBuf {
        self.0.join("nodes").join(name)
    }

    pub fn keys_folder(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// Where the openings of one's own requests are kept.
    pub fn receipt_file(&self, id: &str) -> PathBuf {
        self.0.join("receipts").join(format!("{id}.json"))
    }

    pub fn has_network(&self) -> bool {
        self.network_file().exists()
    }

    pub fn network(&self) -> Result<Network> {
        ensure!(
            self.has_network(),
            "no network in {}; hint: start one with og devnet, or join one with og node init",
            self.0.display()
        );
        Network::read(&self.network_file())
    }

    pub fn genesis(&self, network: &Network) -> Result<Genesis> {
        let path = self.genesis_file();
        let genesis = Genesis::decode(&read_file(&path, FILE_BYTES_MAX)?)
            .with_context(|| format!("failed to read {}", path.display()))?;
        network.checked(genesis, &path.display().to_string())
    }

    pub fn write_genesis(&self, genesis: &Genesis) -> Result<()> {
        Ok(write_file(&self.genesis_file(), &genesis.encode())?)
    }

    /// Takes over what lies beside the network file of another folder, as far as it is there: what is pinned, and the genesis.
    pub fn take_over(&self, other: &Self) -> Result<()> {
        for (source, own) in [(other.trust_file(), self.trust_file()), (other.genesis_file(), self.genesis_file())] {
            if source.exists() {
                write_file(&own, &read_file(&source, FILE_BYTES_MAX)?)?;
            }
        }
        Ok(())
    }

    /// Writes all of a new network; the network file comes last, so that it is there only if all is.
    pub fn write_network(&self, network: &Network, genesis: &Genesis, trust: &Trust) -> Result<()> {
        self.write_genesis(genesis)?;
        write_file(&self.trust_file(), api::face::to_pretty_json(&trust.to_value()).as_bytes())?;
        self.write_nodes(network)
    }

    /// Writes the network file anew, of a network whose genesis is there.
    pub fn write_nodes(&self, network: &Network) -> Result<()> {
        Ok(write_file(&self.network_file(), &serde_json::to_vec_pretty(network)?)?)
    }
}

/// Reads a pinned trust file.
pub fn read_trust(path: &Path) -> Result<Trust> {
    let bytes = read_file(path, FILE_BYTES_MAX)?;
    api::face::read(&bytes).with_context(|| format!("failed to read the trust file {}", path.display()))
}

pub fn unhex(text: &str) -> Result<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    let read = |pair: &[u8]| crypto::digest::read_hex::<1>(std::str::from_utf8(pair).ok()?).map(|[byte]| byte);
    pairs.map(read).collect::<Option<Vec<u8>>>().context("not hexadecimal")
}

pub fn network_key(network: &Network) -> Result<GroupKey> {
    crypto::digest::read_hex(&network.network_key).map(GroupKey).context("network_key is not 96 bytes of hexadecimal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_to_paste_name_a_folder_that_is_not_the_usual_one() {
        let flag = |folder: &str| Home::new(Some(PathBuf::from(folder))).flag();
        assert_eq!((Home::new(None).flag(), flag(".og")), (String::new(), String::new()));
        assert_eq!(flag("/tmp/net-1"), " --dir /tmp/net-1");
        assert_eq!(flag("my net"), " --dir 'my net'");
        assert_eq!(flag("it's"), r" --dir 'it'\''s'");
    }
}
