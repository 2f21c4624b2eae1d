//! Public vocabularies with the cases that lie beside them, and public chat templates beside Jinja in Python: all of both.
//!
//! `models/peers/words.py` takes them out of llama-cpp-python's source package. `--nocapture` shows the counts, and each case that differs.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "the counts are published")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use engine::{Template, Tokenizer, tokenizer_from_gguf};
use graph::gguf::Gguf;
use serde_json::Value;

const BETWEEN: &str = "\n__ggml_vocab_test__\n";
/// Vocabularies of the package, and cases of those that have some.
const VOCABULARIES: usize = 19;
const CASES: usize = 694;
/// Templates that Python renders and ours refuses by name, each for a text that hangs on Python's own habits.
const REFUSED: [&str; 2] = ["llama-cpp-deepseek-r1.jinja", "meetkai-functionary-medium-v3.1.jinja"];
const TEMPLATES: usize = 70;

fn folder() -> PathBuf {
    PathBuf::from(
        std::env::var_os("OG_TEST_WORDS").expect("OG_TEST_WORDS is not set: `cargo xtask test` makes and sets it"),
    )
}

#[test]
fn every_tokenizer_case_of_public_vocabularies_is_equal() {
    let files = fs::read_dir(folder().join("vocabularies")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|kind| kind == "gguf")).collect();
    files.sort();
    assert_eq!(files.len(), VOCABULARIES);
    let (mut equal, mut all) = (0, 0);
    for path in &files {
        let name = path.file_stem().unwrap().to_string_lossy();
        let (found, of) = cases(path).unwrap_or_else(|cause| panic!("{name}: refused: {cause}"));
        println!("{name}: {found} of {of} cases equal");
        (equal, all) = (equal + found, all + of);
    }
    println!("tokenizer cases: {equal} of {all} equal");
    assert_eq!((equal, all), (CASES, CASES));
}

/// How many cases of a vocabulary are equal, and how many there are.
fn cases(path: &Path) -> Result<(usize, usize), Box<dyn std::error::Error>> {
    let file = Gguf::read(&fs::read(path)?.into())?;
    let tokenizer = Tokenizer::load(&tokenizer_from_gguf(&file)?, usize::MAX)?;
    let beside = |kind: &str| fs::read_to_string(format!("{}.{kind}", path.display()));
    let (Ok(texts), Ok(tokens)) = (beside("inp"), beside("out")) else { return Ok((0, 0)) };
    let (mut equal, mut all) = (0, 0);
    for (text, line) in texts.split(BETWEEN).zip(tokens.lines()) {
        let expected: Vec<u32> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let found = tokenizer.encode(text)?;
        all += 1;
        if found == expected {
            equal += 1;
        } else {
            println!("  {text:?}: {found:?}, expected {expected:?}");
        }
    }
    Ok((equal, all))
}

#[test]
fn every_public_template_is_equal_to_the_byte_or_refused_by_name() {
    let reference: Value = serde_json::from_slice(&fs::read(folder().join("reference.json")).unwrap()).unwrap();
    let time_ms = reference["time_ms"].as_u64().unwrap();
    let variables: Vec<&str> = reference["variables"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let templates = reference["templates"].as_object().unwrap();
    assert_eq!(templates.len(), TEMPLATES);
    let (mut refused, mut differ) = (Vec::new(), Vec::new());
    for (name, expected) in templates {
        let source = fs::read_to_string(folder().join("templates").join(name)).unwrap();
        match compare(&source, &variables, expected, time_ms) {
            Ok(()) => {}
            Err(Found::Refused(cause)) => {
                println!("{name}: refused: {cause}");
                refused.push(name.as_str());
            }
            Err(Found::Other(cause)) => {
                println!("{name}: DIFFERS: {cause}");
                differ.push(name.as_str());
            }
        }
    }
    let equal = templates.len() - refused.len() - differ.len();
    println!("chat templates: {equal} of {} equal to the byte, {} refused", templates.len(), refused.len());
    assert!(differ.is_empty(), "other text than Python's: {differ:?}");
    assert_eq!(refused, REFUSED);
}

enum Found {
    /// No text where Python gives one.
    Refused(String),
    /// Another text than Python's.
    Other(String),
}

/// Every case of a template, with tools and without.
fn compare(source: &str, variables: &[&str], expected: &Value, time_ms: u64) -> Result<(), Found> {
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
    refused.map_or(Ok(()), |cause| Err(Found::Refused(cause)))
}
