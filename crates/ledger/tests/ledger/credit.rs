//! How far a gateway may owe: to what its operator's own stake stands for, wherever that goes, and never at its delegators' cost.

use alloy_primitives::{Address, U256};
use evm::modules::staking::{ADDRESS, IStaking};
use ledger::{Event, OPG, Refusal, address_of};
use proptest::prelude::*;
use protocol::{Action, DuesRecord, Standing, transaction::Transfer};

use crate::{
    shares::{SPAN, WINDOW, account, balance, charged, dues, hurried, owed, pay},
    world::{
        ALICE, AUDITOR, Answer, GATEWAY, OTHER_WORKER, STAKE, WORKER, World, asked, challenge, charging, module_call,
        node, post, public,
    },
};

/// Who runs the gateway.
const OPERATOR: u8 = GATEWAY + 100;

fn dues_record(world: &World) -> DuesRecord {
    world.ledger.dues(&node(GATEWAY))
}

/// How far it owes, and how far it may.
fn credit(world: &World) -> (u128, u128) {
    let credit = world.ledger.credit(&node(GATEWAY));
    (credit.open, credit.limit)
}

fn delegate(seed: u8, coins: u128) -> Action {
    module_call(ADDRESS, coins, &IStaking::delegateCall { node: node(seed).0.into() })
}

fn undelegate(coins: u128) -> Action {
    module_call(ADDRESS, 0, &IStaking::undelegateCall { node: node(GATEWAY).0.into(), coins: U256::from(coins) })
}

fn redelegate(coins: u128) -> Action {
    let (from, to) = (node(GATEWAY).0.into(), node(OTHER_WORKER).0.into());
    module_call(ADDRESS, 0, &IStaking::redelegateCall { from, to, coins: U256::from(coins) })
}

/// What of a node's stake is an account's.
fn stake_of(world: &World, seed: u8, at: u8) -> u128 {
    let delegator = Address::from(address_of(&public(seed)).0);
    asked(world, ADDRESS, &IStaking::positionCall { delegator, node: node(at).0.into() }).coins.to()
}

/// Posts a worker's next answer, which charges so much; what the ledger said of it, and what happened.
fn try_charging(world: &mut World, worker: u8, opg: u128) -> (Answer, Result<(), Refusal>, Vec<Event>) {
    let before = world.chains.get(&worker).copied();
    let mut answer = world.answer(worker);
    answer.signed = answer.changed(worker, |receipt| charging(receipt, opg));
    let (result, events) = world.tell(GATEWAY, post([&answer.signed]));
    let refused = events.iter().find_map(|event| match event {
        Event::ReceiptRefused { refusal, .. } => Some(refusal.clone()),
        _ => None,
    });
    let said = result.and(refused.map_or(Ok(()), Err));
    let after = if said.is_ok() { Some((answer.signed.receipt.sequence + 1, answer.id())) } else { before };
    world.chains.remove(&worker);
    world.chains.extend(after.map(|after| (worker, after)));
    (answer, said, events)
}

#[test]
fn a_gateway_owes_no_more_than_its_operators_own_stake_and_what_others_delegate_raises_nothing() {
    let mut world = hurried();
    charged(&mut world, WORKER, STAKE - 1);
    let beyond = |world: &mut World, opg| try_charging(world, WORKER, opg).1;
    let refused = Refusal::CreditSpent { open: STAKE - 1, charge: 2, limit: STAKE };
    assert_eq!(beyond(&mut world, 2), Err(refused));
    world.send(ALICE, delegate(GATEWAY, 5_000 * OPG)).unwrap();
    let refused = Refusal::CreditSpent { open: STAKE - 1, charge: 2, limit: STAKE };
    assert_eq!(beyond(&mut world, 2), Err(refused), "others do not stand for its debts");
    assert_eq!((beyond(&mut world, 0), beyond(&mut world, 1)), (Ok(()), Ok(())), "what is free, and to the last unit");
    let to = account(GATEWAY);
    world.send(ALICE, Action::Transfer(Transfer { to, amount: OPG })).unwrap();
    world.send(OPERATOR, delegate(GATEWAY, OPG)).unwrap();
    assert_eq!(beyond(&mut world, OPG), Ok(()), "more of its own is more credit");
    assert_eq!(credit(&world), (STAKE + OPG, STAKE + OPG));
}

#[test]
fn later_receipts_of_a_batch_see_what_the_earlier_ones_charged() {
    let mut world = hurried();
    let (first, second) = (world.answer(WORKER), world.answer(OTHER_WORKER));
    let first = first.changed(WORKER, |receipt| charging(receipt, STAKE / 2));
    let second = second.changed(OTHER_WORKER, |receipt| charging(receipt, STAKE / 2 + 1));
    let (result, events) = world.tell(GATEWAY, post([&first, &second]));
    result.unwrap();
    let refusal = Refusal::CreditSpent { open: STAKE / 2, charge: STAKE / 2 + 1, limit: STAKE };
    assert_eq!(events[1], Event::ReceiptRefused { receipt: second.receipt.id(), refusal });
    assert_eq!((credit(&world), dues_record(&world).charged), ((STAKE / 2, STAKE), STAKE / 2));
}

#[test]
fn what_is_paid_makes_room_and_what_only_becomes_due_does_not() {
    let mut world = hurried();
    world.send(ALICE, Action::Transfer(Transfer { to: account(GATEWAY), amount: STAKE })).unwrap();
    charged(&mut world, WORKER, STAKE);
    world.epochs(WINDOW);
    assert_eq!((credit(&world), dues(&world).0), ((STAKE, STAKE), STAKE));
    assert!(try_charging(&mut world, WORKER, 1).1.is_err());
    let shares: Vec<_> = owed(&world).into_iter().map(|(payee, due)| (payee, due, 0)).collect();
    world.send(GATEWAY, pay(0, &shares)).unwrap();
    assert_eq!(credit(&world), (0, STAKE));
    assert_eq!(try_charging(&mut world, WORKER, STAKE).1, Ok(()));
}

#[test]
fn an_operator_that_takes_its_stake_out_leaves_behind_what_its_gateway_owes_and_delegators_pay_for_no_debt() {
    let mut world = hurried();
    world.send(ALICE, delegate(GATEWAY, 5_000 * OPG)).unwrap();
    charged(&mut world, WORKER, 1_000 * OPG);
    world.send(OPERATOR, undelegate(STAKE - 500 * OPG)).unwrap();
    assert_eq!(credit(&world), (1_000 * OPG, 500 * OPG));
    assert!(matches!(try_charging(&mut world, WORKER, 1).1, Err(Refusal::Jailed)), "too little is its own");
    world.next_epoch();
    assert_eq!(credit(&world), (1_000 * OPG, 1_000 * OPG), "what is missing is held");
    assert_eq!((dues_record(&world).held, stake_of(&world, OPERATOR, GATEWAY)), (500 * OPG, 500 * OPG));
    world.send(OPERATOR, undelegate(500 * OPG)).unwrap();
    world.next_epoch();
    assert_eq!((dues_record(&world).held, credit(&world).1), (1_000 * OPG, 1_000 * OPG));
    assert_eq!(stake_of(&world, ALICE, GATEWAY), 5_000 * OPG);
    world.epochs(WINDOW + 2 * SPAN - 2);
    let paid = dues_record(&world);
    assert_eq!((paid.due, paid.paid, paid.held), (1_000 * OPG, 1_000 * OPG, 0));
    assert_eq!(balance(&world, account(WORKER)), 730 * OPG);
    assert_eq!(stake_of(&world, ALICE, GATEWAY), 4_750 * OPG, "row 8 of the table, and nothing else");
}

#[test]
fn what_an_operator_moved_to_another_node_stands_for_its_gateways_debts_too() {
    let mut world = hurried();
    charged(&mut world, WORKER, 1_000 * OPG);
    world.send(OPERATOR, redelegate(STAKE)).unwrap();
    assert_eq!(credit(&world), (1_000 * OPG, 0));
    world.next_epoch();
    assert_eq!((credit(&world).1, dues_record(&world).held), (1_000 * OPG, 1_000 * OPG));
    assert_eq!(stake_of(&world, OPERATOR, OTHER_WORKER), STAKE - 1_000 * OPG);
    assert_eq!(world.stake(OTHER_WORKER), 2 * STAKE - 1_000 * OPG, "nobody else there lost anything");
}

#[test]
fn what_is_held_goes_back_as_the_debts_are_paid() {
    let mut world = hurried();
    charged(&mut world, WORKER, 100);
    world.send(OPERATOR, undelegate(STAKE)).unwrap();
    world.epochs(WINDOW);
    assert_eq!((dues_record(&world).held, balance(&world, account(GATEWAY))), (100, 1_000));
    let shares: Vec<_> = owed(&world).into_iter().map(|(payee, due)| (payee, due, 0)).collect();
    let (first, others) = shares.split_first().unwrap();
    world.send(GATEWAY, pay(0, &[*first])).unwrap();
    assert_eq!((dues_record(&world).held, balance(&world, account(GATEWAY))), (100 - first.1, 1_000));
    world.send(GATEWAY, pay(1, others)).unwrap();
    assert_eq!((dues_record(&world).held, balance(&world, account(GATEWAY))), (0, 1_000));
}

/// What happens next: a kind of event, and how much.
type Step = (u8, u8);

/// A history beside its oracle: all charges that were anchored, and all that was paid.
struct Story {
    world: World,
    anchored: Vec<(Answer, u128)>,
    paid: u128,
    delegated: u128,
    was_late: bool,
}

impl Story {
    fn new() -> Self {
        let mut world = hurried();
        let gift = Transfer { to: account(GATEWAY), amount: 4 * STAKE };
        world.send(ALICE, Action::Transfer(gift)).unwrap();
        Self { world, anchored: Vec::new(), paid: 0, delegated: 0, was_late: false }
    }

    fn note(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::SharesPaid { sum, .. } => self.paid += sum,
                Event::SharesLate { paid, .. } => {
                    self.paid += paid;
                    self.was_late = true;
                }
                _ => {}
            }
        }
    }

    fn tell(&mut self, sender: u8, action: Action) -> bool {
        let (result, events) = self.world.tell(sender, action);
        self.note(&events);
        result.is_ok()
    }

    fn step(&mut self, (kind, size): Step) {
        let amount = STAKE / 16 * u128::from(size % 17) + u128::from(size);
        match kind % 10 {
            0..=2 => self.charge([WORKER, OTHER_WORKER][usize::from(kind % 2)], amount),
            3 => {
                if let Some((answer, _)) = self.anchored.get(usize::from(size) % self.anchored.len().max(1)).cloned() {
                    self.tell(AUDITOR, challenge(&answer, false));
                }
            }
            4 => self.pay(usize::from(size % 4)),
            5..=7 => {
                let moves = [undelegate(amount), redelegate(amount), delegate(GATEWAY, amount)];
                self.tell(OPERATOR, moves[usize::from(kind % 10) - 5].clone());
            }
            8 => {
                if self.tell(ALICE, delegate(GATEWAY, amount)) {
                    self.delegated += amount;
                }
            }
            _ => (0..=size % 12).for_each(|_| self.epoch()),
        }
    }

    fn charge(&mut self, worker: u8, amount: u128) {
        let (open, limit) = credit(&self.world);
        let (answer, said, events) = try_charging(&mut self.world, worker, amount);
        self.note(&events);
        match said {
            Ok(()) => {
                assert!(amount == 0 || open + amount <= limit, "more than its credit: {open} + {amount}, {limit}");
                self.anchored.push((answer, amount));
            }
            Err(Refusal::CreditSpent { .. }) => assert!(amount > 0 && open + amount > limit),
            Err(refusal) => assert_eq!(refusal, Refusal::Jailed),
        }
    }

    fn pay(&mut self, count: usize) {
        let rows = self.world.ledger.shares(&node(GATEWAY), None, count);
        let shares: Vec<_> = rows.iter().map(|row| (row.payee, row.due(), 0)).collect();
        let number = dues_record(&self.world).payments;
        self.tell(GATEWAY, pay(number, &shares));
    }

    fn epoch(&mut self) {
        self.world.time_ms += 1_000;
        let events = self.world.raw_block(vec![]).events;
        self.note(&events);
        let (open, limit) = credit(&self.world);
        assert!(self.was_late || open <= limit, "{open} is owed, and {limit} stands for it");
    }

    /// What is due of a charge, by how its receipt stands.
    fn is_due(&self, answer: &Answer) -> bool {
        let ledger = &self.world.ledger;
        let status = ledger.status(&answer.id()).unwrap();
        let window = u64::from(ledger.rules().challenge_window);
        match status.standing {
            Standing::Anchored | Standing::Audited | Standing::Upheld => ledger.open_epoch() > status.epoch + window,
            Standing::Refuted | Standing::Withheld => true,
            Standing::Challenged => false,
        }
    }

    fn check(&self) {
        let dues = dues_record(&self.world);
        let all: u128 = self.anchored.iter().map(|(_, charge)| charge).sum();
        let due: u128 = self.anchored.iter().filter(|(answer, _)| self.is_due(answer)).map(|(_, charge)| charge).sum();
        assert_eq!((dues.charged, dues.due, dues.paid), (all, due, self.paid));
        assert_eq!(credit(&self.world).0, all - self.paid, "open is what was charged and is not paid");
        assert_eq!(owed(&self.world).values().sum::<u128>(), due - self.paid, "what is due is somebody's");
        assert!(dues.held <= dues.open(), "more is held than is owed");
        let kept = stake_of(&self.world, ALICE, GATEWAY);
        assert!(self.was_late || kept + 64 >= self.delegated, "{kept} of {} that was delegated", self.delegated);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_open_is_exact_whatever_ends_a_charge_and_something_of_the_operators_own_stands_for_it(
        steps in prop::collection::vec(any::<Step>(), 1..60),
    ) {
        let mut story = Story::new();
        for step in steps {
            story.step(step);
            story.check();
        }
    }
}
