//! A frozen vector that no test reads freezes nothing.

use super::Finding;
use super::tree::Tree;

pub fn check(tree: &Tree) -> Vec<Finding> {
    let tests: Vec<&str> =
        tree.texts().filter(|(path, text)| is_test(tree, path, text)).map(|(_, text)| text).collect();
    let mut findings = Vec::new();
    for path in tree.paths().filter(|path| path.contains("/vectors/") || path.starts_with("vectors/")) {
        let name = path.rsplit('/').next().unwrap_or(path);
        let is_code = name.ends_with(".rs") || name.ends_with(".py") || name.ends_with(".md");
        if !is_code && !tests.iter().any(|text| text.contains(name)) {
            findings.push(Finding::new(path, 1, format!("a test that names `{name}`"), "a vector that nothing reads"));
        }
    }
    findings
}

fn is_test(tree: &Tree, path: &str, text: &str) -> bool {
    let rust = path.ends_with(".rs") && (tree.is_test(path) || text.contains("#[cfg(test)]"));
    let python = path.ends_with(".py") && path.rsplit('/').next().is_some_and(|name| name.starts_with("test_"));
    rust || python
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTOR: (&str, &str) = ("crates/a/vectors/receipt-1.bin", "");

    #[test]
    fn a_vector_that_no_test_names_is_found() {
        let naming_without_testing = ("crates/a/src/lib.rs", "const NAME: &str = \"receipt-1.bin\";");
        assert_eq!(check(&Tree::planted(&[VECTOR, naming_without_testing])).len(), 1);
    }

    #[test]
    fn a_vector_that_a_test_names_passes() {
        let unit = ("crates/a/src/lib.rs", "#[cfg(test)] mod tests { const NAME: &str = \"receipt-1.bin\"; }");
        let integration = ("crates/a/tests/vectors.rs", "include_bytes!(\"../vectors/receipt-1.bin\")");
        assert_eq!(check(&Tree::planted(&[VECTOR, unit])), []);
        assert_eq!(check(&Tree::planted(&[VECTOR, integration])), []);
    }
}
