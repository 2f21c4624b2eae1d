//! Tiny models of every family in their integer form: the engine has the bits of the reference evaluator on any level, with any
//! number of threads, in any cut, and in company.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/families.rs"]
mod families;
mod support;

use std::path::Path;

use bytes::Bytes;
use engine::{Level, Model, Options};
use families::{Family, WORDS};
use graph::{
    CacheFormat, Data, Defaults, LanguageKind, LanguageSources, Tensor, compile_language, evaluate,
    language::{Files, calculator::Plain, weights::Precision},
    sampling,
};

fn families() -> Vec<Family> {
    families::families("model.safetensors", compile)
}

fn compile(path: &Path, tokens: &[u32]) -> Bytes {
    let weights = [Bytes::from(std::fs::read(path.join("model.safetensors")).unwrap())];
    let config = std::fs::read(path.join("config.json")).unwrap();
    let sources = LanguageSources {
        name: "tiny",
        kind: LanguageKind::Integer,
        files: Files::Safetensors { weights: &weights, config: &config, precision: Precision::AsStored },
        context: None,
        stop_tokens: &[],
        tokenizer: WORDS.as_bytes(),
        template: "x",
        defaults: Defaults::greedy(9),
        calibration: &[tokens.to_vec()],
        calculator: &Plain,
        cache: CacheFormat::Halves,
    };
    compile_language(&sources, &mut |bytes| Ok(bytes)).unwrap().to_artefact().into()
}

/// A text longer than any window of the families.
fn text(family: &Family, count: usize) -> Vec<u32> {
    family
        .tokens
        .iter()
        .copied()
        .cycle()
        .take(count)
        .enumerate()
        .map(|(at, token)| (token + at as u32 / 7) % 64)
        .collect()
}

#[test]
fn every_family_has_an_integer_form_with_one_meaning() {
    let families = families();
    assert_eq!(families.len(), 14);
    for family in &families {
        let text = text(family, 70);
        let (graph, _) = graph::Model::from_artefact(&family.artefact).unwrap();
        assert_eq!(graph.kind(), "integer");
        let input = Tensor::of(&[text.len()], Data::I32(text.iter().map(|&token| token as i32).collect()));
        let exact = evaluate(&graph.graph, &[input]).unwrap().remove(0);
        let Data::I32(exact) = exact.data() else { panic!("{}: {:?}", family.name, exact.element()) };
        let expected: Vec<Vec<i64>> = exact.chunks(64).map(|row| sampling::from_integers(row, 12)).collect();
        for (level, threads) in Level::available().into_iter().flat_map(|level| [(level, 1), (level, 3)]) {
            let model = Model::load_with(family.artefact.clone(), Options { level, threads }).unwrap();
            let language = model.as_language().unwrap();
            let said = |what: &str| format!("{}, {what}, {} with {threads} threads", family.name, level.name());
            assert!(language.logits(&text).unwrap() == expected, "{}", said("at once"));
            for chunk in [1, 7, 64] {
                let found = language.text().with_chunk(chunk).extend(&text).unwrap();
                assert!(found == expected, "{}", said(&format!("in pieces of {chunk}")));
            }
            let other: Vec<u32> = text.iter().rev().take(23).copied().collect();
            let alone = language.logits(&other).unwrap();
            let mut lanes = [language.text(), language.text()];
            let together = language.extend_together(&mut lanes, &[&text, &other]).unwrap();
            assert!(together == [&expected[..], &alone].concat(), "{}", said("in company"));
        }
    }
}

/// Run on other CPUs too, where what is printed must be the same, the floats of compiling included.
#[test]
fn every_family_has_one_digest_as_integers() {
    for family in families() {
        let model = Model::load(family.artefact.clone()).unwrap();
        let logits = model.as_language().unwrap().logits(&text(&family, 70)).unwrap();
        println!("digest {}Integer {:016x}", family.name.replace('_', ""), support::digest(support::DIGEST, &logits));
    }
}
