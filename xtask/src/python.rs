//! The Python and Node that the tests need: found or named as missing; their packages under the build folder.
//!
//! Nothing is installed outside the build folder, and nothing that a file of requirements does not pin.

use std::fs;
use std::path::{Path, PathBuf};
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
    ("npm", &["--version"], "install npm, which comes with Node.js (Debian: npm)"),
];

/// A virtual environment: what pins it, where it lies, and what its packages are built with.
pub struct Environment {
    requirements: &'static str,
    folder: &'static str,
    variables: fn(&Workspace) -> Vec<(&'static str, String)>,
}

/// The official clients, and what the models' tests need.
pub static TESTS: Environment =
    Environment { requirements: "tests/requirements.txt", folder: "test-venv", variables: |_| Vec::new() };

/// OpenGradient's SDK, whose fork of x402 has the name of the package that the tests' environment has.
pub static SDK: Environment =
    Environment { requirements: "tests/opengradient.txt", folder: "test-sdk", variables: |_| Vec::new() };

/// The engines that ours is measured beside. llama.cpp is built from its source, for the very CPU at hand: its best.
pub static PEERS: Environment =
    Environment { requirements: "models/peers/requirements.txt", folder: "peers/venv", variables: native };

/// Where the cases come from that others wrote, and the runtime that ONNX models are compared with.
pub static STANDARDS: Environment =
    Environment { requirements: "tests/standards.txt", folder: "standards/venv", variables: |_| Vec::new() };

/// The same, compiled for CPUs that have AVX2 and nothing newer, wherever it is measured.
pub static PEERS_AVX2: Environment =
    Environment { requirements: "models/peers/requirements.txt", folder: "peers/venv-avx2", variables: avx2 };

/// The executable specification of Ethereum.
pub static SPECIFICATION: Environment = Environment {
    requirements: "crates/evm/tests/conformance/requirements.txt",
    folder: "ledger/venv",
    variables: |_| Vec::new(),
};

/// The harness that scores a task of our own.
pub static EVALUATION: Environment =
    Environment { requirements: "tests/harness/lm-eval.txt", folder: "harness/lm-eval", variables: |_| Vec::new() };

/// The load generator that asks a devnet as its many users would.
pub static LOAD: Environment =
    Environment { requirements: "tests/harness/aiperf.txt", folder: "harness/aiperf", variables: |_| Vec::new() };

/// Another one, of the vLLM project: the last version that needs no torch.
pub static GUIDE: Environment =
    Environment { requirements: "tests/harness/guidellm.txt", folder: "harness/guidellm", variables: |_| Vec::new() };

fn native(workspace: &Workspace) -> Vec<(&'static str, String)> {
    let header = workspace.root().join("models/peers/tile.h");
    compiled("-DGGML_NATIVE=ON", &format!("-include {}", header.display()))
}

/// Every instruction set is named, on or off; the order of instructions suits the CPU at hand.
fn avx2(_: &Workspace) -> Vec<(&'static str, String)> {
    let sets = "-DGGML_NATIVE=OFF -DGGML_SSE42=ON -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_BMI2=ON -DGGML_FMA=ON -DGGML_F16C=ON \
                -DGGML_AVX_VNNI=OFF -DGGML_AVX512=OFF";
    compiled(sets, "-mtune=native")
}

/// How llama.cpp is compiled. pip keeps what it once built and does not ask for what, so it must forget.
fn compiled(sets: &str, flags: &str) -> Vec<(&'static str, String)> {
    vec![("CMAKE_ARGS", sets.to_owned()), ("CXXFLAGS", flags.to_owned()), ("PIP_NO_CACHE_DIR", "1".to_owned())]
}

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
pub fn environment(workspace: &Workspace, environment: &Environment) -> Result<PathBuf> {
    let pins = workspace.root().join(environment.requirements);
    let wanted = fs::read_to_string(&pins).with_context(|| format!("failed to read {}", environment.requirements))?;
    let folder = workspace.target().join(environment.folder);
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
    install.arg(&pins).envs((environment.variables)(workspace));
    let installed = made && stage::run("python packages", &mut install)?;
    if !installed {
        bail!("failed to make the Python environment in {}\nhint: it needs the network once", folder.display());
    }
    fs::write(&marker, wanted).with_context(|| format!("failed to write {}", marker.display()))?;
    Ok(interpreter)
}

/// Packages that lie in a folder of their own, without what they need: what pins them, where, and what they are called here.
pub struct Apart {
    requirements: &'static str,
    folder: &'static str,
    name: &'static str,
}

/// OpenGradient's fork of a package that the tests' environment has under the same name.
pub static FORK: Apart = Apart { requirements: "contracts/og-x402.txt", folder: "test-fork", name: "the fork of x402" };

/// Packages in which ONNX models ship; nothing of them is run.
pub static MODELS: Apart =
    Apart { requirements: "models/onnx/packages.txt", folder: "standards/packages", name: "packages with models" };

/// The folder of such packages, which may come first in the path of whoever wants them; made anew when their pins changed.
pub fn apart(workspace: &Workspace, packages: &Apart, interpreter: &Path) -> Result<PathBuf> {
    let (pins, folder) = (workspace.root().join(packages.requirements), workspace.target().join(packages.folder));
    let wanted = fs::read_to_string(&pins).with_context(|| format!("failed to read {}", packages.requirements))?;
    let marker = folder.join("installed.txt");
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("failed to remove {}", folder.display()))?;
    }
    let mut install = Command::new(interpreter);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"]);
    install.arg(&folder).arg("--requirement").arg(&pins);
    if !stage::run(packages.name, &mut install)? {
        let folder = folder.display();
        bail!("failed to install {} in {folder}\nhint: it needs the network once", packages.requirements);
    }
    fs::write(&marker, wanted).with_context(|| format!("failed to write {}", marker.display()))?;
    Ok(folder)
}

/// Node's packages: where they are pinned, and where they are installed.
pub struct Packages {
    pins: &'static str,
    folder: &'static str,
}

/// Ethereum's clients, as the tests of the JSON-RPC run them.
pub static CLIENTS: Packages = Packages { pins: "tests/clients", folder: "test-npm" };
/// x402's clients and middleware, as the tests of payments run them.
pub static PAYERS: Packages = Packages { pins: "tests/payers", folder: "payers-npm" };
/// The compiler of the contracts, what they are built on, and the clients that sign for them.
pub static CONTRACTS: Packages = Packages { pins: "contracts", folder: "contracts-npm" };

/// The folder beside whose packages a script must lie; made anew when the pins changed.
pub fn packages(workspace: &Workspace, packages: &Packages) -> Result<PathBuf> {
    let (source, folder) = (workspace.root().join(packages.pins), workspace.target().join(packages.folder));
    let lock = source.join("package-lock.json");
    let wanted = fs::read_to_string(&lock).with_context(|| format!("failed to read {}", lock.display()))?;
    let marker = folder.join("installed.json");
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("failed to remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    for name in ["package.json", "package-lock.json", ".npmrc"] {
        fs::copy(source.join(name), folder.join(name)).with_context(|| format!("failed to copy {name}"))?;
    }
    let mut install = Command::new("npm");
    install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder);
    if !stage::run("node packages", &mut install)? {
        bail!("failed to install Node's packages in {}\nhint: it needs the network once", folder.display());
    }
    fs::write(&marker, wanted).with_context(|| format!("failed to write {}", marker.display()))?;
    Ok(folder)
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
