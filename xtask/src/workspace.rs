//! Where things lie: the repository's root, the build folder, the crates.
//!
//! Holds no path of the machine on which it was compiled: everything is asked for when the program runs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The checkout that this run is about.
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Finds the root from where cargo runs us, or else from the current folder upward.
    pub fn find() -> Result<Self> {
        let start = match std::env::var_os("CARGO_MANIFEST_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => std::env::current_dir().context("failed to read the current folder")?,
        };
        let root = start.ancestors().find(|folder| folder.join("xtask/Cargo.toml").is_file());
        match root {
            Some(root) => Ok(Self { root: root.to_path_buf() }),
            None => bail!("failed to find the repository above {}\nhint: run this inside a checkout", start.display()),
        }
    }

    /// The checkout's root folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo puts what it builds, and where this program keeps its own state: never inside the tree.
    pub fn target(&self) -> PathBuf {
        match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => self.root.join(folder),
            None => self.root.join("target"),
        }
    }

    /// The names of the rooms, in order: the folders under `crates/`.
    pub fn crates(&self) -> Result<Vec<String>> {
        self.folders("crates", "Cargo.toml")
    }

    /// Whether `name` is a crate that cargo knows here.
    pub fn has_crate(&self, name: &str) -> Result<bool> {
        Ok(name == "xtask" || self.crates()?.iter().any(|room| room == name))
    }

    /// The names of the folders under `parent` that hold a file called `marker`; any folder if it is empty.
    pub fn folders(&self, parent: &str, marker: &str) -> Result<Vec<String>> {
        let parent = self.root.join(parent);
        if !parent.is_dir() {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        for entry in parent.read_dir().with_context(|| format!("failed to list {}", parent.display()))? {
            let path = entry?.path();
            if path.is_dir() && path.join(marker).exists() {
                names.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
            }
        }
        names.sort();
        Ok(names)
    }
}
