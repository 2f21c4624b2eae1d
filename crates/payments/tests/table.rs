//! The table of refusals is what the tests are: each test that it names exists, and no cell is empty.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

use std::{collections::BTreeSet, fs, path::Path};

fn tests_in(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_in(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
                if let Some(rest) = line.trim_start_matches("async ").strip_prefix("fn ") {
                    let name = rest.split_once('(').map(|(name, _)| name.to_owned());
                    found.extend(name.filter(|_| is_test));
                    is_test = false;
                }
            }
        }
    }
}

#[test]
fn every_cell_of_the_table_is_a_test_or_a_reason() {
    let room = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    let others = [
        "../storage/src",
        "../gateway/src",
        "../gateway/tests",
        "../ledger/tests",
        "../network/src",
        "../og/src",
        "../og/tests",
        "../protocol/src",
    ];
    for folder in ["src", "tests"].into_iter().chain(others) {
        tests_in(&room.join(folder), &mut tests);
    }
    let table = fs::read_to_string(room.join("../../docs/payments-negative.md")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| attack"));
    let (mut refused, mut named_tests) = (0, BTreeSet::new());
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 5, "{row}");
        for cell in &cells[1..] {
            let named: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
            let is_reason = cell.starts_with("cannot occur: ") && cell.len() > 20;
            assert!(is_reason || !named.is_empty(), "{row}");
            refused += usize::from(!is_reason);
            for test in named {
                assert!(tests.contains(test), "no test is called {test}");
                named_tests.insert(test);
            }
        }
    }
    assert!(refused >= 60 && named_tests.len() >= 60, "{refused} cells have a test, of {}", named_tests.len());
}
