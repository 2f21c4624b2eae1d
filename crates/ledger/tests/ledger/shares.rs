//! What gateways owe of what their receipts charged: when it is due, how it is paid, and that it is paid once.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use evm::modules::{
    models::{self, ADDRESS as MODELS, IModels},
    parameters,
};
use ledger::{BRIDGE, Event, Refusal, Rules, STAKING, address_of};
use protocol::{
    Action, Digest, DuesRecord, EvmAddress, List, Payout, PayoutKind, Role, Standing,
    transaction::{NameHome, PayShares, PayeeShare, Transfer},
};

use crate::{
    wallets::wallet,
    world::{
        ALICE, AUDITOR, Answer, BOB, GATEWAY, OTHER_AUDITOR, OTHER_WORKER, OWN_AUDITOR, STAKE, VALIDATORS, WORKER,
        World, asked, challenge, charging, model, module_call, node, operator, payment, post, public, report, restored,
        vote,
    },
};

const NOBODY: EvmAddress = EvmAddress([0; 20]);
/// Epochs in which a receipt can be challenged, counted with its own.
pub const WINDOW: u64 = 16;

/// What is due to a payee, and beside it what had no receipt.
pub type Paid = (EvmAddress, u128, u128);

pub fn pay(number: u64, shares: &[Paid]) -> Action {
    let share = |(payee, due, unreceipted): &Paid| PayeeShare { payee: *payee, due: *due, unreceipted: *unreceipted };
    let mut shares: Vec<_> = shares.iter().map(share).collect();
    shares.sort_by_key(|share| share.payee);
    Action::PayShares(PayShares { number, shares: List::new(shares).unwrap() })
}

pub fn name_home(base: Option<EvmAddress>) -> Action {
    Action::NameHome(NameHome { base })
}

/// A network whose gateway's operator has money.
pub fn funded() -> World {
    let mut world = World::new();
    let to = address_of(&operator(GATEWAY));
    world.send(ALICE, Action::Transfer(Transfer { to, amount: 1_000 })).unwrap();
    world
}

/// An answer that charges so much, anchored.
pub fn charged(world: &mut World, worker: u8, opg: u128) -> Answer {
    let mut answer = world.answer(worker);
    answer.signed = answer.changed(worker, |receipt| charging(receipt, opg));
    world.send(GATEWAY, post([&answer.signed])).unwrap();
    assert!(world.ledger.status(&answer.id()).is_some(), "the receipt was refused");
    world.chains.insert(worker, (answer.signed.receipt.sequence + 1, answer.id()));
    answer
}

pub fn dues(world: &World) -> (u128, u128, u64) {
    let DuesRecord { due, paid, payments, .. } = world.ledger.dues(&node(GATEWAY));
    (due, paid, payments)
}

pub fn balance(world: &World, address: EvmAddress) -> u128 {
    world.ledger.balance(&address)
}

pub fn account(seed: u8) -> EvmAddress {
    address_of(&operator(seed))
}

fn publisher() -> EvmAddress {
    address_of(&public(ALICE))
}

/// Whom the gateway owes, and how much.
pub fn owed(world: &World) -> BTreeMap<EvmAddress, u128> {
    world.ledger.shares(&node(GATEWAY), None, 100).iter().map(|row| (row.payee, row.due())).collect()
}

fn all_of(world: &World) -> Vec<Paid> {
    owed(world).into_iter().map(|(payee, due)| (payee, due, 0)).collect()
}

#[test]
fn a_charge_is_due_when_its_window_has_closed_and_the_ledger_says_to_whom() {
    let mut world = funded();
    charged(&mut world, WORKER, 70);
    charged(&mut world, OTHER_WORKER, 30);
    world.epochs(WINDOW - 1);
    assert_eq!((dues(&world), owed(&world).len()), ((0, 0, 0), 0), "it can still be challenged");
    world.next_epoch();
    // 73 % are the worker's, 20 % the publisher's, 5 % would be auditors', 2 % the protocol's; cut at rounded-down running sums.
    let expected = [(account(WORKER), 51), (account(OTHER_WORKER), 21), (publisher(), 14 + 6), (STAKING, 5 + 3)];
    assert_eq!((dues(&world), owed(&world)), ((100, 0, 0), BTreeMap::from(expected)));
    let (before, pool) = (balance(&world, publisher()), world.reward_pool());
    let (result, events) = world.tell(GATEWAY, pay(0, &all_of(&world)));
    result.unwrap();
    assert_eq!(events, [Event::SharesPaid { gateway: node(GATEWAY), number: 0, sum: 100 }]);
    assert_eq!((balance(&world, publisher()) - before, balance(&world, account(WORKER))), (20, 51));
    assert_eq!(world.reward_pool() - pool, 8, "the fee, and what no auditor earned, pays for those who keep watch");
    assert_eq!(balance(&world, account(GATEWAY)), 900, "out of its own money");
    world.epochs(3);
    assert_eq!((dues(&world), owed(&world).len()), ((100, 100, 1), 0), "a charge is due once");
}

#[test]
fn auditors_that_found_an_answer_equal_share_their_part_of_its_charge() {
    let mut world = funded();
    let answer = charged(&mut world, OTHER_WORKER, 1_000);
    for auditor in [AUDITOR, OTHER_AUDITOR, OWN_AUDITOR] {
        world.send(auditor, report(&answer)).unwrap();
    }
    world.epochs(WINDOW);
    let got = owed(&world);
    let each = [AUDITOR, OTHER_AUDITOR, OWN_AUDITOR].map(|auditor| got[&account(auditor)]);
    assert_eq!((each.iter().sum::<u128>(), each.iter().min()), (50, Some(&16)));
    assert_eq!((got[&STAKING], got.values().sum::<u128>()), (20, 1_000));
}

#[test]
fn a_payment_is_done_once_and_nobody_gets_more_than_is_due_to_it() {
    let mut world = funded();
    charged(&mut world, WORKER, 100);
    world.epochs(WINDOW);
    let half = pay(0, &[(publisher(), 10, 0)]);
    world.send(GATEWAY, half.clone()).unwrap();
    assert_eq!(world.send(GATEWAY, half), Err(Refusal::PaymentNotNext { found: 0, expected: 1 }));
    let cases = [(publisher(), 11, 10), (wallet(5), 1, 0), (account(OTHER_WORKER), 73, 0)];
    for (payee, found, due) in cases {
        let refused = world.send(GATEWAY, pay(1, &[(payee, found, 0)]));
        assert_eq!(refused, Err(Refusal::NotDue { payee, found, due }), "what is due to one is not due to another");
    }
    let before = balance(&world, publisher());
    world.send(GATEWAY, pay(1, &[(publisher(), 10, 7)])).unwrap();
    assert_eq!(
        (dues(&world), balance(&world, publisher()) - before),
        ((100, 20, 2), 17),
        "what had no receipt is beside it"
    );
}

#[test]
fn what_is_no_payment_of_shares_is_refused_and_changes_nothing() {
    let mut world = funded();
    charged(&mut world, WORKER, 5_000);
    world.epochs(WINDOW);
    let (available, operator, worker) = (1_000, account(GATEWAY), account(WORKER));
    let twice = PayeeShare { payee: worker, due: 1, unreceipted: 0 };
    let twice = PayShares { number: 0, shares: List::new(vec![twice; 2]).unwrap() };
    let cases = [
        (pay(0, &[]), Refusal::NoShares),
        (pay(0, &[(worker, 0, 0)]), Refusal::ZeroAmount),
        (Action::PayShares(twice), Refusal::DisorderedShares),
        (pay(0, &[(wallet(5), 0, u128::MAX), (wallet(6), 0, 1)]), Refusal::DisorderedShares),
        (pay(0, &[(worker, 1, u128::MAX)]), Refusal::DisorderedShares),
        (pay(0, &[(worker, 1_001, 0)]), Refusal::InsufficientBalance { available, wanted: 1_001 }),
        (pay(0, &[(wallet(5), 0, 1_001)]), Refusal::InsufficientBalance { available, wanted: 1_001 }),
    ];
    for (action, refusal) in cases {
        assert_eq!(world.send(GATEWAY, action), Err(refusal));
        assert_eq!((dues(&world), balance(&world, operator)), ((5_000, 0, 0), 1_000));
    }
    let found = Role::Worker;
    assert_eq!(
        world.send(WORKER, pay(0, &[(worker, 1, 0)])),
        Err(Refusal::WrongRole { found, expected: Role::Gateway })
    );
}

fn publication(root: Digest, splits: Vec<IModels::Split>, parents: Vec<IModels::Parent>) -> IModels::Publication {
    let price = IModels::Price { perCall: 0, perInputToken: 0, perOutputToken: 0, unit: 0 };
    let (name, version) = (format!("m{root}").chars().take(20).collect(), "1".to_owned());
    IModels::Publication { root: root.0.into(), name, version, licence: String::new(), price, splits, parents }
}

#[test]
fn what_a_publisher_wrote_into_the_registry_divides_its_part_and_a_copier_writes_nothing_there() {
    let mut world = funded();
    let parent = crypto::hash("og/test/parent", &[]);
    let publish = |root, splits, parents| {
        module_call(MODELS, 0, &IModels::publishCall { publication: publication(root, splits, parents) })
    };
    world.send(BOB, publish(parent, vec![], vec![])).unwrap();
    let split = IModels::Split { payee: wallet(5).0.into(), share: 100_000 };
    let from = IModels::Parent { root: parent.0.into(), share: 250_000 };
    world.send(ALICE, publish(model(), vec![split], vec![from])).unwrap();
    charged(&mut world, WORKER, 1_000);
    world.epochs(WINDOW);
    let got = owed(&world);
    assert_eq!((got[&wallet(5)], got[&address_of(&public(BOB))], got[&publisher()]), (20, 50, 130));
    let lineage = models::lineage(&world.ledger.evm().world, model().0.into()).unwrap().unwrap();
    let told = IModels::payoutsCall { root: model().0.into(), amount: U256::from(199_999) };
    let told = asked(&world, MODELS, &told).into_iter().map(|payout| (payout.payee.into_array(), payout.amount));
    let mut ours: BTreeMap<[u8; 20], U256> = BTreeMap::new();
    for share in lineage.divide(199_999) {
        *ours.entry(share.holder.0).or_default() += U256::from(share.amount);
    }
    assert_eq!(told.collect::<BTreeMap<_, _>>(), ours, "as the registry itself says");

    let mut world = funded();
    let refused = world.send(BOB, publish(model(), vec![], vec![])).unwrap_err();
    assert!(matches!(&refused, Refusal::Module(words) if words.starts_with("RootPublished(")), "{refused}");
    charged(&mut world, WORKER, 1_000);
    world.epochs(WINDOW);
    assert_eq!((owed(&world).get(&address_of(&public(BOB))), owed(&world)[&publisher()]), (None, 200));
}

/// Epochs of a span in these tests.
pub const SPAN: u64 = 8;

pub fn hurried() -> World {
    let mut world = World::governed(Rules::default(), &[(&parameters::SHARE_EPOCHS, u128::from(SPAN))]);
    world.send(ALICE, Action::Transfer(Transfer { to: account(GATEWAY), amount: 1_000 })).unwrap();
    world
}

#[test]
fn a_gateway_that_does_not_pay_in_time_is_punished_and_its_payees_are_paid_out_of_its_stake() {
    let mut world = hurried();
    charged(&mut world, WORKER, 100);
    world.epochs(WINDOW + 2 * SPAN - 1);
    let before = (world.stake(GATEWAY), balance(&world, publisher()), world.reward_pool());
    assert_eq!((dues(&world), before.0), ((100, 0, 0), STAKE), "there is time until its span and the next are over");
    world.time_ms += 1_000;
    let events = world.raw_block(vec![]).events;
    let gateway = node(GATEWAY);
    assert!(events.contains(&Event::SharesLate { gateway, late: 100, paid: 100 }), "{events:?}");
    assert!(events.contains(&Event::Jailed { node: gateway }));
    // What was owed, and a twentieth of the rest.
    let lost = STAKE - world.stake(GATEWAY);
    assert_eq!(lost, 100 + (STAKE - 100) / 20);
    assert_eq!((balance(&world, publisher()) - before.1, balance(&world, account(WORKER))), (20, 73));
    assert_eq!(world.reward_pool() - before.2, 7);
    assert_eq!((dues(&world), owed(&world).len()), ((100, 100, 0), 0));
    world.epochs(3 * SPAN);
    assert_eq!(STAKE - world.stake(GATEWAY), lost, "once");
    assert_eq!(
        world.send(GATEWAY, pay(0, &[(publisher(), 1, 0)])),
        Err(Refusal::NotDue { payee: publisher(), found: 1, due: 0 })
    );
}

#[test]
fn a_gateway_that_pays_within_its_span_and_the_next_loses_nothing() {
    let mut world = hurried();
    for _ in 0..6 {
        charged(&mut world, WORKER, 100);
        world.epochs(SPAN);
        let (number, shares) = (dues(&world).2, all_of(&world));
        if !shares.is_empty() {
            world.send(GATEWAY, pay(number, &shares)).unwrap();
        }
    }
    world.epochs(SPAN);
    let owed: Vec<_> = world.ledger.shares(&node(GATEWAY), None, 8).iter().map(|row| row.old).collect();
    assert_eq!((world.stake(GATEWAY), owed), (STAKE, vec![0; 3]), "what is owed now came up in this span");
}

#[test]
fn a_payment_counts_for_the_older_part_first() {
    let mut world = hurried();
    charged(&mut world, WORKER, 100);
    world.epochs(SPAN);
    charged(&mut world, WORKER, 200);
    world.epochs(WINDOW);
    let parts = |world: &World| {
        let rows = world.ledger.shares(&node(GATEWAY), None, 8);
        rows.iter().find(|row| row.payee == publisher()).map(|row| (row.old, row.fresh))
    };
    assert_eq!(parts(&world), Some((20, 40)));
    world.send(GATEWAY, pay(0, &[(publisher(), 15, 0)])).unwrap();
    assert_eq!(parts(&world), Some((5, 40)));
    world.send(GATEWAY, pay(1, &[(publisher(), 25, 0)])).unwrap();
    assert_eq!(parts(&world), Some((0, 20)));
}

#[test]
fn payees_of_a_gateway_whose_stake_is_not_enough_get_in_proportion_and_stay_owed_the_rest() {
    let mut world = hurried();
    charged(&mut world, WORKER, STAKE / 2);
    world.epochs(10);
    charged(&mut world, WORKER, STAKE / 2);
    world.epochs(WINDOW + 2 * SPAN - 10);
    // The first is paid, and a twentieth of the rest is gone for its being late.
    let rest = STAKE / 2 - STAKE / 40;
    assert_eq!((world.stake(GATEWAY), dues(&world)), (rest, (STAKE, STAKE / 2, 0)));
    world.epochs(SPAN);
    assert_eq!((world.stake(GATEWAY), dues(&world)), (0, (STAKE, STAKE / 2 + rest, 0)));
    let left = owed(&world);
    assert_eq!((left[&publisher()], left.values().sum::<u128>()), (STAKE / 200, STAKE / 40));
    let restored = restored(&world.ledger.snapshot_bytes().unwrap(), &world.ledger).unwrap();
    assert_eq!(restored.shares(&node(GATEWAY), None, 9), world.ledger.shares(&node(GATEWAY), None, 9));
    world.epochs(2 * SPAN);
    assert_eq!(dues(&world), (STAKE, STAKE / 2 + rest, 0), "there is nothing more to take");
}

/// A worker's answers up to the one that charges `most`, anchored; each charges one more than the one before, from zero on.
fn answered(world: &mut World, worker: u8, most: u64) -> Answer {
    let answers: Vec<_> = (0..=most).map(|_| world.anchored(worker)).collect();
    answers.last().unwrap().clone()
}

#[test]
fn what_the_validators_find_false_is_due_to_its_payer_and_to_nobody_who_shares() {
    let mut world = funded();
    answered(&mut world, OTHER_WORKER, 3);
    let false_one = answered(&mut world, WORKER, 4);
    world.send(AUDITOR, challenge(&false_one, true)).unwrap();
    VALIDATORS.iter().for_each(|validator| drop(world.send(*validator, vote(&false_one, true))));
    assert_eq!(world.ledger.status(&false_one.id()).unwrap().standing, Standing::Refuted);
    let payer = payment(0).payer.account;
    assert_eq!((dues(&world), owed(&world)), ((4, 0, 0), BTreeMap::from([(payer, 4)])), "with the verdict");
    world.epochs(WINDOW + 3);
    assert_eq!(dues(&world), (1 + 2 + 3 + 4, 0, 0), "what its worker else said is nobody's until that is decided");
    assert_eq!((owed(&world)[&payer], owed(&world).get(&account(WORKER))), (4, None));
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
    world.send(GATEWAY, pay(0, &[(bob, 0, 60)])).unwrap();
    assert_eq!((balance(&world, bob), balance(&world, BRIDGE)), (before, bridged + 60), "locked before it is minted");
    assert_eq!(world.ledger.bridge().owed, 60);
    world.next_epoch();
    let settlement = world.ledger.settlements().next().unwrap().clone();
    let paid = world.ledger.payouts_of(&home, 0, 10);
    assert_eq!(paid[0].payout, Payout { kind: PayoutKind::Mint, account: home, amount: 60 });
    assert!(paid[0].holds(&settlement));
    world.send(BOB, name_home(None)).unwrap();
    world.send(GATEWAY, pay(1, &[(bob, 0, 40)])).unwrap();
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
