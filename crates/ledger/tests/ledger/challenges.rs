//! Audits, challenges, votes and what they cost.

use evm::modules::{
    parameters,
    staking::{ADDRESS, IStaking},
};
use ledger::{Event, OPG, Offence, Refusal, Rules};
use protocol::{Role, Standing};

use crate::world::{
    ALICE, AUDITOR, Answer, BOB, GATEWAY, OTHER_AUDITOR, OTHER_WORKER, OWN_AUDITOR, STAKE, VALIDATORS, WORKER, World,
    asked, challenge, node, operator, post, public, report, respond, vote,
};

fn standing(world: &World, answer: &Answer) -> Standing {
    world.ledger.status(&answer.id()).unwrap().standing
}

fn votes(world: &mut World, answer: &Answer, ballots: &[bool]) {
    for (validator, refuted) in VALIDATORS.iter().zip(ballots) {
        world.send(*validator, vote(answer, *refuted)).unwrap();
    }
}

#[test]
fn a_lying_worker_is_slashed_when_a_quorum_of_validators_finds_other_bits() {
    let mut world = World::new();
    let answer = world.challenged();
    assert_eq!(standing(&world, &answer), Standing::Challenged);
    votes(&mut world, &answer, &[true, true]);
    assert_eq!(standing(&world, &answer), Standing::Challenged);
    let (_, events) = world.tell(VALIDATORS[2], vote(&answer, true));
    assert!(events.contains(&Event::Decided { receipt: answer.id(), standing: Standing::Refuted }));
    let slashed = Event::Slashed { node: node(WORKER), offence: Offence::Refuted, amount: STAKE / 2 };
    assert!(events.contains(&slashed));
    assert_eq!(standing(&world, &answer), Standing::Refuted);
    assert_eq!(world.stake(WORKER), STAKE / 2);
    assert_eq!(world.ledger.status(&answer.id()).unwrap().slashed, STAKE / 2);
    assert_eq!(world.stake(AUDITOR), STAKE, "the bond came back");
    assert_eq!(world.ledger.account(&operator(AUDITOR)).balance, STAKE / 4);
    assert_eq!(world.ledger.burned(), STAKE / 4);
    assert_eq!(world.bonds(AUDITOR), 0);
    assert_eq!(world.ledger.challenges().count(), 0);
}

#[test]
fn a_false_challenge_costs_its_bond() {
    let mut world = World::new();
    let answer = world.challenged();
    let bond = world.ledger.parameter(&parameters::CHALLENGE_BOND);
    assert_eq!(world.stake(AUDITOR), STAKE - bond);
    assert_eq!(world.bonds(AUDITOR), bond);
    votes(&mut world, &answer, &[false, false, false]);
    assert_eq!(standing(&world, &answer), Standing::Upheld);
    assert_eq!(world.stake(AUDITOR), STAKE - bond);
    assert_eq!(world.ledger.node(&node(AUDITOR)).unwrap().slashed, bond);
    assert_eq!(world.ledger.account(&operator(WORKER)).balance, bond / 2);
    assert_eq!(world.ledger.burned(), bond / 2);
    assert_eq!(world.stake(WORKER), STAKE);
}

#[test]
fn a_validator_that_votes_against_the_verdict_is_slashed_as_a_liar() {
    for refuted in [true, false] {
        let mut world = World::new();
        let answer = world.challenged();
        votes(&mut world, &answer, &[!refuted, refuted, refuted, refuted]);
        assert_eq!(world.stake(VALIDATORS[0]), STAKE - STAKE / 10);
        assert_eq!(world.stake(VALIDATORS[1]), STAKE);
    }
}

#[test]
fn an_auditor_that_vouched_for_a_refuted_receipt_is_slashed() {
    let mut world = World::new();
    let answer = world.anchored(WORKER);
    world.send(OTHER_AUDITOR, report(&answer)).unwrap();
    world.send(AUDITOR, challenge(&answer, true)).unwrap();
    votes(&mut world, &answer, &[true, true, true]);
    assert_eq!(world.stake(OTHER_AUDITOR), STAKE - STAKE / 5);
}

#[test]
fn a_worker_that_does_not_open_its_receipt_in_time_is_slashed() {
    let mut world = World::new();
    let answer = world.anchored(WORKER);
    world.send(AUDITOR, challenge(&answer, false)).unwrap();
    world.epochs(5);
    assert_eq!(standing(&world, &answer), Standing::Challenged, "the deadline's own epoch counts");
    let record = world.next_epoch();
    assert_eq!(standing(&world, &answer), Standing::Withheld);
    assert_eq!(world.stake(WORKER), STAKE / 2);
    let verdicts = world.ledger.epoch_verdicts(record.epoch).unwrap();
    assert_eq!(verdicts[0].standing, Standing::Withheld);
    assert_eq!(world.send(WORKER, respond(&answer)), Err(Refusal::NoChallenge));
}

#[test]
fn a_response_in_the_last_epoch_of_its_deadline_still_counts() {
    let mut world = World::new();
    let answer = world.anchored(WORKER);
    world.send(AUDITOR, challenge(&answer, false)).unwrap();
    world.epochs(5);
    world.send(WORKER, respond(&answer)).unwrap();
    world.epochs(20);
    assert_eq!(standing(&world, &answer), Standing::Challenged, "undecided keeps it out of final");
    votes(&mut world, &answer, &[false, false, false]);
    assert_eq!(standing(&world, &answer), Standing::Upheld);
    let fee = world.ledger.parameter(&parameters::CHALLENGE_BOND) / 10;
    assert_eq!(world.ledger.account(&operator(WORKER)).balance, fee, "the worker is paid for its answer");
    assert_eq!(world.stake(AUDITOR), STAKE - fee, "who asked for an answer and got it is no liar");
    assert_eq!(world.ledger.node(&node(AUDITOR)).unwrap().slashed, 0);
}

#[test]
fn an_answered_receipt_can_still_be_refuted() {
    let mut world = World::new();
    let answer = world.anchored(WORKER);
    world.send(AUDITOR, challenge(&answer, false)).unwrap();
    assert_eq!(world.send(VALIDATORS[0], vote(&answer, true)), Err(Refusal::AwaitingResponse));
    world.send(WORKER, respond(&answer)).unwrap();
    assert_eq!(world.send(WORKER, respond(&answer)), Err(Refusal::AlreadyAnswered));
    votes(&mut world, &answer, &[true, true, true]);
    assert_eq!(standing(&world, &answer), Standing::Refuted);
}

#[test]
fn a_challenge_that_is_never_decided_lapses_and_the_receipt_never_holds() {
    let mut world = World::with(Rules { vote_epochs: 20, ..Rules::default() });
    let answer = world.challenged();
    votes(&mut world, &answer, &[true, false]);
    world.epochs(21);
    assert_eq!(world.ledger.challenges().count(), 0);
    assert_eq!(standing(&world, &answer), Standing::Challenged);
    let fee = world.ledger.parameter(&parameters::CHALLENGE_BOND) / 10;
    assert_eq!(
        (world.stake(AUDITOR), world.stake(WORKER)),
        (STAKE - fee, STAKE),
        "a question that nobody could answer"
    );
    assert_eq!(world.ledger.burned(), fee, "and that nobody earns by");
    assert_eq!(world.send(VALIDATORS[2], vote(&answer, true)), Err(Refusal::NoChallenge));
}

#[test]
fn nobody_outside_the_committee_votes_and_nobody_votes_twice() {
    let mut world = World::new();
    let answer = world.challenged();
    assert_eq!(world.send(ALICE, vote(&answer, true)), Err(Refusal::UnknownKey));
    let wrong = Refusal::WrongRole { found: Role::Auditor, expected: Role::Validator };
    assert_eq!(world.send(AUDITOR, vote(&answer, true)), Err(wrong));
    world.send(VALIDATORS[0], vote(&answer, true)).unwrap();
    assert_eq!(world.send(VALIDATORS[0], vote(&answer, true)), Err(Refusal::AlreadyVoted));
    assert_eq!(world.send(VALIDATORS[0], vote(&answer, false)), Err(Refusal::AlreadyVoted));
    assert_eq!(world.ledger.challenges().next().unwrap().ballots.len(), 1);
}

#[test]
fn a_vote_without_a_challenge_or_after_the_verdict_is_refused() {
    let mut world = World::new();
    let answer = world.anchored(WORKER);
    assert_eq!(world.send(VALIDATORS[0], vote(&answer, true)), Err(Refusal::NoChallenge));
    world.send(AUDITOR, challenge(&answer, true)).unwrap();
    votes(&mut world, &answer, &[true, true, true]);
    assert_eq!(world.send(VALIDATORS[3], vote(&answer, true)), Err(Refusal::NoChallenge));
    assert_eq!(world.send(AUDITOR, challenge(&answer, true)), Err(Refusal::AlreadyDecided));
    assert_eq!(world.send(OTHER_AUDITOR, report(&answer)), Err(Refusal::AlreadyDecided));
}

#[test]
fn an_opening_that_is_not_the_receipts_is_refused() {
    let mut world = World::new();
    let mut answer = world.anchored(WORKER);
    answer.opening.output_salt.0[0] ^= 1;
    assert_eq!(world.send(AUDITOR, challenge(&answer, true)), Err(Refusal::OpeningMismatch("output")));
    world.send(AUDITOR, challenge(&answer, false)).unwrap();
    assert_eq!(world.send(WORKER, respond(&answer)), Err(Refusal::OpeningMismatch("output")));
}

#[test]
fn an_opening_beyond_the_limit_is_refused() {
    let mut world = World::new();
    let mut answer = world.anchored(WORKER);
    let mut refused = |kibibytes: &[usize]| {
        let text = |size: &usize| protocol::Text::new("x".repeat(size << 10)).unwrap();
        let say = |size| protocol::Message::say(protocol::Speaker::User, text(size));
        let messages = protocol::List::new(kibibytes.iter().map(say).collect()).unwrap();
        answer.opening.request.input = protocol::Input::Chat(protocol::Chat::of(messages));
        world.send(AUDITOR, challenge(&answer, true)).unwrap_err()
    };
    assert!(matches!(refused(&[256, 256, 256, 128]), Refusal::OpeningTooLarge { limit: 917_504, .. }));
    assert_eq!(refused(&[256, 256, 256, 127]), Refusal::OpeningMismatch("request"), "it is read");
}

#[test]
fn only_the_receipts_own_worker_answers() {
    let mut world = World::new();
    let answer = world.anchored(WORKER);
    assert_eq!(world.send(WORKER, respond(&answer)), Err(Refusal::NoChallenge));
    world.send(AUDITOR, challenge(&answer, false)).unwrap();
    assert_eq!(world.send(OTHER_WORKER, respond(&answer)), Err(Refusal::WrongWorker));
    assert_eq!(world.send(GATEWAY, respond(&answer)), Err(Refusal::WrongWorker));
    assert_eq!(world.send(ALICE, respond(&answer)), Err(Refusal::UnknownKey));
}

#[test]
fn only_a_foreign_auditor_challenges_and_reports() {
    let mut world = World::new();
    let answer = world.anchored(WORKER);
    let wrong = Refusal::WrongRole { found: Role::Validator, expected: Role::Auditor };
    for action in [challenge(&answer, true), challenge(&answer, false), report(&answer)] {
        assert_eq!(world.send(BOB, action.clone()), Err(Refusal::UnknownKey));
        assert_eq!(world.send(VALIDATORS[0], action.clone()), Err(wrong.clone()));
        assert_eq!(world.send(OWN_AUDITOR, action), Err(Refusal::OwnOperator));
    }
}

#[test]
fn a_receipt_that_is_not_anchored_is_neither_challenged_nor_reported() {
    let mut world = World::new();
    let answer = world.answer(WORKER);
    assert_eq!(world.send(AUDITOR, challenge(&answer, true)), Err(Refusal::UnknownReceipt));
    assert_eq!(world.send(AUDITOR, report(&answer)), Err(Refusal::UnknownReceipt));
}

#[test]
fn a_report_raises_the_standing_once_and_counts_each_auditor_once() {
    let mut world = World::governed(Rules::default(), &[(&parameters::AUDIT_REWARD, OPG)]);
    let answer = world.anchored(WORKER);
    world.send(AUDITOR, report(&answer)).unwrap();
    assert_eq!(standing(&world, &answer), Standing::Audited);
    assert_eq!(world.send(AUDITOR, report(&answer)), Err(Refusal::AlreadyReported));
    world.send(OTHER_AUDITOR, report(&answer)).unwrap();
    assert_eq!(world.ledger.status(&answer.id()).unwrap().audits, 2);
    assert_eq!(world.reward_pool(), 998 * OPG);
    let record = world.next_epoch();
    assert_eq!(world.ledger.epoch_verdicts(record.epoch).unwrap().len(), 1, "two reports, one change of standing");
}

#[test]
fn an_auditors_reports_are_counted_and_false_ones_beside_them() {
    let mut world = World::new();
    let (held, lie) = (world.anchored(WORKER), world.anchored(WORKER));
    world.send(OTHER_AUDITOR, report(&held)).unwrap();
    world.send(OTHER_AUDITOR, report(&lie)).unwrap();
    world.send(AUDITOR, challenge(&lie, true)).unwrap();
    votes(&mut world, &lie, &[true, true, true]);
    let facts = |seed| asked(&world, ADDRESS, &IStaking::factsCall { node: node(seed).0.into() });
    let (worker, auditor, other) = (facts(WORKER), facts(OTHER_AUDITOR), facts(AUDITOR));
    assert_eq!((auditor.reports, auditor.falseReports, auditor.slashes), (2, 1, 1));
    assert_eq!((worker.auditsPassed, worker.auditsFailed, worker.refuted), (2, 1, 1));
    assert_eq!([other.reports, worker.reports, auditor.auditsPassed], [0; 3]);
}

#[test]
fn audit_rewards_end_with_their_pool() {
    let mut world = World::governed(Rules::default(), &[(&parameters::AUDIT_REWARD, 999 * OPG)]);
    let (first, second) = (world.anchored(WORKER), world.anchored(WORKER));
    world.send(AUDITOR, report(&first)).unwrap();
    let (result, events) = world.tell(AUDITOR, report(&second));
    result.unwrap();
    assert!(events.contains(&Event::Rewarded { node: node(AUDITOR), amount: OPG }));
    assert_eq!(world.reward_pool(), 0);
}

#[test]
fn the_challenge_window_ends_with_its_last_epoch() {
    let mut world = World::new();
    let answer = world.anchored(WORKER);
    let late = world.anchored(WORKER);
    world.epochs(15);
    world.send(AUDITOR, challenge(&answer, true)).unwrap();
    world.next_epoch();
    let closed = Refusal::WindowClosed { last: 15, epoch: 16 };
    assert_eq!(world.send(AUDITOR, challenge(&late, true)), Err(closed.clone()));
    assert_eq!(world.send(AUDITOR, report(&late)), Err(closed));
    votes(&mut world, &answer, &[true, true, true]);
    assert_eq!(standing(&world, &answer), Standing::Refuted, "a challenge in time is decided after the window");
}

#[test]
fn a_receipt_is_challenged_once_and_not_reported_meanwhile() {
    let mut world = World::new();
    let answer = world.challenged();
    assert_eq!(world.send(OTHER_AUDITOR, challenge(&answer, true)), Err(Refusal::UnderChallenge));
    assert_eq!(world.send(OTHER_AUDITOR, report(&answer)), Err(Refusal::UnderChallenge));
    votes(&mut world, &answer, &[false, false, false]);
    world.send(OTHER_AUDITOR, report(&answer)).unwrap();
    assert_eq!(standing(&world, &answer), Standing::Upheld);
    assert_eq!(world.send(OTHER_AUDITOR, challenge(&answer, true)), Err(Refusal::AlreadyDecided));
}

#[test]
fn an_auditor_that_challenges_everything_runs_out_of_challenges_or_stake() {
    let mut world = World::governed(Rules::default(), &[(&parameters::CHALLENGES_OPEN, 2)]);
    let answers = [0; 3].map(|_| world.anchored(WORKER));
    world.send(AUDITOR, challenge(&answers[0], true)).unwrap();
    world.send(AUDITOR, challenge(&answers[1], false)).unwrap();
    assert_eq!(world.send(AUDITOR, challenge(&answers[2], true)), Err(Refusal::TooManyChallenges { limit: 2 }));

    let mut world = World::governed(Rules::default(), &[(&parameters::CHALLENGE_BOND, OPG * 10_000)]);
    let answers = [0; 3].map(|_| world.anchored(WORKER));
    world.send(AUDITOR, challenge(&answers[0], true)).unwrap();
    world.send(AUDITOR, challenge(&answers[1], true)).unwrap();
    let short = Refusal::InsufficientStake { available: 0, wanted: STAKE / 2 };
    assert_eq!(world.send(AUDITOR, challenge(&answers[2], true)), Err(short));
    assert!(!world.ledger.node(&node(AUDITOR)).unwrap().jailed, "a locked bond still backs its auditor");
}

#[test]
fn a_node_below_its_minimum_is_jailed_and_acts_no_more() {
    let mut world = World::governed(
        Rules::default(),
        &[
            (&parameters::SELF_STAKE_AUDITOR, STAKE),
            (&parameters::REFUTED_RECEIPT_JAIL, 0),
            (&parameters::SELF_STAKE_WORKER, STAKE),
            (&parameters::FALSE_VOTE_JAIL, 0),
            (&parameters::SELF_STAKE_VALIDATOR, STAKE),
        ],
    );
    let answer = world.challenged();
    let vouched = world.anchored(OTHER_WORKER);
    votes(&mut world, &answer, &[false, true, true, true]);
    assert!(world.ledger.node(&node(WORKER)).unwrap().jailed);
    assert!(world.ledger.node(&node(VALIDATORS[0])).unwrap().jailed);
    let next = world.answer(WORKER);
    assert_eq!(world.posting(&next.signed), Err(Refusal::Jailed));
    world.send(AUDITOR, challenge(&vouched, true)).unwrap();
    assert_eq!(world.send(VALIDATORS[0], vote(&vouched, true)), Err(Refusal::Jailed));
    votes_from(&mut world, &vouched, 1);
    assert!(world.ledger.node(&node(AUDITOR)).unwrap().jailed, "the lost bond took it below the minimum");
    assert_eq!(world.send(AUDITOR, report(&vouched)), Err(Refusal::Jailed));
}

fn votes_from(world: &mut World, answer: &Answer, first: usize) {
    for validator in &VALIDATORS[first..] {
        world.send(*validator, vote(answer, false)).unwrap();
    }
}

#[test]
fn repeated_slashes_never_take_more_than_there_is() {
    let mut world = World::governed(Rules::default(), &[(&parameters::REFUTED_RECEIPT_SHARE, 1_000_000)]);
    let (first, second) = (world.anchored(WORKER), world.anchored(WORKER));
    for answer in [&first, &second] {
        world.send(AUDITOR, challenge(answer, true)).unwrap();
        votes(&mut world, answer, &[true, true, true]);
    }
    assert_eq!(world.stake(WORKER), 0);
    assert_eq!(world.ledger.node(&node(WORKER)).unwrap().slashed, STAKE);
    assert_eq!(world.ledger.status(&second.id()).unwrap().slashed, 0);
}

#[test]
fn open_challenges_show_what_the_validators_need() {
    let mut world = World::new();
    let (open, withheld) = (world.anchored(WORKER), world.anchored(WORKER));
    world.send(AUDITOR, challenge(&open, true)).unwrap();
    world.send(AUDITOR, challenge(&withheld, false)).unwrap();
    let views = world.ledger.open_challenges();
    let view = |answer: &Answer| views.iter().find(|view| view.receipt == answer.signed).unwrap();
    assert_eq!(view(&open).opening, Some(open.opening.clone()));
    assert_eq!(view(&withheld).opening, None);
    assert_eq!(view(&withheld).challenger, public(AUDITOR));
}

#[test]
fn reports_are_forgotten_when_nobody_can_refute_them_any_more() {
    let mut world = World::new();
    let answer = world.anchored(WORKER);
    world.send(AUDITOR, report(&answer)).unwrap();
    world.epochs(15);
    assert_eq!(world.ledger.audits().count(), 1);
    world.next_epoch();
    assert_eq!(world.ledger.audits().count(), 0);
    assert_eq!(
        world.send(AUDITOR, post([&answer.signed])),
        Err(Refusal::WrongRole { found: Role::Auditor, expected: Role::Gateway })
    );
}
