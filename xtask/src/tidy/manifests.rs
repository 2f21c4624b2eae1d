//! A dependency is declared once, for the workspace; none comes from git; a heavy one stands under exactly one room.

use toml::Value;

use super::Finding;
use super::tree::{Tree, dependencies};

const KINDS: [&str; 3] = ["dependencies", "build-dependencies", "dev-dependencies"];

/// What costs minutes to build or shapes the code around it. A name that ends in `*` is a family, owned as one.
static HEAVY: &[&str] = &[
    "alloy-evm",
    "argon2",
    "aws-lc-rs",
    "axum",
    "blst",
    "chacha20poly1305",
    "commonware-*",
    "ed25519-dalek",
    "hyper",
    "hyper-util",
    "minijinja",
    "prost",
    "redb",
    "reqwest",
    "revm",
    "revm-*",
    "rten",
    "rustls",
    "safetensors",
    "secp256k1",
    "tokenizers",
    "ureq",
];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let manifests: Vec<String> =
        tree.paths().filter(|path| *path == "Cargo.toml" || path.ends_with("/Cargo.toml")).map(str::to_owned).collect();
    let mut findings = heavy_under_two_rooms(tree);
    for path in &manifests {
        let manifest = tree.manifest(path);
        if path == "Cargo.toml" {
            let declared = manifest.get("workspace").and_then(Value::as_table);
            let declared = declared.map(|workspace| dependencies(workspace, "dependencies")).unwrap_or_default();
            findings.extend(declared.iter().filter_map(|(name, value)| from_git(tree, path, name, value)));
            for (name, _) in declared.iter().filter(|(name, _)| !is_used(tree, &manifests, name)) {
                let wanted = "a dependency that some crate uses";
                findings.push(Finding::new(path, tree.line_of(path, name), wanted, format!("`{name}`, used by none")));
            }
            continue;
        }
        let is_apart = is_apart(path, &manifest);
        for (name, value) in KINDS.iter().flat_map(|kind| dependencies(&manifest, kind)) {
            findings.extend(from_git(tree, path, name, value));
            if !is_apart && value.get("workspace") != Some(&Value::Boolean(true)) {
                let line = tree.line_of(path, name);
                let found = format!("a version of its own for `{name}`");
                findings.push(Finding::new(path, line, "`workspace = true`", found));
            }
        }
        let inherits = manifest.get("lints").and_then(|lints| lints.get("workspace")) == Some(&Value::Boolean(true));
        if !is_apart && !inherits && manifest.contains_key("package") {
            findings.push(Finding::new(path, 1, "`[lints]` with `workspace = true`", "lints of its own"));
        }
    }
    findings
}

/// A foreign client that a test builds has a workspace and a lock of its own, so that nothing of it comes into ours. A room never has.
fn is_apart(path: &str, manifest: &toml::Table) -> bool {
    manifest.contains_key("workspace") && path.starts_with("tests/")
}

/// Our own rooms are declared for whoever comes to need them.
fn is_used(tree: &Tree, manifests: &[String], name: &str) -> bool {
    let uses = |path: &String| {
        let manifest = tree.manifest(path);
        KINDS.iter().any(|kind| dependencies(&manifest, kind).iter().any(|(used, _)| *used == name))
    };
    tree.rooms().any(|room| room == name) || manifests.iter().any(uses)
}

fn from_git(tree: &Tree, path: &str, name: &str, value: &Value) -> Option<Finding> {
    value.get("git")?;
    Some(Finding::new(path, tree.line_of(path, name), "a release from the registry", format!("`{name}` from git")))
}

/// Tests may share what products may not.
fn heavy_under_two_rooms(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for heavy in HEAVY {
        let mut owner = None;
        for room in tree.rooms() {
            let path = format!("crates/{room}/Cargo.toml");
            let manifest = tree.manifest(&path);
            let direct = dependencies(&manifest, "dependencies");
            let Some((name, _)) = direct.iter().find(|(name, _)| is_of(name, heavy)) else { continue };
            match owner {
                None => owner = Some(room),
                Some(owner) => {
                    let wanted = format!("`{heavy}` under one room (`{owner}`)");
                    let line = tree.line_of(&path, name);
                    findings.push(Finding::new(&path, line, wanted, format!("`{name}` under `{room}` too")));
                }
            }
        }
    }
    findings
}

fn is_of(name: &str, heavy: &str) -> bool {
    heavy.strip_suffix('*').map_or(name == heavy, |family| name.starts_with(family))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINTS: &str = "[package]\n[lints]\nworkspace = true\n";

    fn room(name: &str, dependencies: &str) -> (String, String) {
        (format!("crates/{name}/Cargo.toml"), format!("{LINTS}[dependencies]\n{dependencies}\n"))
    }

    fn findings_of(rooms: &[(String, String)]) -> Vec<Finding> {
        let files: Vec<(&str, &str)> = rooms.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        check(&Tree::planted(&files))
    }

    #[test]
    fn a_version_in_a_room_is_found() {
        assert_eq!(findings_of(&[room("a", "serde = \"1\"")]).len(), 1);
        assert_eq!(findings_of(&[room("a", "serde.workspace = true")]), []);
    }

    #[test]
    fn a_foreign_client_under_tests_has_a_workspace_of_its_own_and_a_room_has_not() {
        let apart = "[workspace]\n[package]\nname = \"x\"\n[dependencies]\nserde = \"1\"\n".to_owned();
        assert_eq!(findings_of(&[("tests/x/Cargo.toml".to_owned(), apart.clone())]), []);
        assert!(!findings_of(&[("crates/x/Cargo.toml".to_owned(), apart.clone())]).is_empty());
        let git = apart.replace("\"1\"", "{ git = \"y\" }");
        assert_eq!(findings_of(&[("tests/x/Cargo.toml".to_owned(), git)]).len(), 1);
    }

    #[test]
    fn a_dependency_from_git_is_found_wherever_it_is_declared() {
        let root = ("Cargo.toml".to_owned(), "[workspace.dependencies]\nx = { git = \"y\" }\n".to_owned());
        let findings = findings_of(&[root, room("a", "x.workspace = true")]);
        assert_eq!((findings.len(), findings.first().unwrap().line), (1, 2));
    }

    #[test]
    fn a_declaration_that_nothing_uses_is_found() {
        let root = ("Cargo.toml".to_owned(), "[workspace.dependencies]\na = { path = \"a\" }\nx = \"1\"\n".to_owned());
        assert_eq!(findings_of(&[root.clone(), room("a", "x.workspace = true")]), []);
        assert_eq!(findings_of(&[root, room("a", "")]).first().unwrap().line, 3);
    }

    #[test]
    fn a_heavy_dependency_under_two_rooms_is_found() {
        let two = [room("a", "redb.workspace = true"), room("b", "redb.workspace = true")];
        assert_eq!(findings_of(&two).first().unwrap().path, "crates/b/Cargo.toml");
    }

    #[test]
    fn a_family_has_one_owner() {
        let (one, other) = ("commonware-p2p.workspace = true", "commonware-codec.workspace = true");
        assert_eq!(findings_of(&[room("a", one), room("b", other)]).len(), 1);
        assert_eq!(findings_of(&[room("a", &format!("{one}\n{other}"))]), []);
    }

    #[test]
    fn a_room_that_leaves_the_lints_is_found() {
        let path = "crates/a/Cargo.toml".to_owned();
        assert_eq!(findings_of(&[(path, "[package]\nname = \"a\"\n".to_owned())]).len(), 1);
    }
}
