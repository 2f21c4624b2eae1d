//! Judges in processes of their own: they say what `judge` says, and whatever they are given costs no more than a process.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stage;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use auditor::{Bounds, Judges, NoOpinion, Opinion, Program};
use crypto::Digest;
use graph::program::{Attribute, Body, Element, Node, Port, Source, Type, machine::Derived, ops::find};
use hub::{Models, ModelsError, Shelf};
use network::Client;
use protocol::{Action, Bytes, List, Parameters, Tensor, Text, transaction::Challenge};
use stage::{Draft, RISK, Stage, chat_artefact, tiny};

/// This very test is the process where its standard input is a socket.
#[test]
fn a_judge_ends_where_its_standard_input_is_no_socket() {
    assert!(auditor::serve().is_err());
}

fn process() -> Option<Program> {
    let arguments = ["a_judge_ends_where_its_standard_input_is_no_socket", "--exact", "--nocapture"];
    Some(Program { path: std::env::current_exe().unwrap(), arguments: arguments.map(Into::into).to_vec() })
}

struct Court {
    judges: Judges,
    folder: tempfile::TempDir,
}

fn court(artefacts: &[&[u8]], bounds: Bounds) -> Court {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(folder.path()).unwrap();
    artefacts.iter().for_each(|artefact| drop(shelf.put(artefact).unwrap()));
    let models = Models::new(shelf, &[], Client::new(Duration::from_secs(5)));
    Court { judges: Judges::new(models, process(), bounds), folder }
}

impl Court {
    async fn judge(&self, draft: &Draft) -> Result<Opinion, NoOpinion> {
        self.judges.judge(&draft.sign().receipt, &draft.opening).await
    }
}

fn node(name: &str, version: u16, attributes: &[(&str, Attribute)], inputs: &[u32], outputs: &[u32]) -> Node {
    let attributes: BTreeMap<String, Attribute> =
        attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Node {
        name: name.to_owned(),
        operator: find("", name).unwrap(),
        version,
        attributes,
        inputs: inputs.iter().copied().map(Source::Slot).collect(),
        outputs: outputs.iter().copied().map(Some).collect(),
        derived: Derived::default(),
    }
}

/// A model of one integer, and what it makes of it.
fn artefact(name: &str, nodes: Vec<Node>, output: u32, element: Element, slots: u32) -> (Vec<u8>, Digest) {
    let port = |name: &str, element| Port { name: name.to_owned(), kind: Type::Tensor { element, shape: None } };
    let program = graph::program::Program {
        inputs: vec![port("n", Element::I64)],
        outputs: vec![port("y", element)],
        constants: vec![],
        body: Body::new(vec![0], nodes, vec![Source::Slot(output)]),
        slots,
    };
    let artefact = graph::Model::of_program(name, 1, program.released()).to_artefact();
    let root = engine::Model::load(artefact.clone()).unwrap().root();
    (artefact, root)
}

/// Counts to `n`, by a loop.
fn counting() -> (Vec<u8>, Digest) {
    counting_as("counting")
}

fn counting_as(name: &str) -> (Vec<u8>, Digest) {
    // Slots: n 0; whether at all 1; in the body the round 2, whether to go on 3, the sum 4 and the next one 5; the last 6.
    let cast = node("Cast", 21, &[("to", Attribute::Integer(Element::Bool.code().into()))], &[0], &[1]);
    let body =
        Body::new(vec![2, 3, 4], vec![node("Add", 14, &[], &[4, 2], &[5])], vec![Source::Slot(3), Source::Slot(5)]);
    let counted = node("Loop", 21, &[("body", Attribute::Body(body))], &[0, 1, 0], &[6]);
    artefact(name, vec![cast, counted], 6, Element::I64, 7)
}

/// Makes `n` zeros and sums them up.
fn hungry() -> (Vec<u8>, Digest) {
    let zeros = node("ConstantOfShape", 21, &[], &[0], &[1]);
    let sum = node("ReduceSum", 13, &[], &[1], &[2]);
    artefact("hungry", vec![zeros, sum], 2, Element::F32, 3)
}

fn integer(name: &str, value: i64, shape: &[u64]) -> Tensor {
    Tensor {
        name: Text::new(name).unwrap(),
        element: protocol::Element::I64,
        shape: List::new(shape.to_vec()).unwrap(),
        data: Bytes::new(value.to_le_bytes().to_vec()).unwrap(),
    }
}

fn claims(root: Digest, n: i64, shape: &[u64], y: i64) -> Draft {
    Draft::claimed(root, vec![integer("n", n, shape)], vec![integer("y", y, &[])])
}

#[tokio::test]
async fn a_process_says_what_judging_says() {
    let (counting, root) = counting();
    let court = court(&[RISK, chat_artefact(), &counting], Bounds { threads: 3, ..Bounds::default() });
    let risk = Draft::risk();
    let chat = Draft::chat(Parameters { max_tokens: 4, ..tiny::sampled(3) });
    let mut other = chat.tokens();
    other[0] ^= 1;
    let mut foreign = risk.clone();
    foreign.opening.request_salt = Digest::ZERO;
    let sum = (0..10).sum::<i64>() + 10;
    for (draft, expected) in [
        (risk.clone(), Opinion::Equal),
        (chat.clone(), Opinion::Equal),
        (chat.clone().saying(other), Opinion::False),
        (chat, Opinion::Equal),
        (claims(root, 10, &[], sum), Opinion::Equal),
        (claims(root, 10, &[], sum + 1), Opinion::False),
    ] {
        assert_eq!(court.judge(&draft).await.unwrap(), expected);
    }
    let receipt = risk.sign().receipt;
    let said = court.judges.judge(&receipt, &foreign.opening).await.unwrap();
    assert_eq!(said, Opinion::OtherOpening("request".to_owned()));
}

/// Counts for longer than any test waits: a number of models, each of its own.
fn endless(count: usize) -> Vec<(Vec<u8>, Draft)> {
    let named = (0..count).map(|number| counting_as(&format!("counting-{number}")));
    named.map(|(artefact, root)| (artefact, claims(root, 30_000_000, &[], 0))).collect()
}

#[tokio::test]
async fn slow_models_delay_nobody_but_themselves() {
    let slow = endless(5);
    let artefacts: Vec<&[u8]> = slow.iter().map(|(artefact, _)| &artefact[..]).chain([RISK]).collect();
    let bounds = Bounds { judgement_least: Duration::from_secs(60), places: 2, ..Bounds::default() };
    let court = court(&artefacts, bounds);
    let judging: Vec<_> = slow
        .into_iter()
        .map(|(_, draft)| {
            let judges = court.judges.clone();
            tokio::spawn(async move { judges.judge(&draft.sign().receipt, &draft.opening).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(court.judge(&Draft::risk().lying()).await.unwrap(), Opinion::False);
    assert!(judging.iter().all(|judging| !judging.is_finished()));
    judging.iter().for_each(|judging| judging.abort());
}

#[tokio::test]
async fn a_false_receipt_is_refuted_within_its_window_whatever_else_is_to_be_judged() {
    let slow = endless(3);
    let stage = Stage::with(|config| {
        let shelf = Shelf::open(&config.directory.join("models")).unwrap();
        slow.iter().for_each(|(artefact, _)| drop(shelf.put(artefact).unwrap()));
        config.judge = process();
    })
    .await;
    for (_, draft) in &slow {
        stage.anchor(draft);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let lie = Draft::risk().lying();
    let id = stage.anchor(&lie);
    while stage.validator.actions().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let challenge = Challenge { receipt: id, opening: Some(lie.opening) };
    assert_eq!(stage.validator.actions(), [Action::Challenge(challenge)]);
    let status = stage.status().await;
    assert_eq!((&status["challenged"], &status["unjudged"]), (&1.into(), &0.into()));
    // The others' window closes while they are judged: that is said, and their processes are ended.
    stage.validator.change(|ledger| ledger.epoch += 20);
    stage.until("unjudged", 3).await;
    stage.until("pending", 0).await;
    stage.auditor.stop().await;
}

#[tokio::test]
async fn a_receipt_that_costs_processes_is_given_up_and_its_model_is_not() {
    let (counting, root) = counting();
    let short = Bounds {
        judgement_least: Duration::from_secs(2),
        judgement_most: Duration::from_secs(2),
        pause: Duration::from_millis(700),
        kills: 2,
        ..Bounds::default()
    };
    let court = court(&[RISK, &counting], short);
    let draft = claims(root, 30_000_000, &[], 0);
    for _ in 0..2 {
        let ended = court.judge(&draft).await;
        assert!(matches!(ended, Err(NoOpinion::TooSlow(_))), "{ended:?}");
    }
    let ended = court.judge(&draft).await;
    assert!(matches!(ended, Err(NoOpinion::GivenUp { kills: 2 })), "{ended:?}");
    assert!(ended.unwrap_err().is_final());
    // Others are judged at once, other receipts of the same model after its pause: twice as long as a pause is four times it.
    let asked_at = Instant::now();
    assert_eq!(court.judge(&Draft::risk()).await.unwrap(), Opinion::Equal);
    let others = asked_at.elapsed();
    assert_eq!(court.judge(&claims(root, 2, &[], 3)).await.unwrap(), Opinion::Equal);
    assert!(asked_at.elapsed() >= Duration::from_millis(2_500) && others < asked_at.elapsed());
    // And that forgives it.
    let asked_at = Instant::now();
    assert_eq!(court.judge(&claims(root, 3, &[], 6)).await.unwrap(), Opinion::Equal);
    assert!(asked_at.elapsed() < Duration::from_millis(2_500));
    let tally = court.judges.tally();
    assert_eq!((tally.judged, tally.too_slow, tally.ended, tally.given_up), (3, 2, 0, 1));
}

#[tokio::test]
async fn a_model_that_kills_its_process_twice_is_judged_in_a_third_and_others_meanwhile() {
    let (hungry, greedy) = hungry();
    let small = Bounds { memory_bytes: 400 << 20, pause: Duration::from_millis(200), ..Bounds::default() };
    let court = court(&[RISK, &hungry], small);
    let deadly = claims(greedy, 100_000_000, &[1], 0);
    for _ in 0..2 {
        let (ended, meanwhile) = (court.judge(&deadly), Draft::risk());
        let (ended, meanwhile) = tokio::join!(ended, court.judge(&meanwhile));
        assert!(matches!(ended, Err(NoOpinion::Ended { .. })), "{ended:?}");
        assert_eq!(meanwhile.unwrap(), Opinion::Equal);
    }
    let said = court.judge(&claims(greedy, 10, &[1], 0)).await.unwrap();
    assert_eq!(said, Opinion::False, "its sum is a float");
    let tally = court.judges.tally();
    assert_eq!((tally.judged, tally.ended, tally.given_up), (3, 2, 0));
}

#[tokio::test]
async fn what_no_honest_worker_signs_is_false_without_being_run() {
    let ((counting, root), chat) = (counting(), Draft::chat(Parameters { max_tokens: 4, ..Parameters::default() }));
    let needed = stage::chat_model().work().of(chat.opening.prompt.len() + 4);
    // As much as the answer takes, and less than the loop.
    let bounds = Bounds { work_max: needed, ..Bounds::default() };
    let court = court(&[chat_artefact(), &counting], bounds);
    assert_eq!(court.judge(&chat).await.unwrap(), Opinion::Equal);
    let asked_at = Instant::now();
    assert_eq!(court.judge(&claims(root, 30_000_000, &[], 0)).await.unwrap(), Opinion::False);
    assert!(asked_at.elapsed() < Duration::from_secs(20));
    let court = self::court(&[chat_artefact()], Bounds { work_max: needed - 1, ..bounds });
    assert_eq!(court.judge(&chat).await.unwrap(), Opinion::False, "its text is longer than a network's by a token");
}

#[tokio::test]
async fn a_model_that_cannot_be_had_or_loaded_gives_no_opinion() {
    let court = court(&[RISK], Bounds::default());
    let nowhere = court.judge(&claims(Digest::ZERO, 1, &[], 1)).await;
    assert!(matches!(nowhere, Err(NoOpinion::Model(ModelsError::Nowhere { .. }))), "{nowhere:?}");
    let risk = Draft::risk();
    let path = court.folder.path().join(format!("{}.ogm", risk.opening.request.model));
    let mut damaged = RISK.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, damaged).unwrap();
    let refused = court.judge(&risk).await;
    assert!(matches!(refused, Err(NoOpinion::Model(_) | NoOpinion::Artefact(_))), "{refused:?}");
    std::fs::write(&path, RISK).unwrap();
    assert_eq!(court.judge(&risk).await.unwrap(), Opinion::Equal);
}
