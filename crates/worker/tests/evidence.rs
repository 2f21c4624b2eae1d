//! Evidence: who is given it, how long it lives, how it lies on disk, and how a worker defends itself with it.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stage;

use std::{path::Path, time::Duration};

use protocol::{Action, Digest, Output, SignedReceipt, service::ChallengeView, transaction::Respond};
use stage::{PROMPT, Stage, auditor_key, chat, gateway_key, key, now_ms, risk, worker_key};
use worker::{Adversary, Lifetime};

fn refusal(error: &network::NetworkError) -> (u16, &str) {
    match error {
        network::NetworkError::Refused { status, code, .. } => (*status, code),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn evidence_opens_for_auditors_and_validators_only() {
    let stage = Stage::new().await;
    let done = stage.ask(chat(3)).await.done();
    let id = done.receipt.receipt.id();
    assert_eq!(stage.opening(id, &auditor_key()).await.unwrap(), done.opening);
    assert_eq!(stage.opening(id, &key(4)).await.unwrap(), done.opening, "a validator");
    for other in [gateway_key(), worker_key(), key(99)] {
        assert_eq!(refusal(&stage.opening(id, &other).await.unwrap_err()), (403, "forbidden"));
    }
    let unknown = stage.opening(Digest([1; 32]), &auditor_key()).await.unwrap_err();
    assert_eq!(refusal(&unknown), (404, "unknown_opening"));
}

#[tokio::test]
async fn an_opening_request_is_fresh_for_this_chain_and_signed() {
    let stage = Stage::new().await;
    let id = stage.ask(risk()).await.done().receipt.receipt.id();
    let refused = async |change: fn(&mut protocol::service::OpeningRequest)| {
        let error = stage.opening_changed(id, &auditor_key(), change).await.unwrap_err();
        assert_eq!(refusal(&error), (401, "unauthorised"));
    };
    refused(|request| request.chain_id = 1).await;
    refused(|request| request.asked_at_ms -= 61_000).await;
    refused(|request| request.asked_at_ms += 61_000).await;
    // Signed by the auditor in a registered validator's name.
    refused(|request| request.auditor = key(4).public_key()).await;
}

#[tokio::test]
async fn who_may_ask_is_not_known_while_no_validator_answers() {
    let stage = Stage::new().await;
    let id = stage.ask(risk()).await.done().receipt.receipt.id();
    stage.validator.change(|ledger| ledger.is_away = true);
    let error = stage.opening(id, &auditor_key()).await.unwrap_err();
    assert_eq!(refusal(&error), (503, "ledger_unavailable"));
}

/// Kept for a moment by the clock, and two epochs by the ledger.
fn brief(config: &mut worker::Config) {
    config.evidence = Lifetime { anchoring_ms: 10_000, epochs: 2, least_ms: 100 };
}

#[tokio::test]
async fn evidence_is_deleted_when_neither_clock_nor_ledger_needs_it_and_the_receipt_stays() {
    let stage = Stage::with(brief).await;
    let id = stage.ask(risk()).await.done().receipt.receipt.id();
    let kept = async || stage.opening(id, &auditor_key()).await.is_ok();
    let closed = |times: &[(u64, u64)]| stage.validator.change(|ledger| ledger.epochs.extend(times.iter().copied()));
    tokio::time::sleep(Duration::from_millis(2_300)).await;
    assert!(kept().await, "the ledger has closed no epoch");
    // Receipts of now are too old to be anchored since epoch 6; the window of those anchored before is still open.
    closed(&[(4, now_ms()), (5, now_ms()), (6, now_ms() + 20_000), (7, now_ms() + 21_000)]);
    tokio::time::sleep(Duration::from_millis(2_300)).await;
    assert!(kept().await, "epoch 6 is not two epochs old");
    closed(&[(8, now_ms() + 22_000)]);
    for _ in 0..200 {
        if !kept().await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(refusal(&stage.opening(id, &auditor_key()).await.unwrap_err()), (404, "unknown_opening"));
    let next = stage.ask(risk()).await.done().receipt.receipt;
    assert_eq!((next.sequence, next.previous), (1, id));
}

#[tokio::test]
async fn a_ledger_of_the_far_future_deletes_nothing_before_its_time() {
    let stage = Stage::new().await;
    let id = stage.ask(risk()).await.done().receipt.receipt.id();
    stage.validator.change(|ledger| ledger.epochs.extend((0..100).map(|epoch| (epoch, u64::MAX))));
    tokio::time::sleep(Duration::from_millis(2_300)).await;
    assert!(stage.opening(id, &auditor_key()).await.is_ok());
}

fn bytes_of(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file());
    files.flat_map(|path| std::fs::read(path).unwrap()).collect()
}

#[tokio::test]
async fn nothing_lies_on_disk_in_the_clear() {
    let stage = Stage::new().await;
    let done = stage.ask(chat(40)).await.done();
    let Output::Tokens(tokens) = &done.opening.output else { panic!("tokens") };
    let (folder, worker) = (stage.folder, stage.worker);
    worker.stop().await;
    let bytes = bytes_of(folder.path());
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(has(&done.receipt.receipt.id().0), "the file was read");
    assert!(has(&done.receipt.receipt.output.0), "commitments may lie there");
    assert!(!has(PROMPT.as_bytes()));
    for opened in [done.opening.request_salt, done.opening.prompt_salt, done.opening.output_salt] {
        assert!(!has(&opened.0));
    }
    let answer: Vec<u8> = tokens[..8].iter().flat_map(|token| token.to_be_bytes()).collect();
    assert!(!has(&answer));
}

#[tokio::test]
async fn evidence_sealed_under_another_key_stops_the_start() {
    let stage = Stage::new().await;
    stage.ask(risk()).await.done();
    let Stage { worker, mut config, .. } = stage;
    worker.stop().await;
    config.sealer = storage::Sealer::new([1; 32]);
    for _ in 0..500 {
        let refused = worker::Worker::start(config.clone()).await.map(|_| ()).unwrap_err().to_string();
        if refused.contains("wrong passphrase or key") {
            return;
        }
        // The old file is released a moment after the old worker stopped.
        assert!(refused.contains("failed to open"), "{refused}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the directory stays locked");
}

#[tokio::test]
async fn a_restart_goes_on_where_the_chain_stood_and_still_opens() {
    let mut stage = Stage::new().await;
    let mut previous = Digest::ZERO;
    for sequence in 0..3 {
        let done = stage.ask(risk()).await.done();
        let receipt = &done.receipt.receipt;
        assert_eq!((receipt.sequence, receipt.previous), (sequence, previous));
        previous = receipt.id();
        stage = stage.restarted().await;
        assert_eq!(stage.opening(previous, &auditor_key()).await.unwrap(), done.opening);
    }
}

#[tokio::test]
async fn a_liar_signs_a_consistent_lie() {
    let stage = Stage::with(|config| config.adversary = Some(Adversary::WrongOutput)).await;
    let answered = stage.ask(chat(4)).await;
    let first = answered.tokens[0].token;
    let done = answered.done();
    assert!(done.receipt.signature_holds());
    assert_eq!(done.opening.matches(&done.receipt.receipt), Ok(()));
    let model = stage::chat_model();
    let language = model.as_language().unwrap();
    let parameters = &done.opening.request.parameters;
    let truth = language.generate(&done.opening.prompt, parameters, &mut |_| engine::Flow::Continue).unwrap();
    assert_ne!(first, truth.tokens[0]);
    assert_eq!(stage.status().await["adversary"], "wrong-output");
    assert_eq!(stage.opening(done.receipt.receipt.id(), &auditor_key()).await.unwrap(), done.opening);
}

fn challenged(receipt: &SignedReceipt, opening: Option<protocol::Opening>) -> ChallengeView {
    ChallengeView { receipt: receipt.clone(), challenger: auditor_key().public_key(), opened_epoch: 5, opening }
}

#[tokio::test]
async fn a_withholder_opens_nothing_to_nobody() {
    let stage = Stage::with(|config| config.adversary = Some(Adversary::Withhold)).await;
    let done = stage.ask(risk()).await.done();
    let error = stage.opening(done.receipt.receipt.id(), &auditor_key()).await.unwrap_err();
    assert_eq!(refusal(&error), (404, "unknown_opening"));
    stage.validator.change(|ledger| ledger.challenges.push(challenged(&done.receipt, None)));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(stage.validator.change(|ledger| ledger.actions.len()), 0);
}

async fn until(stage: &Stage, responses: usize) {
    for _ in 0..500 {
        if stage.validator.change(|ledger| ledger.actions.len()) >= responses {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("there never were {responses} responses");
}

#[tokio::test]
async fn what_was_challenged_as_withheld_is_opened_on_the_ledger_until_the_ledger_shows_it() {
    let stage = Stage::new().await;
    let done = stage.ask(risk()).await.done();
    let mut foreign = done.receipt.clone();
    foreign.receipt.worker = Digest([5; 32]);
    stage.validator.change(|ledger| {
        ledger.challenges = vec![challenged(&foreign, None), challenged(&done.receipt, None)];
        // The first attempts are lost with the validator.
        ledger.is_away = true;
    });
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    stage.validator.change(|ledger| ledger.is_away = false);
    until(&stage, 1).await;
    let receipt = done.receipt.receipt.id();
    let response = Action::Respond(Respond { receipt, opening: done.opening.clone() });
    assert_eq!(stage.validator.change(|ledger| ledger.actions[0].clone()), response);
    // The ledger does not show it: it was lost on the way.
    until(&stage, 2).await;
    let opened = Some(done.opening.clone());
    let count = stage.validator.change(|ledger| {
        ledger.challenges = vec![challenged(&foreign, None), challenged(&done.receipt, opened)];
        ledger.actions.len()
    });
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let actions = stage.validator.change(|ledger| ledger.actions.clone());
    assert!(actions.len() <= count + 1 && actions.iter().all(|action| *action == response));
}
