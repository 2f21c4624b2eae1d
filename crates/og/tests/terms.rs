//! Validators that come and go, each in a process of its own: a fifth stakes, is seated and signs, one of the first is lost, and whoever
//! pinned the network's key needs no other.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;

use std::{
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use crypto::PublicKey;
use network::Client;
use protocol::{Trust, service::CertifiedEpoch};
use serde_json::{Value, json};
use support::{Devnet, og, run};

const PATIENCE: Duration = Duration::from_secs(240);
const TERM_BLOCKS: u64 = 60;

/// One node in a process of its own; gone when dropped.
struct Node(Child);

impl Node {
    fn start(network: &Path, name: &str) -> Self {
        let mut command = og();
        command.args(["node", "start", "--join"]).arg(network).args(["--name", name]);
        Self(command.stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Network {
    client: Client,
    nodes: Value,
}

impl Network {
    fn entry(&self, name: &str) -> &Value {
        let nodes = self.nodes["nodes"].as_array().unwrap();
        nodes.iter().find(|node| node["name"] == name).unwrap()
    }

    fn url(&self, name: &str) -> String {
        format!("http://{}", self.entry(name)["listen"].as_str().unwrap())
    }

    async fn height(&self, name: &str) -> u64 {
        let Ok(bytes) = self.client.get_bytes(&format!("{}/status", self.url(name))).await else { return 0 };
        serde_json::from_slice::<Value>(&bytes).unwrap()["height"].as_u64().unwrap()
    }

    async fn wait(&self, what: &str, name: &str, height: u64) {
        let started = Instant::now();
        while self.height(name).await < height {
            assert!(started.elapsed() < PATIENCE, "{what}: {name} is at {}", self.height(name).await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Who proposed a block, by the account that earns from it.
    async fn proposer(&self, at: &str, height: u64) -> Option<String> {
        let body = json!({
            "jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": [format!("{height:#x}"), false],
        });
        let url = format!("http://{}", self.entry(at)["ethereum"].as_str().unwrap());
        let bytes = self.client.post_json(&url, body.to_string(), &[]).await.ok()?;
        let answer: Value = serde_json::from_slice(&bytes).ok()?;
        Some(answer["result"]["miner"].as_str()?.to_lowercase())
    }

    /// The account of a node's first key.
    fn account(&self, name: &str) -> String {
        let key = PublicKey::from_hex(self.entry(name)["key"].as_str().unwrap()).unwrap();
        let address = ledger::address_of(&key);
        address.0.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }

    /// Waits until a node proposes.
    async fn wait_for_proposal(&self, of: &str, at: &str) -> u64 {
        let (started, account) = (Instant::now(), self.account(of));
        let mut height = self.height(at).await;
        loop {
            self.wait("the chain", at, height).await;
            if self.proposer(at, height).await.as_deref() == Some(account.as_str()) {
                return height;
            }
            height += 1;
            assert!(started.elapsed() < PATIENCE, "{of} proposes nothing up to {height}");
        }
    }

    /// The newest epoch that is certified at a node, under the key that was pinned before everything.
    async fn certified(&self, at: &str, trust: &Trust) -> CertifiedEpoch {
        let newest: CertifiedEpoch =
            self.client.get(&format!("{}/epochs/latest", self.url(at))).await.expect("a certified epoch");
        let certificate = newest.certificate.clone().expect("a certificate");
        assert!(certificate.certifies(&newest.record, &trust.network_key));
        newest
    }
}

fn said(home: &Path, arguments: &[&str]) -> Value {
    let said = run(og().arg("--json").arg("--dir").arg(home).args(arguments));
    assert_eq!(said.code, 0, "{said:?}");
    said.json()
}

#[tokio::test]
async fn a_fifth_validator_stakes_is_seated_and_signs_and_one_of_the_first_is_lost() {
    let folder = Devnet::start(&["--workers", "1", "--term-blocks", &TERM_BLOCKS.to_string()]).stop();
    let (home, file) = (folder.path().join("net"), folder.path().join("net/network.json"));
    let trust: Trust = api::face::read(&std::fs::read(home.join("trust.json")).unwrap()).unwrap();
    let first = ["validator-1", "validator-2", "validator-3", "validator-4"];
    let mut nodes: Vec<Node> = first.map(|name| Node::start(&file, name)).into();

    said(&home, &["node", "init", "--join", file.to_str().unwrap(), "--name", "validator-5"]);
    let nodes_now = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let network = Network { client: Client::default(), nodes: nodes_now };
    network.wait("the network", "validator-1", 5).await;
    said(&home, &["node", "register", "--name", "validator-5", "--from", "alice", "--stake", "200000"]);
    nodes.push(Node::start(&file, "validator-5"));

    // It follows as a stranger, announces itself, is named, is dealt its shares, and then proposes.
    let seated = network.wait_for_proposal("validator-5", "validator-2").await;
    assert!(seated > 2 * TERM_BLOCKS, "at {seated}, before its notice was over");
    let before = network.certified("validator-2", &trust).await;

    // Killed a few blocks into the term, whichever has two seats: no operator has so many that the others are no quorum.
    drop(nodes.remove(0));
    let height = network.height("validator-5").await;
    network.wait("terms without one of the first", "validator-5", height + 3 * TERM_BLOCKS).await;
    let after = network.certified("validator-5", &trust).await;
    assert!(after.record.epoch > before.record.epoch && after.record.last_height > height);
    assert_eq!(after.record.chain_id, trust.chain_id);
}
