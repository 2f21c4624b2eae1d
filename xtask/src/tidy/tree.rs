//! The files that the rules look at: everything that git tracks or would track, read once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

/// No source is larger; what is (weights, recordings) is known by its path alone.
const TEXT_BYTES_MAX: u64 = 2 << 20;

/// Paths relative to the root, with `/` between folders, and the text of those files that are text.
pub struct Tree {
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    /// Reads a checkout, leaving out what git ignores.
    pub fn read(root: &Path) -> Result<Self> {
        let listing = Command::new("git")
            .current_dir(root)
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
            .output()
            .context("failed to start git")?;
        if !listing.status.success() {
            bail!("failed to list files: {}", String::from_utf8_lossy(&listing.stderr).trim());
        }
        let names = String::from_utf8(listing.stdout).context("failed to read a file name as UTF-8")?;
        let mut files = BTreeMap::new();
        for name in names.split('\0').filter(|name| !name.is_empty()) {
            let path = root.join(name);
            // Tracked but deleted in the working tree: git will say so itself.
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            let readable = metadata.is_file() && metadata.len() <= TEXT_BYTES_MAX;
            let text = if readable { String::from_utf8(fs::read(&path)?).ok() } else { None };
            files.insert(name.to_owned(), text);
        }
        Ok(Self { files })
    }

    /// A tree made up for a test.
    #[cfg(test)]
    pub fn planted(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned()))).collect() }
    }

    /// Every path, text or not.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The text of a file, if there is such a file and it is text.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// Every text file, with its path.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// Every Rust source, with its path.
    pub fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(|(path, _)| path.ends_with(".rs"))
    }

    /// The name of every room: a folder in `crates/` with a manifest.
    pub fn rooms(&self) -> impl Iterator<Item = &str> {
        self.paths().filter_map(|path| path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml"))
    }

    /// A manifest, parsed; an empty one if it is missing or broken, which cargo reports better than we could.
    pub fn manifest(&self, path: &str) -> Table {
        self.text(path).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// Whether only tests (or benchmarks) compile a source: it lies in their folder, or a module above it is theirs.
    pub fn is_test(&self, path: &str) -> bool {
        let folders = path.split('/').rev().skip(1);
        folders.into_iter().any(|folder| matches!(folder, "tests" | "benches" | "examples"))
            || path.match_indices('/').map(|(at, _)| at).chain([path.len()]).any(|end| self.is_test_module(path, end))
    }

    /// Whether `path[..end]`, a source or its folder, is declared by the file above it as `#[cfg(test)] mod …;`.
    fn is_test_module(&self, path: &str, end: usize) -> bool {
        let Some((folder, name)) = path.get(..end).and_then(|start| start.rsplit_once('/')) else { return false };
        let name = name.strip_suffix(".rs").unwrap_or(name);
        let declaration = format!("#[cfg(test)] mod {name};");
        let above = ["lib.rs", "main.rs", "mod.rs"].map(|file| format!("{folder}/{file}"));
        above.iter().chain([&format!("{folder}.rs")]).filter_map(|path| self.text(path)).any(|text| {
            // Only where the words stand at all is it worth folding the white space.
            text.contains(&format!("mod {name};"))
                && text.split_whitespace().collect::<Vec<_>>().join(" ").contains(&declaration)
        })
    }

    /// The first line of `path` that begins with `start`, counted from 1; 1 if none does.
    pub fn line_of(&self, path: &str, start: &str) -> usize {
        let lines = self.text(path).unwrap_or_default().lines();
        lines.zip(1..).find(|(line, _)| line.trim_start().starts_with(start)).map_or(1, |(_, number)| number)
    }
}

/// What a manifest depends on: the name that it uses, and the table or version that it wrote. Tables of one kind,
/// those under `[target.….]` included.
pub fn dependencies<'a>(manifest: &'a Table, kind: &str) -> Vec<(&'a str, &'a Value)> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let tables = targets.filter_map(Value::as_table).chain([manifest]);
    let chosen = tables.filter_map(|table| table.get(kind)?.as_table());
    chosen.flat_map(|table| table.iter().map(|(name, value)| (name.as_str(), value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_ignores_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let git = |arguments: &[&str]| Command::new("git").current_dir(folder.path()).args(arguments).output().unwrap();
        git(&["init", "--quiet"]);
        fs::write(folder.path().join(".gitignore"), "built\n").unwrap();
        fs::write(folder.path().join("built"), "").unwrap();
        fs::write(folder.path().join("weights"), [0xff, 0xfe]).unwrap();
        let tree = Tree::read(folder.path()).unwrap();
        assert_eq!(tree.paths().collect::<Vec<_>>(), [".gitignore", "weights"]);
        assert_eq!(tree.text("weights"), None);
    }

    #[test]
    fn a_module_for_tests_is_known_with_all_below_it() {
        let tree = Tree::planted(&[
            ("crates/a/src/lib.rs", "mod one;\n#[cfg(test)]\nmod oracle;\n"),
            ("crates/a/src/one.rs", "#[cfg(test)]\nmod hostile;"),
        ]);
        let tests = ["crates/a/src/oracle.rs", "crates/a/src/oracle/cases.rs", "crates/a/src/one/hostile.rs"];
        assert!(tests.iter().all(|path| tree.is_test(path)));
        assert!(tree.is_test("crates/a/tests/facts.rs"));
        assert!(!tree.is_test("crates/a/src/one.rs") && !tree.is_test("crates/a/src/lib.rs"));
    }

    #[test]
    fn dependencies_of_one_target_are_found_too() {
        let manifest: Table = "[dependencies]\na = '1'\n[target.'cfg(unix)'.dependencies]\nb = '1'".parse().unwrap();
        let mut names: Vec<_> = dependencies(&manifest, "dependencies").iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        assert_eq!(names, ["a", "b"]);
    }
}
