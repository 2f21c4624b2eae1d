//! Every Rust source opens by saying what it is for.

use super::Finding;
use super::tree::Tree;

pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.sources()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, text)| {
            let first = text.lines().next().unwrap_or_default();
            Finding::new(path, 1, "a first line `//! what this file is for`", format!("`{first}`"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_without_a_head_is_found() {
        let findings = check(&Tree::planted(&[("crates/a/src/lib.rs", "use b;\n")]));
        assert_eq!(findings.len(), 1);
    }

    #[test]
    fn a_source_with_a_head_passes() {
        assert_eq!(check(&Tree::planted(&[("crates/a/src/lib.rs", "//! Why.\n"), ("notes.md", "x")])), []);
    }
}
