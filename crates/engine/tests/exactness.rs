//! Whole language models: the same bits from the oracle, in any chunks, on any number of threads, alone or together.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use engine::Options;
use graph::{Data, Tensor, evaluate, sampling};
use proptest::prelude::*;
use support::{CONTEXT, KINDS, VOCABULARY, model, model_with, tokens};

#[test]
fn the_engine_has_the_logits_of_the_reference_evaluator() {
    for kind in KINDS {
        let (oracle, _) = graph::Model::from_artefact(&support::artefact(kind).into()).unwrap();
        let text = tokens(CONTEXT, 3);
        let input = Tensor::of(&[CONTEXT], Data::I32(text.iter().map(|&token| token as i32).collect()));
        let expected = evaluate(&oracle.graph, &[input]).unwrap().remove(0);
        let expected: Vec<Vec<i64>> = match expected.data() {
            Data::I32(logits) => logits.chunks(VOCABULARY).map(|row| sampling::from_integers(row, 12)).collect(),
            Data::F32(logits) => logits.chunks(VOCABULARY).map(|row| sampling::from_floats(row).unwrap()).collect(),
            other => panic!("{other:?}"),
        };
        for level in engine::Level::available() {
            let model = model_with(kind, Options { threads: 1, level });
            assert!(model.as_language().unwrap().logits(&text).unwrap() == expected, "{kind:?} {}", level.name());
        }
    }
}

/// Run on other CPUs too, where what is printed must be the same.
#[test]
fn every_level_has_one_digest_of_logits() {
    let text = tokens(CONTEXT, 11);
    let digest = |options: Options| {
        KINDS.iter().fold(support::DIGEST, |digest, &kind| {
            let model = model_with(kind, options);
            support::digest(digest, &model.as_language().unwrap().logits(&text).unwrap())
        })
    };
    let expected = digest(Options::default());
    println!("digest {expected:016x}");
    for level in engine::Level::available() {
        assert_eq!(digest(Options { threads: 2, level }), expected, "{}", level.name());
    }
}

#[test]
fn a_random_model_is_no_trivial_one() {
    for kind in KINDS {
        let model = model(kind);
        let logits = model.as_language().unwrap().logits(&tokens(40, 5)).unwrap();
        let greatest: std::collections::BTreeSet<usize> = logits.iter().map(|row| sampling::greatest(row)).collect();
        assert!(greatest.len() > 5, "{greatest:?}");
    }
}

#[test]
fn keys_and_values_as_bytes_take_less_memory_and_stay_near_the_halves() {
    let text = tokens(CONTEXT, 5);
    let [halves, bytes] = [support::Form::Ordered, support::Form::Bytes].map(|form| {
        let model = model(form);
        let language = model.as_language().unwrap();
        let mut lane = language.text();
        let logits = lane.extend(&text).unwrap().concat();
        (logits, lane.bytes())
    });
    let dot = |one: &[i64], other: &[i64]| one.iter().zip(other).map(|(&x, &y)| x as f64 * y as f64).sum::<f64>();
    let cosine = dot(&halves.0, &bytes.0) / (dot(&halves.0, &halves.0) * dot(&bytes.0, &bytes.0)).sqrt();
    assert!(cosine > 0.9995, "{cosine}");
    // Of heads of 16: 16 bytes and 4 of the scale, where halves take 32.
    assert_eq!(bytes.1 * 32, halves.1 * 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn prefill_in_any_chunks_equals_token_by_token(seed: u64, count in 1..=CONTEXT, chunk in 1..=CONTEXT, threads in 1..4_usize) {
        for kind in KINDS {
            let alone = model(kind);
            let several = model_with(kind, Options { threads, ..Options::default() });
            let text = tokens(count, seed);
            let mut steps = alone.as_language().unwrap().text();
            let expected: Vec<_> = text.iter().flat_map(|&token| steps.extend(&[token]).unwrap()).collect();
            let mut pieces = several.as_language().unwrap().text().with_chunk(chunk);
            prop_assert!(pieces.extend(&text).unwrap() == expected);
        }
    }

    #[test]
    fn texts_run_together_equal_each_alone(seed: u64, lengths in prop::collection::vec(1..30_usize, 2..5)) {
        for kind in KINDS {
            let model = model(kind);
            let language = model.as_language().unwrap();
            let texts: Vec<Vec<u32>> = lengths.iter().zip(seed..).map(|(&length, seed)| tokens(length + 8, seed)).collect();
            let alone: Vec<Vec<i64>> = texts.iter().map(|text| language.logits(text).unwrap().pop().unwrap()).collect();
            let mut lanes: Vec<_> = texts.iter().map(|_| language.text()).collect();
            // Prompts of different lengths at once, then single steps, as a server would mix them.
            let prompts: Vec<&[u32]> = texts.iter().map(|text| &text[..text.len() - 8]).collect();
            language.extend_together(&mut lanes, &prompts).unwrap();
            let mut last = Vec::new();
            for step in 0..8 {
                let single: Vec<&[u32]> = texts.iter().map(|text| &text[text.len() - 8 + step..][..1]).collect();
                last = language.extend_together(&mut lanes, &single).unwrap();
            }
            prop_assert!(last == alone);
        }
    }

    #[test]
    fn a_shared_beginning_and_a_text_cut_back_equal_one_run_anew(seed: u64, count in 2..=CONTEXT, share: usize, back: usize) {
        for kind in KINDS {
            let model = model(kind);
            let language = model.as_language().unwrap();
            let text = tokens(count, seed);
            let expected = language.logits(&text).unwrap();
            let other = tokens(CONTEXT, seed ^ 1);
            let (share, back) = (share % count, back % count);
            // The first text goes on in its own way: the one that shares its beginning does not see it.
            let mut first = language.text();
            first.extend(&text).unwrap();
            let mut second = first.share(share);
            first.truncate(back);
            first.extend(&other[..CONTEXT - back]).unwrap();
            prop_assert!(second.extend(&text[share..]).unwrap() == expected[share..]);
            first.truncate(back);
            prop_assert!(first.extend(&text[back..]).unwrap() == expected[back..]);
        }
    }

    #[test]
    fn rows_whose_logits_are_left_out_change_no_other(seed: u64, count in 1..=CONTEXT, from: usize) {
        for kind in KINDS {
            let model = model(kind);
            let language = model.as_language().unwrap();
            let text = tokens(count, seed);
            let mut skipping = language.text();
            skipping.skip(from % count);
            prop_assert!(skipping.extend(&text).unwrap() == language.logits(&text).unwrap()[from % count..]);
        }
    }
}
