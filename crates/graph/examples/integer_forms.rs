//! Says which cases of the ONNX standard have an integer form, and how near their expected outputs it comes.
//!
//! `cargo run -p graph --example integer_forms -- DATA`, where DATA is what `models/onnx/cases.py` wrote. A line a case: `exact` (the standard's own
//! tolerance), `near` (within 1 % of each output's greatest number), `far`, or `none` and why.
#![allow(clippy::print_stdout, reason = "a program that prints a report")]

#[path = "../tests/support/integers.rs"]
mod integers;
#[path = "../tests/support/standard.rs"]
#[allow(dead_code, reason = "this program only compares")]
mod standard;

use std::path::Path;

use integers::{FAR, Near, tried};
use standard::{folders, name_of};

fn main() {
    let Some(data) = std::env::args().nth(1) else {
        println!("usage: integer_forms DATA");
        std::process::exit(2);
    };
    for folder in folders(&Path::new(&data).join("node")) {
        let name = name_of(&folder);
        let (word, text) = match tried(&folder) {
            Ok(Near::Exact) => ("exact", String::new()),
            Ok(near @ Near::Within(share)) => (near.word(), format!("{share:.1e} of the greatest")),
            Err(cause) => ("none", cause.lines().next().unwrap_or_default().to_owned()),
        };
        println!("{word} {name}: {text}");
    }
    FAR.iter().for_each(|(name, why)| println!("far, known: {name}: {why}"));
}
