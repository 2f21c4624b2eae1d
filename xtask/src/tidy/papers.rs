//! The map names every room, and leads to every page of the specification.

use super::Finding;
use super::tree::Tree;

const MAP: &str = "ARCHITECTURE.md";

pub fn check(tree: &Tree) -> Vec<Finding> {
    let Some(map) = tree.text(MAP) else {
        return vec![Finding::new(MAP, 1, "the map of the project", "no such file")];
    };
    let mut findings = Vec::new();
    for room in tree.rooms().filter(|room| !has_paragraph(map, room)) {
        let wanted = format!("a paragraph that begins with `{room}`");
        findings.push(Finding::new(MAP, 1, wanted, format!("silence about crates/{room}")));
    }
    for page in tree.paths().filter(|path| path.starts_with("specs/") && path.ends_with(".md")) {
        if !map.contains(&format!("({page})")) {
            findings.push(Finding::new(MAP, 1, format!("a link to ({page})"), "a page that nobody finds"));
        }
    }
    findings
}

/// A heading, list item, table row or paragraph that opens with the room's name, set as code, bold or heading. A line of
/// prose that happens to begin with the word is none.
fn has_paragraph(map: &str, room: &str) -> bool {
    map.lines().any(|line| {
        let opening = line.trim_start_matches(['#', '-', '*', '|', ' ', '`', '[']);
        let name = opening.strip_prefix("crates/").unwrap_or(opening).strip_prefix(room);
        opening.len() < line.len()
            && name.is_some_and(|rest| rest.is_empty() || rest.starts_with(['`', '*', ']', '/', ' ', ':']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: (&str, &str) = ("crates/ledger/Cargo.toml", "");
    const PAGE: (&str, &str) = ("specs/receipt.md", "# Receipt");

    #[test]
    fn a_tree_without_a_map_is_found() {
        assert_eq!(check(&Tree::planted(&[])).len(), 1);
    }

    #[test]
    fn a_room_without_a_paragraph_is_found() {
        assert_eq!(check(&Tree::planted(&[ROOM, (MAP, "the\nledger and\n`ledgers`\n")])).len(), 1);
    }

    #[test]
    fn a_page_without_a_link_is_found() {
        assert_eq!(check(&Tree::planted(&[PAGE, (MAP, "specs/receipt.md\n")])).len(), 1);
    }

    #[test]
    fn a_map_that_names_all_passes() {
        for paragraph in
            ["**`ledger`** keeps", "- `ledger`: keeps", "### ledger\n", "| [`ledger`](crates/ledger) | keeps"]
        {
            let map = format!("{paragraph}\n\nSee [the receipt](specs/receipt.md).\n");
            assert_eq!(check(&Tree::planted(&[ROOM, PAGE, (MAP, &map)])), [], "{paragraph}");
        }
    }
}
