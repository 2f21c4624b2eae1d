//! Native calls of modules: what wallets do, by ed25519 keys, on the same state.

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::SolCall as _;
use evm::modules::governance::{ADDRESS as GOVERNANCE, IGovernance};
use evm::modules::opg::{ADDRESS as OPG_ADDRESS, IOPG};
use evm::modules::staking::{ADDRESS, IStaking};
use evm::modules::{parameters, staking};
use ledger::{BeginError, Block, Event, NewRules, OPG, Refusal, Rules, address_of};
use protocol::{
    Action, Canonical as _, EvmAddress, List, Role, Text,
    transaction::{Call, Transfer},
};

use crate::{
    wallets::{WALLET, Wanted, payment, wallet},
    world::{ALICE, STAKE, VALIDATORS, WORKER, World, asked, module_call, node, public, restored},
};

fn id(seed: u8) -> alloy_primitives::B256 {
    node(seed).0.into()
}

#[test]
fn a_key_and_a_wallet_stake_behind_one_node_and_see_the_same() {
    let mut world = World::new();
    let before = world.ledger.account(&public(ALICE)).balance;
    let call = IStaking::delegateCall { node: id(WORKER) };
    world.send(ALICE, module_call(ADDRESS, 10 * OPG, &call)).unwrap();
    assert_eq!(world.ledger.account(&public(ALICE)).balance, before - 10 * OPG);
    let input = Bytes::from(call.abi_encode());
    let wanted = Wanted {
        to: alloy_primitives::TxKind::Call(ADDRESS),
        input,
        gas: 2_000_000,
        ..payment(WALLET, 0, wallet(WALLET), 5 * OPG)
    };
    world.raw_block(vec![wanted.bytes()]);
    assert_eq!(world.stake(WORKER), STAKE + 15 * OPG);
    // A wallet that asks reads both.
    let alice = Address::from(address_of(&public(ALICE)).0);
    let position = asked(&world, ADDRESS, &IStaking::positionCall { delegator: alice, node: id(WORKER) });
    assert_eq!(position.coins, U256::from(10 * OPG));
}

#[test]
fn stake_leaves_after_its_terms_and_an_operator_ends_a_jail() {
    let mut world = World::governed(
        Rules { challenge_window: 3, response_epochs: 2, vote_epochs: 4, term_epochs: 2, ..Rules::default() },
        &[(&parameters::UNBONDING_TERMS, 6), (&parameters::REFUTED_RECEIPT_JAIL, 1)],
    );
    world.send(ALICE, module_call(ADDRESS, 10 * OPG, &IStaking::delegateCall { node: id(WORKER) })).unwrap();
    let leave = IStaking::undelegateCall { node: id(WORKER), coins: U256::MAX };
    world.send(ALICE, module_call(ADDRESS, 0, &leave)).unwrap();
    let before = world.ledger.account(&public(ALICE)).balance;
    let paid = module_call(ADDRESS, 0, &IStaking::withdrawCall { most: U256::MAX });
    world.send(ALICE, paid.clone()).unwrap();
    assert_eq!(world.ledger.account(&public(ALICE)).balance, before, "nothing is released yet");
    world.epochs(13);
    world.send(ALICE, paid).unwrap();
    assert_eq!(world.ledger.account(&public(ALICE)).balance, before + 10 * OPG);

    let answer = world.challenged();
    for validator in &VALIDATORS[..3] {
        world.send(*validator, crate::world::vote(&answer, true)).unwrap();
    }
    assert!(world.ledger.node(&node(WORKER)).unwrap().jailed);
    let unjail = module_call(ADDRESS, 0, &IStaking::unjailCall { node: id(WORKER) });
    let operator = WORKER + 100;
    let early = world.send(operator, unjail.clone()).unwrap_err();
    assert!(matches!(&early, Refusal::Module(words) if words.starts_with("NodeJailed(")), "{early}");
    world.epochs(3);
    let stranger = world.send(ALICE, unjail.clone()).unwrap_err();
    assert!(matches!(&stranger, Refusal::Module(words) if words.starts_with("OperatorOnly(")), "{stranger}");
    world.send(operator, unjail).unwrap();
    assert!(!world.ledger.node(&node(WORKER)).unwrap().jailed);
    world.anchored(WORKER);
}

#[test]
fn what_a_module_refuses_changes_nothing_but_the_nonce() {
    let mut world = World::new();
    let before = world.ledger.account(&public(ALICE));
    let call = IStaking::delegateCall { node: alloy_primitives::B256::repeat_byte(7) };
    let refused = world.send(ALICE, module_call(ADDRESS, OPG, &call)).unwrap_err();
    assert!(matches!(&refused, Refusal::Module(words) if words.starts_with("NodeUnknown(0x0707")), "{refused}");
    let after = world.ledger.account(&public(ALICE));
    assert_eq!((after.balance, after.nonce), (before.balance, before.nonce + 1));
    let poor = world.send(ALICE, module_call(ADDRESS, u128::MAX, &IStaking::fundCall {})).unwrap_err();
    assert!(matches!(poor, Refusal::InsufficientBalance { .. }));
    let value = world.send(ALICE, module_call(ADDRESS, 1, &IStaking::termCall {})).unwrap_err();
    assert!(matches!(&value, Refusal::Module(words) if words.starts_with("NotPayable(1")), "{value}");
    let (to, input) = (wallet(WALLET), protocol::Bytes::default());
    let contract = Action::Call(Call { module: to, value: 1, input: input.clone() });
    assert_eq!(world.send(ALICE, contract), Err(Refusal::UnknownModule(to)));
    let nothing = Action::Call(Call { module: EvmAddress(ADDRESS.into_array()), value: 0, input });
    assert!(matches!(world.send(ALICE, nothing), Err(Refusal::Module(_))));
    assert_eq!(world.ledger.burned(), 0);
    assert!(world.newest.as_ref().unwrap().transactions.is_empty(), "what is refused has no logs");
}

#[test]
fn a_keys_coins_move_by_the_coins_own_module_too() {
    let mut world = World::new();
    let transfer = IOPG::transferCall { to: Address::from(wallet(9).0), value: U256::from(OPG) };
    world.send(ALICE, module_call(OPG_ADDRESS, 0, &transfer)).unwrap();
    assert_eq!(world.ledger.balance(&wallet(9)), OPG);
}

#[test]
fn calls_have_a_blocks_gas_together() {
    let mut world = World::new();
    let sender = public(ALICE);
    let first = world.ledger.account(&sender).nonce;
    let call = module_call(ADDRESS, OPG, &IStaking::delegateCall { node: id(WORKER) });
    let many: Vec<_> = (0..600).map(|index| world.signed_with(ALICE, first + index, call.clone()).encode()).collect();
    let executed = world.raw_block(many);
    let refused = executed.outcomes.iter().filter(|outcome| outcome.result == Err(Refusal::NoCallRoom)).count();
    assert!(refused > 0 && refused < 600, "{refused} refused");
    world.send(ALICE, call).unwrap();
}

#[test]
fn a_wallets_node_keeps_its_key_from_everybody_else() {
    let mut world = World::new();
    let operator = Address::from(wallet(WALLET).0);
    let message = staking::possession_message(crate::world::CHAIN, operator, Role::Worker);
    let possession = crate::world::key(200).sign(staking::POSSESSION_DOMAIN, &message);
    let call = IStaking::registerCall {
        role: 2,
        key: public(200).0.into(),
        possession: possession.0.to_vec().into(),
        commission: 0,
        commissionMax: 0,
        commissionStep: 0,
    };
    // A key of the ledger pays the wallet, which registers the node: 1,000 OPG of its own and gas.
    let gift = protocol::transaction::Transfer { to: wallet(WALLET), amount: 100 * OPG };
    world.send(ALICE, Action::Transfer(gift)).unwrap();
    let wanted = Wanted {
        to: alloy_primitives::TxKind::Call(ADDRESS),
        input: call.abi_encode().into(),
        gas: 2_000_000,
        ..payment(WALLET, 0, wallet(WALLET), 1_000 * OPG)
    };
    world.raw_block(vec![wanted.bytes()]);
    let staked = world.ledger.staked(&node(200)).unwrap();
    assert_eq!((staked.own, staked.operator), (1_000 * OPG, operator));
    let register = protocol::transaction::RegisterNode {
        role: Role::Worker,
        key: public(200),
        possession: protocol::transaction::prove_possession(
            &crate::world::key(200),
            crate::world::CHAIN,
            &public(ALICE),
        ),
        endpoint: Text::default(),
        stake: 1_000 * OPG,
        models: List::default(),
    };
    assert_eq!(world.send(ALICE, Action::RegisterNode(register)), Err(Refusal::KeyTaken));
    // Nor does it become another node's later key.
    let by = crate::world::operator(WORKER);
    let possession = protocol::transaction::prove_possession(&crate::world::key(200), crate::world::CHAIN, &by);
    let rotation = protocol::transaction::RotateKey { node: node(WORKER), key: public(200), possession };
    assert_eq!(world.send(WORKER + 100, Action::RotateKey(rotation)), Err(Refusal::KeyTaken));
}

/// A world with short times of governance.
fn hasty() -> World {
    let short = [
        (&parameters::PROPOSAL_VOTES, OPG),
        (&parameters::VOTING_DELAY, 1),
        (&parameters::VOTING_PERIOD, 60),
        (&parameters::TIMELOCK, 1),
        (&parameters::UPGRADE_NOTICE, 100),
    ];
    World::governed(Rules::default(), &short)
}

/// The same where all operators have voted for one proposal of these actions.
fn voted(actions: Vec<IGovernance::Action>) -> World {
    let mut world = hasty();
    world.next_epoch();
    let operators: Vec<u8> = VALIDATORS.iter().map(|seed| seed + 100).collect();
    let propose = IGovernance::proposeCall { actions, description: "a proposal".to_owned() };
    world.send(operators[0], module_call(GOVERNANCE, 0, &propose)).unwrap();
    world.epochs(3);
    for operator in &operators {
        let vote = IGovernance::castVoteCall { id: U256::ONE, support: 1 };
        world.send(*operator, module_call(GOVERNANCE, 0, &vote)).unwrap();
    }
    world
}

#[test]
fn rules_that_this_program_does_not_know_stop_it_where_they_come_into_force() {
    let (name, since) = (alloy_primitives::B256::repeat_byte(7), 400);
    let actions = vec![IGovernance::Action { kind: 6, subject: name, value: U256::from(since) }];
    let mut world = voted(actions);
    while world.ledger.height() < since - 1 {
        world.next_epoch();
    }
    let next = world.blocks.last().unwrap().clone();
    let next = Block { height: since, time_ms: next.time_ms + 1_000, ..next };
    let before = world.ledger.clone();
    let refused = world.ledger.execute(&next).unwrap_err();
    assert_eq!(refused, BeginError::UnknownRules { rules: name, since });
    assert_eq!(world.ledger.height(), before.height(), "and nothing has changed");
}

#[test]
fn native_transfers_end_at_the_height_that_was_voted_and_no_block_before() {
    let since = 400;
    let subject = NewRules::NoTransfers.name();
    let mut world = voted(vec![IGovernance::Action { kind: 6, subject, value: U256::from(since) }]);
    while world.ledger.height() < since - 2 {
        world.next_epoch();
    }
    let gift = || Action::Transfer(Transfer { to: wallet(WALLET), amount: OPG });
    let held = |world: &World| world.ledger.balance(&wallet(WALLET));
    let before = held(&world);
    assert_eq!(world.ledger.admit(&world.signed(ALICE, gift())), Ok(()));
    world.send(ALICE, gift()).unwrap();
    assert_eq!((world.ledger.height(), held(&world)), (since - 1, before + OPG), "the last block before");
    let late = world.signed(ALICE, gift());
    assert_eq!(world.ledger.admit(&late), Err(Refusal::TransfersEnded), "no block that comes executes it");
    assert_eq!(world.send(ALICE, gift()), Err(Refusal::TransfersEnded));
    assert_eq!((world.ledger.height(), held(&world)), (since, before + OPG));
    let call = IOPG::transferCall { to: Address::from(wallet(WALLET).0), value: U256::from(OPG) };
    let called = world.signed(ALICE, module_call(OPG_ADDRESS, 0, &call));
    assert_eq!(world.ledger.admit(&called), Ok(()));
    world.send(ALICE, module_call(OPG_ADDRESS, 0, &call)).unwrap();
    assert_eq!(held(&world), before + 2 * OPG, "what took their place");
    // Whoever executes the same blocks comes to the same, also from a snapshot of long before.
    world.next_epoch();
    let expected = world.ledger.snapshot_bytes().unwrap();
    let mut other = hasty().ledger;
    for block in world.blocks.iter().take_while(|block| block.height < since - 50) {
        other.execute(block).unwrap();
    }
    let mut restarted = restored(&other.snapshot_bytes().unwrap(), &other).unwrap();
    for ledger in [&mut other, &mut restarted] {
        for block in &world.blocks {
            ledger.execute(block).unwrap();
        }
        assert!(ledger.snapshot_bytes().unwrap() == expected);
    }
}

#[test]
fn what_governance_decided_is_done_when_its_time_has_come() {
    let actions =
        vec![IGovernance::Action { kind: 1, subject: parameters::CHALLENGE_BOND.key(), value: U256::from(20 * OPG) }];
    let mut world = voted(actions);
    world.epochs(57);
    assert_eq!(world.ledger.parameter(&parameters::CHALLENGE_BOND), 10 * OPG, "not before its time");
    world.epochs(5);
    assert_eq!(world.ledger.parameter(&parameters::CHALLENGE_BOND), 20 * OPG);
    let again = IGovernance::executeCall { id: U256::ONE };
    let refused = world.send(ALICE, module_call(GOVERNANCE, 0, &again)).unwrap_err();
    assert!(matches!(&refused, Refusal::Module(words) if words.starts_with("ProposalState(1, 7")), "{refused}");
    let events = world.tell(ALICE, module_call(ADDRESS, 1, &IStaking::fundCall {})).1;
    assert!(!events.iter().any(|event| matches!(event, Event::Enacted { .. })), "once");
}
