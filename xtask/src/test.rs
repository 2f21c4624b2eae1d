//! `cargo xtask test`: check, then every test there is; the last line is how many passed and failed.
//!
//! A new test, crate or model needs no new line here: all are found where they lie.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::check::{self, cargo};
use crate::emulated::{self, Missing};
use crate::python;
use crate::stage;
use crate::standards;
use crate::tally::Tally;
use crate::workspace::Workspace;

/// Where the Rust tests find the interpreter that has the official clients installed.
const INTERPRETER_VARIABLE: &str = "OG_TEST_PYTHON";
/// Where they find OpenGradient's fork of x402's package.
const FORK_VARIABLE: &str = "OG_TEST_FORK";
/// Where they find the Node packages of Ethereum's clients.
const CLIENTS_VARIABLE: &str = "OG_TEST_NODE";
/// Where they find those of the contracts.
const CONTRACTS_VARIABLE: &str = "OG_TEST_CONTRACTS";

/// Where they find those of x402's clients and middleware.
const PAYERS_VARIABLE: &str = "OG_TEST_PAYERS";

/// Where they find the interpreter that has OpenGradient's SDK.
const SDK_VARIABLE: &str = "OG_TEST_SDK";
/// Where they find x402's client in Rust, which has a workspace and a lock of its own.
const RUST_PAYER_VARIABLE: &str = "OG_TEST_RUST_PAYER";

/// Every stage runs even if an earlier one failed, so that one run tells all there is to mend.
pub fn run(area: Option<&str>) -> Result<bool> {
    let workspace = Workspace::find()?;
    let scope = Scope::of(&workspace, area)?;
    python::require_tools()?;
    let interpreter = python::environment(&workspace, &python::TESTS)?;
    let mut tally = Tally::default();
    if scope.rust {
        let (checked, payer, made) = std::thread::scope(|scope| {
            // Packages wait for the network and for the disk: the compiler has the cores meanwhile.
            let made = scope.spawn(|| environments(&workspace, &interpreter));
            (check::run(area), rust_payer(&workspace), made.join())
        });
        tally = tally + Tally::default().with_status(checked?);
        let mut variables = made.unwrap_or_else(|_| bail!("the tests' packages were not installed"))?;
        variables.push((RUST_PAYER_VARIABLE, payer?));
        tally = tally + rust_tests(&workspace, area, variables)?;
        tally = tally + doc_tests(&workspace, area)?;
        if area.is_none_or(|area| area == "engine") {
            tally = tally + emulated::run(&workspace, Missing::here())?;
        }
    }
    for script in &scope.scripts {
        tally = tally + python_test(&workspace, script, &interpreter)?;
    }
    println!("{tally}");
    Ok(tally.failed == 0)
}

/// What tests find in the environment, but for what cargo builds.
fn environments(workspace: &Workspace, interpreter: &Path) -> Result<Vec<(&'static str, PathBuf)>> {
    let mut variables = vec![
        (INTERPRETER_VARIABLE, interpreter.to_owned()),
        (CLIENTS_VARIABLE, python::packages(workspace, &python::CLIENTS)?),
        (CONTRACTS_VARIABLE, python::packages(workspace, &python::CONTRACTS)?),
        (PAYERS_VARIABLE, python::packages(workspace, &python::PAYERS)?),
        (FORK_VARIABLE, python::apart(workspace, &python::FORK, interpreter)?),
        (SDK_VARIABLE, python::environment(workspace, &python::SDK)?),
    ];
    variables.extend(standards::variables(workspace)?);
    Ok(variables)
}

/// Builds the registry's Rust client; nothing of it is in the workspace's own lock.
fn rust_payer(workspace: &Workspace) -> Result<PathBuf> {
    let (manifest, folder) =
        (workspace.root().join("tests/payers-rust/Cargo.toml"), workspace.target().join("payers-rust"));
    let mut build = cargo(workspace);
    build.args(["build", "--quiet", "--locked", "--manifest-path"]).arg(manifest).arg("--target-dir").arg(&folder);
    if !stage::run("the Rust payer", &mut build)? {
        bail!("failed to build tests/payers-rust\nhint: it needs the registry once");
    }
    Ok(folder.join("debug/payers-rust"))
}

/// Which of the tests an area means.
struct Scope {
    rust: bool,
    scripts: Vec<PathBuf>,
}

impl Scope {
    fn of(workspace: &Workspace, area: Option<&str>) -> Result<Self> {
        let models = workspace.folders("models", "")?;
        match area {
            None => Ok(Self { rust: true, scripts: scripts(workspace, &models)? }),
            Some(area) if workspace.has_crate(area)? => Ok(Self { rust: true, scripts: Vec::new() }),
            Some(area) if models.iter().any(|model| model == area) => {
                Ok(Self { rust: false, scripts: scripts(workspace, &[area.to_owned()])? })
            }
            Some(area) => bail!(
                "neither a crate nor a model is called `{area}`\nhint: one of {}, xtask, {}",
                workspace.crates()?.join(", "),
                models.join(", ")
            ),
        }
    }
}

/// The files `test_*.py` in the folders of these models.
fn scripts(workspace: &Workspace, models: &[String]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for model in models {
        let folder = workspace.root().join("models").join(model);
        for entry in folder.read_dir().with_context(|| format!("failed to list {}", folder.display()))? {
            let path = entry?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.starts_with("test_") && name.ends_with(".py") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn rust_tests(workspace: &Workspace, area: Option<&str>, variables: Vec<(&str, PathBuf)>) -> Result<Tally> {
    let has_nextest = cargo(workspace).args(["nextest", "--version"]).output().is_ok_and(|out| out.status.success());
    let mut command = cargo(workspace);
    if has_nextest {
        command.args(["nextest", "run", "--no-fail-fast"]);
    } else {
        command.args(["test", "--no-fail-fast", "--tests"]);
    }
    command.args(packages(area)).envs(variables);
    let outcome = stage::run_and_read("rust tests", &mut command)?;
    let tally = if has_nextest { Tally::of_nextest(&outcome.output) } else { Tally::of_libtest(&outcome.output) };
    // Nextest fails where there is nothing to run; a crate without tests yet is not a failed test.
    let nothing = has_nextest && outcome.output.contains("no tests to run");
    Ok(tally.with_status(outcome.succeeded || nothing))
}

fn doc_tests(workspace: &Workspace, area: Option<&str>) -> Result<Tally> {
    if area.is_some_and(|area| !workspace.root().join("crates").join(area).join("src/lib.rs").is_file()) {
        return Ok(Tally::default());
    }
    let mut command = cargo(workspace);
    command.args(["test", "--quiet", "--doc", "--no-fail-fast"]).args(packages(area));
    let outcome = stage::run_and_read("documentation tests", &mut command)?;
    Ok(Tally::of_libtest(&outcome.output).with_status(outcome.succeeded))
}

fn packages(area: Option<&str>) -> Vec<&str> {
    area.map_or_else(|| vec!["--workspace"], |area| vec!["--package", area])
}

/// A file of tests in which nothing ran tests nothing, so that fails too.
fn python_test(workspace: &Workspace, script: &Path, interpreter: &Path) -> Result<Tally> {
    let name = script.strip_prefix(workspace.root()).unwrap_or(script).display().to_string();
    let (folder, module) = script.parent().zip(script.file_stem()).context("a test without a folder")?;
    let mut command = Command::new(interpreter);
    command.args(["-m", "unittest"]).arg(module).current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1");
    let outcome = stage::run_and_read(&name, &mut command)?;
    let tally = Tally::of_unittest(&outcome.output).unwrap_or_default();
    Ok(tally.with_status(outcome.succeeded && tally.passed > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_area_is_named_with_the_choices() {
        let workspace = Workspace::find().unwrap();
        let error = Scope::of(&workspace, Some("nowhere")).err().unwrap().to_string();
        assert!(error.contains("`nowhere`") && error.contains("ledger"), "{error}");
    }
}
