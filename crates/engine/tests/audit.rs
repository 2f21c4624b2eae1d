//! Answers and their checks: a check finds exactly what generating again would find.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use engine::{Check, Flow, LanguageModel, RunError, Step};
use proptest::prelude::*;
use protocol::{Finish, List, Parameters, Text};
use support::{CONTEXT, KINDS, VOCABULARY, model, sampled, tokens};

fn answer(language: &LanguageModel, prompt: &[u32], parameters: &Parameters) -> (Vec<u32>, Finish) {
    let generation = language.generate(prompt, parameters, &mut |_| Flow::Continue).unwrap();
    (generation.tokens, generation.finish)
}

#[test]
fn every_answer_checks_equal_and_the_same_seed_gives_the_same_answer() {
    for kind in KINDS {
        let model = model(kind);
        let language = model.as_language().unwrap();
        let mut answers = std::collections::BTreeSet::new();
        for seed in 0..12 {
            let (prompt, parameters) = (tokens(10, 3), sampled(seed));
            let (said, finish) = answer(language, &prompt, &parameters);
            assert_eq!(answer(language, &prompt, &parameters), (said.clone(), finish));
            assert_eq!(language.check(&prompt, &parameters, &said, finish).unwrap(), Check::Equal);
            answers.insert(said);
        }
        assert!(answers.len() > 6, "seeds should matter");
    }
}

#[test]
fn any_altered_token_is_found_where_it_stands() {
    let model = model(KINDS[0]);
    let language = model.as_language().unwrap();
    let (prompt, parameters) = (tokens(10, 3), sampled(1));
    let (said, finish) = answer(language, &prompt, &parameters);
    for position in 0..said.len() {
        for other in [said[position] ^ 1, VOCABULARY as u32, u32::MAX] {
            let mut claimed = said.clone();
            claimed[position] = other;
            let expected = Step::Token(said[position]);
            let differs = Check::Differs { position, expected, claimed: Step::Token(other) };
            assert_eq!(language.check(&prompt, &parameters, &claimed, finish).unwrap(), differs);
        }
    }
}

#[test]
fn a_claim_that_ends_early_late_or_otherwise_differs_at_its_end() {
    let model = model(KINDS[0]);
    let language = model.as_language().unwrap();
    let (prompt, parameters) = (tokens(10, 3), Parameters { max_tokens: 9, ..sampled(4) });
    let (said, finish) = answer(language, &prompt, &parameters);
    assert_eq!((said.len(), finish), (9, Finish::Length));
    let check = |claimed: &[u32], finish| language.check(&prompt, &parameters, claimed, finish).unwrap();
    let short = Check::Differs { position: 5, expected: Step::Token(said[5]), claimed: Step::End(Finish::Length) };
    assert_eq!(check(&said[..5], Finish::Length), short);
    assert_eq!(check(&said[..5], Finish::Cancelled), Check::Equal);
    let longer = [said.clone(), vec![7]].concat();
    let long = Check::Differs { position: 9, expected: Step::End(Finish::Length), claimed: Step::Token(7) };
    assert_eq!(check(&longer, Finish::Length), long);
    let stop = Check::Differs { position: 9, expected: Step::End(Finish::Length), claimed: Step::End(Finish::Stop) };
    assert_eq!(check(&said, Finish::Stop), stop);
}

#[test]
fn a_stop_text_ends_the_answer_with_the_token_that_completes_it() {
    let model = model(KINDS[0]);
    let language = model.as_language().unwrap();
    let prompt = tokens(10, 3);
    let (free, _) = answer(language, &prompt, &sampled(2));
    let text: String = language.tokenizer().decode(&free);
    let stop: String = text.chars().filter(char::is_ascii).skip(3).take(1).collect();
    let parameters = Parameters { stop: List::new(vec![Text::new(stop.clone()).unwrap()]).unwrap(), ..sampled(2) };
    let (said, finish) = answer(language, &prompt, &parameters);
    assert_eq!(finish, Finish::Stop);
    assert!(said.len() < free.len() && free.starts_with(&said));
    assert!(language.tokenizer().decode(&said).ends_with(&stop));
    assert_eq!(language.check(&prompt, &parameters, &said, finish).unwrap(), Check::Equal);
    let on = Check::Differs {
        position: said.len(),
        expected: Step::End(Finish::Stop),
        claimed: Step::Token(free[said.len()]),
    };
    assert_eq!(language.check(&prompt, &parameters, &free, Finish::Length).unwrap(), on);
}

#[test]
fn an_answer_ends_where_the_context_does_and_a_caller_may_go_away() {
    for kind in KINDS {
        let model = model(kind);
        let language = model.as_language().unwrap();
        let prompt = tokens(CONTEXT - 3, 3);
        let parameters = Parameters { max_tokens: 1000, ..sampled(1) };
        let (said, finish) = answer(language, &prompt, &parameters);
        assert_eq!((said.len(), finish), (3, Finish::Length));
        assert_eq!(language.check(&prompt, &parameters, &said, finish).unwrap(), Check::Equal);
        let mut count = 0;
        let gone = language.generate(&tokens(5, 3), &parameters, &mut |_| {
            count += 1;
            if count == 2 { Flow::Stop } else { Flow::Continue }
        });
        let gone = gone.unwrap();
        assert_eq!((gone.tokens.len(), gone.finish), (2, Finish::Cancelled));
    }
}

#[test]
fn prompts_that_cannot_be_run_are_refused_by_name() {
    let model = model(KINDS[0]);
    let language = model.as_language().unwrap();
    let run = |prompt: &[u32]| language.generate(prompt, &Parameters::default(), &mut |_| Flow::Continue).unwrap_err();
    let limit = CONTEXT - 1;
    assert_eq!(run(&[]), RunError::PromptLength { found: 0, limit });
    assert_eq!(run(&tokens(CONTEXT, 1)), RunError::PromptLength { found: CONTEXT, limit });
    let refused = RunError::PromptToken { token: 9999, position: 1, vocabulary: VOCABULARY };
    assert_eq!(run(&[8, 9999]), refused);
    assert_eq!(language.check(&[8, 9999], &Parameters::default(), &[], Finish::Stop).unwrap_err(), refused);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_check_says_equal_exactly_when_generating_again_gives_the_claim(
        seed: u64, prompt_length in 1..60_usize, temperature in 0..2_000_000_u32, top_k in 0..8_u32, top_p in 1..=1_000_000_u32,
        max_tokens in 0..30_u32, change in prop::option::of((0..30_usize, 0..260_u32)), cut in prop::option::of(0..30_usize),
    ) {
        let parameters = Parameters {
            max_tokens, temperature_micros: temperature, top_p_micros: top_p, top_k, seed, ..Parameters::default()
        };
        for kind in KINDS {
            let model = model(kind);
            let language = model.as_language().unwrap();
            let prompt = tokens(prompt_length, seed);
            let (said, finish) = answer(language, &prompt, &parameters);
            let mut claimed = said.clone();
            if let Some((position, token)) = change && position < claimed.len() {
                claimed[position] = token;
            }
            claimed.truncate(cut.unwrap_or(usize::MAX));
            let found = language.check(&prompt, &parameters, &claimed, finish).unwrap();
            prop_assert_eq!(found == Check::Equal, claimed == said, "{:?} {:?} {:?}", found, claimed, said);
        }
    }
}
