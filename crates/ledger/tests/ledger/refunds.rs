//! What refuted and withheld receipts charged: to whom it is due, how it is paid, and who can show whose it is.

use std::collections::BTreeMap;

use ledger::{Event, Refusal};
use protocol::{
    Action, Digest, EvmAddress, PayerProof, Privacy, Standing,
    refund::{SaltedPayer, SaltedRequest},
    refund_account,
    request::{StreamHead, request_commitment},
    transaction::ClaimRefund,
};

use crate::{
    shares::{SPAN, WINDOW, account, balance, dues, funded, hurried, owed, pay},
    world::{
        ALICE, AUDITOR, Answer, BOB, GATEWAY, STAKE, VALIDATORS, WORKER, World, challenge, node, payment, post, vote,
    },
};

pub fn claim(answer: &Answer) -> Action {
    claim_by(answer, PayerProof::of(&answer.opening).unwrap())
}

fn claim_by(answer: &Answer, proof: PayerProof) -> Action {
    Action::ClaimRefund(ClaimRefund { receipt: answer.id(), proof })
}

fn payer() -> EvmAddress {
    payment(0).payer.account
}

/// An answer to a request of this privacy that charges so much, anchored.
fn charged(world: &mut World, privacy: Privacy, opg: u128) -> Answer {
    let mut answer = world.answer(WORKER);
    (answer.opening.request.privacy, answer.opening.request.payment) = (privacy, Some(payment(opg)));
    let opening = answer.opening.clone();
    let request = request_commitment(&opening.request_salt, &opening.request);
    answer.signed = answer.changed(WORKER, |receipt| {
        (receipt.request, receipt.privacy) = (request, privacy);
        receipt.stream_head = StreamHead::start(&request).after(&opening.output).0;
        *receipt = receipt.clone().billed(&opening.request);
    });
    world.send(GATEWAY, post([&answer.signed])).unwrap();
    assert!(world.ledger.status(&answer.id()).is_some(), "the receipt was refused");
    world.chains.insert(WORKER, (answer.signed.receipt.sequence + 1, answer.id()));
    answer
}

/// Has the validators find it false, by its opening; what the last vote did.
fn refute(world: &mut World, answer: &Answer) -> Vec<Event> {
    world.send(AUDITOR, challenge(answer, true)).unwrap();
    VALIDATORS[..2].iter().for_each(|validator| world.send(*validator, vote(answer, true)).unwrap());
    let (result, events) = world.tell(VALIDATORS[2], vote(answer, true));
    result.unwrap();
    assert_eq!(world.ledger.status(&answer.id()).unwrap().standing, Standing::Refuted);
    events
}

/// Has it challenged as withheld, and never opened.
fn withhold(world: &mut World, answer: &Answer) {
    world.send(AUDITOR, challenge(answer, false)).unwrap();
    world.epochs(6);
    assert_eq!(world.ledger.status(&answer.id()).unwrap().standing, Standing::Withheld);
}

#[test]
fn what_a_refuted_answer_charged_is_due_to_its_payer_and_to_nobody_else() {
    for privacy in [Privacy::Private, Privacy::Hashed, Privacy::Full] {
        let mut world = funded();
        let answer = charged(&mut world, privacy, 100);
        let events = refute(&mut world, &answer);
        let (receipt, gateway, to) = (answer.id(), node(GATEWAY), payer());
        assert!(events.contains(&Event::RefundDue { receipt, gateway, to, amount: 100 }), "{privacy}: {events:?}");
        assert_eq!((dues(&world), owed(&world)), ((100, 0, 0), BTreeMap::from([(to, 100)])), "{privacy}");
        let told: Vec<_> = world.ledger.owed_to(&to).iter().map(|row| (row.gateway, row.due())).collect();
        assert_eq!((told, world.ledger.owed_to(&account(BOB))), (vec![(gateway, 100)], vec![]), "{privacy}");
        assert_eq!(
            world.send(BOB, claim(&answer)),
            Err(Refusal::NoRefund),
            "{privacy}: its opening has shown who paid"
        );
        world.send(GATEWAY, pay(0, &[(to, 100, 0)])).unwrap();
        assert_eq!((balance(&world, to), balance(&world, account(GATEWAY))), (100, 900), "{privacy}");
        world.epochs(WINDOW + 3);
        assert_eq!((dues(&world), owed(&world).len()), ((100, 100, 1), 0), "{privacy}: once");
    }
}

#[test]
fn a_refund_that_its_gateway_does_not_pay_in_time_comes_out_of_the_gateways_stake() {
    let mut world = hurried();
    let answer = charged(&mut world, Privacy::Private, 100);
    refute(&mut world, &answer);
    world.epochs(2 * SPAN);
    assert_eq!((world.stake(GATEWAY), balance(&world, payer())), (STAKE, 0), "there is as much time as for shares");
    world.time_ms += 1_000;
    let events = world.raw_block(vec![]).events;
    let gateway = node(GATEWAY);
    assert!(events.contains(&Event::SharesLate { gateway, late: 100, paid: 100 }), "{events:?}");
    assert!(events.contains(&Event::Jailed { node: gateway }));
    assert_eq!((balance(&world, payer()), dues(&world)), (100, (100, 100, 0)));
    assert_eq!(STAKE - world.stake(GATEWAY), 100 + (STAKE - 100) / 20, "as for shares");
}

#[test]
fn what_a_withheld_answer_charged_waits_for_whoever_shows_who_paid() {
    let mut world = funded();
    let answer = charged(&mut world, Privacy::Private, 100);
    assert_eq!(world.send(BOB, claim(&answer)), Err(Refusal::NoRefund), "it stands");
    withhold(&mut world, &answer);
    let (own, to) = (refund_account(&answer.id()), payer());
    assert_eq!((dues(&world), owed(&world)), ((100, 0, 0), BTreeMap::from([(own, 100)])));
    let known = answer.opening.request.payment.unwrap();
    let shown = |payer, salt| claim_by(&answer, PayerProof::Payer(SaltedPayer { payer, salt }));
    let mut other = known.payer;
    other.account = account(BOB);
    let strange = SaltedRequest { request: answer.opening.request.clone(), salt: answer.opening.output_salt };
    for refused in [
        shown(other, known.salt),
        shown(known.payer, answer.id()),
        claim_by(&answer, PayerProof::Request(Box::new(strange))),
    ] {
        assert_eq!(world.send(BOB, refused), Err(Refusal::OtherPayer));
    }
    let unknown = ClaimRefund { receipt: Digest::ZERO, proof: PayerProof::of(&answer.opening).unwrap() };
    assert_eq!(world.send(BOB, Action::ClaimRefund(unknown)), Err(Refusal::UnknownReceipt));
    world.send(GATEWAY, pay(0, &[(own, 40, 0)])).unwrap();
    let (result, events) = world.tell(BOB, claim(&answer));
    result.unwrap();
    assert_eq!(events, [Event::RefundClaimed { receipt: answer.id(), to, amount: 100 }]);
    assert_eq!((balance(&world, to), balance(&world, own)), (40, 0), "what was paid");
    assert_eq!((dues(&world), owed(&world)), ((100, 40, 1), BTreeMap::from([(to, 60)])), "and what was not");
    assert_eq!(world.send(BOB, claim(&answer)), Err(Refusal::NoRefund), "once");
    let late = world.send(GATEWAY, pay(1, &[(own, 60, 0)]));
    assert_eq!(late, Err(Refusal::NotDue { payee: own, found: 60, due: 0 }));
    world.send(GATEWAY, pay(1, &[(to, 60, 0)])).unwrap();
    assert_eq!((balance(&world, to), dues(&world)), (100, (100, 100, 2)));
    assert_eq!(world.send(ALICE, claim(&answer)), Err(Refusal::NoRefund), "for ever");
}

#[test]
fn what_a_withheld_answer_shows_of_its_payer_says_what_it_takes_to_be_refunded() {
    let mut world = funded();
    let full = charged(&mut world, Privacy::Full, 70);
    withhold(&mut world, &full);
    assert_eq!(owed(&world), BTreeMap::from([(payer(), 70)]), "its payer stands in it");
    let mut world = funded();
    let hashed = charged(&mut world, Privacy::Hashed, 30);
    withhold(&mut world, &hashed);
    let known = hashed.opening.request.payment.unwrap();
    let by_payer = PayerProof::Payer(SaltedPayer { payer: known.payer, salt: known.salt });
    assert_eq!(world.send(BOB, claim_by(&hashed, by_payer)), Err(Refusal::OtherPayer), "a purse names nobody");
    world.send(BOB, claim(&hashed)).unwrap();
    assert_eq!(owed(&world), BTreeMap::from([(payer(), 30)]));
}

#[test]
fn a_withheld_answers_gateway_keeps_nothing_though_nobody_claims_and_has_new_time_once_somebody_does() {
    let mut world = hurried();
    let answer = charged(&mut world, Privacy::Private, 100);
    withhold(&mut world, &answer);
    let own = refund_account(&answer.id());
    let mut claimed = world.clone();
    world.epochs(2 * SPAN);
    assert_eq!((balance(&world, own), dues(&world)), (100, (100, 100, 0)), "out of its stake");
    world.send(BOB, claim(&answer)).unwrap();
    assert_eq!((balance(&world, payer()), balance(&world, own)), (100, 0));
    claimed.epochs(2 * SPAN - 2);
    claimed.send(BOB, claim(&answer)).unwrap();
    claimed.epochs(2 * SPAN);
    assert_eq!((claimed.stake(GATEWAY), balance(&claimed, payer())), (STAKE, 0), "it has been due since the claim");
    claimed.next_epoch();
    assert_eq!((balance(&claimed, payer()), dues(&claimed)), (100, (100, 100, 0)), "and is paid all the same");
}

#[test]
fn what_was_free_owes_nobody_anything() {
    let mut world = funded();
    let answer = charged(&mut world, Privacy::Private, 0);
    let events = refute(&mut world, &answer);
    assert!(!events.iter().any(|event| matches!(event, Event::RefundDue { .. })), "{events:?}");
    assert_eq!((dues(&world), owed(&world).len()), ((0, 0, 0), 0));
    assert_eq!(world.send(BOB, claim(&answer)), Err(Refusal::NoRefund));
}
