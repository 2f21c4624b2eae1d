//! What judging takes is counted alike by everybody, and bounds what is answered and what is believed alike.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use engine::{Check, Flow, LanguageModel, Model, RunError, Work};
use protocol::{Bytes, Finish, Parameters, Tensor};
use support::{KINDS, model, tokens};

const DEMO: &[u8] = include_bytes!("../../../models/demo/demo-integer.ogm");
const RISK: &[u8] = include_bytes!("../../../models/risk/risk-integer.ogm");

/// The rules of networks hang on these: another count is another version of the arithmetic.
#[test]
fn the_work_of_models_is_what_it_was() {
    let work = |artefact: &'static [u8]| Model::load(artefact).unwrap().work();
    assert_eq!(work(DEMO), Work { call: 23_920_640, row: 7_285_536, pair: 3_840 });
    assert_eq!(work(RISK), Work { call: 2_707_456, row: 94_004, pair: 0 });
}

#[test]
fn every_weight_is_multiplied_once_a_token() {
    let demo = Model::load(DEMO).unwrap();
    let (work, parameters) = (demo.work(), demo.card().parameters);
    assert!(work.row >= parameters && work.row < 3 * parameters, "{work:?}, {parameters} parameters");
    assert!(work.pair > 0, "attention looks back");
}

fn greedy(max_tokens: u32) -> Parameters {
    Parameters { max_tokens, ..Parameters::default() }
}

fn generated(language: &LanguageModel, prompt: &[u32]) -> (Vec<u32>, Finish) {
    let said = language.generate(prompt, &greedy(60_000), &mut |_| Flow::Continue).unwrap();
    (said.tokens, said.finish)
}

#[test]
fn a_text_is_as_long_as_can_be_judged_and_its_judge_agrees() {
    for kind in KINDS {
        let whole = model(kind);
        let (work, own) = (whole.work(), whole.card().context);
        let cut = model(kind).within(work.of(20) + 1);
        let language = cut.as_language().unwrap();
        assert_eq!((language.context(), language.own_context(), cut.card().context), (20, own, own));
        let prompt = tokens(12, 1);
        let (said, finish) = generated(language, &prompt);
        assert!(said.len() <= 8);
        assert_eq!(language.check(&prompt, &greedy(60_000), &said, finish), Ok(Check::Equal));
        let long = tokens(20, 1);
        let refused = RunError::PromptLength { found: 20, limit: 19 };
        assert_eq!(language.check(&long, &greedy(5), &[7], Finish::Length), Err(refused));
        assert!(whole.as_language().unwrap().check_work([&long]).is_ok());
        // Texts of one request count together.
        let text = tokens(15, 1);
        assert_eq!(language.check_work([&text]), Ok(()));
        let (needed, limit) = (2 * work.of(15), work.of(20) + 1);
        assert_eq!(language.check_work([&text, &text]), Err(RunError::Work { needed, limit }));
    }
}

#[test]
fn a_model_too_large_for_a_network_takes_nothing_there() {
    let none = model(KINDS[0]).within(1);
    let language = none.as_language().unwrap();
    assert_eq!(language.context(), 1);
    let refused = language.generate(&tokens(1, 1), &greedy(1), &mut |_| Flow::Continue).unwrap_err();
    assert_eq!(refused, RunError::PromptLength { found: 1, limit: 0 });
}

fn risk_inputs(rows: u64) -> Vec<Tensor> {
    let floats = |name: &str, count: u64| Tensor {
        name: protocol::Text::new(name).unwrap(),
        element: protocol::Element::F32,
        shape: protocol::List::new(vec![rows, count]).unwrap(),
        data: Bytes::new((0..rows * count).flat_map(|_| 0.5_f32.to_le_bytes()).collect()).unwrap(),
    };
    vec![floats("returns", 32), floats("statistics", 4)]
}

#[test]
fn a_call_has_as_many_rows_as_can_be_judged() {
    let work = Model::load(RISK).unwrap().work();
    let cut = Model::load(RISK).unwrap().within(work.of(3));
    let tensors = cut.as_tensor().unwrap();
    assert!(tensors.run(&risk_inputs(3)).is_ok());
    let refused = RunError::Work { needed: work.of(4), limit: work.of(3) };
    assert_eq!(tensors.run(&risk_inputs(4)), Err(refused));
}
