//! Registries in the EVM, and the tables that follow them: wallets write there, keys act here.

use alloy_primitives::{Address, B256, TxKind, U256};
use alloy_sol_types::SolCall;
use evm::modules::{
    models::{self, IModels},
    registry::{ADDRESS, IRegistry},
    staking::{self, IStaking, POSSESSION_DOMAIN, possession_message},
};
use ledger::{Event, OPG, Refusal, address_of};
use protocol::{
    Action, Digest, EvmAddress, List, Role, Text,
    registry::{OPEN_END, node_id},
    transaction::{PublishModel, Transfer, UpdateNode},
};

use crate::{
    wallets::{WALLET, Wanted, payment, wallet},
    world::{ALICE, CHAIN, GATEWAY, WORKER, World, key, model, module_call, node, post, public},
};

/// Asks a module as `eth_call` does.
pub fn ask<C: SolCall>(world: &World, to: Address, call: &C) -> C::Return {
    let (head, chain) = (world.ledger.evm(), world.ledger.chain());
    let snapshot = evm::Snapshot { chain: &chain, state: &head.world, header: head.header.inner() };
    let request = alloy_rpc_types_eth::TransactionRequest::default();
    let request = request.to(to).input(alloy_primitives::Bytes::from(call.abi_encode()).into());
    let bounds = evm::Bounds { gas: 30_000_000, wanted: &|| true };
    let told = evm::call(&snapshot, &request, &evm::Overrides::default(), &bounds).unwrap();
    C::abi_decode_returns(&told.output).unwrap()
}

fn word(digest: &Digest) -> B256 {
    B256::from(digest.0)
}

/// The tables say what the registries say, row by row.
#[track_caller]
pub fn tables_follow(world: &World) {
    let nodes = ask(world, ADDRESS, &IRegistry::nodesCall { from: U256::ZERO, count: U256::MAX });
    assert_eq!(world.ledger.nodes().count(), nodes.len());
    for listed in world.ledger.nodes() {
        let told = ask(world, ADDRESS, &IRegistry::nodeCall { id: word(&listed.node) });
        assert_eq!(listed.operator.0, told.operator.into_array());
        assert_eq!(listed.payout.0, told.payout.into_array());
        assert_eq!((&*listed.endpoint, listed.registered_epoch), (told.endpoint.as_str(), told.registeredEpoch));
        assert_eq!(listed.models.iter().map(word).collect::<Vec<_>>(), told.models);
        assert_eq!((U256::from(listed.stake), listed.jailed), (told.stake, told.jailed));
        let keys = IRegistry::keysOfCall { node: word(&listed.node), from: U256::ZERO, count: U256::MAX };
        let (keys, seats) = (ask(world, ADDRESS, &keys), world.ledger.announced(&listed.node).unwrap().1);
        let own = world.ledger.keys().filter(|key| key.node == listed.node).count();
        assert_eq!(keys.len(), own + seats.len());
    }
    for record in world.ledger.keys() {
        let told = ask(world, ADDRESS, &IRegistry::keyCall { id: record.key.0.into() });
        assert_eq!((told.node, told.seat), (word(&record.node), false));
        assert_eq!((told.validFrom, told.validUntil), (record.valid_from, record.valid_until));
    }
    let roots = ask(world, models::ADDRESS, &IModels::modelsCall { from: U256::ZERO, count: U256::MAX });
    assert_eq!(world.ledger.models().count(), roots.len());
    for record in world.ledger.models() {
        let told = ask(world, ADDRESS, &IRegistry::modelCall { root: word(&record.root) });
        assert_eq!((told.publisher.into_array(), told.name.as_str()), (record.publisher.0, &*record.name));
        assert_eq!(told.kind == 2, record.kind == protocol::registry::ModelKind::Float);
    }
}

fn sent(world: &mut World, nonce: u64, to: Address, coins: u128, call: &impl SolCall) -> Vec<Event> {
    let wanted = Wanted {
        to: TxKind::Call(to),
        input: call.abi_encode().into(),
        gas: 3_000_000,
        ..payment(WALLET, nonce, wallet(WALLET), coins)
    };
    let executed = world.raw_block(vec![wanted.bytes()]);
    assert_eq!(executed.outcomes[0].result, Ok(()));
    let receipt = world.newest.as_ref().unwrap().receipts.last().unwrap().clone();
    assert!(receipt.succeeded(), "{receipt:?}");
    tables_follow(world);
    executed.events
}

fn possession(seed: u8, role: Role) -> alloy_primitives::Bytes {
    let message = possession_message(CHAIN, Address::from(wallet(WALLET).0), role);
    key(seed).sign(POSSESSION_DOMAIN, &message).0.to_vec().into()
}

fn registration(seed: u8, role: Role) -> IRegistry::registerCall {
    let registration = IRegistry::Registration {
        role: if role == Role::Worker { 2 } else { 3 },
        key: public(seed).0.into(),
        possession: possession(seed, role),
        commission: 0,
        commissionMax: 0,
        commissionStep: 0,
        endpoint: "http://127.0.0.1:7".to_owned(),
        models: vec![word(&model())],
    };
    IRegistry::registerCall { registration }
}

/// A world whose wallet has enough for nodes.
fn rich() -> World {
    let mut world = World::new();
    let gift = Transfer { to: wallet(WALLET), amount: 50_000 * OPG };
    world.send(ALICE, Action::Transfer(gift)).unwrap();
    tables_follow(&world);
    world
}

#[test]
fn a_wallets_worker_answers_and_its_receipts_are_anchored() {
    let mut world = rich();
    world.epochs(2);
    let events = sent(&mut world, 0, ADDRESS, 1_000 * OPG, &registration(200, Role::Worker));
    let id = node_id(&public(200));
    assert_eq!(events[0], Event::NodeRegistered { node: id, role: Role::Worker });
    let record = world.ledger.key(&public(200)).unwrap();
    assert_eq!((record.node, record.valid_from, record.valid_until), (id, 2, OPEN_END));
    let answer = world.answer(200).changed(200, |receipt| receipt.key_valid_from = 2);
    world.posting(&answer).unwrap();
    // Its own key says where it is; its operator, by the wallet, whom it is paid to.
    let endpoint = Text::new("http://127.0.0.1:8").unwrap();
    let update = UpdateNode { endpoint, models: List::new(vec![model()]).unwrap() };
    world.send(200, Action::UpdateNode(update)).unwrap();
    let payout = Address::repeat_byte(9);
    sent(&mut world, 1, ADDRESS, 0, &IRegistry::setPayoutCall { node: word(&id), payout });
    let listed = world.ledger.node(&id).unwrap();
    assert_eq!((&*listed.endpoint, listed.payout), ("http://127.0.0.1:8", EvmAddress([9; 20])));
    assert_eq!(listed.operator, wallet(WALLET));
}

#[test]
fn a_wallets_gateway_posts_and_rotates_by_the_wallet() {
    let mut world = rich();
    sent(&mut world, 0, ADDRESS, 1_000 * OPG, &registration(200, Role::Gateway));
    let id = node_id(&public(200));
    let rotate = IRegistry::rotateCall {
        node: word(&id),
        key: public(201).0.into(),
        possession: possession(201, Role::Gateway),
    };
    let events = sent(&mut world, 1, ADDRESS, 0, &rotate);
    assert_eq!(events, [Event::KeyRotated { node: id, key: public(201) }]);
    world.next_epoch();
    let answer = world.answer(WORKER).changed(WORKER, |receipt| receipt.gateway = public(201));
    world.send(201, post([&answer])).unwrap();
    let id = answer.receipt.id();
    assert!(world.ledger.status(&id).is_some(), "anchored");
    let late = world.send(200, post([&answer]));
    assert_eq!(late, Err(Refusal::KeyNotValid { from: 0, until: 1, epoch: 1 }));
}

#[test]
fn what_the_staking_module_registers_is_a_node_of_the_ledger() {
    let mut world = rich();
    let register = IStaking::registerCall {
        role: 2,
        key: public(200).0.into(),
        possession: possession(200, Role::Worker),
        commission: 0,
        commissionMax: 0,
        commissionStep: 0,
    };
    sent(&mut world, 0, staking::ADDRESS, 1_000 * OPG, &register);
    let listed = world.ledger.node(&node(200)).unwrap();
    assert_eq!((&*listed.endpoint, listed.models.len(), listed.operator), ("", 0, wallet(WALLET)));
}

#[test]
fn what_the_ledgers_own_transaction_tells_is_not_done_again() {
    let mut world = rich();
    let update = |port: u16| {
        let endpoint = Text::new(format!("http://127.0.0.1:{port}")).unwrap();
        Action::UpdateNode(UpdateNode { endpoint, models: List::default() })
    };
    world.send(WORKER, update(1)).unwrap();
    // The block after tells of it, while the node has moved on.
    let (result, events) = world.tell(WORKER, update(2));
    result.unwrap();
    assert_eq!(events, [Event::NodeUpdated { node: node(WORKER) }]);
    world.raw_block(vec![]);
    assert_eq!(&*world.ledger.node(&node(WORKER)).unwrap().endpoint, "http://127.0.0.1:2");
    tables_follow(&world);
}

#[test]
fn a_model_that_a_wallet_publishes_is_served_and_one_that_a_key_published_is_the_keys_to_complete() {
    let mut world = rich();
    let publication = |root: B256| IModels::Publication {
        root,
        name: "sage".to_owned(),
        version: "1".to_owned(),
        licence: "mit".to_owned(),
        price: IModels::Price { perCall: 1, perInputToken: 2, perOutputToken: 3, unit: 0 },
        splits: Vec::new(),
        parents: vec![IModels::Parent { root: word(&model()), share: 100_000 }],
    };
    let root = crypto::hash("og/test/a wallet's", &[]);
    let call = IModels::publishCall { publication: publication(word(&root)) };
    assert_eq!(sent(&mut world, 0, models::ADDRESS, 0, &call), [Event::ModelPublished { root }]);
    assert_eq!(world.ledger.model(&root).unwrap().publisher, wallet(WALLET));
    let answer = world.answer(WORKER).changed(WORKER, |receipt| receipt.model = root);
    world.posting(&answer).unwrap();
    let own = crypto::hash("og/test/a key's", &[]);
    let publish = PublishModel { root: own, name: Text::new("owl").unwrap(), float_manifest: None };
    world.send(ALICE, Action::PublishModel(publish.clone())).unwrap();
    let before = world.ledger.model(&own).unwrap().clone();
    world.epochs(2);
    let call = IModels::publishCall { publication: publication(word(&own)) };
    world.send(ALICE, module_call(models::ADDRESS, 0, &call)).unwrap();
    tables_follow(&world);
    let after = world.ledger.model(&own).unwrap();
    assert_eq!((&*after.name, after.published_epoch), ("sage", before.published_epoch));
    assert_eq!(after.publisher, address_of(&public(ALICE)));
    assert_eq!(world.send(GATEWAY, Action::PublishModel(publish)), Err(Refusal::ModelTaken(own)));
    let zero = PublishModel { root: Digest::ZERO, name: Text::new("nothing").unwrap(), float_manifest: None };
    let refused = world.send(ALICE, Action::PublishModel(zero));
    assert_eq!(refused, Err(Refusal::Module("RootZero()".to_owned())));
}

#[test]
fn contracts_read_what_keys_did() {
    let mut world = rich();
    world.epochs(3);
    assert_eq!(ask(&world, ADDRESS, &IRegistry::epochCall {}), 3);
    let told = ask(&world, ADDRESS, &IRegistry::nodeCall { id: word(&node(WORKER)) });
    assert_eq!((told.role, told.models), (2, vec![word(&model())]));
    let valid = |epoch| {
        let call = IRegistry::isValidCall { id: public(WORKER).0.into(), inEpoch: epoch };
        ask(&world, ADDRESS, &call)
    };
    assert!(valid(0) && valid(u64::MAX - 1));
}
