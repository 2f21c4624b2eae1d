//! An auditor at work: what it reports, what it challenges, and what it does not hold against anybody.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stage;

use std::time::Duration;

use hub::Shelf;
use protocol::{
    Action, Digest, Input, List, Opening, Parameters, Standing,
    transaction::{Challenge, ReportAudit},
};
use stage::{Draft, Stage, Worker, chat_artefact, tiny, worker::Manner};

fn report(receipt: Digest) -> Action {
    Action::ReportAudit(ReportAudit { receipt })
}

fn challenge(receipt: Digest, opening: Option<&Opening>) -> Action {
    Action::Challenge(Challenge { receipt, opening: opening.cloned() })
}

fn lie() -> Draft {
    Draft::risk().lying()
}

#[tokio::test]
async fn true_receipts_are_reported_and_false_ones_challenged_with_their_opening() {
    let stage = Stage::new().await;
    let (truth, lie) = (Draft::risk(), lie());
    let (first, second) = (stage.anchor(&truth), stage.anchor(&lie));
    stage.settled(2).await;
    let mut actions = stage.validator.actions();
    actions.sort_by_key(Action::word);
    assert_eq!(actions, [challenge(second, Some(&lie.opening)), report(first)]);
    let status = stage.status().await;
    let counts = ["equal", "challenged", "withheld", "failed", "missed", "epoch"].map(|name| status[name].as_u64());
    assert_eq!(counts, [1, 1, 0, 0, 0, 102].map(Some));
    stage.auditor.stop().await;
}

#[tokio::test]
async fn a_worker_is_asked_again_and_then_challenged_as_withholding() {
    let stage = Stage::new().await;
    stage.worker.change(|desk| desk.manner = Manner::Withholds);
    let id = stage.anchor(&Draft::risk());
    stage.settled(1).await;
    assert_eq!(stage.validator.actions(), [challenge(id, None)]);
    assert_eq!(stage.worker.asked(&id), 4);
}

#[tokio::test]
async fn a_worker_that_was_only_slow_is_not_challenged() {
    let stage = Stage::new().await;
    stage.worker.change(|desk| desk.manner = Manner::Withholds);
    let id = stage.anchor(&Draft::risk());
    while stage.worker.asked(&id) < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stage.worker.change(|desk| desk.manner = Manner::Opens);
    stage.settled(1).await;
    assert_eq!(stage.validator.actions(), [report(id)]);
}

#[tokio::test]
async fn another_opening_and_one_that_no_block_has_room_for_are_none() {
    let stage = Stage::new().await;
    stage.worker.change(|desk| desk.manner = Manner::Mistakes);
    stage.worker.keep(&Draft::risk());
    let id = stage.anchor(&Draft::risk());
    stage.settled(1).await;
    assert_eq!(stage.validator.actions(), [challenge(id, None)]);
    stage.worker.change(|desk| desk.manner = Manner::Opens);
    let huge = Draft::risk().changed(|draft| {
        let message = tiny::user(&"x".repeat(230 << 10));
        draft.opening.request.input = Input::Chat(protocol::Chat::of(List::new(vec![message; 4]).unwrap()));
    });
    let huge = stage.anchor(&huge);
    stage.settled(2).await;
    assert_eq!(stage.validator.actions()[1], challenge(huge, None));
}

#[tokio::test]
async fn a_restart_audits_nothing_twice_and_misses_nothing() {
    let stage = Stage::new().await;
    let first = stage.anchor(&Draft::risk());
    stage.settled(1).await;
    // As if another auditor had not found it yet: only our own mark says that it is done.
    stage.validator.change(|ledger| ledger.receipts.get_mut(&first).unwrap().status.standing = Standing::Anchored);
    let stage = stage.restarted().await;
    let second = stage.anchor(&Draft::risk());
    stage.settled(2).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(stage.validator.actions(), [report(first), report(second)]);
    assert_eq!(stage.worker.asked(&first), 1);
}

#[tokio::test]
async fn what_others_say_settles_nothing_and_what_validators_judge_is_left_to_them() {
    let stage = Stage::new().await;
    let stand = |id: &Digest, standing| {
        stage.validator.change(|ledger| ledger.receipts.get_mut(id).unwrap().status.standing = standing);
    };
    // All in one step, before the auditor looks.
    stage.validator.change(|ledger| ledger.is_away = true);
    let blessed = stage.anchor(&lie());
    stand(&blessed, Standing::Audited);
    for standing in [Standing::Challenged, Standing::Upheld, Standing::Refuted, Standing::Withheld] {
        let id = stage.anchor(&lie());
        stand(&id, standing);
        if standing == Standing::Challenged {
            stage.validator.change(|ledger| ledger.open.insert(id, stage::key(9).public_key()));
        }
    }
    stage.validator.change(|ledger| ledger.is_away = false);
    stage.settled(1).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    let actions = stage.validator.actions();
    assert!(matches!(&actions[..], [Action::Challenge(challenge)] if challenge.receipt == blessed));
}

#[tokio::test]
async fn validators_that_are_away_are_held_against_no_worker() {
    let stage = Stage::new().await;
    stage.until("epoch", 100).await;
    stage.worker.change(|desk| desk.manner = Manner::Withholds);
    let id = stage.anchor(&Draft::risk());
    while stage.worker.asked(&id) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stage.validator.change(|ledger| ledger.is_away = true);
    stage.worker.change(|desk| desk.manner = Manner::Opens);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(stage.validator.actions(), []);
    stage.validator.change(|ledger| ledger.is_away = false);
    stage.settled(1).await;
    assert_eq!(stage.validator.actions(), [report(id)]);
}

#[tokio::test]
async fn what_was_lost_on_its_way_is_sent_again() {
    let stage = Stage::new().await;
    stage.validator.change(|ledger| ledger.loses = 2);
    let lie = lie();
    let id = stage.anchor(&lie);
    stage.settled(3).await;
    assert_eq!(stage.validator.actions(), vec![challenge(id, Some(&lie.opening)); 3]);
    assert_eq!(stage.worker.asked(&id), 1, "it was judged once");
}

#[tokio::test]
async fn a_model_that_cannot_be_had_stops_no_other_audit_and_is_tried_again() {
    let stage = Stage::new().await;
    let poison = stage.anchor(&Draft::chat(Parameters { max_tokens: 4, ..Parameters::default() }));
    let others = [stage.anchor(&Draft::risk()), stage.anchor(&Draft::risk())];
    // The poisoned receipt's audit stays under way.
    for _ in 0..1_000 {
        if stage.validator.actions().len() >= 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut actions = stage.validator.actions();
    actions.sort_by_key(|action| *action != report(others[0]));
    assert_eq!(actions, others.map(report));
    Shelf::open(&stage.folder.path().join("models")).unwrap().put(chat_artefact()).unwrap();
    stage.settled(3).await;
    assert_eq!(stage.validator.actions()[2], report(poison));
    assert!(stage.status().await["failed"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn what_cannot_be_audited_within_its_window_is_counted_as_missed() {
    let stage = Stage::new().await;
    stage.anchor(&Draft::chat(Parameters { max_tokens: 4, ..Parameters::default() }));
    let newer = Draft::risk().changed(|draft| draft.spec_version = engine::SPEC_VERSION + 1);
    stage.anchor(&newer);
    stage.until("pending", 2).await;
    stage.validator.change(|ledger| ledger.epoch += 20);
    stage.until("missed", 2).await;
    stage.until("pending", 0).await;
    assert_eq!(stage.validator.actions(), []);
}

#[tokio::test]
async fn an_answer_of_floats_is_left_out_and_counted() {
    let stage = Stage::new().await;
    let of_floats = Draft::risk().changed(|draft| draft.spec_version = protocol::receipt::NO_EXACT_FORM);
    stage.anchor(&of_floats);
    stage.until("not_auditable", 1).await;
    stage.until("pending", 0).await;
    assert_eq!(stage.validator.actions(), []);
}

#[tokio::test]
async fn a_worker_that_keeps_us_waiting_keeps_us_from_no_other() {
    let stage = Stage::new().await;
    stage.worker.change(|desk| desk.manner = Manner::Hangs);
    for _ in 0..20 {
        stage.anchor(&Draft::risk());
    }
    let other = Worker::start(7).await;
    stage.validator.register(&other);
    let draft = Draft::risk().changed(|draft| draft.worker = 7);
    other.keep(&draft);
    let id = stage.validator.anchor(draft.sign());
    let began = std::time::Instant::now();
    while !stage.validator.actions().contains(&report(id)) {
        assert!(began.elapsed() < Duration::from_secs(8), "{}", stage.status().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_epoch_that_cannot_be_read_stops_no_other() {
    let stage = Stage::new().await;
    stage.until("epoch", 100).await;
    stage.validator.change(|ledger| ledger.poisoned = Some(101));
    let hidden = stage.anchor(&Draft::risk());
    let seen = stage.anchor(&Draft::risk());
    stage.settled(1).await;
    assert_eq!(stage.validator.actions(), [report(seen)]);
    stage.validator.change(|ledger| ledger.poisoned = None);
    stage.settled(2).await;
    assert_eq!(stage.validator.actions(), [report(seen), report(hidden)]);
}

#[tokio::test]
async fn a_validator_that_lies_about_the_newest_epoch_blinds_nobody_for_good() {
    let stage = Stage::new().await;
    stage.validator.change(|ledger| (ledger.epoch, ledger.window) = (u64::MAX, 15));
    stage.until("epoch", u64::MAX).await;
    stage.validator.change(|ledger| ledger.epoch = 200);
    let id = stage.anchor(&Draft::risk());
    stage.settled(1).await;
    assert_eq!(stage.validator.actions(), [report(id)]);
}

#[tokio::test]
async fn a_validator_that_tells_old_epochs_again_is_waited_for() {
    let stage = Stage::new().await;
    let first = stage.anchor(&Draft::risk());
    stage.settled(1).await;
    // The window closes, and the mark is forgotten.
    stage.validator.change(|ledger| (ledger.epoch, ledger.time_ms) = (200, 2_000));
    stage.until("epoch", 200).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    stage.validator.change(|ledger| (ledger.epoch, ledger.time_ms) = (101, 1_000));
    let stage = stage.restarted().await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    stage.validator.change(|ledger| (ledger.epoch, ledger.time_ms) = (200, 2_000));
    stage.until("epoch", 200).await;
    let second = stage.anchor(&Draft::risk());
    stage.settled(2).await;
    assert_eq!(stage.validator.actions(), [report(first), report(second)]);
    assert_eq!(stage.worker.asked(&first), 1);
    let status = stage.status().await;
    assert_eq!(["unjudged", "missed", "failed"].map(|name| status[name].as_u64()), [0, 0, 0].map(Some));
}

#[tokio::test]
async fn receipts_that_are_not_drawn_are_left_alone() {
    let stage = Stage::with(|config| config.rate = 0).await;
    let id = stage.anchor(&Draft::risk());
    stage.until("epoch", 101).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!((stage.worker.asked(&id), stage.validator.actions().len()), (0, 0));
}
