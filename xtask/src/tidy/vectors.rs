//! A frozen vector that no test reads freezes nothing.

use super::Finding;
use super::tree::Tree;

pub fn check(tree: &Tree) -> Vec<Finding> {
    let tests: Vec<(&str, &str)> = tree.texts().filter(|(path, text)| is_test(tree, path, text)).collect();
    let mut findings = Vec::new();
    for path in tree.paths() {
        let Some((owner, name)) = path.split_once("/vectors/") else { continue };
        let is_code = name.ends_with(".rs") || name.ends_with(".py") || name.ends_with(".md");
        if !is_code && !tests.iter().any(|(test, text)| reads(test, text, owner, name)) {
            findings.push(Finding::new(path, 1, format!("a test that names `{name}`"), "a vector that nothing reads"));
        }
    }
    findings
}

/// By its name; or all of them, by walking the folder of the test's own crate.
fn reads(test: &str, text: &str, owner: &str, name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    let walks = test.starts_with(&format!("{owner}/")) && text.contains("read_dir(") && text.contains("\"vectors");
    walks || text.contains(file)
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
    fn a_test_that_walks_the_folder_reads_every_vector_of_its_own_crate() {
        let walk = "read_dir(Path::new(env!(\"CARGO_MANIFEST_DIR\")).join(\"vectors\"))";
        assert_eq!(check(&Tree::planted(&[VECTOR, ("crates/a/tests/all.rs", walk)])), []);
        assert_eq!(check(&Tree::planted(&[VECTOR, ("crates/b/tests/all.rs", walk)])).len(), 1);
    }

    #[test]
    fn a_vector_that_a_test_names_passes() {
        let unit = ("crates/a/src/lib.rs", "#[cfg(test)] mod tests { const NAME: &str = \"receipt-1.bin\"; }");
        let integration = ("crates/a/tests/vectors.rs", "include_bytes!(\"../vectors/receipt-1.bin\")");
        assert_eq!(check(&Tree::planted(&[VECTOR, unit])), []);
        assert_eq!(check(&Tree::planted(&[VECTOR, integration])), []);
    }
}
