//! Receipts in question: challenged, while nobody is asked to decide. What brings them there, and what ends it.

use evm::modules::parameters;
use ledger::{Event, Offence, Refusal, Rules};
use protocol::Standing;

use crate::world::{
    AUDITOR, Answer, GATEWAY, OTHER_AUDITOR, OTHER_WORKER, OWN_AUDITOR, STAKE, VALIDATORS, WORKER, World, challenge,
    node, operator, post, report, restored, vote,
};

fn standing(world: &World, answer: &Answer) -> Standing {
    world.ledger.status(&answer.id()).unwrap().standing
}

fn decide(world: &mut World, answer: &Answer, refuted: bool) {
    VALIDATORS[..3].iter().for_each(|validator| world.send(*validator, vote(answer, refuted)).unwrap());
}

fn fee(world: &World) -> u128 {
    world.ledger.parameter(&parameters::CHALLENGE_BOND) / 10
}

/// A receipt whose challenge has lapsed, long after its window.
fn lapsed() -> (World, Answer) {
    let mut world = World::with(Rules { vote_epochs: 20, ..Rules::default() });
    let answer = world.challenged();
    world.epochs(30);
    assert_eq!(world.ledger.challenges().count(), 0);
    (world, answer)
}

#[test]
fn a_lapsed_receipt_is_decided_when_somebody_shows_its_opening_again() {
    for refuted in [false, true] {
        let (mut world, answer) = lapsed();
        let before = world.stake(OTHER_AUDITOR);
        assert_eq!(world.send(OTHER_AUDITOR, challenge(&answer, false)), Err(Refusal::OpeningNeeded));
        assert_eq!(world.send(OWN_AUDITOR, challenge(&answer, true)), Err(Refusal::OwnOperator));
        assert_eq!(world.send(OTHER_AUDITOR, report(&answer)), Err(Refusal::UnderChallenge));
        world.send(OTHER_AUDITOR, challenge(&answer, true)).unwrap();
        let late = Refusal::WindowClosed { last: 15, epoch: 30 };
        assert_eq!(world.send(AUDITOR, challenge(&answer, true)), Err(late.clone()), "one at a time");
        decide(&mut world, &answer, refuted);
        let (expected, cost) = if refuted { (Standing::Refuted, 0) } else { (Standing::Upheld, fee(&world)) };
        assert_eq!(standing(&world, &answer), expected);
        assert_eq!(world.stake(OTHER_AUDITOR), before - cost, "who asks about what is in question accuses nobody");
        assert_eq!(world.ledger.node(&node(OTHER_AUDITOR)).unwrap().slashed, 0);
        assert_eq!(world.stake(WORKER), if refuted { STAKE / 2 } else { STAKE });
        assert_eq!(world.send(AUDITOR, challenge(&answer, true)), Err(late), "decided is decided");
    }
}

#[test]
fn a_challenge_can_lapse_again_and_costs_each_time() {
    let (mut world, answer) = lapsed();
    let before = world.stake(OTHER_AUDITOR);
    for times in 1..=2 {
        world.send(OTHER_AUDITOR, challenge(&answer, true)).unwrap();
        world.epochs(21);
        assert_eq!(standing(&world, &answer), Standing::Challenged);
        assert_eq!(world.stake(OTHER_AUDITOR), before - times * fee(&world));
    }
}

#[test]
fn what_a_receipt_in_question_charged_is_due_when_it_is_decided_and_not_by_waiting() {
    let mut world = World::new();
    // The n-th receipt of a worker charges n.
    let answers: Vec<_> = (0..4).map(|_| world.anchored(WORKER)).collect();
    withhold_one(&mut world);
    world.epochs(40);
    let due = |world: &World| world.ledger.dues(&node(GATEWAY)).due;
    // The one that was withheld is due to its payer.
    let refunded = 4;
    assert_eq!((standing(&world, &answers[3]), due(&world)), (Standing::Challenged, refunded));
    world.send(OTHER_AUDITOR, challenge(&answers[3], true)).unwrap();
    decide(&mut world, &answers[3], false);
    assert_eq!(due(&world), refunded + 3);
    world.send(OTHER_AUDITOR, challenge(&answers[2], true)).unwrap();
    decide(&mut world, &answers[2], true);
    world.epochs(20);
    assert_eq!(due(&world), refunded + 3 + 2, "what is false is due to its payer");
}

/// One of the worker's receipts is challenged as withheld, and never opened.
fn withhold_one(world: &mut World) -> Answer {
    let answer = world.anchored(WORKER);
    world.send(AUDITOR, challenge(&answer, false)).unwrap();
    world.epochs(6);
    assert_eq!(standing(world, &answer), Standing::Withheld);
    answer
}

#[test]
fn a_worker_that_withholds_a_thousand_openings_at_once_has_none_of_them_held() {
    let mut world = World::new();
    let answers: Vec<_> = (0..1_000).map(|_| world.answer(WORKER)).collect();
    for some in answers.chunks(100) {
        world.send(GATEWAY, post(some.iter().map(|answer| &answer.signed))).unwrap();
    }
    let other = world.anchored(OTHER_WORKER);
    let asked = (0..1_000).take_while(|index| world.send(AUDITOR, challenge(&answers[*index], false)).is_ok()).count();
    assert_eq!(asked, 16, "an auditor can ask for no more at once");
    world.epochs(6);
    let with = |found| answers.iter().filter(|answer| standing(&world, answer) == found).count();
    assert_eq!((with(Standing::Withheld), with(Standing::Challenged)), (16, 984));
    assert_eq!(standing(&world, &other), Standing::Anchored, "another worker's are nobody's business");
    world.epochs(30);
    assert_eq!(answers.iter().filter(|answer| standing(&world, answer) == Standing::Challenged).count(), 984);
}

#[test]
fn a_slash_for_one_receipt_brings_into_question_what_could_be_challenged_and_nothing_else() {
    let mut world = World::new();
    let old = world.anchored(WORKER);
    world.epochs(16);
    let (upheld, audited, plain) = (world.anchored(WORKER), world.anchored(WORKER), world.anchored(WORKER));
    world.send(OTHER_AUDITOR, report(&audited)).unwrap();
    world.send(AUDITOR, challenge(&upheld, true)).unwrap();
    decide(&mut world, &upheld, false);
    let lie = world.challenged();
    decide(&mut world, &lie, true);
    assert_eq!(standing(&world, &plain), Standing::Anchored, "as the epoch ends");
    world.next_epoch();
    let found = [&old, &upheld, &audited, &plain, &lie].map(|answer| standing(&world, answer));
    let expected =
        [Standing::Anchored, Standing::Upheld, Standing::Challenged, Standing::Challenged, Standing::Refuted];
    assert_eq!(found, expected);
    // An auditor's report is kept, and held against it even after the window.
    world.epochs(40);
    assert_eq!(world.ledger.audits().count(), 1);
    let before = world.stake(OTHER_AUDITOR);
    world.send(AUDITOR, challenge(&audited, true)).unwrap();
    let slashed = Event::Slashed { node: node(OTHER_AUDITOR), offence: Offence::FalseAudit, amount: before / 5 };
    VALIDATORS[..2].iter().for_each(|validator| world.send(*validator, vote(&audited, true)).unwrap());
    let (_, events) = world.tell(VALIDATORS[2], vote(&audited, true));
    assert!(events.contains(&slashed), "{events:?}");
    world.next_epoch();
    assert_eq!(world.ledger.audits().count(), 0);
}

#[test]
fn two_receipts_under_one_number_bring_the_others_into_question() {
    let mut world = World::new();
    let (other, double) = (world.anchored(WORKER), world.anchored(WORKER));
    world.posting(&double.changed(WORKER, |receipt| receipt.output_tokens += 1)).unwrap_err();
    world.next_epoch();
    assert_eq!([&other, &double].map(|answer| standing(&world, answer)), [Standing::Challenged; 2]);
}

#[test]
fn what_a_worker_said_since_it_was_slashed_comes_into_question_with_the_next_slash() {
    let mut world = World::governed(Rules::default(), &[(&parameters::REFUTED_RECEIPT_JAIL, 0)]);
    for _ in 0..3 {
        let (before, lie) = (world.anchored(WORKER), world.challenged());
        decide(&mut world, &lie, true);
        let after = world.anchored(WORKER);
        world.next_epoch();
        let found = [&before, &lie, &after].map(|answer| standing(&world, answer));
        assert_eq!(found, [Standing::Challenged, Standing::Refuted, Standing::Challenged]);
    }
}

#[test]
fn an_auditors_or_a_validators_fault_brings_no_receipt_into_question() {
    let mut world = World::new();
    let (first, second) = (world.anchored(WORKER), world.challenged());
    for (validator, refuted) in VALIDATORS.iter().zip([true, false, false, false]) {
        world.send(*validator, vote(&second, refuted)).unwrap();
    }
    world.epochs(2);
    assert_eq!([&first, &second].map(|answer| standing(&world, answer)), [Standing::Anchored, Standing::Upheld]);
}

#[test]
fn a_restored_ledger_knows_what_is_in_question() {
    let (mut world, answer) = lapsed();
    let snapshot = world.ledger.snapshot().unwrap();
    world.ledger = restored(snapshot.bytes(), &world.ledger).unwrap();
    world.send(OTHER_AUDITOR, challenge(&answer, true)).unwrap();
    decide(&mut world, &answer, false);
    assert_eq!(standing(&world, &answer), Standing::Upheld);
    assert!(world.ledger.account(&operator(WORKER)).balance > 0, "paid for an answer");
}
