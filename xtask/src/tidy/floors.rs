//! Rooms stand on floors and depend downward only: never on their own floor, never on what nothing may depend on.

use super::Finding;
use super::tree::{Tree, dependencies};

/// The floor of every room, from the ground up.
static FLOORS: &[(u8, &[&str])] = &[
    (1, &["crypto"]),
    (2, &["contracts", "graph", "pages", "protocol", "storage"]),
    (3, &["engine", "consensus", "network", "api", "router", "evm", "payments"]),
    (4, &["float", "verify", "hub", "gateway", "rpc"]),
    (5, &["worker", "auditor", "ledger", "blocks", "relayer"]),
    (6, &["validator", "devchain"]),
    (7, &["og", "sim"]),
];

/// Where things come together: nothing depends on these, not even a test.
static ROOFS: &[&str] = &["og", "sim", "xtask"];

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, rooms)| rooms.contains(&room)).map(|(floor, _)| *floor)
}

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for room in tree.rooms() {
        let path = format!("crates/{room}/Cargo.toml");
        let Some(own) = floor(room) else {
            findings.push(Finding::new(&path, 1, "a row for this room in xtask/src/tidy/floors.rs", "no floor"));
            continue;
        };
        let manifest = tree.manifest(&path);
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            for (name, _) in dependencies(&manifest, kind) {
                let line = tree.line_of(&path, name);
                let Some(theirs) = floor(name).filter(|_| name != room) else { continue };
                if ROOFS.contains(&name) {
                    findings.push(Finding::new(&path, line, "nothing above this room", format!("`{name}`")));
                } else if theirs >= own {
                    let wanted = format!("rooms below floor {own} only");
                    findings.push(Finding::new(&path, line, wanted, format!("`{name}` on floor {theirs}")));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings_of(room: &str, dependency: &str) -> Vec<Finding> {
        let path = format!("crates/{room}/Cargo.toml");
        check(&Tree::planted(&[(&path, &format!("[dependencies]\n{dependency}.workspace = true\n"))]))
    }

    #[test]
    fn a_room_may_depend_downward() {
        assert_eq!(findings_of("verify", "crypto"), []);
        assert_eq!(findings_of("verify", "serde"), []);
    }

    #[test]
    fn a_room_on_the_same_floor_is_refused() {
        let findings = findings_of("hub", "verify");
        assert_eq!(findings.first().unwrap().line, 2);
    }

    #[test]
    fn a_room_above_is_refused() {
        assert_eq!(findings_of("crypto", "ledger").len(), 1);
    }

    #[test]
    fn nothing_depends_on_the_roof() {
        assert_eq!(findings_of("validator", "og").len(), 1);
        assert_eq!(findings_of("og", "sim").len(), 1);
    }

    #[test]
    fn a_room_without_a_floor_is_found() {
        assert_eq!(findings_of("attic", "serde").len(), 1);
    }

    #[test]
    fn a_target_of_one_system_is_no_way_around() {
        let text = "[target.'cfg(unix)'.dev-dependencies]\nledger.workspace = true\n";
        assert_eq!(check(&Tree::planted(&[("crates/crypto/Cargo.toml", text)])).len(), 1);
    }
}
