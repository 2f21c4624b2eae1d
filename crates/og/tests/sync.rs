//! A validator that comes late begins from the others' snapshot, follows, and is counted on.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;

use std::{
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use network::Client;
use protocol::service::CertifiedEpoch;
use serde_json::{Value, json};
use support::{Devnet, og};

const PATIENCE: Duration = Duration::from_secs(180);

/// One node in a process of its own; gone when dropped.
struct Node(Child);

impl Node {
    fn start(network: &Path, name: &str, more: &[&str]) -> Self {
        let mut command = og();
        command.args(["node", "start", "--join"]).arg(network).args(["--name", name]).args(more);
        Self(command.stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Addresses {
    client: Client,
    network: Value,
}

impl Addresses {
    fn of(&self, name: &str, key: &str) -> String {
        let nodes = self.network["nodes"].as_array().unwrap();
        let node = nodes.iter().find(|node| node["name"] == name).unwrap();
        format!("http://{}", node[key].as_str().unwrap())
    }

    async fn height(&self, name: &str) -> u64 {
        let url = format!("{}/status", self.of(name, "listen"));
        let Ok(bytes) = self.client.get_bytes(&url).await else { return 0 };
        serde_json::from_slice::<Value>(&bytes).unwrap()["height"].as_u64().unwrap()
    }

    async fn epoch(&self, name: &str, epoch: u64) -> CertifiedEpoch {
        self.client.get(&format!("{}/epochs/{epoch}", self.of(name, "listen"))).await.unwrap()
    }

    async fn rpc(&self, name: &str, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let bytes = self.client.post_json(&self.of(name, "ethereum"), body, &[]).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    async fn wait(&self, what: &str, name: &str, height: u64) {
        let started = Instant::now();
        while self.height(name).await < height {
            assert!(started.elapsed() < PATIENCE, "{what}: {name} is at {}", self.height(name).await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn a_late_validator_begins_from_a_snapshot_follows_and_votes() {
    late(&["--term-blocks", "0"]).await;
}

#[tokio::test]
async fn where_seats_change_a_late_validator_begins_in_the_term_that_is_under_way() {
    // The first snapshot is one of the second term.
    late(&["--term-blocks", "120"]).await;
}

async fn late(more: &[&str]) {
    let folder = Devnet::start(&[["--workers", "1"].as_slice(), more].concat()).stop();
    let (home, file) = (folder.path().join("net"), folder.path().join("net/network.json"));
    let network = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let addresses = Addresses { client: Client::default(), network };
    let late = home.join("nodes/validator-4");
    std::fs::remove_dir_all(&late).unwrap();

    let mut nodes: Vec<Node> =
        ["validator-1", "validator-2", "validator-3"].map(|name| Node::start(&file, name, &[])).into();
    let begun = addresses.of("validator-1", "listen");
    let started = Instant::now();
    // They make one after every 32 epochs of a second.
    while addresses.client.get_bytes(&format!("{begun}/snapshots")).await.map_or(0, |bytes| bytes.len()) <= 4 {
        assert!(started.elapsed() < PATIENCE, "no snapshot is offered");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let joined_at = addresses.height("validator-1").await;
    nodes.push(Node::start(&file, "validator-4", &["--sync", "--keep-blocks", "1024"]));
    addresses.wait("the late one follows", "validator-4", joined_at + 10).await;
    assert!(late.join("floor").exists() && !late.join("sync").exists());

    // What it never executed it does not have, and says so; what it has is what the others have.
    let gone = addresses.rpc("validator-4", "eth_getBlockByNumber", json!(["0x1", false])).await;
    assert_eq!(gone["error"]["code"], 4_444, "{gone}");
    assert!(gone["error"]["message"].as_str().unwrap().contains("blocks are kept from"), "{gone}");
    let height = format!("{:#x}", joined_at + 10);
    let block = |name| addresses.rpc(name, "eth_getBlockByNumber", json!([height, false]));
    addresses.wait("the first one", "validator-1", joined_at + 10).await;
    assert_eq!(block("validator-1").await["result"]["hash"], block("validator-4").await["result"]["hash"]);

    // The certificates of epochs that it never closed, too, which the others have.
    for epoch in [0, 7] {
        let told = |name| addresses.epoch(name, epoch);
        let (certified, known) = (told("validator-4").await, told("validator-1").await);
        assert!(certified.certificate.is_some(), "epoch {epoch}");
        assert_eq!(certified, known);
    }

    // Without its votes there is no quorum any more.
    drop(nodes.remove(2));
    let now = addresses.height("validator-4").await;
    addresses.wait("blocks with the late one's votes", "validator-1", now + 20).await;

    // And it starts again on what it has.
    drop(nodes.pop());
    nodes.push(Node::start(&file, "validator-4", &["--keep-blocks", "1024"]));
    let now = addresses.height("validator-1").await;
    addresses.wait("blocks after its restart", "validator-4", now + 20).await;

    // Its state is lost, as where it cannot be read, and the blocks from the first on are not here: it begins from the others again.
    drop(nodes.pop());
    std::fs::remove_file(late.join("state.redb")).unwrap();
    nodes.push(Node::start(&file, "validator-4", &["--keep-blocks", "1024"]));
    let now = addresses.height("validator-1").await;
    addresses.wait("blocks after its state was lost", "validator-4", now + 20).await;
}
