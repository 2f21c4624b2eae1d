//! An operator is a file, and the same name everywhere: its meaning, its row, its section, and its kernel where it has one.

use super::Finding;
use super::tree::Tree;

const MEANINGS: &str = "crates/graph/src/ops/";
const KERNELS: &str = "crates/engine/src/ops/";
const TABLE: &str = "crates/graph/src/ops/mod.rs";
const KERNEL_TABLE: &str = "crates/engine/src/ops/mod.rs";
const PAGE: &str = "specs/exact-graph.md";

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for operator in files(tree, MEANINGS).filter(|name| is_operator(tree, name)) {
        let path = format!("{MEANINGS}{operator}.rs");
        if !tree.text(TABLE).unwrap_or_default().contains(&format!("&{operator}::OPERATOR")) {
            findings.push(Finding::new(&path, 1, format!("a row in {TABLE}"), "an operator that no graph can name"));
        }
        if tree.text(PAGE).is_some_and(|page| !page.contains(&format!("`{operator}`"))) {
            findings.push(Finding::new(
                &path,
                1,
                format!("`{operator}` in {PAGE}"),
                "a meaning that is not written down",
            ));
        }
    }
    for kernel in files(tree, KERNELS).filter(|name| is_kernel(tree, name)) {
        let path = format!("{KERNELS}{kernel}.rs");
        if tree.text(&format!("{MEANINGS}{kernel}.rs")).is_none() {
            let wanted = format!("a file of the same name in {MEANINGS}");
            findings.push(Finding::new(&path, 1, wanted, "a kernel without a meaning"));
        }
        if !tree.text(KERNEL_TABLE).unwrap_or_default().contains(&format!("(\"{kernel}\", {kernel}::")) {
            findings.push(Finding::new(&path, 1, format!("a row in {KERNEL_TABLE}"), "a kernel that nothing runs"));
        }
    }
    findings
}

/// The names of the files right inside a folder, apart from the table itself.
fn files<'a>(tree: &'a Tree, folder: &'a str) -> impl Iterator<Item = &'a str> {
    let names = tree.paths().filter_map(move |path| path.strip_prefix(folder)?.strip_suffix(".rs"));
    names.filter(|name| *name != "mod" && !name.contains('/'))
}

/// What only serves several operators declares none.
fn is_operator(tree: &Tree, name: &str) -> bool {
    tree.text(&format!("{MEANINGS}{name}.rs")).is_some_and(|text| text.contains("static OPERATOR:"))
}

/// What only serves several kernels is private to their folder.
fn is_kernel(tree: &Tree, name: &str) -> bool {
    tree.text(KERNEL_TABLE).is_some_and(|text| text.contains(&format!("pub mod {name};")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADD: (&str, &str) = ("crates/graph/src/ops/add.rs", "pub static OPERATOR: Operator = Operator {};");
    const SHARED: (&str, &str) = ("crates/graph/src/ops/broadcast.rs", "pub fn broadcast() {}");
    const ROW: (&str, &str) = (TABLE, "&[&add::OPERATOR]");
    const SECTION: (&str, &str) = (PAGE, "### `add`");
    const KERNEL: (&str, &str) = ("crates/engine/src/ops/add.rs", "");

    const KERNEL_ROW: (&str, &str) = (KERNEL_TABLE, "pub mod add; &[(\"add\", add::make)]");

    #[test]
    fn an_operator_with_row_section_and_kernel_passes() {
        assert_eq!(check(&Tree::planted(&[ADD, SHARED, ROW, SECTION, KERNEL, KERNEL_ROW])), []);
        assert_eq!(check(&Tree::planted(&[ADD, ROW, SECTION])), []);
    }

    #[test]
    fn an_operator_without_a_row_is_found() {
        assert_eq!(check(&Tree::planted(&[ADD, (TABLE, ""), SECTION])).len(), 1);
    }

    #[test]
    fn an_operator_without_a_section_is_found() {
        assert_eq!(check(&Tree::planted(&[ADD, ROW, (PAGE, "### `add_f32`")])).len(), 1);
    }

    #[test]
    fn a_kernel_without_a_meaning_is_found() {
        assert_eq!(check(&Tree::planted(&[KERNEL, KERNEL_ROW])).len(), 1);
    }

    #[test]
    fn a_kernel_without_a_row_is_found() {
        assert_eq!(check(&Tree::planted(&[ADD, ROW, SECTION, KERNEL, (KERNEL_TABLE, "pub mod add;")])).len(), 1);
    }

    #[test]
    fn what_serves_several_kernels_needs_no_meaning() {
        assert_eq!(check(&Tree::planted(&[KERNEL, (KERNEL_TABLE, "mod add;")])), []);
    }
}
