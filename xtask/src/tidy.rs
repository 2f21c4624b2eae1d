//! The project's own rules, each a function from the tree of files to what is wrong in it.
//!
//! A rule reads no disk, starts no process (python's parser excepted) and changes nothing; each has a test that provokes
//! it and one that satisfies it. A new rule is a file here and a row in `RULES`.

mod circles;
mod floors;
mod heads;
mod manifests;
mod operators;
mod papers;
mod purity;
mod python;
mod sizes;
mod tokens;
pub mod tree;
mod vectors;
mod verifiers;
mod words;

use std::fmt;

use tree::Tree;

/// One thing to mend: where, what ought to be, and what is there.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    path: String,
    line: usize,
    wanted: String,
    found: String,
}

impl Finding {
    fn new(path: &str, line: usize, wanted: impl Into<String>, found: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, wanted: wanted.into(), found: found.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}, instead of {}", self.path, self.line, self.wanted, self.found)
    }
}

type Rule = fn(&Tree) -> Vec<Finding>;

static RULES: &[Rule] = &[
    circles::check,
    floors::check,
    heads::check,
    manifests::check,
    operators::check,
    papers::check,
    purity::check,
    python::check,
    sizes::check,
    vectors::check,
    verifiers::check,
    words::check,
];

/// Every finding of every rule, in the order of the files.
pub fn run(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(tree)).collect();
    findings.sort();
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_where_what_and_instead_of_what() {
        let finding = Finding::new("a.rs", 3, "a head", "nothing");
        assert_eq!(finding.to_string(), "a.rs:3: a head, instead of nothing");
    }
}
