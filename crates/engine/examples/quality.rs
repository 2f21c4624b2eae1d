//! How near the compiled kinds of a checkpoint are to its floats, and greedy answers of them: what model cards tell.
//!
//! ```text
//! quality CHECKPOINT compare DIALOGUES [ARTEFACT]     perplexity and same first tokens, of all lines and of each of their kinds
//! quality CHECKPOINT {integer|ordered} QUESTIONS      answers, a line each
//! ```
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example stops where it cannot go on, and prints")]

use std::{collections::BTreeMap, error::Error, fs, path::Path};

use bytes::Bytes;
use engine::{
    CheckpointFiles, CompileOptions, Model, Options, WeightFiles, compare, compile_checkpoint, float_decoder,
    greedy_answers,
};
use graph::{Defaults, LanguageKind};

const DEFAULTS: Defaults = Defaults::greedy(256);
const KINDS: [(&str, LanguageKind); 2] = [("integer", LanguageKind::Integer), ("ordered", LanguageKind::Ordered)];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, work, file, artefacts @ ..] = arguments.as_slice() else {
        return Err("three arguments are expected".into());
    };
    let read = |name: &str| fs::read(Path::new(folder).join(name));
    let text = |name: &str| fs::read_to_string(Path::new(folder).join(name));
    let (weights, config) = ([Bytes::from(read("weights.safetensors")?)], read("config.json")?);
    let (tokenizer, template, calibration) =
        (read("tokenizer.json")?, text("chat_template.jinja")?, text("calibration.jsonl")?);
    let files = CheckpointFiles {
        weights: WeightFiles::Safetensors { files: &weights, config: &config },
        tokenizer: &tokenizer,
        template: &template,
        calibration: &calibration,
        stop_tokens: &[],
    };
    let model = |kind| -> Result<Model, Box<dyn Error>> {
        let compiled = compile_checkpoint(&files, "quality", &CompileOptions::of(kind, DEFAULTS))?;
        Ok(Model::load_with(Bytes::from(compiled), Options::default())?)
    };
    let lines = fs::read_to_string(file)?;
    if let Some((_, kind)) = KINDS.into_iter().find(|(name, _)| name == work) {
        print!("{}", greedy_answers(model(kind)?.as_language().unwrap(), &lines)?);
        return Ok(());
    }
    let mut groups: BTreeMap<String, String> = BTreeMap::new();
    for line in lines.lines() {
        let said: serde_json::Value = serde_json::from_str(line)?;
        let of = said.get("kind").and_then(serde_json::Value::as_str).unwrap_or("dialogue").to_owned();
        for name in [of, "all".to_owned()] {
            *groups.entry(name).or_default() += &format!("{line}\n");
        }
    }
    let mut models = Vec::new();
    for (name, kind) in KINDS.into_iter().filter(|_| artefacts.is_empty()) {
        models.push((name, model(kind)?));
    }
    for path in artefacts {
        models.push((path.as_str(), Model::load(fs::read(path)?)?));
    }
    for (name, model) in &models {
        for (group, dialogues) in &groups {
            let mut decoder = float_decoder(&files, None)?;
            let found = compare(model.as_language().unwrap(), &mut decoder, dialogues)?;
            println!(
                "{name} {group}: {} tokens, perplexity {:.4} beside {:.4} in floats, same first token {:.2} %",
                found.tokens,
                found.exact_perplexity,
                found.float_perplexity,
                found.agreement * 100.0
            );
        }
    }
    Ok(())
}
