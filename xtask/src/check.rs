//! `cargo xtask check`: format, lints, rules. Everything here is quick when nothing changed.

use std::process::Command;

use anyhow::{Result, bail};

use crate::stage;
use crate::tidy as rules;
use crate::workspace::Workspace;

/// All of it; false if anything was found. A failed step does not hide the next one's findings.
pub fn run(area: Option<&str>) -> Result<bool> {
    let workspace = Workspace::find()?;
    if let Some(area) = area
        && !workspace.has_crate(area)?
    {
        bail!("no crate is called `{area}`\nhint: one of {}", workspace.crates()?.join(", "));
    }
    let tidied = tidy()?;
    let formatted = stage::run("format", cargo(&workspace).args(["fmt", "--all", "--check"]))?;
    let linted = stage::run("lint", &mut clippy(&workspace, area))?;
    Ok(tidied && formatted && linted)
}

/// The rules alone: they read files and build nothing.
pub fn tidy() -> Result<bool> {
    let workspace = Workspace::find()?;
    let started = stage::open("tidy");
    let findings = rules::run(&rules::tree::Tree::read(workspace.root())?);
    for finding in &findings {
        println!("{finding}");
    }
    stage::close("tidy", started, findings.is_empty());
    Ok(findings.is_empty())
}

fn clippy(workspace: &Workspace, area: Option<&str>) -> Command {
    let mut command = cargo(workspace);
    command.args(["clippy", "--quiet", "--all-targets"]);
    match area {
        Some(area) => command.args(["--package", area]),
        None => command.arg("--workspace"),
    };
    command.args(["--", "--deny", "warnings"]);
    command
}

/// Cargo at the root of the checkout, the same one that runs us.
pub fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace.root());
    command
}
