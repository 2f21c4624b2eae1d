//! A long chain: how fast a validator executes it again from its disk, and how much of the disk it takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::devnet::{Devnet, wait_until};
use super::figure::Outcome;
use super::rooms::{executable, one_line};
use super::{Bench, http};

/// The bar of what a chain takes of the disk where everything is kept.
pub const GROWTH: &str = "disk, a million transfers";
const VALIDATOR: &str = "validator-1";
/// What a validator can make anew from its agreement's blocks. What waits it cannot: `waiting.redb` stays.
const DERIVED: [&str; 2] = ["state.redb", "blocks.redb"];
const PATIENCE: Duration = Duration::from_secs(1_800);
/// Blocks that a pruned chain is told to keep.
const KEPT: u64 = 1_024;
/// Blocks that agreement's archive lets go of together.
const SECTION: u64 = 1_024;
const MEBI: f64 = 1_048_576.0;

/// A chain of one validator that holds many transfers.
struct Long {
    devnet: Devnet,
    transfers: f64,
    /// Bytes of the validator's folder before the transfers and after them.
    before: u64,
    after: u64,
}

impl Long {
    fn grow(bench: &mut Bench<'_>, more: &[&str]) -> Result<Self> {
        let program = executable(bench.workspace, "validator", "ledger")?;
        let parent = folder(bench)?;
        let arguments = [&["--processes", "--validators", "1", "--workers", "1"], more].concat();
        let devnet = Devnet::start(bench.workspace, &parent, &arguments)?;
        let before = bytes_in(&devnet.node_folder(VALIDATOR))?;
        let count = bench.count(1_000_000, 20_000).to_string();
        let transfers = devnet.explained(filled(&devnet, &program, &count), &bench.failed_folder())?;
        let after = bytes_in(&devnet.node_folder(VALIDATOR))?;
        Ok(Self { devnet, transfers, before, after })
    }

    fn height(&self) -> Result<u64> {
        let nodes = self.devnet.nodes("validator");
        let url = nodes.first().and_then(|node| node.get("url")?.as_str()).context("a validator without a `url`")?;
        http::get_json(url, "/status")?.get("height").and_then(Value::as_u64).context("a status without a `height`")
    }

    /// The oldest block but the first that it has, if older ones are removed.
    fn oldest(&self) -> Result<u64> {
        let url = self.devnet.at("/ledger/urls/0")?.as_str().context("the devnet's `ledger` has no `urls`")?;
        let asked = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["0x1", false]});
        let said = http::post_json(url, "/", &asked)?;
        let Some(message) = said.pointer("/error/message").and_then(Value::as_str) else { return Ok(0) };
        let oldest = message.split_once("kept from ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        oldest.with_context(|| format!("the validator says of block 1: {message}"))
    }

    fn mebibytes_per_million(&self) -> f64 {
        self.after.saturating_sub(self.before) as f64 / MEBI / self.transfers * 1e6
    }
}

/// Has so many transfers made; how many it were.
fn filled(devnet: &Devnet, program: &Path, count: &str) -> Result<f64> {
    let url = devnet.at("/ledger/urls/0")?.as_str().context("the devnet's `ledger` has no `urls`")?;
    let key = devnet.at("/base/keys/0/secret")?.as_str().context("the devnet told no funded key")?;
    let mut command = Command::new(program);
    command.env("OG_BENCH_URLS", url).env("OG_BENCH_KEY", key).env("OG_BENCH_FILL", count);
    let output = command.output().context("failed to start the load")?;
    if !output.status.success() {
        bail!("the load failed: {}", one_line(&output.stderr, &output.stdout));
    }
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let transfers = told.lines().find_map(|line| line.strip_prefix("transfers ")?.parse().ok());
    transfers.context("the load told no count")
}

/// What executing a long chain again came to.
pub struct Replayed {
    transfers: f64,
    height: u64,
    seconds: f64,
    /// The most MiB that the validator had, as it grew and as it was executed again.
    pub memory: f64,
}

pub fn replay(bench: &mut Bench<'_>) -> Result<Outcome> {
    let Replayed { transfers, height, seconds, .. } = replayed(bench)?;
    let note = format!(
        "{transfers} transfers in {height} blocks, nothing left but agreement's archive, {seconds:.1} s with the start of all processes"
    );
    Ok(Outcome::of(transfers / seconds, note))
}

/// From the start of the processes until all is executed again: reading, recovering every sender, executing, all roots, the index.
pub fn replayed(bench: &mut Bench<'_>) -> Result<Replayed> {
    let mut long = Long::grow(bench, &[])?;
    let (height, grown) = (long.height()?, long.devnet.memory("validator")?);
    let started = long.devnet.crash_change_and_restart(forget_derived)?;
    let caught_up = wait_until(PATIENCE, || Ok(long.height().is_ok_and(|now| now >= height)))?;
    let caught_up: Instant = caught_up.context("the validator never came to its own height again")?;
    let seconds = caught_up.duration_since(started).as_secs_f64();
    let memory = grown.max(long.devnet.memory("validator")?);
    Ok(Replayed { transfers: long.transfers, height, seconds, memory })
}

/// Committees that stay: agreement keeps the blocks of the term that is under way, however long that is.
const NO_TERMS: [&str; 2] = ["--term-blocks", "0"];

/// What transfers leave on a validator's disk: agreement's blocks, the index, the snapshot.
pub fn growth(bench: &mut Bench<'_>) -> Result<Outcome> {
    let long = Long::grow(bench, &NO_TERMS)?;
    let note = format!("{} transfers, everything kept: agreement's archive and the index of blocks", long.transfers);
    Ok(Outcome::of(long.mebibytes_per_million(), note))
}

/// The same where old blocks are removed, beside the part of it that is the kept blocks': what is left, not what was written.
pub fn pruned_growth(bench: &mut Bench<'_>) -> Result<Outcome> {
    let whole = match bench.state.outcome(GROWTH).and_then(|known| known.figure) {
        Some(known) => known,
        None => growth(bench)?.figure.context("what a chain takes of the disk is not known")?,
    };
    let kept = KEPT.to_string();
    let long = Long::grow(bench, &[&NO_TERMS[..], &["--keep-blocks", &kept]].concat())?;
    let (height, oldest, left) = (long.height()?, long.oldest()?, long.mebibytes_per_million());
    let note = format!(
        "{left:.0} MiB a million of {whole:.0}; {} transfers, blocks {oldest} to {height} in the index, agreement's by sections of {SECTION}",
        long.transfers
    );
    Ok(Outcome::of(left / (whole * share_left(height, oldest)?), note))
}

/// The part of a chain's blocks that may still be on the disk. That more are kept than a few times what was asked for is no figure.
fn share_left(height: u64, oldest: u64) -> Result<f64> {
    let kept = height.saturating_sub(oldest);
    // A restart executes again what came since the newest snapshot, so those stay as well.
    if kept > 4 * KEPT {
        bail!("blocks {oldest} to {height} are there, though {KEPT} are to be kept");
    }
    Ok(((kept + 2 * SECTION) as f64 / height.max(1) as f64).min(1.0))
}

/// Where the ledger's bars keep what they make.
pub fn folder(bench: &Bench<'_>) -> Result<PathBuf> {
    let folder = bench.workspace.target().join("ledger");
    fs::create_dir_all(&folder).context("failed to make a folder for the ledger's bars")?;
    Ok(folder)
}

fn forget_derived(folder: &Path) -> Result<()> {
    for name in DERIVED {
        let path = folder.join("nodes").join(VALIDATOR).join(name);
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("failed to remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// What the files below a folder take on the disk. Files that vanish meanwhile are nothing.
fn bytes_in(folder: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let entries = fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))?;
    let mut bytes = 0;
    for entry in entries {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { bytes_in(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_may_be_left_is_that_of_kept_blocks_and_too_many_are_none() {
        assert_eq!(share_left(20_480, 19_456).unwrap(), 0.15);
        assert_eq!(share_left(300, 0).unwrap(), 1.0);
        for (height, oldest) in [(20_480, 0), (20_480, 10_000)] {
            assert!(share_left(height, oldest).is_err());
        }
    }

    #[test]
    fn what_lies_below_a_folder_is_counted_as_the_disk_has_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        fs::write(folder.path().join("deep/file"), vec![1; 10_000]).unwrap();
        let bytes = bytes_in(folder.path()).unwrap();
        assert!((10_000..20_000).contains(&bytes), "{bytes}");
        assert!(bytes_in(&folder.path().join("none")).is_err());
    }
}
