//! The table of refusals is what the tests are: each test that it names exists and speaks of its column's form, and no cell is empty.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, iter, mem,
    path::Path,
};

/// What the tests of each column's form speak of; those that go through all forms name a list of them.
const FORMS: [&[&str]; 4] =
    [&["exact", "transfer"], &["permit", "opg"], &["upto", "session"], &["batch", "channel", "voucher", "claim"]];
const LISTS: [&str; 3] = ["WAYS", "FORMS", "vectors()"];
/// What stands before tests of what is the same for all forms.
const SAME: &str = "the same code for all: ";
const REASONS: [&str; 2] = ["cannot occur: ", "not met: "];

/// Every folder with tests that the table may name.
const FOLDERS: [&str; 11] = [
    "src",
    "tests",
    "../devchain/tests",
    "../storage/src",
    "../gateway/src",
    "../gateway/tests",
    "../ledger/tests",
    "../network/src",
    "../og/src",
    "../og/tests",
    "../protocol/src",
];

/// The tests below a folder by their names, each with its text.
fn tests_in(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_in(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            read_tests(&fs::read_to_string(&path).unwrap(), found);
        }
    }
}

fn read_tests(text: &str, found: &mut BTreeMap<String, String>) {
    let (mut lines, mut is_test) = (text.lines(), false);
    while let Some(line) = lines.next() {
        let begun = line.trim_start();
        is_test |= begun.starts_with("#[test]") || begun.starts_with("#[tokio::test");
        let Some(rest) = begun.trim_start_matches("async ").strip_prefix("fn ") else { continue };
        if mem::take(&mut is_test)
            && let Some((name, _)) = rest.split_once('(')
        {
            // It ends with the brace that stands where it began.
            let end = format!("{}}}", line.strip_suffix(begun).unwrap());
            let text = found.entry(name.to_owned()).or_default();
            iter::once(line).chain(lines.by_ref().take_while(|line| *line != end)).for_each(|line| text.push_str(line));
        }
    }
}

fn named(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_cell_of_the_table_is_a_test_of_its_form_or_a_reason() {
    let room = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeMap::new();
    FOLDERS.iter().for_each(|folder| tests_in(&room.join(folder), &mut tests));
    let table = fs::read_to_string(room.join("../../docs/payments-negative.md")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| attack"));
    let (mut refused, mut named_tests) = (0, BTreeSet::new());
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 5, "{row}");
        for (words, cell) in FORMS.iter().zip(&cells[1..]) {
            let is_reason = REASONS.iter().any(|word| cell.starts_with(word)) && cell.len() > 20;
            assert!(is_reason || named(cell).count() > 0, "{row}");
            refused += usize::from(!is_reason);
            for test in named(cell) {
                assert!(tests.contains_key(test), "no test is called {test}");
                named_tests.insert(test);
            }
            let own = cell.split(SAME).next().unwrap_or_default();
            for test in named(own).filter(|_| !is_reason) {
                let text = &tests[test];
                let is_of_all = LISTS.iter().any(|list| text.contains(list));
                let speaks = text.to_lowercase();
                let is_of_it = words.iter().any(|word| speaks.contains(word));
                assert!(is_of_all || is_of_it, "{test} speaks of none of {words:?}; hint: {SAME:?}, where it is so");
            }
        }
    }
    assert!(refused >= 60 && named_tests.len() >= 60, "{refused} cells have a test, of {}", named_tests.len());
}
