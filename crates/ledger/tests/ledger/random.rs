//! Random histories: money neither comes nor goes, and whoever executes the same blocks has the same roots.

use alloy_primitives::{Address, TxKind, U256};
use crypto::Digest;
use evm::StateRead as _;
use evm::modules::governance::{ADDRESS as GOVERNANCE, IGovernance};
use evm::modules::parameters;
use evm::modules::registry::{ADDRESS as REGISTRY, IRegistry};
use evm::modules::staking::{ADDRESS, IStaking};
use ledger::{Executed, Kind, LOCKED, Ledger, OPG, Rules, address_of};
use proptest::prelude::*;
use protocol::{
    Action, Canonical as _, EvmAddress, List, Role, Standing, Text,
    transaction::{PublishModel, RegisterNode, RotateKey, SignedTransaction, Transfer, UpdateNode, prove_possession},
};

use crate::{
    bundles::{certificate, proofs_hold},
    double_votes::{conflicts, show},
    refunds::claim,
    registries::tables_follow,
    shares::{name_home, pay},
    wallets::{TO_ITSELF, WALLET, Wanted, payment, wallet},
    world::{
        ALICE, AUDITOR, Answer, BOB, CHAIN, GATEWAY, OTHER_AUDITOR, OTHER_WORKER, OWN_AUDITOR, VALIDATORS, WORKER,
        World, challenge, governed, key, model, module_call, node, operator, post, public, report, respond, restored,
        vote,
    },
};

const SENDERS: [u8; 13] = [
    ALICE,
    BOB,
    WORKER,
    OTHER_WORKER,
    GATEWAY,
    AUDITOR,
    OTHER_AUDITOR,
    OWN_AUDITOR,
    200,
    201,
    WORKER + 100,
    GATEWAY + 100,
    99,
];

/// The first has coins from the beginning.
const WALLETS: [u8; 3] = [WALLET, 2, 3];

/// What happens next: a kind of event, and numbers that say who and which.
type Step = (u8, u8, u8, u16);

struct Story {
    world: World,
    answers: Vec<Answer>,
}

impl Story {
    fn step(&mut self, (kind, who, which, number): Step) {
        let sender = SENDERS[usize::from(who) % SENDERS.len()];
        let auditor = [AUDITOR, OTHER_AUDITOR, OWN_AUDITOR][usize::from(who) % 3];
        let worker = [WORKER, OTHER_WORKER][usize::from(which) % 2];
        let answer = self.answers.get(usize::from(number) % self.answers.len().max(1)).cloned();
        match (kind % 31, answer) {
            (0, _) => self.send(sender, transfer(SENDERS[usize::from(which) % SENDERS.len()], number)),
            (1 | 2, _) => self.answer(worker),
            (3, Some(answer)) => self.send(GATEWAY, post([&answer.changed(worker, |r| r.output_tokens += 1)])),
            (4, Some(answer)) => self.send(auditor, challenge(&answer, true)),
            (5, Some(answer)) => self.send(auditor, challenge(&answer, false)),
            (6, Some(answer)) => self.send(worker, respond(&answer)),
            (7 | 8, Some(answer)) => VALIDATORS
                .iter()
                .enumerate()
                .for_each(|(index, validator)| self.send(*validator, vote(&answer, which >> index & 1 == 1))),
            (9, Some(answer)) => self.send(auditor, report(&answer)),
            (10, _) => self.send(sender, rotation(node(worker), 210 + which % 8, sender)),
            (11, _) => self.send(sender, registration(200 + which % 4, sender, number)),
            (12, _) => self.send(sender, small(which, number)),
            (13, _) => self.garbage(which, number),
            (14 | 15, _) => self.wallet(which, number),
            (16, _) => self.mixed(sender, which, number),
            (17..=19, _) => self.send(sender, staking_call(which, number)),
            (20 | 21, _) => self.wallet_stakes(who, which, number),
            (22, _) => self.send(VALIDATORS[usize::from(who) % 4] + 100, governing(which, number)),
            (23, _) if who.is_multiple_of(16) => {
                let conflicts = conflicts();
                self.send(GATEWAY, show(&conflicts[usize::from(number) % conflicts.len()].1));
            }
            (24 | 25, _) => self.pay_shares(which, number),
            (26, _) => {
                let base = Some(EvmAddress([which; 20])).filter(|_| number.is_multiple_of(3));
                self.send(sender, name_home(base));
            }
            (27, Some(answer)) => self.send(sender, claim(&answer)),
            _ => {
                // Now and then long enough for a vote to be over.
                self.world.time_ms += u64::from(number) % if which < 16 { 70_000 } else { 2_500 };
                self.world.raw_block_by(public(VALIDATORS[usize::from(who) % 4]), vec![]);
            }
        }
    }

    fn send(&mut self, sender: u8, action: Action) {
        let _: Result<(), _> = self.world.send(sender, action);
    }

    fn answer(&mut self, worker: u8) {
        let answer = self.world.answer(worker);
        self.send(GATEWAY, post([&answer.signed]));
        self.answers.push(answer);
    }

    /// Of what is due, a part or a little too much, to one payee or several.
    fn pay_shares(&mut self, which: u8, number: u16) {
        let dues = self.world.ledger.dues(&node(GATEWAY));
        let rows = self.world.ledger.shares(&node(GATEWAY), None, 3);
        let shares = rows.iter().take(1 + usize::from(number % 3)).map(|row| {
            let due = (row.due() + 2).saturating_sub(u128::from(number % 5));
            (row.payee, due, u128::from(number % 2))
        });
        let mut shares: Vec<_> = shares.collect();
        if number.is_multiple_of(7) {
            shares.push((EvmAddress([0; 20]), 0, 1));
        }
        self.send(GATEWAY, pay(dues.payments + u64::from(which / 250), &shares));
    }

    /// The next transaction of a wallet: a payment to whoever, or a contract that destroys itself with what it was given.
    fn next_of_wallet(&self, which: u8, number: u16) -> Vec<u8> {
        let from = WALLETS[usize::from(which) % WALLETS.len()];
        let sender = alloy_primitives::Address::from(wallet(from).0);
        let account = self.world.ledger.evm().world.account(&sender).unwrap().unwrap_or_default();
        let value = u128::from(number) * OPG / 11;
        let to = match number % 5 {
            0 => address_of(&public(SENDERS[usize::from(which) % SENDERS.len()])),
            1 => address_of(&public(VALIDATORS[0])),
            2 => LOCKED,
            _ => wallet(WALLETS[usize::from(number) % WALLETS.len()]),
        };
        let payment = payment(from, account.nonce + u64::from(which / 64), to, value);
        let destroying = Wanted { to: TxKind::Create, input: TO_ITSELF.into(), ..payment.clone() };
        if number.is_multiple_of(7) { destroying.bytes() } else { payment.bytes() }
    }

    /// A wallet calls the staking module itself.
    fn wallet_stakes(&mut self, who: u8, which: u8, number: u16) {
        let from = WALLETS[usize::from(who) % WALLETS.len()];
        let sender = alloy_primitives::Address::from(wallet(from).0);
        let nonce = self.world.ledger.evm().world.account(&sender).unwrap().unwrap_or_default().nonce;
        let Action::Call(call) = staking_call(which, number) else { return };
        let (to, input) = (TxKind::Call(ADDRESS), call.input.into_inner().into());
        let wanted = Wanted { to, input, gas: 2_000_000, ..payment(from, nonce, wallet(from), call.value) };
        self.world.raw_block(vec![wanted.bytes()]);
    }

    fn wallet(&mut self, which: u8, number: u16) {
        let bytes = self.next_of_wallet(which, number);
        self.world.raw_block(vec![bytes]);
    }

    /// Both kinds in one block: what a key gives to a wallet, the wallet can spend at once.
    fn mixed(&mut self, sender: u8, which: u8, number: u16) {
        let to = wallet(WALLETS[usize::from(which) % WALLETS.len()]);
        let amount = u128::from(number) * OPG / 3;
        let gift = self.world.signed(sender, Action::Transfer(Transfer { to, amount })).encode();
        let spent = self.next_of_wallet(which % 64, number);
        self.world.raw_block(vec![spent, gift]);
    }

    /// An earlier transaction once more, whole or damaged.
    fn garbage(&mut self, which: u8, number: u16) {
        // A wallet's transaction that was refused once may be executed later: its nonce is not used up.
        let all = self.world.blocks.iter().flat_map(|block| block.transactions.clone());
        let earlier: Vec<_> = all.filter(|bytes| Kind::of(bytes) == Kind::Native).collect();
        let Some(bytes) = earlier.get(usize::from(which) % earlier.len().max(1)) else { return };
        let mut damaged = bytes.clone();
        let place = usize::from(number) % damaged.len().max(1);
        if let Some(byte) = damaged.get_mut(place) {
            *byte ^= 1 << (which % 8);
        }
        // A stranger's was refused and may come again, once the stranger is known.
        let both = [bytes.clone(), damaged];
        let were_used = both.each_ref().map(|bytes| self.has_used(bytes));
        let executed: Executed = self.world.raw_block(both.to_vec());
        for (outcome, was_used) in executed.outcomes.iter().zip(were_used) {
            assert!(!was_used || outcome.result.is_err(), "a replay was executed");
        }
    }

    /// Whether the ledger has seen this transaction's nonce used up, so that it can never be executed (again).
    fn has_used(&self, bytes: &[u8]) -> bool {
        SignedTransaction::decode(bytes).is_ok_and(|signed| {
            let transaction = &signed.transaction;
            transaction.nonce < self.world.ledger.account(&transaction.sender).nonce
        })
    }
}

/// One of the ways in which stake moves.
fn staking_call(which: u8, number: u16) -> Action {
    let places = [WORKER, OTHER_WORKER, VALIDATORS[0], VALIDATORS[1], AUDITOR, OWN_AUDITOR, GATEWAY, 200, 201];
    let id = |place: usize| node(places[place % places.len()]).0.into();
    let (here, there) = (id(usize::from(number)), id(usize::from(number / 8)));
    let coins = if which.is_multiple_of(3) { U256::MAX } else { U256::from(u128::from(number) * OPG / 13 + 1) };
    let value = u128::from(number) * OPG / 9;
    match which % 11 {
        0 | 1 => module_call(ADDRESS, value, &IStaking::delegateCall { node: here }),
        2 => module_call(ADDRESS, 0, &IStaking::undelegateCall { node: here, coins }),
        3 => module_call(ADDRESS, 0, &IStaking::redelegateCall { from: here, to: there, coins }),
        4 => module_call(ADDRESS, 0, &IStaking::withdrawCall { most: U256::from(number % 5) }),
        5 => module_call(ADDRESS, 0, &IStaking::claimCall { node: here }),
        6 => module_call(ADDRESS, 0, &IStaking::compoundCall { node: here }),
        7 => module_call(ADDRESS, 0, &IStaking::unjailCall { node: here }),
        8 => {
            let payout = Address::repeat_byte(u8::try_from(number % 5).unwrap());
            module_call(REGISTRY, 0, &IRegistry::setPayoutCall { node: here, payout })
        }
        9 => {
            let models = if number.is_multiple_of(2) { vec![model().0.into()] } else { Vec::new() };
            module_call(REGISTRY, 0, &IRegistry::listCall { node: here, endpoint: number.to_string(), models })
        }
        _ => module_call(ADDRESS, value, &IStaking::fundCall {}),
    }
}

/// Proposals about what the ledger decides by, and votes on them.
fn governing(which: u8, number: u16) -> Action {
    let all = [&parameters::CHALLENGE_BOND, &parameters::REFUTED_RECEIPT_SHARE, &parameters::UNBONDING_TERMS];
    let parameter = all[usize::from(number) % all.len()];
    let value = U256::from(parameter.least + u128::from(number) % 60);
    let id = U256::from(number % 4 + 1);
    match which % 4 {
        0 => {
            let actions = vec![IGovernance::Action { kind: 1, subject: parameter.key(), value }];
            module_call(GOVERNANCE, 0, &IGovernance::proposeCall { actions, description: String::new() })
        }
        1 | 2 => module_call(GOVERNANCE, 0, &IGovernance::castVoteCall { id, support: which % 3 }),
        _ => module_call(GOVERNANCE, 0, &IGovernance::executeCall { id }),
    }
}

fn transfer(to: u8, number: u16) -> Action {
    Action::Transfer(Transfer { to: address_of(&public(to)), amount: u128::from(number) * OPG / 7 })
}

fn rotation(of: Digest, to: u8, operator: u8) -> Action {
    let possession = prove_possession(&key(to), CHAIN, &public(operator));
    Action::RotateKey(RotateKey { node: of, key: public(to), possession })
}

fn registration(seed: u8, operator: u8, number: u16) -> Action {
    Action::RegisterNode(RegisterNode {
        role: Role::ALL[usize::from(number) % 4],
        key: public(seed),
        possession: prove_possession(&key(seed), CHAIN, &public(operator)),
        endpoint: Text::default(),
        stake: u128::from(number) * OPG,
        models: List::default(),
    })
}

fn small(which: u8, number: u16) -> Action {
    if which.is_multiple_of(2) {
        let root = crypto::hash("og/test/model", &[&[which]]);
        Action::PublishModel(PublishModel { root, name: Text::new(number.to_string()).unwrap(), float_manifest: None })
    } else {
        let models = List::new(vec![model(); usize::from(number) % 3]).unwrap();
        Action::UpdateNode(UpdateNode { endpoint: Text::new(number.to_string()).unwrap(), models })
    }
}

fn rules() -> Rules {
    Rules { challenge_window: 3, response_epochs: 2, vote_epochs: 4, term_epochs: 5, ..Rules::default() }
}

fn begin() -> ledger::Genesis {
    governed(
        rules(),
        &[
            (&parameters::AUDIT_REWARD, OPG),
            (&parameters::UNBONDING_TERMS, 3),
            (&parameters::TERM_REWARD, 100_000),
            (&parameters::PROPOSAL_VOTES, OPG),
            (&parameters::VOTING_DELAY, 1),
            (&parameters::VOTING_PERIOD, 60),
            (&parameters::TIMELOCK, 1),
            (&parameters::SHARE_EPOCHS, 6),
        ],
    )
}

fn check_bundles(story: &Story) {
    let ledger = &story.world.ledger;
    let Some(newest) = ledger.closed_epoch().map(|record| record.epoch) else { return };
    for answer in &story.answers {
        for as_of in 0..=newest {
            if let Ok(bundle) = ledger.bundle(&answer.id(), as_of, certificate(as_of), None) {
                assert!(proofs_hold(ledger, &bundle));
            }
        }
    }
}

/// Due is what receipts charged that are decided, each once: whose windows are closed and that stand, or that fell; paid is never more.
fn check_dues(story: &Story) {
    let ledger = &story.world.ledger;
    let newest = ledger.closed_epoch().unwrap().epoch;
    let all = || (0..=newest).flat_map(|epoch| ledger.epoch_receipts(epoch).unwrap());
    let due = all().map(|view| {
        let is_over = newest >= view.status.epoch + u64::from(ledger.rules().challenge_window);
        let is_due = match view.status.standing {
            Standing::Anchored | Standing::Audited | Standing::Upheld => is_over,
            Standing::Refuted | Standing::Withheld => true,
            Standing::Challenged => false,
        };
        if is_due { view.receipt.receipt.charge } else { 0 }
    });
    let dues = ledger.dues(&node(GATEWAY));
    assert_eq!(dues.due, due.sum::<u128>(), "what is due is what stands, and what is refunded");
    let open = ledger.epoch_receipts(newest + 1).unwrap();
    let charged = all().chain(open).map(|view| view.receipt.receipt.charge).sum::<u128>();
    assert_eq!(dues.charged, charged, "every charge is counted once, however its receipt stands");
    assert!(dues.paid <= dues.due, "more paid than was due");
    let shares = ledger.shares(&node(GATEWAY), None, 1_000);
    let owed: u128 = shares.iter().map(protocol::ShareRecord::due).sum();
    assert_eq!(owed, dues.due - dues.paid, "what is due is somebody's, to the unit");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn money_is_constant_and_every_replay_and_restart_gives_the_same_roots(
        steps in prop::collection::vec(any::<Step>(), 1..120),
        restart in 0_usize..120,
    ) {
        let mut story = Story { world: World::of(&begin()), answers: Vec::new() };
        let gift = Transfer { to: address_of(&operator(GATEWAY)), amount: 50 };
        story.send(ALICE, Action::Transfer(gift));
        let mut snapshot = None;
        for (index, step) in steps.iter().enumerate() {
            // After each block the world itself compares all money with the supply.
            story.step(*step);
            if index == restart {
                snapshot = story.world.ledger.snapshot();
            }
        }
        story.world.next_epoch();
        let expected = story.world.ledger.snapshot_bytes().unwrap();
        check_bundles(&story);
        check_dues(&story);
        tables_follow(&story.world);

        let mut again = Ledger::new(&begin()).unwrap();
        let restore =
            |kept: ledger::Snapshot| Ledger::restore(kept.bytes(), kept.world().clone(), kept.kept().clone()).unwrap();
        let mut restarted = snapshot.map_or_else(|| again.clone(), restore);
        for block in &story.world.blocks {
            again.execute(block).unwrap();
            restarted.execute(block).unwrap();
        }
        prop_assert_eq!(again.closed_epoch(), story.world.ledger.closed_epoch());
        prop_assert!(again.snapshot_bytes().unwrap() == expected);
        prop_assert!(restarted.snapshot_bytes().unwrap() == expected);
        prop_assert!(restored(&expected, &story.world.ledger).unwrap().snapshot_bytes().unwrap() == expected);
    }

    #[test]
    fn a_damaged_genesis_is_read_as_another_or_refused_but_never_panics(place in any::<u16>(), flip in 1_u8..) {
        let mut bytes = begin().encode();
        let place = usize::from(place) % bytes.len();
        bytes[place] ^= flip;
        if let Ok(genesis) = ledger::Genesis::decode(&bytes) {
            prop_assert_eq!(genesis.encode(), bytes);
            if let Ok(ledger) = Ledger::new(&genesis) {
                prop_assert_eq!(ledger.money(), Some(ledger.network().supply));
            }
        }
    }
}
