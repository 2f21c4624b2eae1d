//! An auditor and receipts in question: challenged, while nobody has asked the validators to decide.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stage;

use std::time::Duration;

use protocol::{Action, Digest, Opening, Standing, transaction::Challenge};
use stage::{Draft, Stage, key, worker::Manner};

/// Long enough for an auditor to look again, and to send what it believes lost.
const A_WHILE: Duration = Duration::from_secs(4);

fn lie() -> Draft {
    Draft::risk().lying()
}

fn challenge(receipt: Digest, opening: &Opening) -> Action {
    Action::Challenge(Challenge { receipt, opening: Some(opening.clone()) })
}

/// Anchors receipts that are challenged before the auditor sees them.
async fn questioned<const N: usize>(stage: &Stage, drafts: [&Draft; N]) -> [Digest; N] {
    stage.until("epoch", 100).await;
    stage.validator.change(|ledger| ledger.is_away = true);
    let ids = drafts.map(|draft| stage.anchor(draft));
    ids.iter().for_each(|id| stage.validator.end(id, Standing::Challenged));
    stage.validator.change(|ledger| ledger.is_away = false);
    ids
}

#[tokio::test]
async fn a_lie_whose_challenge_lapsed_is_challenged_again_after_its_window_though_its_worker_forgot_it() {
    let stage = Stage::new().await;
    let lie = lie();
    let id = stage.anchor(&lie);
    stage.settled(1).await;
    stage.until("lies", 1).await;
    stage.worker.change(|desk| desk.manner = Manner::Withholds);
    stage.validator.change(|ledger| ledger.epoch += 40);
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(stage.validator.actions().len(), 1, "an open challenge is left to the validators");
    let stage = stage.restarted().await;
    stage.validator.end(&id, Standing::Challenged);
    stage.settled(2).await;
    assert_eq!(stage.validator.actions(), vec![challenge(id, &lie.opening); 2]);
    stage.validator.end(&id, Standing::Refuted);
    stage.until("lies", 0).await;
    let stage = stage.restarted().await;
    assert_eq!(stage.status().await["lies"], 0);
    assert_eq!((stage.validator.actions().len(), stage.worker.asked(&id)), (2, 1));
}

#[tokio::test]
async fn of_what_is_in_question_only_a_lie_that_is_opened_is_challenged() {
    let stage = Stage::new().await;
    let (truth, lie, other) = (Draft::risk(), lie(), lie());
    let [_, told, unopened] = questioned(&stage, [&truth, &lie, &other]).await;
    stage.worker.change(|desk| desk.openings.remove(&unopened));
    stage.settled(1).await;
    tokio::time::sleep(A_WHILE).await;
    stage.until("pending", 0).await;
    assert_eq!(stage.validator.actions(), [challenge(told, &lie.opening)]);
    let status = stage.status().await;
    assert_eq!(["equal", "challenged", "withheld", "lies"].map(|name| status[name].as_u64()), [1; 4].map(Some));
}

#[tokio::test]
async fn a_lie_that_another_challenged_is_ours_to_challenge_once_that_has_lapsed() {
    let stage = Stage::new().await;
    let lie = lie();
    stage.validator.change(|ledger| ledger.is_away = true);
    let id = stage.anchor(&lie);
    stage.validator.end(&id, Standing::Challenged);
    stage.validator.change(|ledger| {
        ledger.open.insert(id, key(9).public_key());
        ledger.is_away = false;
    });
    stage.until("lies", 1).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(stage.validator.actions(), []);
    stage.validator.end(&id, Standing::Challenged);
    stage.settled(1).await;
    assert_eq!(stage.validator.actions(), [challenge(id, &lie.opening)]);
}

#[tokio::test]
async fn what_the_validators_do_not_decide_three_times_is_given_up_and_counted() {
    let stage = Stage::new().await;
    let id = stage.anchor(&lie());
    for times in 1..=3 {
        stage.settled(times).await;
        tokio::time::sleep(A_WHILE).await;
        assert_eq!(stage.validator.actions().len(), times, "not while it is open");
        stage.validator.end(&id, Standing::Challenged);
    }
    stage.until("lies", 0).await;
    assert_eq!(stage.status().await["missed"], 1);
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(stage.validator.actions().len(), 3);
}

#[tokio::test]
async fn many_lies_in_question_are_challenged_a_few_at_a_time() {
    let stage = Stage::new().await;
    stage.validator.change(|ledger| ledger.window = 40);
    let lies: [Draft; 20] = std::array::from_fn(|_| lie());
    let ids = questioned(&stage, lies.each_ref()).await;
    stage.until("lies", 20).await;
    tokio::time::sleep(A_WHILE).await;
    let challenged = || stage.validator.change(|ledger| ledger.open.keys().copied().collect::<Vec<_>>());
    assert_eq!(challenged().len(), 8, "room is left for what must be challenged before its window closes");
    for left in [12, 4, 0] {
        challenged().iter().for_each(|id| stage.validator.end(id, Standing::Refuted));
        stage.until("lies", left).await;
        stage.settled(20 - usize::try_from(left.saturating_sub(8)).unwrap()).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    assert_eq!((challenged().len(), stage.validator.actions().len(), ids.len()), (0, 20, 20));
}
