//! x402's official client signs and its official facilitator settles, both unmodified, on a devnet's Base.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use alloy_primitives::U256;
use devchain::{BaseStart, Config, FundedKey, PoolLimits};
use rpc::{Limits, Server};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn config(folder: &Path, keys: &[FundedKey]) -> Config {
    let start = BaseStart {
        timestamp: now() - 10,
        funded: keys.iter().map(|key| key.address).collect(),
        coins: U256::from(10_u64.pow(19)),
        opg: U256::from(10_u64.pow(19)),
        dollars: U256::from(1_000_000_000),
        ledger_chain_id: 10_744,
        network_key: [0; 192],
    };
    Config {
        chain: devchain::plain(8_453),
        genesis: start.genesis().unwrap(),
        directory: folder.to_owned(),
        beneficiary: Default::default(),
        clock: now,
        pool: PoolLimits::default(),
        states: 256,
    }
}

fn variable(name: &str) -> PathBuf {
    let found = std::env::var_os(name);
    found.unwrap_or_else(|| panic!("{name} is not set: `cargo xtask test` makes the environment and sets it")).into()
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts")
}

/// A client that is given the chain's address, a payer's key and a facilitator's.
async fn works(mut client: Command) {
    let folder = tempfile::tempdir().unwrap();
    let keys: Vec<FundedKey> = (0..2).map(|index| FundedKey::derive(&[1; 32], index)).collect();
    let (chain, _running) = devchain::open(config(folder.path(), &keys)).await.unwrap();
    let node = Arc::new(chain);
    let server = Server::start("127.0.0.1:0".parse().unwrap(), node, "og/test", Limits::default()).await.unwrap();
    client.arg(server.url()).args(keys.iter().map(|key| key.secret.to_string()));
    let said = tokio::task::spawn_blocking(move || client.output().unwrap()).await.unwrap();
    let (out, error) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success() && out.contains("x402: ok"), "{out}\n{error}");
    server.stop().await;
}

#[tokio::test]
async fn what_npms_client_signs_its_facilitator_settles_and_forgeries_are_refused() {
    // Node finds packages beside the script, so that is where the script must lie.
    let placed = variable("OG_TEST_CONTRACTS").join("x402_client.mjs");
    std::fs::copy(sources().join("x402_client.mjs"), &placed).unwrap();
    let mut node = Command::new("node");
    node.arg(placed);
    works(node).await;
}

#[tokio::test]
async fn what_pypis_client_signs_its_facilitator_settles_and_forgeries_are_refused() {
    let mut python = Command::new(variable("OG_TEST_PYTHON"));
    python.arg("-B").arg(sources().join("x402_client.py"));
    works(python).await;
}

/// OpenGradient's SDK pins a fork of the package, under the same name: it comes before the other by its path.
#[tokio::test]
async fn what_opengradients_fork_signs_is_settled_as_well() {
    let mut python = Command::new(variable("OG_TEST_PYTHON"));
    python.arg("-B").arg(sources().join("x402_client.py")).env("PYTHONPATH", variable("OG_TEST_FORK"));
    works(python).await;
}
