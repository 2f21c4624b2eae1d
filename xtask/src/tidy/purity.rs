//! The rooms that decide are functions of their arguments: no clock, no socket, no chance, no order by hash.

use super::Finding;
use super::tokens;
use super::tree::{Tree, dependencies};

static PURE_ROOMS: &[&str] = &["crypto", "evm", "graph", "ledger", "protocol", "verify"];

/// What a pure room never depends on; its tests may.
static IMPURE_DEPENDENCIES: &[&str] =
    &["async-std", "axum", "chrono", "getrandom", "hyper", "rand", "reqwest", "smol", "time", "tokio", "ureq"];

/// What a pure room never names, and what to do instead.
static IMPURE_WORDS: &[(&str, &str)] = &[
    ("HashMap", "`BTreeMap`"),
    ("HashSet", "`BTreeSet`"),
    ("Instant", "time as an argument"),
    ("OsRng", "randomness as an argument"),
    ("SystemTime", "time as an argument"),
    ("TcpListener", "bytes as an argument"),
    ("TcpStream", "bytes as an argument"),
    ("UdpSocket", "bytes as an argument"),
];

/// Parts of the standard library that a pure room never names.
static IMPURE_PATHS: &[&[&str]] = &[&["std", "net"], &["std", "fs"], &["std", "env"], &["std", "process"]];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for room in PURE_ROOMS {
        let manifest_path = format!("crates/{room}/Cargo.toml");
        for (name, _) in dependencies(&tree.manifest(&manifest_path), "dependencies") {
            if IMPURE_DEPENDENCIES.contains(&name) {
                let line = tree.line_of(&manifest_path, name);
                findings.push(Finding::new(
                    &manifest_path,
                    line,
                    "a room without the outside world",
                    format!("`{name}`"),
                ));
            }
        }
        let folder = format!("crates/{room}/src/");
        for (path, text) in tree.sources().filter(|(path, _)| path.starts_with(&folder) && !tree.is_test(path)) {
            findings.extend(check_source(path, text));
        }
    }
    findings
}

fn check_source(path: &str, text: &str) -> Vec<Finding> {
    let Some(code) = tokens::code(text) else { return Vec::new() };
    let mut findings = Vec::new();
    for (word, line) in tokens::words(&code) {
        let instead = IMPURE_WORDS.iter().find(|(impure, _)| *impure == word);
        findings.extend(instead.map(|(_, wanted)| Finding::new(path, line, *wanted, format!("`{word}`"))));
    }
    for named in tokens::paths(&code) {
        let starts_with = |impure: &&&[&str]| {
            named.segments.iter().zip(impure.iter()).filter(|(a, b)| a == b).count() == impure.len()
        };
        if let Some(impure) = IMPURE_PATHS.iter().find(starts_with) {
            let found = format!("`{}`", impure.join("::"));
            findings.push(Finding::new(path, named.line, "what it holds as an argument", found));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings_of(source: &str) -> Vec<Finding> {
        check(&Tree::planted(&[("crates/verify/src/lib.rs", source)]))
    }

    #[test]
    fn a_clock_is_refused() {
        assert_eq!(findings_of("use std::time::{Duration, SystemTime};").len(), 1);
        assert_eq!(findings_of("fn f() { std::time::Instant::now(); }").len(), 1);
    }

    #[test]
    fn a_socket_is_refused() {
        assert_eq!(findings_of("use std::{fmt, net::SocketAddr};").len(), 1);
    }

    #[test]
    fn an_order_by_hash_is_refused() {
        assert_eq!(findings_of("type T = HashMap<u8, u8>;").len(), 1);
    }

    #[test]
    fn a_test_may_use_them() {
        assert_eq!(findings_of("#[cfg(test)] mod tests { use std::collections::HashSet; }"), []);
        assert_eq!(check(&Tree::planted(&[("crates/verify/tests/t.rs", "use std::net::X;")])), []);
    }

    #[test]
    fn an_edge_room_may_use_them() {
        assert_eq!(check(&Tree::planted(&[("crates/gateway/src/lib.rs", "use std::net::X;")])), []);
    }

    #[test]
    fn an_impure_dependency_is_refused_and_an_impure_test_dependency_is_not() {
        let manifest = "[dependencies]\ntokio = \"1\"\n[dev-dependencies]\nrand = \"1\"\n";
        let findings = check(&Tree::planted(&[("crates/ledger/Cargo.toml", manifest)]));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings.first().unwrap().line, 2);
    }
}
