//! What gateways owe of what their receipts charged: when it is due, how it is paid, and that it is paid once.

use ledger::{BRIDGE, Event, LOCKED, Refusal, address_of};
use protocol::{
    Action, DuesRecord, EvmAddress, List, Payout, PayoutKind, Role, Standing,
    transaction::{NameHome, PayShares, PayeeShare, Transfer},
};

use crate::{
    wallets::wallet,
    world::{
        ALICE, AUDITOR, Answer, BOB, GATEWAY, OTHER_WORKER, VALIDATORS, WORKER, World, challenge, charging, node,
        operator, post, public, restored, vote,
    },
};

const NOBODY: EvmAddress = EvmAddress([0; 20]);
/// Epochs in which a receipt can be challenged, counted with its own.
const WINDOW: u64 = 16;

pub fn pay(number: u64, unreceipted: u128, shares: &[(EvmAddress, u128)]) -> Action {
    let mut shares: Vec<_> =
        shares.iter().map(|(payee, amount)| PayeeShare { payee: *payee, amount: *amount }).collect();
    shares.sort_by_key(|share| share.payee);
    Action::PayShares(PayShares { number, unreceipted, shares: List::new(shares).unwrap() })
}

pub fn name_home(base: Option<EvmAddress>) -> Action {
    Action::NameHome(NameHome { base })
}

/// A network whose gateway's operator has money.
fn funded() -> World {
    let mut world = World::new();
    let to = address_of(&operator(GATEWAY));
    world.send(ALICE, Action::Transfer(Transfer { to, amount: 1_000 })).unwrap();
    world
}

/// An answer that charges so much, anchored.
fn charged(world: &mut World, worker: u8, opg: u128) -> Answer {
    let mut answer = world.answer(worker);
    answer.signed = answer.changed(worker, |receipt| charging(receipt, opg));
    world.send(GATEWAY, post([&answer.signed])).unwrap();
    assert!(world.ledger.status(&answer.id()).is_some(), "the receipt was refused");
    answer
}

fn dues(world: &World) -> (u128, u128, u64) {
    let DuesRecord { due, paid, payments, .. } = world.ledger.dues(&node(GATEWAY));
    (due, paid, payments)
}

fn balance(world: &World, address: EvmAddress) -> u128 {
    world.ledger.balance(&address)
}

#[test]
fn a_charge_is_due_when_its_window_has_closed_and_paid_to_the_unit() {
    let mut world = funded();
    charged(&mut world, WORKER, 70);
    charged(&mut world, OTHER_WORKER, 30);
    world.epochs(WINDOW - 1);
    assert_eq!(dues(&world), (0, 0, 0), "it can still be challenged");
    world.next_epoch();
    assert_eq!(dues(&world), (100, 0, 0));
    let (publisher, worker) = (address_of(&public(ALICE)), wallet(5));
    let (before, burned) = (balance(&world, publisher), world.ledger.burned());
    let (result, events) =
        world.tell(GATEWAY, pay(0, 0, &[(publisher, 20), (worker, 75), (NOBODY, 3), (LOCKED, 1), (BRIDGE, 1)]));
    result.unwrap();
    assert_eq!(events, [Event::SharesPaid { gateway: node(GATEWAY), number: 0, sum: 100 }]);
    assert_eq!((balance(&world, publisher) - before, balance(&world, worker)), (20, 75));
    assert_eq!(world.ledger.burned() - burned, 5, "what is for nobody");
    assert_eq!(balance(&world, address_of(&operator(GATEWAY))), 900, "out of its own money");
    assert_eq!(dues(&world), (100, 100, 1));
    world.epochs(3);
    assert_eq!(dues(&world), (100, 100, 1), "a charge is due once");
}

#[test]
fn a_payment_is_done_once_and_never_of_more_than_is_due() {
    let mut world = funded();
    charged(&mut world, WORKER, 100);
    world.epochs(WINDOW);
    let half = pay(0, 0, &[(wallet(5), 50)]);
    world.send(GATEWAY, half.clone()).unwrap();
    assert_eq!(world.send(GATEWAY, half), Err(Refusal::PaymentNotNext { found: 0, expected: 1 }));
    assert_eq!(world.send(GATEWAY, pay(1, 0, &[(wallet(5), 51)])), Err(Refusal::NotDue { found: 51, due: 50 }));
    world.send(GATEWAY, pay(1, 7, &[(wallet(5), 57)])).unwrap();
    assert_eq!(dues(&world), (100, 100, 2), "what had no receipt is paid beside it");
    assert_eq!(balance(&world, wallet(5)), 107);
}

#[test]
fn what_is_no_payment_of_shares_is_refused_and_changes_nothing() {
    let mut world = funded();
    charged(&mut world, WORKER, 5_000);
    world.epochs(WINDOW);
    let (available, operator) = (1_000, address_of(&operator(GATEWAY)));
    let twice = PayShares {
        number: 0,
        unreceipted: 0,
        shares: List::new(vec![PayeeShare { payee: wallet(5), amount: 1 }; 2]).unwrap(),
    };
    let cases = [
        (pay(0, 0, &[]), Refusal::NoShares),
        (pay(0, 0, &[(wallet(5), 0)]), Refusal::ZeroAmount),
        (Action::PayShares(twice), Refusal::DisorderedShares),
        (pay(0, 0, &[(wallet(5), u128::MAX), (wallet(6), 1)]), Refusal::DisorderedShares),
        (pay(0, 3, &[(wallet(5), 2)]), Refusal::UnreceiptedAboveSum { unreceipted: 3, sum: 2 }),
        (pay(0, 0, &[(wallet(5), 1_001)]), Refusal::InsufficientBalance { available, wanted: 1_001 }),
    ];
    for (action, refusal) in cases {
        assert_eq!(world.send(GATEWAY, action), Err(refusal));
        assert_eq!((dues(&world), balance(&world, operator)), ((5_000, 0, 0), 1_000));
    }
    let found = Role::Worker;
    assert_eq!(
        world.send(WORKER, pay(0, 0, &[(wallet(5), 1)])),
        Err(Refusal::WrongRole { found, expected: Role::Gateway })
    );
}

/// A worker's answers up to the one that charges `most`, anchored; each charges one more than the one before, from zero on.
fn answered(world: &mut World, worker: u8, most: u64) -> Answer {
    let answers: Vec<_> = (0..=most).map(|_| world.anchored(worker)).collect();
    answers.last().unwrap().clone()
}

#[test]
fn what_the_validators_find_false_is_never_due() {
    let mut world = funded();
    answered(&mut world, OTHER_WORKER, 3);
    let false_one = answered(&mut world, WORKER, 4);
    world.send(AUDITOR, challenge(&false_one, true)).unwrap();
    VALIDATORS.iter().for_each(|validator| drop(world.send(*validator, vote(&false_one, true))));
    assert_eq!(world.ledger.status(&false_one.id()).unwrap().standing, Standing::Refuted);
    world.epochs(WINDOW + 3);
    assert_eq!(dues(&world), (1 + 2 + 3, 0, 0), "nor is what its worker else said, until that is decided");
}

#[test]
fn a_challenged_answers_charge_waits_for_the_verdict() {
    let mut world = funded();
    let (early, late) = (answered(&mut world, WORKER, 1), answered(&mut world, OTHER_WORKER, 2));
    for answer in [&early, &late] {
        world.send(AUDITOR, challenge(answer, true)).unwrap();
    }
    VALIDATORS[1..].iter().for_each(|validator| world.send(*validator, vote(&early, false)).unwrap());
    world.epochs(WINDOW);
    assert_eq!(dues(&world), (1 + 1, 0, 0), "upheld before its window closed: due when it did");
    VALIDATORS[1..].iter().for_each(|validator| world.send(*validator, vote(&late, false)).unwrap());
    assert_eq!(dues(&world), (1 + 1 + 2, 0, 0), "upheld after it: due with the verdict");
    world.epochs(WINDOW);
    assert_eq!(dues(&world), (1 + 1 + 2, 0, 0), "once");
}

#[test]
fn a_payee_that_named_a_home_on_base_is_paid_there_by_the_next_settlement() {
    let mut world = funded();
    charged(&mut world, WORKER, 100);
    let (bob, home) = (address_of(&public(BOB)), wallet(7));
    assert_eq!(world.send(BOB, name_home(Some(NOBODY))), Err(Refusal::Receiver(NOBODY)));
    world.send(BOB, name_home(Some(home))).unwrap();
    assert_eq!(world.ledger.home(&bob), Some(home));
    world.epochs(WINDOW);
    let (before, bridged) = (balance(&world, bob), balance(&world, BRIDGE));
    world.send(GATEWAY, pay(0, 0, &[(bob, 60)])).unwrap();
    assert_eq!((balance(&world, bob), balance(&world, BRIDGE)), (before, bridged + 60), "locked before it is minted");
    assert_eq!(world.ledger.bridge().owed, 60);
    world.next_epoch();
    let settlement = world.ledger.settlements().next().unwrap().clone();
    let paid = world.ledger.payouts_of(&home, 0, 10);
    assert_eq!(paid[0].payout, Payout { kind: PayoutKind::Mint, account: home, amount: 60 });
    assert!(paid[0].holds(&settlement));
    world.send(BOB, name_home(None)).unwrap();
    world.send(GATEWAY, pay(1, 0, &[(bob, 40)])).unwrap();
    assert_eq!(balance(&world, bob), before + 40, "and here again once it took that back");
}

#[test]
fn a_snapshot_knows_what_is_owed_and_where_payees_are_at_home() {
    let mut world = funded();
    charged(&mut world, WORKER, 100);
    world.send(BOB, name_home(Some(wallet(7)))).unwrap();
    world.epochs(WINDOW);
    let restored = restored(&world.ledger.snapshot_bytes().unwrap(), &world.ledger).unwrap();
    assert_eq!(restored.dues(&node(GATEWAY)), world.ledger.dues(&node(GATEWAY)));
    assert_eq!((restored.dues(&node(GATEWAY)).due, restored.home(&address_of(&public(BOB)))), (100, Some(wallet(7))));
}
