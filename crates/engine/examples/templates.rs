//! Renders chat templates and compares with what Jinja in Python made of the same (`tests/templates/reference.py`).
//!
//! Prints a line for each template that is not equal in all cases, and fails where one gives other text:
//! `cargo run -p engine --example templates -- FOLDER REFERENCE.json`
#![allow(clippy::print_stdout, reason = "a command's findings")]

use std::{error::Error, fs, path::Path};

use engine::Template;
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, reference] = &arguments[..] else { return Err("a folder and a reference are expected".into()) };
    let reference: Value = serde_json::from_slice(&fs::read(reference)?)?;
    let time_ms = reference["time_ms"].as_u64().ok_or("the reference has no time")?;
    let variables: Vec<&str> =
        reference["variables"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let templates = reference["templates"].as_object().ok_or("the reference has no templates")?;
    let (mut equal, mut refused) = (0, 0);
    for (name, expected) in templates {
        let source = fs::read_to_string(Path::new(folder).join(name))?;
        match compare(&source, &variables, expected, time_ms) {
            Ok(cases) => {
                equal += 1;
                if std::env::var_os("VERBOSE").is_some() {
                    println!("{name}: {cases} cases equal");
                }
            }
            Err(Found::Refused(cause)) => {
                refused += 1;
                println!("{name}: refused: {cause}");
            }
            Err(Found::Other(cause)) => println!("{name}: DIFFERS: {cause}"),
        }
    }
    println!("chat templates: {equal} of {} equal to the byte, {refused} refused", templates.len());
    if equal + refused == templates.len() { Ok(()) } else { Err("templates differ".into()) }
}

enum Found {
    /// No text where Python gives one.
    Refused(String),
    /// Another text than Python's.
    Other(String),
}

/// How many cases are equal, if all are.
fn compare(source: &str, variables: &[&str], expected: &Value, time_ms: u64) -> Result<usize, Found> {
    let template = Template::parse(source).map_err(Found::Refused)?;
    let mut refused = None;
    for (case, variables) in variables.iter().enumerate() {
        match (template.render_json(variables, time_ms), expected[case].as_str()) {
            (Ok(found), Some(expected)) if found == expected => {}
            (Ok(found), Some(expected)) => {
                let same = found.chars().zip(expected.chars()).take_while(|(one, other)| one == other).count();
                let near = |text: &str| text.chars().skip(same.saturating_sub(30)).take(80).collect::<String>();
                let cause = format!("case {case}: {:?} instead of {:?}", near(&found), near(expected));
                return Err(Found::Other(cause));
            }
            (Ok(_), None) => return Err(Found::Other(format!("case {case}: a text where Python refuses"))),
            (Err(cause), Some(_)) => refused = refused.or(Some(format!("case {case}: {cause}"))),
            (Err(_), None) => {}
        }
    }
    match refused {
        Some(cause) => Err(Found::Refused(cause)),
        None => Ok(variables.len()),
    }
}
