//! Tiny models of every family of decoders: the engine, in any cut, on any level and number of threads, has the bits of the
//! reference evaluator.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/families.rs"]
mod families;
mod support;

use std::path::Path;

use bytes::Bytes;
use engine::{CheckpointFiles, CompileOptions, Level, Model, Options, WeightFiles, compile_checkpoint};
use families::{Family, WORDS};
use graph::{Data, Defaults, LanguageKind, Tensor, evaluate, gguf::Gguf};

const DEFAULTS: Defaults = Defaults::greedy(9);

/// Those that have a GGUF file.
fn families() -> Vec<Family> {
    families::families("model.gguf", compile)
}

fn compile(path: &Path, _tokens: &[u32]) -> Bytes {
    let file = Gguf::read(&std::fs::read(path.join("model.gguf")).unwrap().into()).unwrap();
    let (weights, template) = (WeightFiles::Gguf(&file), "x");
    let files = CheckpointFiles { weights, tokenizer: WORDS.as_bytes(), template, calibration: "", stop_tokens: &[] };
    let options = CompileOptions::of(LanguageKind::Ordered, DEFAULTS);
    compile_checkpoint(&files, "tiny", &options).unwrap().into()
}

#[test]
fn every_family_runs_with_the_bits_of_its_graph() {
    let families = families();
    assert_eq!(families.len(), 14);
    for Family { name, artefact, tokens } in &families {
        let input = Tensor::of(&[tokens.len()], Data::I32(tokens.iter().map(|&token| token as i32).collect()));
        let (graph, _) = graph::Model::from_artefact(artefact).unwrap();
        let exact = evaluate(&graph.graph, &[input]).unwrap().remove(0);
        for (level, threads) in Level::available().into_iter().flat_map(|level| [(level, 1), (level, 2)]) {
            let model = Model::load_with(artefact.clone(), Options { level, threads }).unwrap();
            let language = model.as_language().unwrap();
            let found: Vec<i64> = language.logits(tokens).unwrap().into_iter().flatten().collect();
            let fixed = |&logit: &f32| (f64::from(logit) * 65_536.0).round_ties_even() as i64;
            let expected: Vec<i64> = exact.floats().unwrap().iter().map(fixed).collect();
            assert!(found == expected, "{name} on {} with {threads} threads", level.name());
        }
    }
}

/// Run on other CPUs too, where what is printed must be the same: mixtures of experts, compressed keys and values, and windows shorter
/// than the text are among them.
#[test]
fn every_family_has_one_digest() {
    for Family { name, artefact, tokens } in families() {
        let model = Model::load(artefact).unwrap();
        let logits = model.as_language().unwrap().logits(&tokens).unwrap();
        println!("digest {} {:016x}", name.replace('_', ""), support::digest(support::DIGEST, &logits));
    }
}
