//! Judges in processes of their own: they say what `judge` says, and whatever they are given costs no more than a process.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stage;

use std::{collections::BTreeMap, time::Duration};

use auditor::{Bounds, Judges, NoOpinion, Opinion, Program};
use crypto::Digest;
use graph::program::{Attribute, Body, Element, Node, Port, Source, Type, machine::Derived, ops::find};
use hub::{Models, ModelsError, Shelf};
use network::Client;
use protocol::{Bytes, List, Parameters, Tensor, Text};
use stage::{Draft, RISK, chat_artefact, tiny};

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
    // Slots: n 0; whether at all 1; in the body the round 2, whether to go on 3, the sum 4 and the next one 5; the last 6.
    let cast = node("Cast", 21, &[("to", Attribute::Integer(Element::Bool.code().into()))], &[0], &[1]);
    let body =
        Body::new(vec![2, 3, 4], vec![node("Add", 14, &[], &[4, 2], &[5])], vec![Source::Slot(3), Source::Slot(5)]);
    let counted = node("Loop", 21, &[("body", Attribute::Body(body))], &[0, 1, 0], &[6]);
    artefact("counting", vec![cast, counted], 6, Element::I64, 7)
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

#[tokio::test]
async fn what_never_ends_keeps_none_of_the_others() {
    let (counting, root) = counting();
    let bounds = Bounds { judgement: Duration::from_secs(60), places: 2, ..Bounds::default() };
    let court = court(&[RISK, &counting], bounds);
    let endless: Vec<_> = (0..4)
        .map(|number| {
            let (judges, draft) = (court.judges.clone(), claims(root, 30_000_000, &[], number));
            tokio::spawn(async move { judges.judge(&draft.sign().receipt, &draft.opening).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut tensors = Draft::risk().tensors();
    let mut data = tensors[0].data.to_vec();
    data[0] ^= 1;
    tensors[0].data = Bytes::new(data).unwrap();
    assert_eq!(court.judge(&Draft::risk().computing(tensors)).await.unwrap(), Opinion::False);
    assert!(endless.iter().all(|judging| !judging.is_finished()));
    endless.iter().for_each(|judging| judging.abort());
}

#[tokio::test]
async fn a_receipt_that_costs_processes_is_given_up_and_its_model_waits_for_the_others() {
    let ((counting, endless), (hungry, greedy)) = (counting(), hungry());
    let short = Bounds { judgement: Duration::from_secs(2), ..Bounds::default() };
    let court = court(&[RISK, &counting], short);
    let draft = claims(endless, 30_000_000, &[], 0);
    for _ in 0..2 {
        let ended = court.judge(&draft).await;
        assert!(matches!(ended, Err(NoOpinion::TooSlow(_))), "{ended:?}");
    }
    let ended = court.judge(&draft).await;
    assert!(matches!(ended, Err(NoOpinion::GivenUp { kills: 2 })), "{ended:?}");
    // Another receipt of the same model is judged as before.
    assert_eq!(court.judge(&claims(endless, 2, &[], 3)).await.unwrap(), Opinion::Equal);
    assert_eq!(court.judge(&Draft::risk()).await.unwrap(), Opinion::Equal);
    let small = Bounds { memory_bytes: 400 << 20, ..Bounds::default() };
    let court = self::court(&[RISK, &hungry], small);
    for _ in 0..2 {
        let ended = court.judge(&claims(greedy, 100_000_000, &[1], 0)).await;
        assert!(matches!(ended, Err(NoOpinion::Ended { .. })), "{ended:?}");
    }
    assert_eq!(court.judge(&Draft::risk()).await.unwrap(), Opinion::Equal);
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
