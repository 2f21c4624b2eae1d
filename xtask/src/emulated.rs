//! The engine's digests on other CPUs than this one, under an emulator: what the tests print must be the same everywhere.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::check::cargo;
use crate::stage;
use crate::tally::Tally;
use crate::workspace::Workspace;

/// A CPU, and what runs its programs.
struct Cpu {
    name: &'static str,
    emulator: &'static [&'static str],
    /// Where its programs are not this machine's: the target, and the linker with the variable that names it.
    cross: Option<(&'static str, &'static str, &'static str)>,
}

const CPUS: &[Cpu] = &[
    // AVX2 and fused multiply-add, no AVX-512.
    Cpu { name: "Haswell", emulator: &["qemu-x86_64", "-cpu", "Haswell"], cross: None },
    // Neither.
    Cpu { name: "Nehalem", emulator: &["qemu-x86_64", "-cpu", "Nehalem"], cross: None },
    Cpu {
        name: "aarch64",
        emulator: &["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"],
        cross: Some((
            "aarch64-unknown-linux-gnu",
            "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER",
            "aarch64-linux-gnu-gcc",
        )),
    },
];

/// The engine's tests of whole models and of operators.
const TESTS: &[&str] = &["architectures", "exactness", "integers", "operators", "provable"];
/// The tests whose names hold this print lines that begin with it.
const DIGEST: &str = "digest";

/// What a CPU counts as that cannot be emulated here. It is named in either case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    Fails,
    IsLeftOut,
}

impl Missing {
    /// For tests: who works here need not have every emulator, and CI has.
    pub fn here() -> Self {
        if std::env::var_os("CI").is_some() { Self::Fails } else { Self::IsLeftOut }
    }
}

/// Each CPU counts as one test.
pub fn run(workspace: &Workspace, when_missing: Missing) -> Result<Tally> {
    let started = stage::open("digests on other CPUs");
    let expected = digests(&programs(workspace, None)?, &[])?;
    let mut tally = Tally::default();
    for cpu in CPUS {
        if let Some(missing) = missing(cpu) {
            eprintln!("{}: not run, {missing}", cpu.name);
            tally.failed += u64::from(when_missing == Missing::Fails);
            continue;
        }
        let found = digests(&programs(workspace, cpu.cross)?, cpu.emulator)?;
        let same = expected.is_some() && found == expected;
        let others = others(found.as_deref(), expected.as_deref());
        let count = found.as_ref().map_or(0, Vec::len);
        eprintln!(
            "{}: {}",
            cpu.name,
            if same { format!("the same {count} digests") } else { format!("OTHER DIGESTS {others}") }
        );
        tally.passed += u64::from(same);
        tally.failed += u64::from(!same);
    }
    stage::close("digests on other CPUs", started, tally.failed == 0);
    Ok(tally)
}

/// Which digests of a CPU are not the expected ones.
fn others(found: Option<&[String]>, expected: Option<&[String]>) -> String {
    let (found, expected) = (found.unwrap_or_default(), expected.unwrap_or_default());
    found.iter().filter(|digest| !expected.contains(digest)).map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Why a CPU cannot be emulated here.
fn missing(cpu: &Cpu) -> Option<String> {
    let answers = |program: &str| Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success());
    let emulator = cpu.emulator.first().copied().unwrap_or_default();
    if !answers(emulator) {
        return Some(format!("`{emulator}` is missing\nhint: install it (Debian: qemu-user)"));
    }
    let (target, _, linker) = cpu.cross?;
    if !answers(linker) {
        return Some(format!(
            "`{linker}` is missing\nhint: install it (Debian: gcc-aarch64-linux-gnu libc6-dev-arm64-cross)"
        ));
    }
    let folder = Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output().ok()?;
    let folder = PathBuf::from(String::from_utf8_lossy(&folder.stdout).trim());
    (!folder.is_dir()).then(|| format!("{target} has no standard library here\nhint: rustup target add {target}"))
}

/// Builds the engine's own tests and `TESTS`. For this machine they are there already, as the workspace builds them: by
/// itself the engine would be built with other features once more.
fn programs(workspace: &Workspace, cross: Option<(&str, &str, &str)>) -> Result<Vec<PathBuf>> {
    let mut command = cargo(workspace);
    command.args(["test", "--quiet", "--no-run", "--message-format", "json", "--lib"]);
    command.args(TESTS.iter().flat_map(|test| ["--test", *test]));
    match cross {
        Some((target, variable, linker)) => {
            command.args(["--package", "engine", "--target", target]).env(variable, linker)
        }
        None => command.arg("--workspace"),
    };
    let out = command.output()?;
    let manifest = workspace.root().join("crates/engine/Cargo.toml");
    let messages = String::from_utf8_lossy(&out.stdout).into_owned();
    Ok(messages.lines().filter_map(|message| executable(message, &manifest)).collect())
}

/// The program of a package that a message of cargo's tells of.
fn executable(message: &str, manifest: &Path) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let own = message.get("manifest_path")?.as_str().is_some_and(|path| Path::new(path) == manifest);
    Some(PathBuf::from(message.get("executable")?.as_str().filter(|_| own)?))
}

/// What the programs print; none where one of them fails or prints nothing.
fn digests(programs: &[PathBuf], emulator: &[&str]) -> Result<Option<Vec<String>>> {
    let mut digests = Vec::new();
    for program in programs {
        let mut command = under(emulator, program);
        let out = command.args([DIGEST, "--nocapture", "--test-threads", "1"]).output()?;
        let printed = String::from_utf8_lossy(&out.stdout).into_owned();
        let before = digests.len();
        digests.extend(printed.lines().filter_map(digest));
        if !out.status.success() || digests.len() == before {
            eprintln!("{printed}{}", String::from_utf8_lossy(&out.stderr));
            return Ok(None);
        }
    }
    digests.sort();
    Ok((!digests.is_empty()).then_some(digests))
}

/// The digest of a line, with the name of what it is of where there is one; a test's name may stand before it.
fn digest(line: &str) -> Option<String> {
    let (before, named) = line.rsplit_once(&format!("{DIGEST} "))?;
    let (name, digest) = named.rsplit_once(' ').unwrap_or(("", named));
    let plain = digest.len() == 16 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    let named_well = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (plain && named_well && (before.is_empty() || before.starts_with("test "))).then(|| named.to_owned())
}

fn under(emulator: &[&str], program: &Path) -> Command {
    match emulator.split_first() {
        None => Command::new(program),
        Some((first, arguments)) => {
            let mut command = Command::new(first);
            command.args(arguments).arg(program);
            command
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_found_on_its_own_line_and_behind_a_test_s_name() {
        assert_eq!(digest("digest 00ff00ff00ff00ff"), Some("00ff00ff00ff00ff".to_owned()));
        assert_eq!(digest("test a::b ... digest 00ff00ff00ff00ff"), Some("00ff00ff00ff00ff".to_owned()));
        assert_eq!(digest("digest Conv 00ff00ff00ff00ff"), Some("Conv 00ff00ff00ff00ff".to_owned()));
        assert_eq!(digest("digest of it 00ff00ff00ff00ff"), None);
        assert_eq!(digest("digest 00ff"), None);
        assert_eq!(digest("a digest of tests"), None);
    }

    #[test]
    fn digests_that_differ_are_named() {
        let list = |all: &[&str]| all.iter().map(|&digest| digest.to_owned()).collect::<Vec<String>>();
        let (found, expected) = (list(&["Conv 0a", "Exp 0b", "0c"]), list(&["Conv 0a", "Exp 0d", "0c"]));
        assert_eq!(others(Some(&found), Some(&expected)), "Exp 0b");
    }

    #[test]
    fn a_program_is_read_from_cargo_s_message() {
        let own = Path::new("/own/Cargo.toml");
        let of = |package: &str| format!(r#"{{"manifest_path":"/{package}/Cargo.toml","executable":"/a/b"}}"#);
        assert_eq!(executable(&of("own"), own), Some(PathBuf::from("/a/b")));
        assert_eq!(executable(&of("another"), own), None);
        assert_eq!(executable(r#"{"manifest_path":"/own/Cargo.toml","executable":null}"#, own), None);
        assert_eq!(executable("warning", own), None);
    }
}
