//! One history whose digests are frozen: another one is another format, or another rule.

use std::fmt::Write as _;

use alloy_primitives::TxKind;
use crypto::hash;
use evm::modules::parameters;
use ledger::{Genesis, OPG, Rules, address_of};
use protocol::{
    Action, EvmAddress, Noun as _, Text,
    transaction::{PublishModel, RotateKey, Transfer, prove_possession},
};

use crate::shares::{name_home, pay};
use crate::wallets::{TO_ITSELF, WALLET, Wanted, payment, wallet};
use crate::world::{
    ALICE, AUDITOR, Answer, BOB, CHAIN, GATEWAY, OTHER_AUDITOR, OTHER_WORKER, VALIDATORS, WORKER, World, challenge,
    governed, key, node, operator, public, report, respond, vote,
};

const FROZEN: &str = include_str!("../../vectors/history.txt");

/// Spelled out, so that new defaults do not look like a new format.
fn rules() -> Rules {
    Rules {
        epoch_ms: 1_000,
        challenge_window: 15,
        response_epochs: 5,
        vote_epochs: 60,
        clock_skew_ms: 5_000,
        receipt_age_ms: 600_000,
        spec_version: 1,
        term_epochs: 6,
        term_blocks: 0,
    }
}

/// What governance may change is spelled out where this history meets it.
fn begin() -> Genesis {
    governed(
        rules(),
        &[
            (&parameters::CHALLENGE_BOND, 10 * OPG),
            (&parameters::AUDIT_REWARD, OPG),
            (&parameters::TERM_REWARD, 1_000),
            (&parameters::REFUTED_RECEIPT_SHARE, 500_000),
            (&parameters::FALSE_AUDIT_SHARE, 200_000),
            (&parameters::FALSE_VOTE_SHARE, 100_000),
            (&parameters::WITHHOLDING_SHARE, 500_000),
        ],
    )
}

fn history() -> World {
    let mut world = World::of(&begin());
    world.send(ALICE, Action::Transfer(Transfer { to: address_of(&public(BOB)), amount: 5 * OPG })).unwrap();
    let answers: Vec<_> = (0..5).map(|_| world.anchored(WORKER)).collect();
    world.next_epoch();
    world.send(OTHER_AUDITOR, report(&answers[0])).unwrap();
    world.send(AUDITOR, challenge(&answers[0], true)).unwrap();
    world.send(AUDITOR, challenge(&answers[1], true)).unwrap();
    world.send(AUDITOR, challenge(&answers[2], false)).unwrap();
    world.send(AUDITOR, challenge(&answers[3], false)).unwrap();
    world.next_epoch();
    for (validator, refuted) in VALIDATORS.iter().zip([false, true, true, true]) {
        world.send(*validator, vote(&answers[0], refuted)).unwrap();
    }
    VALIDATORS[1..].iter().for_each(|validator| world.send(*validator, vote(&answers[1], false)).unwrap());
    world.send(WORKER, respond(&answers[2])).unwrap();
    let name = Text::new("another").unwrap();
    world
        .send(
            BOB,
            Action::PublishModel(PublishModel { root: hash("og/test/another", &[]), name, float_manifest: None }),
        )
        .unwrap();
    let operator = OTHER_WORKER + 100;
    let possession = prove_possession(&key(201), CHAIN, &public(operator));
    world
        .send(operator, Action::RotateKey(RotateKey { node: node(OTHER_WORKER), key: public(201), possession }))
        .unwrap();
    let double = world.anchored(OTHER_WORKER);
    world.posting(&double.changed(OTHER_WORKER, |receipt| receipt.output_tokens += 1)).unwrap_err();
    let destroying = Wanted { to: TxKind::Create, input: TO_ITSELF.into(), ..payment(WALLET, 1, wallet(2), 3 * OPG) };
    let paying = payment(WALLET, 0, address_of(&public(BOB)), 2 * OPG);
    world.raw_block(vec![paying.bytes(), destroying.bytes()]);
    world.epochs(7);
    share(&mut world, &answers[4]);
    world
}

/// What receipts charged is paid once it is due: a part on Base, a part here, and a part is burned.
fn share(world: &mut World, questioned: &Answer) {
    world.epochs(9);
    // Its worker was slashed for others, so its charge waits for a verdict.
    world.send(AUDITOR, challenge(questioned, true)).unwrap();
    VALIDATORS[1..].iter().for_each(|validator| world.send(*validator, vote(questioned, false)).unwrap());
    let to = address_of(&operator(GATEWAY));
    world.send(ALICE, Action::Transfer(Transfer { to, amount: OPG })).unwrap();
    world.send(ALICE, name_home(Some(wallet(7)))).unwrap();
    let mut shares: Vec<_> =
        world.ledger.shares(&node(GATEWAY), None, 8).iter().map(|row| (row.payee, row.due(), 0)).collect();
    shares.push((EvmAddress([0; 20]), 0, 1));
    world.send(GATEWAY, pay(0, &shares)).unwrap();
    world.next_epoch();
}

fn described() -> String {
    let world = history();
    let mut text = format!("genesis {}\n", begin().digest());
    for epoch in 0..=world.ledger.closed_epoch().unwrap().epoch {
        writeln!(text, "epoch {epoch} {}", world.ledger.epoch(epoch).unwrap().digest()).unwrap();
    }
    let snapshot = world.ledger.snapshot_bytes().unwrap();
    writeln!(text, "snapshot {}", hash("og/test/vector", &[&snapshot])).unwrap();
    text
}

#[test]
fn a_history_has_the_frozen_digests() {
    let found = described();
    assert_eq!(found, FROZEN, "what the history gives now:\n{found}");
}
