//! Files of one crate import each other in one direction: no circle, so that each can be read with what is below it.
//!
//! An import counts towards the file that defines the thing, through re-exports. What a file takes from the file above
//! it (`super::Op` in a row of a table) does not count: a folder is part of its parent.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::tokens::{self, Named};
use super::tree::Tree;

/// A module's path from the crate's root, which is empty.
type Module = Vec<String>;

const REEXPORT_STEPS_MAX: usize = 8;

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut folders: Vec<String> = tree.rooms().map(|room| format!("crates/{room}/src/")).collect();
    folders.push("xtask/src/".to_owned());
    folders.iter().flat_map(|folder| check_crate(tree, folder)).collect()
}

struct File<'a> {
    path: &'a str,
    named: Vec<Named>,
}

struct Crate<'a> {
    files: BTreeMap<Module, File<'a>>,
}

fn check_crate(tree: &Tree, folder: &str) -> Vec<Finding> {
    let mut files = BTreeMap::new();
    for (path, text) in tree.sources().filter(|(path, _)| !tree.is_test(path)) {
        let Some(inner) = path.strip_prefix(folder).and_then(|inner| inner.strip_suffix(".rs")) else { continue };
        let named = tokens::code(text).map(|code| tokens::paths(&code)).unwrap_or_default();
        files.insert(module_of(inner), File { path, named });
    }
    let room = Crate { files };
    let edges = room.edges();
    let mut circles = circles(&edges);
    circles.sort_by_key(|circle| circle.way_back.len());
    let mut told: Vec<&Module> = Vec::new();
    let mut findings = Vec::new();
    for circle in circles {
        // Files that all know each other hold many circles: the shortest is told, and the next once it is gone.
        let knows =
            |other: &Module| way(&edges, circle.start, other).is_some() && way(&edges, other, circle.start).is_some();
        if told.iter().any(|other| knows(other)) {
            continue;
        }
        told.push(circle.start);
        let names: Vec<&str> = circle.way_back.iter().map(|module| room.path(module)).collect();
        let found = format!("a circle through {}", names.join(", "));
        findings.push(Finding::new(room.path(circle.start), circle.line, "imports in one direction", found));
    }
    findings
}

/// An import that leads back to where it stands.
struct Circle<'a> {
    start: &'a Module,
    line: usize,
    way_back: Vec<&'a Module>,
}

fn circles(edges: &Edges) -> Vec<Circle<'_>> {
    let imports =
        edges.iter().flat_map(|(start, targets)| targets.iter().map(move |(next, line)| (start, next, *line)));
    imports.filter_map(|(start, next, line)| Some(Circle { start, line, way_back: way(edges, next, start)? })).collect()
}

/// `lib` and `main` are the root; `a/mod` is `a`.
fn module_of(inner: &str) -> Module {
    let mut module: Module = inner.split('/').map(str::to_owned).collect();
    let is_root = module.len() == 1 && matches!(inner, "lib" | "main");
    if is_root || module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

type Edges = BTreeMap<Module, BTreeMap<Module, usize>>;

impl Crate<'_> {
    fn path(&self, module: &Module) -> &str {
        self.files.get(module).map_or("?", |file| file.path)
    }

    /// Who imports from whom, and on which line first.
    fn edges(&self) -> Edges {
        let mut edges = Edges::new();
        for (module, file) in &self.files {
            let mut targets = BTreeMap::new();
            for named in file.named.iter().filter(|named| !named.exported) {
                let Some(target) = self.target(module, named) else { continue };
                if !module.starts_with(&target) {
                    targets.entry(target).or_insert(named.line);
                }
            }
            edges.insert(module.clone(), targets);
        }
        edges
    }

    /// The file that defines what is named, if it is of this crate.
    fn target(&self, module: &Module, named: &Named) -> Option<Module> {
        let mut absolute = self.absolute(module, named)?;
        for _ in 0..REEXPORT_STEPS_MAX {
            let (file, rest) = self.split(&absolute);
            let exported = rest.first().and_then(|item| {
                let exports = self.files.get(&file)?.named.iter().filter(|named| named.exported);
                exports.into_iter().find(|export| export.alias.as_ref() == Some(item))
            });
            match exported.and_then(|export| self.absolute(&file, export)) {
                Some(next) => absolute = next,
                None => return Some(file),
            }
        }
        None
    }

    /// The path from the crate's root; None if it leads out of the crate.
    fn absolute(&self, module: &Module, named: &Named) -> Option<Module> {
        let mut here = module.clone();
        here.extend(named.inside.iter().cloned());
        let first = named.segments.first()?;
        let mut rest = named.segments.as_slice();
        match first.as_str() {
            "crate" => {
                here.clear();
                rest = rest.get(1..)?;
            }
            "self" | "super" => {
                for step in named.segments.iter().take_while(|step| matches!(step.as_str(), "self" | "super")) {
                    if step == "super" {
                        here.pop();
                    }
                    rest = rest.get(1..)?;
                }
            }
            child => {
                here.push(child.to_owned());
                if !self.files.contains_key(&here) {
                    return None;
                }
                here.pop();
            }
        }
        here.extend(rest.iter().cloned());
        Some(here)
    }

    /// The longest beginning that is a file, and what is left.
    fn split(&self, absolute: &Module) -> (Module, Module) {
        let mut file = absolute.clone();
        let mut rest = Module::new();
        while !file.is_empty() && !self.files.contains_key(&file) {
            rest.extend(file.pop());
        }
        rest.reverse();
        (file, rest)
    }
}

/// The shortest way along edges, both ends included.
fn way<'a>(edges: &'a Edges, from: &'a Module, to: &Module) -> Option<Vec<&'a Module>> {
    let mut ways = std::collections::VecDeque::from([vec![from]]);
    let mut seen = BTreeSet::from([from]);
    while let Some(so_far) = ways.pop_front() {
        let last = *so_far.last()?;
        if last == to {
            return Some(so_far);
        }
        for next in edges.get(last).into_iter().flat_map(BTreeMap::keys) {
            if seen.insert(next) {
                ways.push_back(so_far.iter().copied().chain([next]).collect());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings_of(files: &[(&str, &str)]) -> Vec<Finding> {
        let planted: Vec<(String, &str)> =
            files.iter().map(|(path, text)| (format!("crates/a/src/{path}.rs"), *text)).collect();
        let mut planted: Vec<(&str, &str)> = planted.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        planted.push(("crates/a/Cargo.toml", ""));
        check(&Tree::planted(&planted))
    }

    #[test]
    fn imports_in_one_direction_pass() {
        let files = [("lib", "mod one; mod two; pub use one::A;"), ("one", "use crate::two::B;"), ("two", "")];
        assert_eq!(findings_of(&files), []);
    }

    #[test]
    fn two_files_that_import_each_other_are_one_finding() {
        let files = [("lib", ""), ("one", "\nuse crate::two::B;"), ("two", "use super::one::A;")];
        let findings = findings_of(&files);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings.first().unwrap().line, 2);
    }

    #[test]
    fn a_circle_of_three_is_found() {
        let files = [
            ("one", "fn f() { crate::two::g() }"),
            ("two", "fn g() { crate::three::h() }"),
            ("three", "use super::one::f;"),
        ];
        assert_eq!(findings_of(&files).len(), 1);
    }

    #[test]
    fn files_that_all_know_each_other_are_told_by_their_shortest_circle() {
        let files = [
            ("one", "use crate::two::B;"),
            ("two", "use crate::three::C;"),
            ("three", "use crate::two::B; use crate::one::A;"),
        ];
        let findings = findings_of(&files);
        assert_eq!(findings.len(), 1);
        assert!(!findings.first().unwrap().found.contains("one"), "{findings:?}");
    }

    #[test]
    fn a_reexport_hides_no_circle() {
        let files = [("lib", "pub use one::A; pub use two::B;"), ("one", "use crate::B;"), ("two", "use crate::A;")];
        assert_eq!(findings_of(&files).len(), 1);
    }

    #[test]
    fn a_row_may_take_its_shape_from_the_table_above_it() {
        let files = [
            ("lib", ""),
            ("ops", "mod add; pub struct Op; const T: &[Op] = &[add::OP];"),
            ("ops/add", "use super::Op;"),
        ];
        assert_eq!(findings_of(&files), []);
    }

    #[test]
    fn a_test_may_look_anywhere() {
        let files = [("one", "use crate::two::B;"), ("two", "#[cfg(test)] mod tests { use crate::one::A; }")];
        assert_eq!(findings_of(&files), []);
    }

    #[test]
    fn an_inline_module_belongs_to_its_file() {
        let files = [("one", "mod inner { use super::super::two::B; }"), ("two", "use crate::one::inner::A;")];
        assert_eq!(findings_of(&files).len(), 1);
    }
}
