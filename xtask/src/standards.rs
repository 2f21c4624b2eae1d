//! Cases that others wrote: ONNX's backend test, vocabularies with their tokens, chat templates, types of files.
//!
//! They come out of pinned packages, once for each text of the scripts and pins, into the build folder; tests, bars and tables read them there.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::python::{STANDARDS, environment};
use crate::stage;
use crate::workspace::Workspace;

/// What the scripts run with.
const PINS: &str = "tests/standards.txt";
/// The package that has the vocabularies is pinned with the peers.
const PEERS: &str = "models/peers/requirements.txt";
/// The folders of this tree whose files have types.
const FOLDERS: [&str; 7] = ["contracts", "crates", "docs", "models", "specs", "tests", "xtask"];

/// The variables by which tests find all of them.
pub fn variables(workspace: &Workspace) -> Result<[(&'static str, PathBuf); 3]> {
    let (onnx, words, magika) = (onnx(workspace)?, words(workspace)?, magika(workspace)?);
    Ok([("OG_TEST_ONNX", onnx), ("OG_TEST_WORDS", words), ("OG_TEST_MAGIKA", magika)])
}

/// Every case of the ONNX standard.
pub fn onnx(workspace: &Workspace) -> Result<PathBuf> {
    made(workspace, "onnx", "models/onnx/cases.py", &[])
}

/// Public vocabularies and chat templates, with what others make of them.
pub fn words(workspace: &Workspace) -> Result<PathBuf> {
    made(workspace, "words", "models/peers/words.py", &[workspace.root().join(PEERS)])
}

/// Files of many types with the labels that `magika` gives them: this tree's own, and those of the packages.
pub fn magika(workspace: &Workspace) -> Result<PathBuf> {
    let mut folders = FOLDERS.map(|folder| workspace.root().join(folder)).to_vec();
    folders.push(workspace.target().join("standards/venv/lib"));
    made(workspace, "magika", "models/onnx/magika_cases.py", &folders)
}

/// The folder that a script fills: `python script FOLDER [arguments]`.
fn made(workspace: &Workspace, name: &str, script: &str, arguments: &[PathBuf]) -> Result<PathBuf> {
    let path = workspace.root().join(script);
    let interpreter = environment(workspace, &STANDARDS)?;
    let mut texts = vec![path.clone(), workspace.root().join(PINS)];
    texts.extend(arguments.iter().filter(|path| path.is_file()).cloned());
    let mut hasher = DefaultHasher::new();
    for text in texts {
        fs::read(&text).with_context(|| format!("failed to read {}", text.display()))?.hash(&mut hasher);
    }
    let folder = workspace.target().join("standards").join(format!("{name}-{:08x}", hasher.finish() >> 32));
    if folder.exists() {
        return Ok(folder);
    }
    // Filled beside, so that an interrupted run leaves nothing that looks whole.
    let part = folder.with_extension("part");
    if part.exists() {
        fs::remove_dir_all(&part).with_context(|| format!("failed to remove {}", part.display()))?;
    }
    let mut command = Command::new(interpreter);
    command.arg(path).arg(&part).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
    if !stage::run(&format!("cases: {name}"), &mut command)? {
        bail!("{script} failed\nhint: it needs the network once");
    }
    fs::rename(&part, &folder).with_context(|| format!("failed to keep {}", folder.display()))?;
    Ok(folder)
}
