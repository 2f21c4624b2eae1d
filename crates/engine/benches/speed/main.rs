//! The engine as a worker that is told what to run and answers with the seconds that it took, so that it can be asked in turns
//! with other engines (`models/peers`, which speak the same protocol). `cargo xtask bars engine` does that.
//!
//! ```text
//! speed import SOURCE TARGET {ordered|integer|int8} a GGUF or ONNX file or a checkpoint folder, to an artefact; `int8` is
//!                                                 ordered with keys and values as bytes
//! speed serve ARTEFACT [threads [level]]          commands from standard input, a line each; see `language` and `tensors`. The level
//!                                                 (portable, avx2, avx512-vnni, amx) is the CPU's best unless it is named
//! speed read BYTES                                how fast one core reads memory
//! ```
//! Without arguments it runs the demo model for a moment and prints its rates.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark stops where it cannot go on, and prints")]

mod clock;
mod import;
mod language;
mod memory;
mod tensors;

use std::{error::Error, io::BufRead};

use engine::{Level, Model, Options};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["import", source, target, kind] => import::import(source.as_ref(), target.as_ref(), kind),
        ["serve", artefact] => serve(artefact, Options::default()),
        ["serve", artefact, threads] => serve(artefact, Options { threads: threads.parse()?, ..Options::default() }),
        ["serve", artefact, threads, level] => {
            let level = Level::named(level).ok_or_else(|| format!("this CPU has no level {level}"))?;
            serve(artefact, Options { threads: threads.parse()?, level })
        }
        ["read", bytes] => {
            println!("{}", memory::read(bytes.parse()?)?);
            Ok(())
        }
        [] => demo(),
        _ => Err(format!("{words:?} is no command").into()),
    }
}

/// Answers commands until there are no more.
fn serve(artefact: &str, options: Options) -> Outcome<()> {
    let model = Model::load_with(storage::map_file(artefact.as_ref())?, options)?;
    println!("{}", json!({"ready": true, "level": options.level.name()}));
    let mut worker = Worker::of(&model)?;
    for line in std::io::stdin().lock().lines() {
        println!("{}", worker.answer(&line?)?);
    }
    Ok(())
}

enum Worker<'a> {
    Language(language::Worker<'a>),
    Tensors(tensors::Worker<'a>),
}

impl<'a> Worker<'a> {
    fn of(model: &'a Model) -> Outcome<Self> {
        if let Some(language) = model.as_language() {
            return Ok(Self::Language(language::Worker::new(language)));
        }
        let tensors = model.as_tensor().ok_or("the model is neither of language nor of tensors")?;
        Ok(Self::Tensors(tensors::Worker::new(tensors)))
    }

    fn answer(&mut self, line: &str) -> Outcome<Value> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match (words.as_slice(), self) {
            (["memory"], _) => memory::used(),
            (words, Self::Language(worker)) => worker.answer(words),
            (words, Self::Tensors(worker)) => worker.answer(words),
        }
    }
}

/// What a quick look shows: the shipped model, both kinds.
fn demo() -> Outcome<()> {
    for kind in ["integer", "ordered"] {
        let path = format!("{}/../../models/demo/demo-{kind}.ogm", env!("CARGO_MANIFEST_DIR"));
        let model = Model::load(storage::map_file(path.as_ref())?)?;
        let mut worker = Worker::of(&model)?;
        for (work, tokens) in [("prefill", 120.0), ("decode", 32.0)] {
            let mut times = Vec::new();
            for _ in 0..5 {
                // What is decoded always stands behind the same prompt.
                worker.answer("prefill 120")?;
                let seconds = worker.answer(&format!("{work} {tokens}"))?;
                times.push(seconds["cpu_s"].as_f64().ok_or("no time was told")?);
            }
            times.sort_by(f64::total_cmp);
            println!("demo-{kind} {work} {:.0} tokens per CPU second, one thread", tokens / times[times.len() / 2]);
        }
    }
    Ok(())
}
