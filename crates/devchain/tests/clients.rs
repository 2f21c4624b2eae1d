//! The clients that people use, unmodified, against a running chain.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod started;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use rpc::{Limits, Server};
use started::{Started, config, key};

/// A program with its script, run while a chain serves it.
async fn works(index: u32, program: PathBuf, script: PathBuf) {
    let said = served(index, move |url, key| {
        Command::new(program).arg(script).args([url, key]).arg(sources()).output().unwrap()
    })
    .await;
    assert!(words(&said.stdout).contains(": ok"));
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a program says that is given a chain's address and a funded key of it.
async fn served(index: u32, run: impl FnOnce(&str, &str) -> Output + Send + 'static) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let pool = devchain::PoolLimits::default();
    let started = Started::with(devchain::Config { pool, states: 256, ..config(folder.path()) }).await.unwrap();
    let node = Arc::new(started.chain.clone());
    let server = Server::start("127.0.0.1:0".parse().unwrap(), node, "og/test", Limits::default()).await.unwrap();
    let (url, key) = (server.url(), key(index).secret.to_string());
    let said = tokio::task::spawn_blocking(move || run(&url, &key)).await.unwrap();
    assert!(said.status.success(), "{}\n{}", words(&said.stdout), words(&said.stderr));
    server.stop().await;
    said
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients").canonicalize().unwrap()
}

fn variable(name: &str) -> PathBuf {
    let found = std::env::var_os(name);
    found.unwrap_or_else(|| panic!("{name} is not set: `cargo xtask test` makes the environment and sets it")).into()
}

/// Node finds packages beside the script, so that is where the script must lie.
fn beside_packages(script: &str) -> PathBuf {
    let folder = variable("OG_TEST_NODE");
    let placed = folder.join(script);
    std::fs::copy(sources().join(script), &placed).unwrap();
    placed
}

#[tokio::test]
async fn ethers_works_unmodified() {
    works(0, "node".into(), beside_packages("ethers_client.mjs")).await;
}

#[tokio::test]
async fn viem_works_unmodified() {
    works(1, "node".into(), beside_packages("viem_client.mjs")).await;
}

#[tokio::test]
async fn web3_py_works_unmodified() {
    works(2, variable("OG_TEST_PYTHON"), sources().join("web3_client.py")).await;
}

#[tokio::test]
async fn what_metamask_asks_is_answered_with_what_it_needs() {
    works(3, variable("OG_TEST_PYTHON"), sources().join("metamask_calls.py")).await;
}

/// Foundry's `cast`, which npm has for this machine.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[tokio::test]
async fn cast_works_unmodified() {
    let cast = variable("OG_TEST_NODE").join("node_modules/@foundry-rs/cast-linux-amd64/bin/cast");
    let script = sources().join("cast_client.sh");
    let said = served(3, move |url, key| {
        Command::new("sh").arg(script).arg(cast).args([url, key]).arg(sources()).arg("8453").output().unwrap()
    });
    assert!(words(&said.await.stdout).contains("cast: ok"));
}

/// Foundry's `forge`, with npm's compiler in place of the one that it would download.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[tokio::test]
async fn forge_works_unmodified() {
    let packages = variable("OG_TEST_NODE");
    let forge = packages.join("node_modules/@foundry-rs/forge-linux-amd64/bin/forge");
    let script = sources().join("forge_client.sh");
    let project = tempfile::tempdir().unwrap();
    let said = served(0, move |url, key| {
        let mut shell = Command::new("sh");
        shell.arg(script).arg(forge).args([url, key]).arg(sources()).arg(packages).arg(project.path());
        shell.output().unwrap()
    });
    assert!(words(&said.await.stdout).contains("forge: ok"));
}

#[test]
fn the_test_contract_is_what_its_source_compiles_to() {
    let script = beside_packages("compile.mjs");
    let ran = Command::new("node").arg(script).arg(sources()).arg("--check").output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}
