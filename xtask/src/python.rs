//! The Python and Node that the tests need: found or named as missing; a virtual environment under the build folder.
//!
//! Nothing is installed outside the build folder, and nothing that `tests/requirements.txt` does not pin.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::stage;
use crate::workspace::Workspace;

/// The program, how to ask whether it is there, and what installs it.
const TOOLS: &[(&str, &[&str], &str)] = &[
    ("python3", &["-c", "import sys; sys.exit(sys.version_info < (3, 11))"], "install Python 3.11 or newer"),
    ("python3", &["-m", "venv", "--help"], "install Python's venv module (Debian: python3-venv)"),
    ("python3", &["-m", "ensurepip", "--version"], "install pip for Python 3 (Debian: python3-pip, python3-venv)"),
    ("node", &["--version"], "install Node.js 18 or newer"),
];

const REQUIREMENTS: &str = "tests/requirements.txt";

/// Refuses, naming every tool that is missing at once.
pub fn require_tools() -> Result<()> {
    let missing: Vec<String> = TOOLS
        .iter()
        .filter(|(program, arguments, _)| !answers(program, arguments))
        .map(|(program, arguments, hint)| format!("missing: `{program} {}`\nhint: {hint}", arguments.join(" ")))
        .collect();
    if missing.is_empty() { Ok(()) } else { bail!("the tests need other programs\n{}", missing.join("\n")) }
}

fn answers(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The interpreter of an environment that holds exactly what is pinned; made anew when the pins changed.
pub fn environment(workspace: &Workspace) -> Result<PathBuf> {
    let pins = workspace.root().join(REQUIREMENTS);
    let wanted = fs::read_to_string(&pins).with_context(|| format!("failed to read {REQUIREMENTS}"))?;
    let folder = workspace.target().join("test-venv");
    let interpreter = folder.join("bin/python");
    // Written last, so that an interrupted installation is never taken for a whole one.
    let marker = folder.join("installed.txt");
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return Ok(interpreter);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("failed to remove {}", folder.display()))?;
    }
    let made = stage::run("python environment", Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let mut install = Command::new(&interpreter);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    let installed = made && stage::run("python packages", install.arg(&pins))?;
    if !installed {
        bail!("failed to make the Python environment in {}\nhint: it needs the network once", folder.display());
    }
    fs::write(&marker, wanted).with_context(|| format!("failed to write {}", marker.display()))?;
    Ok(interpreter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_does_not_answer() {
        assert!(!answers("no-such-program", &["--version"]));
        assert!(!answers("sh", &["-c", "exit 1"]));
        assert!(answers("sh", &["-c", "exit 0"]));
    }
}
