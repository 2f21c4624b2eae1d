//! Runs the backend test of the ONNX standard by the operators' meanings, and says what became of each case.
//!
//! `cargo run -p graph --example conformance -- DATA [--list STATUS] [--case NAME]`, where DATA is what `models/onnx/cases.py` wrote. `--list`
//! prints the cases of one status (pass, wrong, unsupported, refused, or all), `--case` says all about one. It fails where a case fails
//! that our operators claim to answer. `cargo xtask conformance` makes `docs/onnx-conformance.md` of it.
#![allow(clippy::print_stdout, reason = "a program that prints a report")]

#[path = "../tests/support/standard.rs"]
mod standard;

use std::path::Path;

use standard::{KINDS, UNCLAIMED, folders, name_of, run_case, unclaimed};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let Some(data) = arguments.first() else {
        println!("usage: conformance DATA [--list STATUS] [--case NAME]");
        std::process::exit(2);
    };
    let (list, only) = (option("--list"), option("--case"));
    let mut broken: Vec<String> = Vec::new();
    for (kind, _) in KINDS {
        let (mut passed, mut all) = (0, 0);
        for folder in folders(&Path::new(data).join(kind)) {
            let name = name_of(&folder);
            if only.as_ref().is_some_and(|only| *only != name) {
                continue;
            }
            let status = run_case(&folder, |program, inputs, limits| program.run(inputs, limits));
            all += 1;
            passed += usize::from(status.passes());
            broken.extend((unclaimed(&name).is_none() && !status.passes()).then(|| name.clone()));
            let wanted = list.as_ref().is_some_and(|list| list == status.word() || list == "all");
            if wanted || only.is_some() {
                println!("{} {name}: {}", status.word(), status.text());
            }
        }
        println!("{kind}: {passed} of {all}");
    }
    UNCLAIMED.iter().for_each(|(name, why)| println!("unclaimed {name}…: {why}"));
    broken.iter().for_each(|name| println!("claimed, and fails: {name}"));
    std::process::exit(i32::from(!broken.is_empty()));
}
