//! Receipts on their way to the ledger: through absence, loss, refusals and restarts, each anchored once.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stub;

use std::{collections::BTreeSet, time::Duration};

use gateway::Pace;
use stub::{Behaviour, Client, Stage, Validator, config, pace, restart};

/// Asks `count` times; the ids of the receipts that were acknowledged.
async fn acknowledged(client: Client, count: usize) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for _ in 0..count {
        let answer = client.chat("").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        ids.insert(answer.headers["x-og-receipt"].clone());
    }
    assert_eq!(ids.len(), count);
    ids
}

fn anchored(validator: &Validator) -> BTreeSet<String> {
    validator.change(|ledger| ledger.receipts.keys().map(ToString::to_string).collect())
}

#[tokio::test]
async fn receipts_are_anchored_while_validators_come_and_go() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let mut ids = acknowledged(stage.client, 1).await;
    stage.validator.change(|ledger| ledger.is_away = true);
    // The last view serves on.
    ids.extend(acknowledged(stage.client, 5).await);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(stage.gateway.receipts_waiting() >= 5);
    stage.validator.change(|ledger| ledger.is_away = false);
    stage.settled(6).await;
    assert_eq!(anchored(&stage.validator), ids);
}

#[tokio::test]
async fn what_waited_is_posted_in_batches_of_which_none_keeps_a_core_for_long() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let mut ids = acknowledged(stage.client, 1).await;
    stage.settled(1).await;
    stage.validator.change(|ledger| ledger.is_away = true);
    ids.extend(acknowledged(stage.client, 149).await);
    assert_eq!(stage.gateway.receipts_waiting(), 149);
    stage.validator.change(|ledger| ledger.is_away = false);
    stage.settled(150).await;
    assert_eq!(anchored(&stage.validator), ids);
    let batches = stage.validator.change(|ledger| ledger.batches.clone());
    assert!(batches.iter().all(|count| *count <= 64) && batches.len() < 10, "{batches:?}");
}

#[tokio::test]
async fn a_full_outbox_survives_a_restart_and_each_receipt_is_anchored_once() {
    let Stage { validator, gateway, client, folder, workers } = Stage::with(&[Behaviour::Honest]).await;
    validator.change(|ledger| ledger.loses = true);
    let ids = acknowledged(client, 20).await;
    gateway.stop().await;
    validator.change(|ledger| ledger.loses = false);
    let gateway = restart(config(&validator, &folder, pace())).await;
    let stage = Stage { client: Client::new(gateway.address()), validator, gateway, folder, workers };
    stage.settled(20).await;
    assert_eq!(anchored(&stage.validator), ids);
    let posted: Vec<u32> = stage.validator.change(|ledger| ledger.posted.values().copied().collect());
    assert_eq!(posted, vec![1; 20]);
}

#[tokio::test]
async fn what_was_anchored_before_the_restart_is_not_posted_again() {
    // It never asks whether anything was anchored, so that all of it is still in the outbox when it stops.
    let incurious = Pace { confirm: Duration::from_secs(60), ..pace() };
    let Stage { validator, gateway, client, folder, workers } = Stage::paced(&[Behaviour::Honest], incurious).await;
    acknowledged(client, 3).await;
    while validator.anchored() < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(gateway.receipts_waiting(), 3);
    gateway.stop().await;
    let gateway = restart(config(&validator, &folder, pace())).await;
    let stage = Stage { client: Client::new(gateway.address()), validator, gateway, folder, workers };
    stage.settled(3).await;
    assert_eq!(stage.validator.change(|ledger| ledger.posted.values().sum::<u32>()), 3);
}

#[tokio::test]
async fn a_transaction_that_got_lost_is_sent_again() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    stage.validator.change(|ledger| ledger.loses = true);
    let ids = acknowledged(stage.client, 3).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.validator.anchored(), 0);
    stage.validator.change(|ledger| ledger.loses = false);
    stage.settled(3).await;
    assert_eq!(anchored(&stage.validator), ids);
}

#[tokio::test]
async fn every_refusal_of_a_transaction_is_lived_through() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let refusals = [
        (409, "nonce_too_low"),
        (409, "nonce_too_high"),
        (429, "mempool_full"),
        (400, "bad_transaction"),
        (500, "internal"),
    ];
    for (count, refusal) in (1..).zip(refusals) {
        stage.validator.change(|ledger| ledger.refuses = vec![refusal; 3]);
        acknowledged(stage.client, 1).await;
        stage.settled(count).await;
    }
}

#[tokio::test]
async fn a_nonce_that_somebody_else_used_is_asked_for_again() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    acknowledged(stage.client, 1).await;
    stage.settled(1).await;
    stage.validator.change(|ledger| ledger.nonces.values_mut().for_each(|nonce| *nonce += 5));
    acknowledged(stage.client, 1).await;
    stage.settled(2).await;
}

#[tokio::test]
async fn the_next_validator_is_asked_where_one_is_away() {
    let away = Validator::start().await;
    away.change(|ledger| ledger.is_away = true);
    let Stage { validator, gateway, folder, workers, .. } = Stage::with(&[Behaviour::Honest]).await;
    gateway.stop().await;
    let mut both = config(&validator, &folder, pace());
    both.validators = vec!["http://127.0.0.1:1".to_owned(), away.url(), validator.url()];
    let gateway = restart(both).await;
    let stage = Stage { client: Client::new(gateway.address()), validator, gateway, folder, workers };
    acknowledged(stage.client, 2).await;
    stage.settled(2).await;
}

#[tokio::test]
async fn a_validator_that_takes_everything_and_is_cut_off_holds_no_receipt_back() {
    let cut_off = Validator::start().await;
    let Stage { validator, gateway, folder, workers, .. } = Stage::with(&[Behaviour::Honest]).await;
    cut_off.register(&workers[0]);
    cut_off.change(|ledger| ledger.loses = true);
    gateway.stop().await;
    let mut both = config(&validator, &folder, pace());
    both.validators = vec![cut_off.url(), validator.url()];
    let gateway = restart(both).await;
    let client = Client::new(gateway.address());
    let stage = Stage { client, validator, gateway, folder, workers };
    let ids = acknowledged(client, 3).await;
    stage.settled(3).await;
    assert_eq!(anchored(&stage.validator), ids);
    // Whoever asks the gateway hears what the other one knows, whichever it asks first.
    for _ in 0..2 {
        for id in &ids {
            assert_eq!(client.get(&format!("/v1/receipts/{id}")).await.json()["state"], "anchored");
        }
        cut_off.change(|ledger| ledger.is_away = true);
    }
}

#[tokio::test]
async fn a_lost_transaction_holds_nothing_back_while_requests_go_on() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    stage.validator.change(|ledger| ledger.loses_next = 1);
    let started = std::time::Instant::now();
    // All that is posted after the lost one has a number after its own, and waits for it.
    while stage.validator.anchored() == 0 {
        assert!(started.elapsed() < Duration::from_secs(3), "nothing is anchored as long as requests come");
        acknowledged(stage.client, 1).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_gateway_that_never_saw_a_validator_says_so_and_serves_once_it_has() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    stage.validator.change(|ledger| ledger.is_away = true);
    let folder = tempfile::tempdir().unwrap();
    let late = restart(config(&stage.validator, &folder, pace())).await;
    let client = Client::new(late.address());
    let answer = client.chat("").await;
    assert_eq!((answer.error().0, answer.error().1.as_str()), (503, "validators_unreachable"));
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(client.get(&format!("/v1/receipts/{}", "0".repeat(64))).await.error().1, "validators_unreachable");
    stage.validator.change(|ledger| ledger.is_away = false);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(client.chat("").await.status, 200);
}

#[tokio::test]
async fn a_full_outbox_takes_no_more_requests() {
    let stage = Stage::paced(&[Behaviour::Honest], Pace { outbox_max: 2, ..pace() }).await;
    stage.validator.change(|ledger| ledger.loses = true);
    acknowledged(stage.client, 2).await;
    let answer = stage.client.chat("").await;
    assert_eq!((answer.error().0, answer.error().1.as_str()), (503, "receipt_not_durable"));
    assert_eq!(answer.headers["retry-after"], "5");
    stage.validator.change(|ledger| ledger.loses = false);
    stage.settled(2).await;
    assert_eq!(stage.client.chat("").await.status, 200);
}

#[tokio::test]
async fn two_gateways_live_in_one_process_but_not_on_one_directory() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let again = gateway::Gateway::start(config(&stage.validator, &stage.folder, pace())).await;
    let error = again.err().unwrap();
    assert!(error.to_string().contains("failed to open"), "{error}");
    assert!(error.hint().contains("directory"));
    let folder = tempfile::tempdir().unwrap();
    let second = gateway::Gateway::start(config(&stage.validator, &folder, pace())).await.unwrap();
    assert_eq!(Client::new(second.address()).chat("").await.status, 200);
    let mut taken = config(&stage.validator, &tempfile::tempdir().unwrap(), pace());
    taken.listen = second.address();
    let error = gateway::Gateway::start(taken).await.err().unwrap();
    assert!(error.hint().contains("address"), "{error}");
}

#[tokio::test]
async fn a_receipt_that_the_ledger_never_takes_is_set_aside_and_still_shown() {
    let brisk = Duration::from_millis(1);
    let pace = Pace { flush: brisk, confirm: brisk, resend: brisk, ..pace() };
    let stage = Stage::paced(&[Behaviour::Honest], pace).await;
    stage.validator.change(|ledger| ledger.loses = true);
    let id = acknowledged(stage.client, 1).await.pop_first().unwrap();
    for _ in 0..1_000 {
        if stage.gateway.receipts_waiting() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((stage.gateway.receipts_waiting(), stage.validator.anchored()), (0, 0));
    assert_eq!(stage.client.get(&format!("/v1/receipts/{id}")).await.json()["state"], "evidenced");
}
