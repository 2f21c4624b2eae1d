//! The rooms that a verifier or the ledger runs promise, at their head, not to panic and not to wrap.

use super::Finding;
use super::tokens;
use super::tree::Tree;

static VERIFIER_ROOMS: &[&str] = &["crypto", "evm", "ledger", "pages", "protocol", "verify"];

static FORBIDDEN: &[&str] = &["unsafe_code"];
static DENIED: &[&str] = &[
    "arithmetic_side_effects",
    "as_conversions",
    "expect_used",
    "indexing_slicing",
    "panic",
    "unwrap_used",
    "wildcard_enum_match_arm",
];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for room in VERIFIER_ROOMS {
        let path = format!("crates/{room}/src/lib.rs");
        let Some(code) = tree.text(&path).and_then(tokens::code) else { continue };
        let words: Vec<String> = tokens::words(&code).into_iter().map(|(word, _)| word).collect();
        for (level, lints) in [("forbid", FORBIDDEN), ("deny", DENIED)] {
            let missing: Vec<&str> = lints.iter().copied().filter(|lint| !has(&words, level, lint)).collect();
            if !missing.is_empty() {
                let wanted = format!("`{level}` at the head of a verifier room");
                findings.push(Finding::new(&path, 1, wanted, format!("nothing about {}", missing.join(", "))));
            }
        }
    }
    findings
}

/// `forbid(unsafe_code)` or `deny(clippy::panic, …)`: the level is named before the lint.
fn has(words: &[String], level: &str, lint: &str) -> bool {
    let from = words.iter().position(|word| word == level || word == "forbid");
    from.is_some_and(|from| words.iter().skip(from).any(|word| word == lint))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "//! Why.\n#![forbid(unsafe_code)]\n#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, \
        clippy::as_conversions, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, \
        clippy::wildcard_enum_match_arm))]\n";

    #[test]
    fn a_whole_head_passes() {
        assert_eq!(check(&Tree::planted(&[("crates/verify/src/lib.rs", HEAD)])), []);
    }

    #[test]
    fn a_missing_lint_is_named() {
        let findings = check(&Tree::planted(&[("crates/verify/src/lib.rs", &HEAD.replace("clippy::panic, ", ""))]));
        assert!(findings.first().unwrap().found.contains("panic"));
    }

    #[test]
    fn an_allowed_unsafe_is_found() {
        let planted = HEAD.replace("forbid(unsafe_code)", "allow(unsafe_code)");
        assert_eq!(check(&Tree::planted(&[("crates/crypto/src/lib.rs", &planted)])).len(), 1);
    }
}
