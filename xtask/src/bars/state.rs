//! What an interrupted run had measured: one file per area, valid for one very tree and one size of counts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::figure::Outcome;
use crate::workspace::Workspace;

/// Figures and half-done bars, on disk after every change.
pub struct State {
    file: PathBuf,
    kept: Kept,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    /// Which tree and which counts the figures are of.
    key: String,
    outcomes: BTreeMap<String, Outcome>,
    progress: BTreeMap<String, Value>,
}

impl State {
    /// Continues the file of this area, or begins it anew if it is of another tree, complete, or not wanted.
    pub fn open(workspace: &Workspace, area: &str, small: bool, fresh: bool) -> Result<Self> {
        let folder = workspace.target().join("bars");
        fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
        let size = if small { "small" } else { "full" };
        let key = format!("{} {size}", tree_key(workspace.root())?);
        Ok(Self::load(folder.join(format!("{area}.json")), key, fresh))
    }

    fn load(file: PathBuf, key: String, fresh: bool) -> Self {
        let read = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
        let kept = read.filter(|kept| kept.key == key && !fresh);
        let kept = kept.unwrap_or_else(|| Kept { key, outcomes: BTreeMap::new(), progress: BTreeMap::new() });
        Self { file, kept }
    }

    /// A figure measured earlier on this very tree.
    pub fn outcome(&self, bar: &str) -> Option<Outcome> {
        self.kept.outcomes.get(bar).cloned()
    }

    /// Keeps a figure. What is missing is not kept: the next run tries it again.
    pub fn keep(&mut self, bar: &str, outcome: &Outcome) -> Result<()> {
        self.kept.progress.remove(bar);
        if outcome.figure.is_some() {
            self.kept.outcomes.insert(bar.to_owned(), outcome.clone());
        }
        self.write()
    }

    pub fn progress(&self, bar: &str) -> Option<Value> {
        self.kept.progress.get(bar).cloned()
    }

    pub fn keep_progress(&mut self, bar: &str, progress: Value) -> Result<()> {
        self.kept.progress.insert(bar.to_owned(), progress);
        self.write()
    }

    /// Whole or not at all, because the interruption that this file is for may come while it is written.
    fn write(&self) -> Result<()> {
        let beside = self.file.with_extension("new");
        let bytes = serde_json::to_vec_pretty(&self.kept).context("failed to encode the figures")?;
        fs::write(&beside, bytes).with_context(|| format!("failed to write {}", beside.display()))?;
        fs::rename(&beside, &self.file).with_context(|| format!("failed to replace {}", self.file.display()))
    }
}

/// The commit, and a digest of what differs from it.
pub fn tree_key(root: &Path) -> Result<String> {
    let commit = git(root, &["rev-parse", "HEAD"])?;
    let difference = git(root, &["diff", "HEAD"])?;
    if difference.is_empty() {
        return Ok(commit);
    }
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    difference.hash(&mut hasher);
    Ok(format!("{commit}+{:016x}", hasher.finish()))
}

fn git(root: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new("git").current_dir(root).args(arguments).output().context("failed to start git")?;
    if !output.status.success() {
        bail!("failed to ask git: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(folder: &Path, key: &str, fresh: bool) -> State {
        State::load(folder.join("network.json"), key.to_owned(), fresh)
    }

    #[test]
    fn a_run_on_the_same_tree_continues() {
        let folder = tempfile::tempdir().unwrap();
        load(folder.path(), "a", false).keep("ready", &Outcome::of(1.5, "once")).unwrap();
        load(folder.path(), "a", false).keep_progress("kills", 7.into()).unwrap();
        let again = load(folder.path(), "a", false);
        assert_eq!(again.outcome("ready").unwrap().figure, Some(1.5));
        assert_eq!(again.progress("kills"), Some(7.into()));
    }

    #[test]
    fn a_run_on_another_tree_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        load(folder.path(), "a", false).keep("ready", &Outcome::of(1.5, "once")).unwrap();
        assert!(load(folder.path(), "b", false).outcome("ready").is_none());
        assert!(load(folder.path(), "a", true).outcome("ready").is_none());
    }

    #[test]
    fn what_was_missing_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        load(folder.path(), "a", false).keep("ready", &Outcome::missing("no verb")).unwrap();
        assert!(load(folder.path(), "a", false).outcome("ready").is_none());
    }

    #[test]
    fn a_torn_file_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("network.json"), "{\"key\":").unwrap();
        assert!(load(folder.path(), "a", false).outcome("ready").is_none());
    }
}
