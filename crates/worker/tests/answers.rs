//! The pure core: what a worker says is a function of request, model and last receipt.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stage;

use engine::Model;
use protocol::{
    Digest, Finish, Input, List, Output, Request, Text,
    service::{FailedFrame, Failure, Frame},
};
use stage::{chat, chat_model, risk, risk_model, tiny, worker_key};
use worker::{Adversary, Answer, Chain, Salts, Terms, answer};

const TERMS: Terms =
    Terms { spec_version: 1, worker: Digest([6; 32]), key_valid_from: 4, received_at_ms: 100, finished_at_ms: 130 };

fn salts(seed: u8) -> Salts {
    Salts { request: Digest([seed; 32]), prompt: Digest([seed + 1; 32]), output: Digest([seed + 2; 32]) }
}

/// The answer, and what was delivered while `listens` said so.
fn answered(
    model: &Model,
    request: &Request,
    adversary: Option<Adversary>,
    listens: impl Fn(usize) -> bool,
) -> (Result<Answer, FailedFrame>, Vec<Frame>) {
    let mut frames = Vec::new();
    let result = answer(model, request, adversary, &mut |frame| {
        frames.push(frame);
        listens(frames.len())
    });
    (result, frames)
}

fn honest(model: &Model, request: &Request) -> Answer {
    answered(model, request, None, |_| true).0.unwrap()
}

fn tokens(output: &Output) -> Vec<u32> {
    match output {
        Output::Tokens(tokens) => tokens.to_vec(),
        Output::Tensors(_) | Output::Scored(_) => panic!("tokens expected"),
    }
}

#[test]
fn the_same_request_has_the_same_answer_and_each_token_is_delivered_once() {
    let (model, request) = (chat_model(), chat(12));
    let (result, frames) = answered(&model, &request, None, |_| true);
    let first = result.unwrap();
    assert_eq!(honest(&model, &request), first);
    assert_eq!((tokens(&first.output).len(), first.finish), (12, Finish::Length));
    let delivered = frames.iter().map(|frame| match frame {
        Frame::Token(token) => token.token,
        other => panic!("{other:?}"),
    });
    assert_eq!(delivered.collect::<Vec<_>>(), tokens(&first.output));
    let rendered = model.as_language().unwrap().prompt(&[tiny::user(stage::PROMPT)], request.template_time_ms);
    assert_eq!(first.prompt[..], rendered.unwrap()[..]);
}

#[test]
fn a_tensor_model_answers_with_its_outputs_at_once() {
    let (model, request) = (risk_model(), risk());
    let (result, frames) = answered(&model, &request, None, |_| true);
    let answer = result.unwrap();
    let Input::Tensors(inputs) = &request.input else { panic!("tensors") };
    let outputs = List::new(model.as_tensor().unwrap().run(inputs).unwrap()).unwrap();
    assert_eq!(
        answer,
        Answer { prompt: List::default(), output: Output::Tensors(outputs.clone()), finish: Finish::Complete }
    );
    assert_eq!(frames, [Frame::Tensors(outputs)]);
}

#[test]
fn an_answer_that_its_reader_leaves_is_cancelled_where_it_was_left() {
    let (model, request) = (chat_model(), chat(12));
    let (result, frames) = answered(&model, &request, None, |delivered| delivered < 3);
    let left = result.unwrap();
    assert_eq!((left.finish, tokens(&left.output).len(), frames.len()), (Finish::Cancelled, 3, 3));
    let (result, _) = answered(&risk_model(), &risk(), None, |_| false);
    assert_eq!(result.unwrap().finish, Finish::Cancelled);
}

#[test]
fn a_request_that_does_not_fit_its_model_is_refused() {
    let refusal = |model: &Model, request: &Request| answered(model, request, None, |_| true).0.unwrap_err();
    let (chat_model, risk_model) = (chat_model(), risk_model());
    assert!(refusal(&risk_model, &chat(1)).message.contains("takes tensors"));
    assert!(refusal(&chat_model, &risk()).message.contains("takes messages"));
    let without = Request { input: Input::Tensors(List::default()), ..risk() };
    let missing = refusal(&risk_model, &without);
    assert_eq!(missing.failure, Failure::BadRequest);
    assert!(missing.message.contains("returns"), "{}", &*missing.message);
    let long = Text::new("x".repeat(20_000)).unwrap();
    let long = protocol::Message::say(protocol::Speaker::User, long);
    let long = Request { input: Input::Chat(protocol::Chat::of(List::new(vec![long]).unwrap())), ..chat(1) };
    assert!(refusal(&chat_model, &long).message.contains("failed to render the prompt"));
}

#[test]
fn a_liar_lies_about_the_first_token_or_bit_and_streams_what_it_signs() {
    let (model, request) = (chat_model(), chat(5));
    let truth = tokens(&honest(&model, &request).output);
    let (lie, frames) = answered(&model, &request, Some(Adversary::WrongOutput), |_| true);
    let lie = tokens(&lie.unwrap().output);
    assert_ne!(lie[0], truth[0]);
    assert_eq!(lie[1..], truth[1..]);
    assert!(matches!(&frames[0], Frame::Token(token) if token.token == lie[0]));
    let truth = honest(&risk_model(), &risk()).output;
    assert_ne!(answered(&risk_model(), &risk(), Some(Adversary::WrongOutput), |_| true).0.unwrap().output, truth);
    assert_eq!(answered(&risk_model(), &risk(), Some(Adversary::Withhold), |_| true).0.unwrap().output, truth);
}

#[test]
fn a_receipt_says_what_its_opening_opens() {
    for (model, request) in [(chat_model(), chat(4)), (risk_model(), risk())] {
        let answer = honest(&model, &request);
        let (signed, opening) = Chain::START.sign(&worker_key(), TERMS, salts(1), request.clone(), answer.clone());
        assert!(signed.signature_holds());
        assert_eq!(opening.matches(&signed.receipt), Ok(()));
        assert_eq!((&opening.request, &opening.output), (&request, &answer.output));
        let receipt = signed.receipt;
        assert_eq!((receipt.worker, receipt.worker_key), (TERMS.worker, worker_key().public_key()));
        assert_eq!((receipt.sequence, receipt.previous, receipt.key_valid_from), (0, Digest::ZERO, 4));
        assert_eq!((receipt.received_at_ms, receipt.finished_at_ms), (100, 130));
        assert_eq!(receipt.finish, answer.finish);
    }
}

#[test]
fn equal_answers_have_commitments_that_nobody_can_compare() {
    let (model, request) = (risk_model(), risk());
    let sign = |seed| {
        let answer = honest(&model, &request);
        Chain::START.sign(&worker_key(), TERMS, salts(seed), request.clone(), answer).0.receipt
    };
    let (one, other) = (sign(1), sign(10));
    assert!(one.request != other.request && one.prompt != other.prompt && one.output != other.output);
    assert_ne!(one.stream_head, other.stream_head);
    assert_eq!(sign(1), one, "and with the same salts it is the same receipt");
}

#[test]
fn each_receipt_names_the_one_before() {
    let (model, mut chain) = (risk_model(), Chain::START);
    let mut previous = Digest::ZERO;
    for sequence in 0..3 {
        let request = risk();
        let answer = honest(&model, &request);
        let receipt = chain.sign(&worker_key(), TERMS, salts(1), request, answer).0.receipt;
        assert_eq!((receipt.sequence, receipt.previous), (sequence, previous));
        previous = receipt.id();
        chain = Chain::after(&receipt);
    }
}

#[test]
fn a_clock_that_went_back_makes_no_receipt_that_ended_before_it_began() {
    let terms = Terms { finished_at_ms: 50, ..TERMS };
    let request = risk();
    let answer = honest(&risk_model(), &request);
    let receipt = Chain::START.sign(&worker_key(), terms, salts(1), request, answer).0.receipt;
    assert_eq!((receipt.received_at_ms, receipt.finished_at_ms), (100, 100));
}

#[test]
fn the_shipped_language_model_answers_in_words_and_signs_for_them() {
    let model = Model::load(&include_bytes!("../../../models/demo/demo-integer.ogm")[..]).unwrap();
    let request = Request { model: model.root(), ..chat(24) };
    let (result, frames) = answered(&model, &request, None, |_| true);
    let answer = result.unwrap();
    assert_eq!(honest(&model, &request), answer);
    let text: String = frames
        .iter()
        .map(|frame| match frame {
            Frame::Token(token) => token.text.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(text.chars().any(char::is_alphabetic), "{text:?}");
    let (signed, opening) = Chain::START.sign(&worker_key(), TERMS, salts(1), request, answer);
    assert_eq!(opening.matches(&signed.receipt), Ok(()));
}
