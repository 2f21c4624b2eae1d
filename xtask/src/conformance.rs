//! `cargo xtask conformance`: docs/onnx-conformance.md made afresh, from the standard's cases and the models of packages, run here and
//! in other runtimes.
//!
//! The page holds no number that this run did not find.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::check::cargo;
use crate::python::{MODELS, STANDARDS, apart, environment};
use crate::workspace::Workspace;
use crate::{stage, standards};

/// What the page says of the other runtimes' versions is what their lock says.
const PEERS: &str = "tests/onnx-peers";
pub const RUNTIMES: [&str; 2] = ["tract", "rten"];
const PAGE: &str = "docs/onnx-conformance.md";

/// True if every case that is claimed passes; the page is not written otherwise.
pub fn run() -> Result<bool> {
    let workspace = Workspace::find()?;
    let interpreter = environment(&workspace, &STANDARDS)?;
    let cases = standards::onnx(&workspace)?;
    let results = workspace.target().join("standards/results");
    if results.exists() {
        fs::remove_dir_all(&results).with_context(|| format!("failed to empty {}", results.display()))?;
    }
    fs::create_dir_all(&results).with_context(|| format!("failed to make {}", results.display()))?;
    let list = [cases.as_os_str(), "--list".as_ref(), "all".as_ref()];
    let held = kept(example(&workspace, "graph", "conformance")?.args(list), &results.join("ours.txt"))?;
    kept(example(&workspace, "graph", "integer_forms")?.arg(&cases), &results.join("integers.txt"))?;
    peers(&workspace, &cases, &[], &results)?;
    packages(&workspace, &interpreter, &results)?;
    let mut table = script(&workspace, &interpreter, "models/onnx/conformance.py");
    let written = stage::run("the page", table.arg(&cases).arg(&results).arg(workspace.root().join(PAGE)))?;
    Ok(held && written)
}

/// A program of a room, built.
fn example(workspace: &Workspace, room: &str, name: &str) -> Result<Command> {
    let mut build = cargo(workspace);
    if !stage::run(&format!("build {name}"), build.args(["build", "--quiet", "--package", room, "--example", name]))? {
        bail!("failed to build the example {name} of {room}");
    }
    let mut command = cargo(workspace);
    command.args(["run", "--quiet", "--package", room, "--example", name, "--"]);
    Ok(command)
}

fn script(workspace: &Workspace, interpreter: &Path, path: &str) -> Command {
    let mut command = Command::new(interpreter);
    command.arg(workspace.root().join(path)).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Keeps what a command prints in a file; whether it succeeded.
fn kept(command: &mut Command, path: &Path) -> Result<bool> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let file = File::create(path).with_context(|| format!("failed to write {}", path.display()))?;
    let started = stage::open(&name);
    let status = command.stdin(Stdio::null()).stdout(file).status().context("failed to start a run of cases")?;
    stage::close(&name, started, status.success());
    Ok(status.success())
}

/// tract and rten, built by their own lock, on the cases of some kinds, or of all where none is named. What each printed lies in
/// `<its name>.txt`.
pub fn peers(workspace: &Workspace, cases: &Path, kinds: &[&str], results: &Path) -> Result<()> {
    let manifest = workspace.root().join(PEERS).join("Cargo.toml");
    let folder = workspace.target().join("standards/peers");
    let mut build = cargo(workspace);
    build.args(["build", "--quiet", "--locked", "--manifest-path"]).arg(&manifest).arg("--target-dir").arg(&folder);
    if !stage::run("build tract and rten", &mut build)? {
        bail!("failed to build {PEERS}\nhint: it needs the registry once");
    }
    for peer in RUNTIMES {
        let mut command = Command::new(folder.join("debug/onnx-peers"));
        command.arg(peer).arg(cases).args(kinds).stderr(Stdio::null());
        if !kept(&mut command, &results.join(format!("{peer}.txt")))? {
            bail!("{peer} ended before its last case");
        }
    }
    let lock = manifest.with_file_name("Cargo.lock");
    let lock = fs::read_to_string(&lock).with_context(|| format!("failed to read {}", lock.display()))?;
    fs::write(results.join("versions.txt"), versions(&lock)).context("failed to write the versions")
}

/// `name=version` of every package of a lock, a line each.
fn versions(lock: &str) -> String {
    let value = |line: &str, key: &str| Some(line.strip_prefix(key)?.trim_matches([' ', '=', '"']).to_owned());
    let names = lock.lines().filter_map(|line| value(line, "name"));
    // The first version of a lock is its own format's.
    let versions = lock.lines().filter(|line| line.contains('"')).filter_map(|line| value(line, "version"));
    names.zip(versions).map(|(name, version)| format!("{name}={version}\n")).collect()
}

/// The models of packages, with inputs and onnxruntime's outputs, through our engine on every level of the CPU.
fn packages(workspace: &Workspace, interpreter: &Path, results: &Path) -> Result<()> {
    let (models, packages) = (workspace.target().join("standards/models"), apart(workspace, &MODELS, interpreter)?);
    if models.exists() {
        fs::remove_dir_all(&models).with_context(|| format!("failed to empty {}", models.display()))?;
    }
    let mut make = script(workspace, interpreter, "models/onnx/packages.py");
    if !stage::run("models of packages", make.arg(&models).arg(packages))? {
        bail!("models/onnx/packages.py failed");
    }
    let about = "packages.tsv";
    fs::copy(models.join(about), results.join(about)).context("failed to keep what the models are")?;
    let mut folders: Vec<PathBuf> = Vec::new();
    for entry in models.read_dir().context("failed to list the models")? {
        folders.extend(Some(entry?.path()).filter(|path| path.is_dir()));
    }
    folders.sort();
    // The folder of this one is named after its digest, too.
    let magika = models.join("magika");
    std::os::unix::fs::symlink(standards::magika(workspace)?, &magika).context("failed to place magika's model")?;
    let mut run = example(workspace, "engine", "onnx_model")?;
    if !kept(run.args(folders).arg(magika), &results.join("packages.txt"))? {
        bail!("a model of packages stopped the run");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_stand_beside_their_names() {
        let lock = "version = 4\n\n[[package]]\nname = \"one\"\nversion = \"1.2.3\"\ndependencies = [\n \"two\",\n]\n\n[[package]]\nname = \"two\"\nversion = \"0.4.0+x\"\n";
        assert_eq!(versions(lock), "one=1.2.3\ntwo=0.4.0+x\n");
    }
}
