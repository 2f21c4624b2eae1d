//! Every Python file is Python: parsed, not run, and nothing is written beside it.

use std::io::Write;
use std::process::{Command, Stdio};

use super::Finding;
use super::tree::Tree;

/// Reads `{path: text}` and writes one `line<TAB>path<TAB>message` for each file that does not parse.
const PARSER: &str = "
import json, sys
for path, text in json.load(sys.stdin).items():
    try:
        compile(text, path, 'exec')
    except (SyntaxError, ValueError) as error:
        print(getattr(error, 'lineno', None) or 1, path, getattr(error, 'msg', error), sep='\\t')
";

pub fn check(tree: &Tree) -> Vec<Finding> {
    let files: serde_json::Map<String, serde_json::Value> = tree
        .texts()
        .filter(|(path, _)| path.ends_with(".py"))
        .map(|(path, text)| (path.to_owned(), text.into()))
        .collect();
    let Some(first) = files.keys().next().cloned() else { return Vec::new() };
    match parse(&serde_json::Value::Object(files).to_string()) {
        Ok(report) => report.lines().filter_map(finding).collect(),
        Err(error) => vec![Finding::new(&first, 1, "`python3` to parse it with", format!("none ({error})"))],
    }
}

fn parse(files: &str) -> std::io::Result<String> {
    let mut command = Command::new("python3");
    command.args(["-I", "-c", PARSER]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    // The parser writes only after it has read everything, so this cannot block on a full pipe.
    if let Some(mut input) = child.stdin.take() {
        input.write_all(files.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(std::io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}

fn finding(row: &str) -> Option<Finding> {
    let mut columns = row.splitn(3, '\t');
    let (line, path, message) = (columns.next()?, columns.next()?, columns.next()?);
    Some(Finding::new(path, line.parse().ok()?, "Python that compiles", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_is_found_with_its_line() {
        let findings = check(&Tree::planted(&[("a.py", "x = 1\n"), ("b.py", "x = 1\ndef f(:\n")]));
        assert_eq!(findings.len(), 1);
        let finding = findings.first().unwrap();
        assert_eq!((finding.path.as_str(), finding.line), ("b.py", 2));
    }

    #[test]
    fn python_passes() {
        assert_eq!(check(&Tree::planted(&[("a.py", "print('hello')\n")])), []);
    }
}
