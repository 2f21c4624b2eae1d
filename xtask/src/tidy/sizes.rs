//! Functions fit a screen and files fit a head; what does not stands in a list that may only shrink.

use std::collections::BTreeMap;

use super::Finding;
use super::tokens;
use super::tree::Tree;

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 600;
const LIST: &str = "xtask/naughty.txt";

pub fn check(tree: &Tree) -> Vec<Finding> {
    let (mut list, mut findings) = read_list(tree.text(LIST).unwrap_or_default());
    for (path, text) in tree.sources().filter(|(path, _)| !tree.is_test(path)) {
        for long in long_things(path, text) {
            match list.remove(&long.key) {
                None => findings.push(Finding::new(path, long.line, long.wanted, format!("{} lines", long.lines))),
                Some(row) if row.lines != long.lines => {
                    let wanted = format!("`{} {}` (the list may only shrink)", long.lines, long.key);
                    findings.push(Finding::new(LIST, row.number, wanted, format!("{} lines", row.lines)));
                }
                Some(_) => {}
            }
        }
    }
    let unneeded =
        list.into_iter().map(|(key, row)| Finding::new(LIST, row.number, "no row", format!("`{key}`, short by now")));
    findings.extend(unneeded);
    findings
}

struct Row {
    number: usize,
    lines: usize,
}

/// Rows by what they excuse: a path, or a path and a function.
fn read_list(text: &str) -> (BTreeMap<String, Row>, Vec<Finding>) {
    let mut list = BTreeMap::new();
    let mut findings = Vec::new();
    for (row, number) in text.lines().zip(1..).filter(|(row, _)| !row.is_empty() && !row.starts_with('#')) {
        match row.split_once(' ').map(|(lines, key)| (lines.parse(), key)) {
            Some((Ok(lines), key)) => {
                list.insert(key.to_owned(), Row { number, lines });
            }
            _ => findings.push(Finding::new(LIST, number, "`lines path [function]`", format!("`{row}`"))),
        }
    }
    (list, findings)
}

struct Long {
    key: String,
    line: usize,
    lines: usize,
    wanted: String,
}

fn long_things(path: &str, text: &str) -> Vec<Long> {
    let Some(code) = tokens::code(text) else { return Vec::new() };
    let functions = tokens::functions(&code).into_iter().filter(|function| function.lines > FUNCTION_LINES_MAX);
    let mut found: Vec<Long> = functions
        .map(|function| Long {
            key: format!("{path} {}", function.name),
            line: function.line,
            lines: function.lines,
            wanted: format!("`{}` in at most {FUNCTION_LINES_MAX} lines", function.name),
        })
        .collect();
    let lines = lines_before_tests(text).saturating_sub(tokens::table_lines(&code));
    if lines > FILE_LINES_MAX {
        let wanted = format!("at most {FILE_LINES_MAX} lines apart from tests and tables");
        found.push(Long { key: path.to_owned(), line: 1, lines, wanted });
    }
    found
}

/// Tests come last in a file, so what is before them is the file's own.
fn lines_before_tests(text: &str) -> usize {
    let mut lines = text.lines().peekable();
    let mut count = 0;
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.starts_with("mod ") && next.ends_with('{')) {
            break;
        }
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "crates/a/src/lib.rs";

    fn function_of(lines: usize) -> String {
        format!("//! Why.\nfn long() {{\n{}}}\n", "    f();\n".repeat(lines))
    }

    fn findings_of(text: &str, list: &str) -> Vec<Finding> {
        check(&Tree::planted(&[(PATH, text), (LIST, list)]))
    }

    #[test]
    fn a_function_that_fits_passes() {
        assert_eq!(findings_of(&function_of(70), ""), []);
    }

    #[test]
    fn a_function_that_is_too_long_is_found() {
        assert_eq!(findings_of(&function_of(71), "").first().unwrap().line, 2);
    }

    #[test]
    fn a_file_that_is_too_long_is_found_tests_and_tables_apart() {
        let table = format!("static T: &[u8] = &[\n{}];\n", "    1,\n".repeat(500));
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(500));
        let short = format!("{}{table}{tests}", "\n".repeat(599));
        let long = format!("{}{table}{tests}", "\n".repeat(602));
        assert_eq!(findings_of(&short, ""), []);
        assert_eq!(findings_of(&long, "").len(), 1);
    }

    #[test]
    fn a_test_may_be_long() {
        assert_eq!(check(&Tree::planted(&[("crates/a/tests/t.rs", &function_of(90))])), []);
    }

    #[test]
    fn a_listed_function_passes_with_its_own_length_only() {
        let text = function_of(80);
        assert_eq!(findings_of(&text, &format!("80 {PATH} long\n")), []);
        assert_eq!(findings_of(&text, &format!("79 {PATH} long\n")).len(), 1);
        assert_eq!(findings_of(&text, &format!("81 {PATH} long\n")).len(), 1);
    }

    #[test]
    fn a_row_that_is_not_needed_is_found() {
        assert_eq!(findings_of(&function_of(7), &format!("# why\n80 {PATH} long\n")).first().unwrap().line, 2);
    }

    #[test]
    fn a_row_that_is_not_a_row_is_found() {
        assert_eq!(findings_of("", "many crates/a\n").len(), 1);
    }
}
