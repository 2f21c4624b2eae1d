//! Runs the cases that lie beside vocabularies: `NAME.gguf.inp` holds texts, `NAME.gguf.out` their tokens, a line each.
//!
//! Prints a line for each vocabulary and fails where a case differs:
//! `cargo run -p engine --example vocabularies -- FOLDER`
#![allow(clippy::print_stdout, reason = "a command's findings")]

use std::{error::Error, fs, path::Path};

use engine::{Tokenizer, tokenizer_from_gguf};
use graph::gguf::Gguf;

const BETWEEN: &str = "\n__ggml_vocab_test__\n";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("the folder of the vocabularies is missing")?;
    let mut files: Vec<_> = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "gguf"));
    files.sort();
    let (mut equal, mut all) = (0, 0);
    for path in &files {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        match cases(path) {
            Ok((0, 0)) => println!("{name}: read; no cases"),
            Ok((found, of)) => {
                println!("{name}: {found} of {of} cases equal");
                (equal, all) = (equal + found, all + of);
            }
            Err(cause) => {
                println!("{name}: refused: {cause}");
                all += 1;
            }
        }
    }
    println!("tokenizer cases: {equal} of {all} equal");
    if equal == all && all > 0 { Ok(()) } else { Err("cases differ".into()) }
}

/// How many cases of a vocabulary are equal, and how many there are.
fn cases(path: &Path) -> Result<(usize, usize), Box<dyn Error>> {
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
