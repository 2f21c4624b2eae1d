//! x402's official client signs and its official facilitator settles, both unmodified, on a devnet's Base.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use alloy_primitives::U256;
use devchain::{BaseStart, Config, DevChain, FundedKey, PoolLimits};
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
        chain: DevChain::plain(8_453),
        genesis: start.genesis().unwrap(),
        directory: folder.to_owned(),
        beneficiary: Default::default(),
        clock: now,
        pool: PoolLimits::default(),
        states: 256,
    }
}

fn script(name: &str) -> PathBuf {
    let folder = std::env::var_os("OG_TEST_CONTRACTS");
    let folder = PathBuf::from(folder.expect("OG_TEST_CONTRACTS is not set: `cargo xtask test` makes and sets it"));
    let placed = folder.join(name);
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts").join(name), &placed).unwrap();
    placed
}

#[tokio::test]
async fn what_npms_client_signs_its_facilitator_settles_and_forgeries_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let keys: Vec<FundedKey> = (0..2).map(|index| FundedKey::derive(&[1; 32], index)).collect();
    let (chain, _running) = DevChain::open(config(folder.path(), &keys)).await.unwrap();
    let node = Arc::new(chain);
    let server = Server::start("127.0.0.1:0".parse().unwrap(), node, "og/test", Limits::default()).await.unwrap();
    let mut command = Command::new("node");
    command.arg(script("x402_client.mjs")).arg(server.url());
    command.args(keys.iter().map(|key| key.secret.to_string()));
    let said = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let (out, error) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success() && out.contains("x402: ok"), "{out}\n{error}");
    server.stop().await;
}
