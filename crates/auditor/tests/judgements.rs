//! What is true is found equal, and each way of lying is found and named.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stage;

use auditor::{Difference, Judgement, judge};
use engine::{Model, Step};
use protocol::{Digest, Finish, Input, List, Parameters, Text};
use stage::{Draft, chat_model, floats, risk_model, tiny};

fn judged(model: &Model, draft: &Draft) -> Judgement {
    judge(model, &draft.sign().receipt, &draft.opening)
}

fn difference(model: &Model, draft: &Draft) -> Difference {
    match judged(model, draft) {
        Judgement::False(difference) => difference,
        other => panic!("{other:?}"),
    }
}

fn greedy() -> Draft {
    Draft::chat(Parameters { max_tokens: 6, ..Parameters::default() })
}

#[test]
fn true_receipts_of_every_kind_are_equal() {
    let (chat, risk) = (chat_model(), risk_model());
    assert_eq!(judged(&risk, &Draft::risk()), Judgement::Equal);
    assert_eq!(judged(&chat, &greedy()), Judgement::Equal);
    for seed in 0..8 {
        let draft = Draft::chat(tiny::sampled(seed));
        assert_eq!(judged(&chat, &draft), Judgement::Equal, "seed {seed}");
    }
    let stopping = |stop: &str| {
        let stop = List::new(vec![Text::new(stop).unwrap()]).unwrap();
        Draft::chat(Parameters { stop, ..tiny::sampled(2) })
    };
    let free = Draft::chat(tiny::sampled(2));
    let text = chat.as_language().unwrap().tokenizer().decode(&free.tokens());
    let stop: String = text.chars().filter(char::is_ascii).skip(3).take(1).collect();
    let stopped = stopping(&stop);
    assert_eq!(stopped.finish, Finish::Stop);
    assert_eq!(judged(&chat, &stopped), Judgement::Equal);
    let nothing = Draft::chat(Parameters { max_tokens: 0, ..Parameters::default() });
    assert_eq!((nothing.tokens().len(), judged(&chat, &nothing)), (0, Judgement::Equal));
}

#[test]
fn another_token_is_found_where_it_stands() {
    let (model, truth) = (chat_model(), greedy());
    for position in 0..truth.tokens().len() {
        let mut tokens = truth.tokens();
        let expected = Step::Token(tokens[position]);
        tokens[position] ^= 1;
        let claimed = Step::Token(tokens[position]);
        let found = difference(&model, &truth.clone().saying(tokens));
        assert_eq!(found, Difference::Answer { position, expected, claimed });
    }
    let mut foreign = truth.tokens();
    foreign[2] = u32::MAX;
    assert!(matches!(difference(&model, &truth.saying(foreign)), Difference::Answer { position: 2, .. }));
}

#[test]
fn an_answer_that_is_cut_or_goes_on_is_found_at_its_end() {
    let (model, truth) = (chat_model(), greedy());
    let tokens = truth.tokens();
    for finish in [Finish::Stop, Finish::Length, Finish::Complete] {
        let cut = truth.clone().saying(tokens[..3].to_vec()).changed(|draft| draft.finish = finish);
        let expected = Difference::Answer { position: 3, expected: Step::Token(tokens[3]), claimed: Step::End(finish) };
        assert_eq!(difference(&model, &cut), expected);
    }
    let longer = truth.clone().saying([tokens.clone(), vec![7]].concat());
    assert!(matches!(difference(&model, &longer), Difference::Answer { position: 6, .. }));
    let other_end = truth.changed(|draft| draft.finish = Finish::Stop);
    assert!(matches!(difference(&model, &other_end), Difference::Answer { position: 6, .. }));
}

#[test]
fn a_false_score_is_found_and_so_is_one_that_nobody_asked_for() {
    let model = chat_model();
    let truth = Draft::chat(Parameters { scores: 2, prompt_scores: true, max_tokens: 6, ..Parameters::default() });
    assert_eq!(judged(&model, &truth), Judgement::Equal);
    let scored = truth.scored();
    let mut lie = scored.clone();
    let mut tokens = lie.tokens.to_vec();
    tokens[2].score.logprob_micros -= 1;
    lie.tokens = List::new(tokens).unwrap();
    assert_eq!(difference(&model, &truth.clone().scoring(lie)), Difference::Score { position: 2 });
    let mut lie = scored.clone();
    lie.prompt = List::new(scored.prompt[..5].to_vec()).unwrap();
    assert_eq!(difference(&model, &truth.clone().scoring(lie)), Difference::PromptScore { position: 5 });
    let tokens = scored.tokens.iter().map(|scored| scored.token).collect();
    assert_eq!(difference(&model, &truth.saying(tokens)), Difference::Form);
    assert_eq!(difference(&model, &greedy().scoring(scored)), Difference::Form);
}

#[test]
fn embeddings_are_judged_by_their_bits_and_by_the_tokens_that_are_charged_for() {
    let model = Model::load(tiny::artefact(tiny::KINDS[1])).unwrap();
    let truth = Draft::embedded(&model, &["one text", "another"]);
    assert_eq!(judged(&model, &truth), Judgement::Equal);
    let flipped = |position: usize| {
        let mut tensors = truth.tensors();
        let mut data = tensors[position].data.to_vec();
        data[0] ^= 1;
        tensors[position].data = protocol::Bytes::new(data).unwrap();
        truth.clone().computing(tensors)
    };
    for position in 0..2 {
        assert_eq!(difference(&model, &flipped(position)), Difference::Tensor { position });
    }
    let fewer = truth.clone().computing(truth.tensors()[..1].to_vec());
    assert_eq!(difference(&model, &fewer), Difference::Tensor { position: 1 });
    let longer = truth.clone().changed(|draft| {
        draft.opening.prompt = List::new([draft.opening.prompt.to_vec(), vec![7]].concat()).unwrap();
    });
    assert_eq!(difference(&model, &longer), Difference::Prompt);
    let stopped = truth.changed(|draft| draft.finish = Finish::Stop);
    assert_eq!(difference(&model, &stopped), Difference::Finish);
}

#[test]
fn an_end_that_no_receipt_may_have_is_found() {
    let cancelled = greedy().changed(|draft| draft.finish = Finish::Cancelled);
    assert_eq!(difference(&chat_model(), &cancelled), Difference::Finish);
    let cut = greedy();
    let cut = cut.clone().saying(cut.tokens()[..2].to_vec()).changed(|draft| draft.finish = Finish::Cancelled);
    assert_eq!(difference(&chat_model(), &cut), Difference::Finish, "nobody may cut an answer and say who left");
    for finish in [Finish::Stop, Finish::Length, Finish::Cancelled] {
        let stopped = Draft::risk().changed(|draft| draft.finish = finish);
        assert_eq!(difference(&risk_model(), &stopped), Difference::Finish);
    }
}

#[test]
fn a_prompt_that_template_and_tokenizer_do_not_give_is_found() {
    let other = greedy().changed(|draft| {
        let mut prompt = draft.opening.prompt.to_vec();
        prompt[4] ^= 1;
        draft.opening.prompt = List::new(prompt).unwrap();
    });
    assert_eq!(difference(&chat_model(), &other), Difference::Prompt);
    let longer = greedy().changed(|draft| {
        draft.opening.prompt = List::new([draft.opening.prompt.to_vec(), vec![6]].concat()).unwrap();
    });
    assert_eq!(difference(&chat_model(), &longer), Difference::Prompt);
    let invented = Draft::risk().changed(|draft| draft.opening.prompt = List::new(vec![1, 2, 3]).unwrap());
    assert_eq!(difference(&risk_model(), &invented), Difference::Prompt, "it would be charged for");
}

#[test]
fn another_tensor_is_found() {
    let (model, truth) = (risk_model(), Draft::risk());
    let tensors = truth.tensors();
    for position in 0..tensors.len() {
        let changed = |change: &dyn Fn(&mut protocol::Tensor)| {
            let mut tensors = tensors.clone();
            change(&mut tensors[position]);
            difference(&model, &truth.clone().computing(tensors))
        };
        let found = Difference::Tensor { position };
        let last_bit = |tensor: &mut protocol::Tensor| {
            let mut data = tensor.data.to_vec();
            data[0] ^= 1;
            tensor.data = protocol::Bytes::new(data).unwrap();
        };
        assert_eq!(changed(&last_bit), found);
        assert_eq!(changed(&|tensor| tensor.name = Text::new("other").unwrap()), found);
        assert_eq!(changed(&|tensor| tensor.shape = List::default()), found);
        assert_eq!(changed(&|tensor| tensor.data = protocol::Bytes::default()), found);
    }
    let count = tensors.len();
    let more = truth.clone().computing([tensors.clone(), vec![floats("more", 1)]].concat());
    assert_eq!(difference(&model, &more), Difference::Tensor { position: count });
    let none = truth.computing(Vec::new());
    assert_eq!(difference(&model, &none), Difference::Tensor { position: 0 });
}

#[test]
fn an_answer_to_what_has_none_is_impossible() {
    let (chat, risk) = (chat_model(), risk_model());
    let reason = |model: &Model, draft: &Draft| match difference(model, draft) {
        Difference::Impossible { reason } => reason,
        other => panic!("{other:?}"),
    };
    let wrong_kind = greedy().changed(|draft| draft.opening.request.model = risk.root());
    assert!(reason(&risk, &wrong_kind).contains("different kinds"));
    let wrong_output = Draft::risk().saying(vec![1, 2]);
    assert!(reason(&risk, &wrong_output).contains("different kinds"));
    let no_inputs = Draft::risk().changed(|draft| draft.opening.request.input = Input::Tensors(List::default()));
    assert!(reason(&risk, &no_inputs).contains("returns"));
    let too_long = greedy().changed(|draft| {
        let message = tiny::user(&"x".repeat(tiny::CONTEXT));
        draft.opening.request.input = Input::Chat(protocol::Chat::of(List::new(vec![message]).unwrap()));
    });
    assert!(reason(&chat, &too_long).contains(&format!("{}", tiny::CONTEXT - 1)));
}

#[test]
fn arithmetic_of_another_version_is_named() {
    let old = Draft::risk().changed(|draft| draft.spec_version = 0);
    let expected = Difference::SpecVersion { claimed: 0, ours: engine::SPEC_VERSION };
    assert_eq!(difference(&risk_model(), &old), expected);
}

#[test]
fn an_answer_of_floats_cannot_be_judged_unless_it_claims_to_be_exact() {
    let float = graph::Model::of_float("floats", 9, b"an ONNX file".to_vec().into());
    let model = Model::load(float.to_artefact()).unwrap();
    assert_eq!((model.root(), model.card().kind), (float.root(), "float"));
    assert_eq!(model.float_manifest().map(|manifest| protocol::registry::float_root(&manifest)), Some(model.root()));
    let said = |spec_version| {
        Draft::risk().changed(|draft| {
            (draft.spec_version, draft.opening.request.model) = (spec_version, float.root());
        })
    };
    assert_eq!(judged(&model, &said(protocol::receipt::NO_EXACT_FORM)), Judgement::NotDecidable);
    assert_eq!(difference(&model, &said(engine::SPEC_VERSION)), Difference::NoExactForm);
}

#[test]
fn nothing_is_said_about_a_receipt_by_another_opening_or_another_model() {
    let (model, draft) = (risk_model(), Draft::risk());
    let receipt = draft.sign().receipt;
    let other = Draft::risk();
    assert_eq!(judge(&model, &receipt, &other.opening), Judgement::OtherOpening("request"));
    let salted = |change: fn(&mut protocol::Opening)| {
        let mut opening = draft.opening.clone();
        change(&mut opening);
        judge(&model, &receipt, &opening)
    };
    assert_eq!(salted(|opening| opening.request_salt = Digest::ZERO), Judgement::OtherOpening("request"));
    assert_eq!(salted(|opening| opening.prompt_salt = Digest::ZERO), Judgement::OtherOpening("prompt"));
    assert_eq!(salted(|opening| opening.output_salt = Digest::ZERO), Judgement::OtherOpening("output"));
    assert_eq!(judge(&chat_model(), &receipt, &draft.opening), Judgement::OtherOpening("model"));
}

#[test]
fn a_true_and_a_false_answer_of_the_shipped_language_model_are_told_apart() {
    let model = Model::load(&include_bytes!("../../../models/demo/demo-integer.ogm")[..]).unwrap();
    let truth = Draft::said_by(&model, Parameters { max_tokens: 24, ..Parameters::default() });
    assert_eq!(judged(&model, &truth), Judgement::Equal);
    let mut tokens = truth.tokens();
    let expected = Step::Token(tokens[0]);
    tokens[0] += 1;
    let claimed = Step::Token(tokens[0]);
    let found = difference(&model, &truth.saying(tokens));
    assert_eq!(found, Difference::Answer { position: 0, expected, claimed });
}

#[test]
fn a_difference_is_told_in_words() {
    let found = Difference::Answer { position: 3, expected: Step::Token(7), claimed: Step::End(Finish::Stop) };
    assert_eq!(found.to_string(), "at position 3 of the answer, the end \"stop\" is claimed, token 7 is true");
}
