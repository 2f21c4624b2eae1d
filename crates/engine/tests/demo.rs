//! The model that ships with the project: its checkpoint is read as it was trained, its artefacts are what the checkpoint
//! compiles to, and their bits are those that are written down.
//!
//! After a new training, `UPDATE_ARTEFACTS=1 cargo test -p engine --test demo` writes artefacts and bits anew.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use engine::{
    CheckpointFiles, CompileOptions, LanguageModel, Model, WeightFiles, compare, compile_checkpoint, dialogue,
    greedy_answers,
};
use graph::{
    Defaults, LanguageKind,
    language::{Decoder, calculator::Plain, float_logits},
};
use serde_json::{Value, json};

const DEFAULTS: Defaults = Defaults::greedy(256);
const KINDS: [(&str, LanguageKind); 2] =
    [("demo-integer", LanguageKind::Integer), ("demo-ordered", LanguageKind::Ordered)];
/// The most that an artefact may weigh.
const BYTES_MAX: usize = 10_000_000;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/demo").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

fn text(name: &str) -> String {
    String::from_utf8(bytes(name)).unwrap()
}

fn updating() -> bool {
    std::env::var_os("UPDATE_ARTEFACTS").is_some()
}

fn compile(kind: LanguageKind) -> Vec<u8> {
    let (weights, config, tokenizer) = (bytes("weights.safetensors"), bytes("config.json"), bytes("tokenizer.json"));
    let files = CheckpointFiles {
        weights: WeightFiles::Safetensors { files: &[weights.into()], config: &config },
        tokenizer: &tokenizer,
        template: &text("chat_template.jinja"),
        calibration: &text("calibration.jsonl"),
        stop_tokens: &[],
    };
    compile_checkpoint(&files, "demo-chat", &CompileOptions::of(kind, DEFAULTS)).unwrap()
}

/// The dialogues of `logits.json`, each with its tokens and its most likely next ones.
fn seen_in_training() -> Vec<Value> {
    serde_json::from_str::<Value>(&text("logits.json")).unwrap().as_array().unwrap().clone()
}

fn ids(case: &Value) -> Vec<u32> {
    case["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

#[test]
fn the_importer_has_the_tokens_and_logits_that_training_saw() {
    let mut decoder = Decoder::import(&bytes("weights.safetensors"), &bytes("config.json")).unwrap();
    let model = Model::load(compile(LanguageKind::Ordered)).unwrap();
    let language = model.as_language().unwrap();
    let texts: Vec<Vec<u32>> = seen_in_training().iter().map(ids).collect();
    let mut all = Vec::new();
    float_logits(&mut decoder, &texts, &Plain, &mut |_, logits| all.push(logits.to_vec())).unwrap();
    for (case, logits) in seen_in_training().iter().zip(all) {
        let messages = dialogue(&case.to_string()).unwrap();
        assert_eq!(language.prompt(&messages, 0).unwrap(), ids(case));
        let last = &logits[logits.len() - language.vocabulary()..];
        for top in case["top"].as_array().unwrap() {
            let (id, logit) = (top["id"].as_u64().unwrap() as usize, top["logit"].as_f64().unwrap());
            assert!((f64::from(last[id]) - logit).abs() < 0.002, "{top}: {}", last[id]);
        }
    }
}

/// The digest of the logits of all dialogues in `logits.json`.
fn logits_digest(language: &LanguageModel) -> String {
    let mut hasher = crypto::Hasher::new("og/test/logits/v1");
    for case in seen_in_training() {
        for logit in language.logits(&ids(&case)).unwrap().into_iter().flatten() {
            hasher.update(&logit.to_be_bytes());
        }
    }
    hasher.finish().to_string()
}

#[test]
fn the_artefacts_are_what_the_checkpoint_compiles_to_and_have_the_bits_that_are_written_down() {
    let mut found = json!({});
    for (name, kind) in KINDS {
        let (file, compiled) = (format!("{name}.ogm"), compile(kind));
        if updating() {
            std::fs::write(path(&file), &compiled).unwrap();
        }
        let committed = bytes(&file);
        assert!(committed == compiled, "{file} is not what the checkpoint compiles to");
        assert!(committed.len() <= BYTES_MAX, "{file} has {} bytes", committed.len());
        let model = Model::load(committed.clone()).unwrap();
        let logits = logits_digest(model.as_language().unwrap());
        found[name] = json!({"root": model.root().to_string(), "logits": logits, "bytes": committed.len()});
    }
    if updating() {
        std::fs::write(path("artefacts.json"), serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
    }
    assert_eq!(serde_json::from_str::<Value>(&text("artefacts.json")).unwrap(), found);
}

#[test]
fn the_exact_model_is_as_good_as_its_floats() {
    let mut decoder = Decoder::import(&bytes("weights.safetensors"), &bytes("config.json")).unwrap();
    let dialogues: Vec<String> = text("calibration.jsonl").lines().take(12).map(str::to_owned).collect();
    for (name, kind) in KINDS {
        let model = Model::load(compile(kind)).unwrap();
        let comparison = compare(model.as_language().unwrap(), &mut decoder, &dialogues.join("\n")).unwrap();
        assert!(comparison.exact_perplexity < comparison.float_perplexity * 1.01, "{name}: {comparison:?}");
        assert!(comparison.agreement > 0.97, "{name}: {comparison:?}");
    }
}

#[test]
fn every_held_out_question_gets_an_answer() {
    let model = Model::load(compile(LanguageKind::Ordered)).unwrap();
    let questions: Vec<String> = text("heldout.jsonl").lines().step_by(25).map(str::to_owned).collect();
    let answers = greedy_answers(model.as_language().unwrap(), &questions.join("\n")).unwrap();
    for (question, answer) in questions.iter().zip(answers.lines()) {
        let (question, answer): (Value, Value) =
            (serde_json::from_str(question).unwrap(), serde_json::from_str(answer).unwrap());
        assert_eq!(question["id"], answer["id"]);
        assert!(!answer["answer"].as_str().unwrap().trim().is_empty(), "{question}");
    }
    assert_eq!(answers.lines().count(), questions.len());
}
