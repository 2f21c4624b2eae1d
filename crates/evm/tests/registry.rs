//! Registries: nodes listed, keys with intervals, models as the models module has them.
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]
#![allow(non_snake_case, reason = "fields are named as in Solidity")]

mod common;
mod stage;

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolCall;
use common::{Net, OPG, address, event, refused, system_refused, table_is_whole, told};
use crypto::SigningKey;
use evm::modules::models::{self, EnterModel, IModels};
use evm::modules::registry::{
    ADDRESS, BeginEpoch, EnterSeats, Entry, FoundRegistry, IRegistry, ListNode, MODULE, OPEN_END, Rotate, entries,
};
use evm::modules::staking::{self, IStaking, possession_message};
use evm::{Founding, Receipt};
use protocol::{Role, registry::ModelKind};
use stage::{WORKER, founding, id_of, opgs, validator, worker};

const GRACE: u64 = 30;
const OPERATOR: u64 = 5;

fn net() -> Net {
    let mut net = Net::founded(Founding { registry: FoundRegistry { grace: GRACE }, ..founding() });
    net.does(&BeginEpoch(7));
    net
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn word(seed: u8) -> B256 {
    key(seed).public_key().0.into()
}

fn possession(seed: u8, operator: u64, role: Role) -> alloy_primitives::Bytes {
    let message = possession_message(common::CHAIN.id, address(operator), role);
    key(seed).sign(staking::POSSESSION_DOMAIN, &message).0.to_vec().into()
}

fn registration(seed: u8) -> IRegistry::Registration {
    IRegistry::Registration {
        role: 2,
        key: word(seed),
        possession: possession(seed, OPERATOR, Role::Worker),
        commission: 0,
        commissionMax: 0,
        commissionStep: 0,
        endpoint: "http://127.0.0.1:7101".to_owned(),
        models: Vec::new(),
    }
}

fn root(number: u8) -> B256 {
    B256::repeat_byte(number)
}

fn published(number: u8) -> EnterModel {
    EnterModel { root: root(number), publisher: address(1), kind: ModelKind::Exact, name: "sage".to_owned() }
}

fn send<C: SolCall>(net: &mut Net, from: u64, call: &C) -> Receipt {
    net.call(from, ADDRESS, call, U256::ZERO)
}

fn ask<C: SolCall>(net: &Net, call: &C) -> C::Return {
    net.ask(ADDRESS, call).unwrap()
}

fn node(net: &Net, id: B256) -> IRegistry::Node {
    ask(net, &IRegistry::nodeCall { id })
}

fn key_of(net: &Net, id: B256) -> IRegistry::Key {
    ask(net, &IRegistry::keyCall { id })
}

fn rotation(node: B256, to: u8, operator: u64) -> IRegistry::rotateCall {
    IRegistry::rotateCall { node, key: word(to), possession: possession(to, operator, Role::Worker) }
}

#[test]
fn the_table_of_methods_is_the_interface() {
    table_is_whole(&MODULE, include_str!("../../../contracts/IRegistry.sol"));
    table_is_whole(&models::MODULE, include_str!("../../../contracts/IModels.sol"));
}

#[test]
fn a_wallet_registers_a_node_and_says_what_it_serves_in_one_call() {
    let mut net = net();
    net.does(&published(9));
    let registration = IRegistry::Registration { models: vec![root(9)], ..registration(1) };
    let receipt = net.call(OPERATOR, ADDRESS, &IRegistry::registerCall { registration }, opgs(1_000));
    let id = told::<IRegistry::registerCall>(&receipt);
    assert_eq!(id, id_of(word(1)));
    let expected = [
        Entry::Node { node: id, operator: address(OPERATOR), role: Role::Worker, epoch: 7 },
        Entry::Key { key: word(1), node: id, role: Role::Worker, is_seat: false, valid_from: 7 },
        Entry::Listed { node: id, endpoint: "http://127.0.0.1:7101".to_owned(), models: vec![root(9)] },
    ];
    assert_eq!(entries(receipt.logs().iter()), expected);
    let seen = node(&net, id);
    assert_eq!((seen.operator, seen.payout, seen.role), (address(OPERATOR), address(OPERATOR), 2));
    assert_eq!((seen.key, seen.registeredEpoch, seen.stake), (word(1), 7, opgs(1_000)));
    assert_eq!((seen.endpoint.as_str(), seen.models, seen.jailed), ("http://127.0.0.1:7101", vec![root(9)], false));
    assert_eq!(net.balance(ADDRESS), U256::ZERO, "its stake is where all stake is");
    assert_eq!(ask(&net, &IRegistry::nodeCountCall {}), U256::from(3));
    let all = ask(&net, &IRegistry::nodesCall { from: U256::ZERO, count: U256::MAX });
    assert_eq!(all, [validator(), worker(), id]);
}

#[test]
fn what_the_staking_module_registers_is_entered_too() {
    let net = net();
    let seen = node(&net, worker());
    assert_eq!((seen.operator, seen.role, seen.endpoint.as_str()), (address(WORKER), 2, ""));
    let key = key_of(&net, B256::repeat_byte(0xa2));
    assert_eq!((key.node, key.role, key.seat), (worker(), 2, false));
    assert_eq!((key.validFrom, key.actsUntil, key.validUntil), (0, OPEN_END, OPEN_END));
    assert_eq!(ask(&net, &IRegistry::epochCall {}), 7);
}

#[test]
fn a_registration_is_refused_for_what_is_wrong_with_it() {
    let mut net = net();
    let mut register =
        |registration, coins| net.call(OPERATOR, ADDRESS, &IRegistry::registerCall { registration }, coins);
    let stake = opgs(1_000);
    let foreign = IRegistry::Registration { possession: possession(1, 6, Role::Worker), ..registration(1) };
    let invalid = IStaking::PossessionInvalid { key: word(1), operator: address(OPERATOR) };
    refused(&register(foreign, stake), &invalid);
    let role = IRegistry::Registration { role: 9, ..registration(1) };
    refused(&register(role, stake), &IStaking::RoleUnknown { role: 9 });
    let short = IStaking::SelfStakeTooSmall { coins: OPG, least: stake };
    refused(&register(registration(1), OPG), &short);
    let long = IRegistry::Registration { endpoint: "x".repeat(257), ..registration(1) };
    let error = IRegistry::EndpointTooLong { bytesFound: U256::from(257), most: U256::from(256) };
    refused(&register(long, stake), &error);
    let unknown = IRegistry::Registration { models: vec![root(9)], ..registration(1) };
    refused(&register(unknown, stake), &IModels::ModelUnknown { root: root(9) });
    assert!(register(registration(1), stake).succeeded());
    let again = IStaking::KeyRegistered { key: word(1), node: id_of(word(1)) };
    refused(&register(registration(1), stake), &again);
}

#[test]
fn only_its_operator_lists_a_node_pays_it_elsewhere_or_rotates_it() {
    let mut net = net();
    let list = IRegistry::listCall { node: worker(), endpoint: "http://a".to_owned(), models: Vec::new() };
    let stranger = IStaking::OperatorOnly { caller: address(9), operator: address(WORKER) };
    refused(&send(&mut net, 9, &list), &stranger);
    refused(&send(&mut net, 9, &IRegistry::setPayoutCall { node: worker(), payout: address(9) }), &stranger);
    refused(&send(&mut net, 9, &rotation(worker(), 3, 9)), &stranger);
    let nobody = IRegistry::listCall { node: root(1), ..list.clone() };
    refused(&send(&mut net, 9, &nobody), &IStaking::NodeUnknown { node: root(1) });
    let told: IRegistry::NodeListed = event(send(&mut net, WORKER, &list).logs());
    assert_eq!((told.node, told.endpoint.as_str()), (worker(), "http://a"));
}

#[test]
fn a_listing_is_replaced_whole() {
    let mut net = net();
    for number in 1..=70 {
        net.does(&published(number));
    }
    let list = |endpoint: &str, numbers: &[u8]| IRegistry::listCall {
        node: worker(),
        endpoint: endpoint.to_owned(),
        models: numbers.iter().map(|number| root(*number)).collect(),
    };
    let before = net.world.root();
    assert!(send(&mut net, WORKER, &list(&"long".repeat(64), &(1..=64).collect::<Vec<_>>())).succeeded());
    assert_eq!(node(&net, worker()).models.len(), 64);
    assert_eq!(node(&net, worker()).endpoint.len(), 256);
    assert!(send(&mut net, WORKER, &list("", &[])).succeeded());
    assert_eq!((node(&net, worker()).endpoint.as_str(), node(&net, worker()).models.len()), ("", 0));
    assert_ne!(net.world.root(), before, "coins were paid for gas");
    let slots = net.world.content().unwrap().slots;
    let listed = slots.keys().filter(|(module, _)| *module == ADDRESS).count();
    // The time; for each of two nodes its identity... where it is zero it is none: key, count of keys, one key; and two words a key.
    assert_eq!(listed, 1 + 2 * (3 + 2), "nothing of a listing stays behind");
    let many = IRegistry::TooManyModels { count: U256::from(65), most: U256::from(64) };
    refused(&send(&mut net, WORKER, &list("", &(1..=65).collect::<Vec<_>>())), &many);
    refused(&send(&mut net, WORKER, &list("", &[1, 2, 1])), &IRegistry::ModelRepeated { root: root(1) });
    refused(&send(&mut net, WORKER, &list("", &[99])), &IModels::ModelUnknown { root: root(99) });
}

fn describe(words: &[&[u8]]) -> IRegistry::describeCall {
    let capabilities = words.iter().map(|word| B256::right_padding_from(word)).collect();
    IRegistry::describeCall { node: worker(), capabilities }
}

#[test]
fn a_node_says_what_its_machine_is_in_words_that_take_the_place_of_those_before() {
    let mut net = net();
    let longest = [b'z'; 32];
    let said = describe(&[b"accelerator=h200", b"tee=tdx", b"cpu=avx512-vnni", b"memory_gib=1.5", &longest]);
    let receipt = send(&mut net, WORKER, &said);
    let told: IRegistry::NodeDescribed = event(receipt.logs());
    assert_eq!((told.node, &told.capabilities), (worker(), &said.capabilities));
    assert_eq!(entries(receipt.logs().iter()), [], "the ledger's tables keep none of it");
    assert_eq!(node(&net, worker()).capabilities, said.capabilities);
    // Where Solidity would look for it: the sixth field of the node's record, a list.
    let slot = U256::from_be_bytes(keccak256([worker().0, U256::ONE.to_be_bytes::<32>()].concat()).0) + U256::from(5);
    let first = U256::from_be_bytes(keccak256(slot.to_be_bytes::<32>()).0);
    let slots = net.world.content().unwrap().slots;
    assert_eq!((slots[&(ADDRESS, slot)], slots[&(ADDRESS, first)]), (U256::from(5), said.capabilities[0].into()));
    assert!(send(&mut net, WORKER, &describe(&[])).succeeded());
    assert!(node(&net, worker()).capabilities.is_empty());
    let slots = net.world.content().unwrap().slots;
    assert!(!slots.contains_key(&(ADDRESS, slot)) && !slots.contains_key(&(ADDRESS, first)), "nothing stays behind");
}

#[test]
fn what_a_node_says_of_its_machine_is_bounded_and_its_operators() {
    let mut net = net();
    let stranger = IStaking::OperatorOnly { caller: address(9), operator: address(WORKER) };
    refused(&send(&mut net, 9, &describe(&[b"tee=tdx"])), &stranger);
    let words: Vec<[u8; 1]> = (b'a'..=b'q').map(|letter| [letter]).collect();
    let words: Vec<&[u8]> = words.iter().map(|word| &word[..]).collect();
    let many = IRegistry::TooManyCapabilities { count: U256::from(17), most: U256::from(16) };
    refused(&send(&mut net, WORKER, &describe(&words)), &many);
    assert!(send(&mut net, WORKER, &describe(&words[..16])).succeeded());
    for bad in [&b""[..], b"TEE", b"a b", b"a\0b", b"\0a", b"\xc3\xa4"] {
        let invalid = IRegistry::CapabilityInvalid { word: B256::right_padding_from(bad) };
        refused(&send(&mut net, WORKER, &describe(&[b"tee=tdx", bad])), &invalid);
    }
    let again = IRegistry::CapabilityRepeated { word: B256::right_padding_from(b"a") };
    refused(&send(&mut net, WORKER, &describe(&[b"a", b"b", b"a"])), &again);
    assert_eq!(node(&net, worker()).capabilities.len(), 16, "a refused word changes nothing");
}

#[test]
fn a_node_is_paid_where_its_operator_says() {
    let mut net = net();
    let set = |payout| IRegistry::setPayoutCall { node: worker(), payout };
    let receipt = send(&mut net, WORKER, &set(address(8)));
    assert_eq!(entries(receipt.logs().iter()), [Entry::Payout { node: worker(), payout: address(8) }]);
    assert_eq!(node(&net, worker()).payout, address(8));
    assert!(send(&mut net, WORKER, &set(address(WORKER))).succeeded());
    assert_eq!(node(&net, worker()).payout, address(WORKER));
    let mut locked = ADDRESS.into_array();
    locked[19] = 0xff;
    for payout in [Address::ZERO, ADDRESS, staking::ADDRESS, Address::from(locked)] {
        refused(&send(&mut net, WORKER, &set(payout)), &IRegistry::PayoutInvalid { payout });
    }
}

#[test]
fn a_workers_retired_key_answers_for_its_receipts_a_while_longer() {
    let mut net = net();
    let first = B256::repeat_byte(0xa2);
    let receipt = send(&mut net, WORKER, &rotation(worker(), 3, WORKER));
    let expected = [
        Entry::Key { key: word(3), node: worker(), role: Role::Worker, is_seat: false, valid_from: 8 },
        Entry::Retired { key: first, valid_until: 8 + GRACE },
    ];
    assert_eq!(entries(receipt.logs().iter()), expected);
    let (old, new) = (key_of(&net, first), key_of(&net, word(3)));
    assert_eq!((old.validFrom, old.actsUntil, old.validUntil), (0, 8, 8 + GRACE));
    assert_eq!((new.node, new.validFrom, new.actsUntil, new.validUntil), (worker(), 8, OPEN_END, OPEN_END));
    assert_eq!(node(&net, worker()).key, word(3));
    let keys = IRegistry::keysOfCall { node: worker(), from: U256::ZERO, count: U256::MAX };
    assert_eq!(ask(&net, &keys), [first, word(3)]);
    let valid = |id, inEpoch| ask(&net, &IRegistry::isValidCall { id, inEpoch });
    assert_eq!([0, 7, 8, 7 + GRACE, 8 + GRACE].map(|epoch| valid(first, epoch)), [true, true, true, true, false]);
    assert_eq!([7, 8, u64::MAX - 1].map(|epoch| valid(word(3), epoch)), [false, true, true]);
    assert!(!valid(word(4), 8), "nobody's");
}

#[test]
fn a_rotation_is_refused_for_what_is_wrong_with_it() {
    let mut net = net();
    let foreign = IRegistry::rotateCall { possession: possession(3, 9, Role::Worker), ..rotation(worker(), 3, WORKER) };
    let invalid = IStaking::PossessionInvalid { key: word(3), operator: address(WORKER) };
    refused(&send(&mut net, WORKER, &foreign), &invalid);
    assert!(send(&mut net, WORKER, &rotation(worker(), 3, WORKER)).succeeded());
    let again = IRegistry::RotatedAlready { node: worker(), validFrom: 8 };
    refused(&send(&mut net, WORKER, &rotation(worker(), 4, WORKER)), &again);
    net.does(&BeginEpoch(8));
    let taken = IRegistry::KeyTaken { key: word(3), node: worker() };
    refused(&send(&mut net, WORKER, &rotation(worker(), 3, WORKER)), &taken);
    system_refused(net.system(&Rotate { node: validator(), key: word(3) }), &taken);
    // A later key is no new node's, and neither is one for a seat.
    let call = IRegistry::registerCall { registration: registration(3) };
    let error = IStaking::KeyRegistered { key: word(3), node: worker() };
    refused(&net.call(OPERATOR, ADDRESS, &call, opgs(1_000)), &error);
    net.does(&EnterSeats { node: validator(), keys: vec![word(6)] });
    let call = IRegistry::registerCall { registration: registration(6) };
    let error = IStaking::KeyRegistered { key: word(6), node: validator() };
    refused(&net.call(OPERATOR, ADDRESS, &call, opgs(1_000)), &error);
    assert!(key_of(&net, word(6)).seat);
    let unknown = IRegistry::KeyUnknown { key: word(77) };
    refused(&send(&mut net, 1, &IRegistry::keyCall { id: word(77) }), &unknown);
}

#[test]
fn a_validators_key_ends_with_its_epoch_altogether() {
    let mut net = net();
    net.does(&Rotate { node: validator(), key: word(3) });
    let old = key_of(&net, B256::repeat_byte(0xa1));
    assert_eq!((old.actsUntil, old.validUntil), (8, 8));
}

#[test]
fn an_event_of_another_address_enters_nothing() {
    let mut net = net();
    let (_, mut logs) = net.system(&Rotate { node: worker(), key: word(3) }).unwrap();
    assert_eq!(entries(logs.iter()).len(), 2);
    logs.iter_mut().for_each(|log| log.address = address(9));
    assert_eq!(entries(logs.iter()), []);
}

#[test]
fn models_are_read_here_as_the_models_module_has_them() {
    let mut net = net();
    net.does(&published(9));
    let model = ask(&net, &IRegistry::modelCall { root: root(9) });
    assert_eq!((model.publisher, model.kind, model.bare, model.name.as_str()), (address(1), 1, true, "sage"));
    let publication = IModels::Publication {
        root: root(9),
        name: "sage".to_owned(),
        version: "1".to_owned(),
        licence: "mit".to_owned(),
        price: IModels::Price { perCall: 1, perInputToken: 2, perOutputToken: 3, unit: 1 },
        splits: vec![IModels::Split { payee: address(3), share: 5 }],
        parents: Vec::new(),
    };
    let call = IModels::publishCall { publication };
    assert!(net.call(1, models::ADDRESS, &call, U256::ZERO).succeeded());
    let model = ask(&net, &IRegistry::modelCall { root: root(9) });
    assert_eq!((model.version.as_str(), model.licence.as_str(), model.bare), ("1", "mit", false));
    assert_eq!((model.price.perOutputToken, model.price.unit, model.splits[0].share, model.depth), (3, 1, 5, 1));
    assert_eq!(ask(&net, &IRegistry::modelCountCall {}), U256::ONE);
    assert_eq!(ask(&net, &IRegistry::modelsCall { from: U256::ZERO, count: U256::MAX }), [root(9)]);
    refused(&send(&mut net, 1, &IRegistry::modelCall { root: root(8) }), &IModels::ModelUnknown { root: root(8) });
}

/// The same deeds give the same bytes, for ever.
#[test]
fn a_history_of_registries_has_its_frozen_roots() {
    let mut net = net();
    let mut lines = vec![format!("founded {}", net.world.root())];
    net.does(&published(9));
    net.does(&ListNode { node: worker(), endpoint: "http://127.0.0.1:7101".to_owned(), models: vec![root(9)] });
    lines.push(format!("listed {}", net.world.root()));
    net.does(&Rotate { node: worker(), key: root(3) });
    lines.push(format!("rotated {}", net.world.root()));
    net.does(&EnterSeats { node: validator(), keys: vec![root(4), root(5)] });
    lines.push(format!("seated {}", net.world.root()));
    assert!(send(&mut net, WORKER, &IRegistry::setPayoutCall { node: worker(), payout: address(8) }).succeeded());
    lines.push(format!("paid {}", net.world.root()));
    assert_eq!(lines.join("\n") + "\n", include_str!("../vectors/registry.txt"));
}

#[test]
fn listing_the_most_fits_a_block_many_times() {
    let mut net = net();
    for number in 1..=64 {
        net.does(&published(number));
    }
    let models = (1..=64).map(root).collect();
    let list = IRegistry::listCall { node: worker(), endpoint: "x".repeat(256), models };
    let receipt = send(&mut net, WORKER, &list);
    assert!(receipt.succeeded());
    assert!(receipt.gas_used < 2_500_000, "{}", receipt.gas_used);
}
