//! Words that must not be committed: folders of one machine, hosts of registries, numbers of a tracker.
//!
//! The words are spelled in halves here, so that this file passes its own rule.

use super::Finding;
use super::tree::Tree;

/// Folders that exist on somebody's machine only; they count where a path begins.
static FOLDERS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("C:", "\\Users"),
];

/// Registry hosts (mirrors change; a manifest names packages, never hosts) and references to a tracker.
static PHRASES: &[&str] = &[
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("registry.npm", "js.org"),
    concat!("iss", "ue #"),
];

/// Lock files are written by their tools, which name their registry.
static WRITTEN_BY_TOOLS: &[&str] = &["Cargo.lock", "package-lock.json"];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let by_hand = |path: &str| !WRITTEN_BY_TOOLS.iter().any(|tool| path.rsplit('/').next() == Some(*tool));
    let mut findings = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| by_hand(path)) {
        for (line, number) in text.lines().zip(1..) {
            for folder in FOLDERS.iter().filter(|folder| begins_a_path(line, folder)) {
                findings.push(Finding::new(path, number, "a path that holds on any machine", format!("`{folder}`")));
            }
            let lower = line.to_lowercase();
            for phrase in PHRASES.iter().filter(|phrase| lower.contains(**phrase)) {
                findings.push(Finding::new(path, number, "words that hold anywhere", format!("`{phrase}`")));
            }
        }
    }
    findings
}

/// Not inside a longer path: `target/x` and `https://host/x` say nothing about a machine.
fn begins_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|before| before.is_alphanumeric() || "._-/*}>".contains(before))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings_of(text: &str) -> usize {
        check(&Tree::planted(&[("README.md", text)])).len()
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        assert_eq!(findings_of(&format!("see {}main\n", FOLDERS.first().unwrap())), 1);
    }

    #[test]
    fn a_folder_inside_a_longer_path_passes() {
        assert_eq!(findings_of(&format!("see target{}main and ../shared\n", FOLDERS.first().unwrap())), 0);
    }

    #[test]
    fn every_phrase_is_found() {
        for phrase in PHRASES {
            assert_eq!(findings_of(&format!("as {} says\n", phrase.to_uppercase())), 1);
        }
    }

    #[test]
    fn a_lock_file_may_name_its_registry() {
        let text = PHRASES.join("\n");
        assert_eq!(check(&Tree::planted(&[("Cargo.lock", &text)])), []);
    }
}
