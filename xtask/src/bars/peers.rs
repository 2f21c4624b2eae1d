//! Our single node beside others that developers run, on one load: the same signed transfers, in the same batches.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use super::devnet::wait_until;
use super::figure::{Outcome, median};
use super::rooms::executable;
use super::{Bench, http};
use crate::stage;

/// Pinned packages and their settings.
const PINS: &str = "crates/devchain/benches/peers";
/// Transfers of each of 64 senders, and how often. anvil 1.7.1 stops mining, and fills the memory, where some 2,000 transfers come at once:
/// both get what it bears, more often.
const LONG: Load = Load { each: 300, turns: 3 };
const SHORT: Load = Load { each: 20, turns: 15 };
/// The first of the keys that both make from their well-known phrase.
const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const PATIENCE: Duration = Duration::from_secs(60);

struct Load {
    each: u32,
    turns: u32,
}

pub fn anvil(bench: &mut Bench<'_>) -> Result<Outcome> {
    let folder = installed(bench)?;
    let program = anvil_in(&folder)?;
    beside(bench, "anvil", &SHORT, || {
        let port = free_port()?;
        let mut command = Command::new(&program);
        command.args(["--silent", "--host", "127.0.0.1", "--port", &port.to_string()]);
        Peer::start(&mut command, port)
    })
}

pub fn hardhat(bench: &mut Bench<'_>) -> Result<Outcome> {
    let folder = installed(bench)?;
    beside(bench, "hardhat node", &LONG, || {
        let port = free_port()?;
        let mut command = Command::new(folder.join("node_modules/.bin/node"));
        command.current_dir(&folder).arg("node_modules/hardhat/dist/src/cli.js");
        command.args(["node", "--hostname", "127.0.0.1", "--port", &port.to_string()]);
        command.env("HARDHAT_DISABLE_TELEMETRY_PROMPT", "true").env("CI", "true");
        Peer::start(&mut command, port)
    })
}

/// Ours and the other in turns, so that a busy hour falls on both.
fn beside(bench: &mut Bench<'_>, name: &str, load: &Load, start: impl Fn() -> Result<Peer>) -> Result<Outcome> {
    let program = executable(bench.workspace, "devchain", "transfers")?;
    let each = bench.count(load.each, load.each.min(40)).to_string();
    let (mut own, mut others) = (Vec::new(), Vec::new());
    let turns = bench.count(load.turns, 1);
    for _ in 0..turns {
        own.push(rate(Command::new(&program).env("OG_BENCH_EACH", &each))?);
        let peer = start()?;
        let mut press = Command::new(&program);
        others.push(rate(press.env("OG_BENCH_EACH", &each).env("OG_BENCH_URL", &peer.url).env("OG_BENCH_KEY", KEY))?);
    }
    let (own, other) = (median(own).unwrap_or(0.0), median(others).unwrap_or(f64::NAN));
    let note = format!(
        "ours {own:.0}, {name} {other:.0} transfers a second, {turns} turns of 64 times {each}; ours makes each durable before it answers"
    );
    Ok(Outcome::of(own / other, note))
}

fn rate(command: &mut Command) -> Result<f64> {
    let output = command.output().context("failed to start the load")?;
    if !output.status.success() {
        bail!("the load ended early: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let rate = told.lines().find_map(|line| line.strip_prefix("transfers_per_second ")?.parse().ok());
    rate.with_context(|| format!("the load told no rate: {told}"))
}

/// A node of another make; gone when dropped.
struct Peer {
    child: Child,
    url: String,
}

impl Peer {
    fn start(command: &mut Command, port: u16) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().with_context(|| format!("failed to start {:?}", command.get_program()))?;
        let mut peer = Self { child, url: format!("http://127.0.0.1:{port}") };
        let ask = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": [] });
        let ready = wait_until(PATIENCE, || {
            if let Some(status) = peer.child.try_wait().context("failed to look after a node")? {
                bail!("the node ended with {status} before it answered");
            }
            Ok(http::post_json(&peer.url, "/", &ask).is_ok())
        })?;
        ready.context("the node never answered")?;
        Ok(peer)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // A child that is gone already is what is wanted.
        let _gone = self.child.kill();
        let _waited = self.child.wait();
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("there is no free port")?;
    Ok(listener.local_addr().context("there is no free port")?.port())
}

/// The packages, in the build folder.
fn installed(bench: &Bench<'_>) -> Result<PathBuf> {
    let (pins, folder) = (bench.workspace.root().join(PINS), bench.workspace.target().join("ledger-peers"));
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    for name in ["package.json", "hardhat.config.js"] {
        fs::copy(pins.join(name), folder.join(name)).with_context(|| format!("failed to copy {name}"))?;
    }
    let mut install = Command::new("npm");
    install.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&folder);
    if !stage::run("npm packages", &mut install)? {
        bail!("failed to install anvil and hardhat\nhint: it needs npm, and the network once");
    }
    Ok(folder)
}

/// The program of this machine among those of the package.
pub fn anvil_in(folder: &Path) -> Result<PathBuf> {
    let packages = folder.join("node_modules/@foundry-rs");
    for entry in fs::read_dir(&packages).with_context(|| format!("failed to list {}", packages.display()))? {
        let program = entry?.path().join("bin/anvil");
        if program.is_file() {
            return Ok(program);
        }
    }
    bail!("the package of anvil has no program for this machine")
}
