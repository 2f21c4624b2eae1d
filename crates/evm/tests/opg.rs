//! OPG through its Solidity face: what it answers, what it refuses and how, and that gas is paid before the work.
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]
#![allow(non_snake_case, reason = "fields are named as in Solidity")]

mod common;

use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, B256, Bytes, U256, b256, keccak256};
use alloy_sol_types::{Eip712Domain, SolCall, SolError, SolEvent, SolStruct, sol};
use common::{CHAIN, Net, OPG, address, plain, sign_digest, transaction};
use evm::modules::{ALL, IModule, LOCKED, opg};
use evm::{Genesis, GenesisAccount, Receipt, StateRead as _};
use opg::IOPG;

sol! {
    struct Permit { address owner; address spender; uint256 value; uint256 nonce; uint256 deadline; }
    struct TransferWithAuthorization { address from; address to; uint256 value; uint256 validAfter; uint256 validBefore; bytes32 nonce; }
    struct ReceiveWithAuthorization { address from; address to; uint256 value; uint256 validAfter; uint256 validBefore; bytes32 nonce; }
    struct CancelAuthorization { address authorizer; bytes32 nonce; }
}

const FORWARDER: Address = Address::repeat_byte(0xf0);
const BORROWER: Address = Address::repeat_byte(0xf1);
const READER: Address = Address::repeat_byte(0xf2);
const MISER: Address = Address::repeat_byte(0xf3);

/// Passes its input on to the module by `kind` and returns what came back, or reverts with it.
fn forwarder(kind: u8, gas: &[u8]) -> Vec<u8> {
    let mut code = vec![0x36, 0x5f, 0x5f, 0x37, 0x5f, 0x5f, 0x36, 0x5f];
    if kind == 0xf1 || kind == 0xf2 {
        code.push(0x34);
    }
    code.extend([0x61, 0x0a, 0x00]);
    code.extend(gas);
    code.push(kind);
    code.extend([0x3d, 0x5f, 0x5f, 0x3e]);
    let target = u8::try_from(code.len() + 7).unwrap();
    code.extend([0x60, target, 0x57, 0x3d, 0x5f, 0xfd, 0x00, 0x5b, 0x3d, 0x5f, 0xf3]);
    code
}

fn net() -> Net {
    let (forward, borrow, read) = (forwarder(0xf1, &[0x5a]), forwarder(0xf4, &[0x5a]), forwarder(0xfa, &[0x5a]));
    let miser = forwarder(0xf1, &[0x61, 0x04, 0x00]);
    Net::with(&[(FORWARDER, &forward), (BORROWER, &borrow), (READER, &read), (MISER, &miser)])
}

/// Numbers of transactions are found in the state.
fn ask(net: &mut Net, from: u64, to: Address, input: Vec<u8>, value: U256) -> Receipt {
    let nonce = net.world.account(&address(from)).unwrap().unwrap().nonce;
    net.send(transaction(from, TxEip1559 { input: input.into(), value, ..plain(to, nonce) }))
}

fn send<C: SolCall>(net: &mut Net, from: u64, call: &C) -> Receipt {
    ask(net, from, opg::ADDRESS, call.abi_encode(), U256::ZERO)
}

fn told<C: SolCall>(receipt: &Receipt) -> C::Return {
    assert!(receipt.succeeded(), "{receipt:?}");
    C::abi_decode_returns(&receipt.output).unwrap()
}

fn refused<E: SolError>(receipt: &Receipt, error: &E) {
    assert!(!receipt.succeeded());
    assert_eq!(receipt.output, Bytes::from(error.abi_encode()));
    assert_eq!(receipt.logs(), []);
}

fn balance(net: &Net, of: Address) -> U256 {
    net.world.account(&of).unwrap().unwrap_or_default().balance
}

#[test]
fn the_views_say_what_the_state_holds() {
    let mut net = net();
    let receipt = send(&mut net, 0, &IOPG::nameCall {});
    assert_eq!(told::<IOPG::nameCall>(&receipt), "OpenGradient");
    assert_eq!(told::<IOPG::symbolCall>(&send(&mut net, 0, &IOPG::symbolCall {})), "OPG");
    assert_eq!(told::<IOPG::decimalsCall>(&send(&mut net, 0, &IOPG::decimalsCall {})), 18);
    assert_eq!(told::<IOPG::versionCall>(&send(&mut net, 0, &IOPG::versionCall {})), "1");
    let owned = told::<IOPG::balanceOfCall>(&send(&mut net, 0, &IOPG::balanceOfCall { account: address(5) }));
    assert_eq!(owned, OPG * U256::from(1000));
    let before = opg::supply_and_burned(&net.world).unwrap();
    assert_eq!(told::<IOPG::totalSupplyCall>(&send(&mut net, 0, &IOPG::totalSupplyCall {})), before.0);
    let before = opg::supply_and_burned(&net.world).unwrap();
    assert_eq!(told::<IOPG::burnedCall>(&send(&mut net, 0, &IOPG::burnedCall {})), before.1);
    let domain = told::<IOPG::eip712DomainCall>(&send(&mut net, 0, &IOPG::eip712DomainCall {}));
    assert_eq!((domain.name.as_str(), domain.chainId), ("OpenGradient", U256::from(CHAIN.id)));
    let separator = told::<IOPG::DOMAIN_SEPARATORCall>(&send(&mut net, 0, &IOPG::DOMAIN_SEPARATORCall {}));
    assert_eq!(separator, self::domain().hash_struct());
}

#[test]
fn a_transfer_moves_the_native_balance_and_says_so() {
    let mut net = net();
    let to = Address::repeat_byte(0x99);
    let receipt = send(&mut net, 0, &IOPG::transferCall { to, value: OPG });
    assert!(told::<IOPG::transferCall>(&receipt));
    assert_eq!(balance(&net, to), OPG);
    let event = IOPG::Transfer { from: address(0), to, value: OPG };
    assert_eq!(receipt.logs().len(), 1);
    assert_eq!((receipt.logs()[0].address, &receipt.logs()[0].data), (opg::ADDRESS, &event.encode_log_data()));
    // 21,000, calldata 632, entry 118, looks 100 + 2,600 + 100, value 6,700, a new account 25,000, log 1,756.
    assert_eq!(receipt.gas_used, 58_006);
    let (all, owned) = (OPG * U256::from(2_000), balance(&net, address(0)));
    let poor = send(&mut net, 0, &IOPG::transferCall { to, value: all });
    let paid = U256::from(poor.gas_used) * U256::from(poor.effective_gas_price);
    assert_eq!(balance(&net, address(0)), owned - paid);
    let IOPG::ERC20InsufficientBalance { sender, needed, .. } =
        IOPG::ERC20InsufficientBalance::abi_decode(&poor.output).unwrap();
    assert_eq!((sender, needed), (address(0), all));
    let to_itself = send(&mut net, 1, &IOPG::transferCall { to: address(1), value: OPG });
    assert!(to_itself.succeeded());
}

#[test]
fn coins_go_to_no_module_and_to_nobody_by_any_way() {
    let mut net = net();
    send(&mut net, 0, &IOPG::approveCall { spender: address(1), value: U256::MAX });
    let nobodys = ALL.iter().map(|module| module.address).chain([LOCKED, Address::ZERO]);
    for (receiver, nonce) in nobodys.zip(1..) {
        let error = IOPG::ERC20InvalidReceiver { receiver };
        let before = balance(&net, receiver);
        refused(&send(&mut net, 0, &IOPG::transferCall { to: receiver, value: OPG }), &error);
        let taken = IOPG::transferFromCall { from: address(0), to: receiver, value: OPG };
        refused(&send(&mut net, 1, &taken), &error);
        refused(&send(&mut net, 6, &authorized_to(receiver, 0, nonce, (0, 5_000))), &error);
        assert_eq!(balance(&net, receiver), before);
    }
    for module in ALL {
        refused(&ask(&mut net, 0, module.address, vec![], OPG), &IModule::NotPayable { value: OPG });
    }
}

#[test]
fn an_allowance_is_used_up_unless_it_is_the_largest() {
    let mut net = net();
    let (owner, spender, to) = (address(0), address(1), address(2));
    let take = |value| IOPG::transferFromCall { from: owner, to, value };
    let needed = U256::ONE;
    let none = send(&mut net, 1, &take(needed));
    refused(&none, &IOPG::ERC20InsufficientAllowance { spender, allowance: U256::ZERO, needed });
    let receipt = send(&mut net, 0, &IOPG::approveCall { spender, value: U256::from(5) });
    assert_eq!(receipt.logs()[0].data, IOPG::Approval { owner, spender, value: U256::from(5) }.encode_log_data());
    assert!(send(&mut net, 1, &take(U256::from(3))).succeeded());
    let left = send(&mut net, 1, &IOPG::allowanceCall { owner, spender });
    assert_eq!(told::<IOPG::allowanceCall>(&left), U256::from(2));
    send(&mut net, 0, &IOPG::approveCall { spender, value: U256::MAX });
    assert!(send(&mut net, 1, &take(U256::from(3))).succeeded());
    let left = send(&mut net, 1, &IOPG::allowanceCall { owner, spender });
    assert_eq!(told::<IOPG::allowanceCall>(&left), U256::MAX);
    let nobody = send(&mut net, 0, &IOPG::approveCall { spender: Address::ZERO, value: U256::ONE });
    refused(&nobody, &IOPG::ERC20InvalidSpender { spender: Address::ZERO });
    // In Solidity's layout: slot 2, a mapping of mappings.
    let outer = keccak256([owner.into_word().as_slice(), &U256::from(2).to_be_bytes::<32>()].concat());
    let slot = keccak256([spender.into_word().as_slice(), outer.as_slice()].concat());
    assert_eq!(net.world.slot(&opg::ADDRESS, &slot.into()), Ok(U256::MAX));
}

#[test]
fn contracts_reach_the_module_directly_or_not_at_all() {
    let mut net = net();
    let call = IOPG::transferCall { to: address(3), value: U256::ZERO }.abi_encode();
    assert!(ask(&mut net, 0, FORWARDER, call.clone(), U256::ZERO).succeeded());
    let selector = IOPG::transferCall::SELECTOR.into();
    refused(&ask(&mut net, 0, BORROWER, call.clone(), U256::ZERO), &IModule::DirectCallOnly {});
    refused(&ask(&mut net, 0, READER, call.clone(), U256::ZERO), &IModule::WriteInStaticCall { selector });
    let view = IOPG::balanceOfCall { account: READER }.abi_encode();
    assert!(ask(&mut net, 0, READER, view, U256::ZERO).succeeded());
    refused(&ask(&mut net, 0, FORWARDER, call, OPG), &IModule::NotPayable { value: OPG });
    assert_eq!(balance(&net, opg::ADDRESS), U256::ZERO);
    assert_eq!(balance(&net, FORWARDER), U256::ZERO);
}

#[test]
fn arguments_are_read_strictly() {
    let mut net = net();
    let unknown = ask(&mut net, 0, opg::ADDRESS, vec![1, 2, 3, 4], U256::ZERO);
    refused(&unknown, &IModule::UnknownMethod { selector: [1, 2, 3, 4].into() });
    let empty = ask(&mut net, 0, opg::ADDRESS, Vec::new(), U256::ZERO);
    refused(&empty, &IModule::UnknownMethod { selector: [0; 4].into() });
    let selector = IOPG::transferCall::SELECTOR.into();
    let mut dirty = IOPG::transferCall { to: address(3), value: U256::ONE }.abi_encode();
    dirty[5] = 1;
    refused(&ask(&mut net, 0, opg::ADDRESS, dirty.clone(), U256::ZERO), &IModule::InvalidArguments { selector });
    dirty.truncate(60);
    refused(&ask(&mut net, 0, opg::ADDRESS, dirty, U256::ZERO), &IModule::InvalidArguments { selector });
}

#[test]
fn a_call_without_gas_for_it_does_nothing() {
    let mut net = net();
    let call = IOPG::transferCall { to: address(3), value: U256::ZERO }.abi_encode();
    let receipt = ask(&mut net, 0, MISER, call, U256::ZERO);
    assert!(!receipt.succeeded() && receipt.output.is_empty());
    let approve = IOPG::approveCall { spender: address(3), value: U256::ONE }.abi_encode();
    let enough = send(&mut net, 0, &IOPG::approveCall { spender: address(4), value: U256::ONE }).gas_used;
    for gas in [enough - 1, enough - 2_000, enough - 22_000, 23_000] {
        let nonce = net.world.account(&address(0)).unwrap().unwrap().nonce;
        let input = approve.clone().into();
        let receipt = net.send(transaction(0, TxEip1559 { gas_limit: gas, input, ..plain(opg::ADDRESS, nonce) }));
        assert!(!receipt.succeeded(), "{gas} of {enough}");
        assert_eq!(receipt.gas_used, gas);
    }
}

#[test]
fn clearing_an_allowance_gives_gas_back() {
    let mut net = net();
    let set = |value| IOPG::approveCall { spender: address(1), value };
    let first = send(&mut net, 0, &set(U256::ONE)).gas_used;
    let cleared = send(&mut net, 0, &set(U256::ZERO)).gas_used;
    // 20,000 + 2,100 against 2,900 + 2,100 less the refund of 4,800; one byte of calldata is zero instead.
    assert_eq!(first - cleared, 17_100 + 4_800 + 12);
}

fn domain() -> Eip712Domain {
    Eip712Domain::new(
        Some("OpenGradient".into()),
        Some("1".into()),
        Some(U256::from(CHAIN.id)),
        Some(opg::ADDRESS),
        None,
    )
}

fn parts(signer: u64, content: &impl SolStruct) -> (u8, B256, B256) {
    let signature = sign_digest(signer, content.eip712_signing_hash(&domain()));
    (27 + u8::from(signature.v()), signature.r().into(), signature.s().into())
}

fn permit(signer: u64, nonce: u64, deadline: u64) -> IOPG::permitCall {
    let (owner, spender, value) = (address(0), address(1), OPG);
    let deadline = U256::from(deadline);
    let (v, r, s) = parts(signer, &Permit { owner, spender, value, nonce: U256::from(nonce), deadline });
    IOPG::permitCall { owner, spender, value, deadline, v, r, s }
}

#[test]
fn a_permit_is_an_approval_by_signature_once() {
    let mut net = net();
    let good = permit(0, 0, 5_000);
    let receipt = send(&mut net, 7, &good);
    assert!(receipt.succeeded());
    let nonce = send(&mut net, 7, &IOPG::noncesCall { owner: address(0) });
    assert_eq!(told::<IOPG::noncesCall>(&nonce), U256::ONE);
    let again = send(&mut net, 7, &good);
    assert_eq!(again.output[..4], IOPG::ERC2612InvalidSigner::SELECTOR);
    let foreign = send(&mut net, 7, &permit(3, 1, 5_000));
    refused(&foreign, &IOPG::ERC2612InvalidSigner { signer: address(3), owner: address(0) });
    let late = send(&mut net, 7, &permit(0, 1, 1_000));
    refused(&late, &IOPG::ERC2612ExpiredSignature { deadline: U256::from(1_000) });
    let broken = IOPG::permitCall { v: 26, ..permit(0, 1, 5_000) };
    refused(&send(&mut net, 7, &broken), &IOPG::InvalidSignature {});
    let order: U256 = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141".parse().unwrap();
    let good = permit(0, 1, 5_000);
    let other = IOPG::permitCall { v: 55 - good.v, s: (order - U256::from_be_bytes(good.s.0)).into(), ..good };
    refused(&send(&mut net, 7, &other), &IOPG::InvalidSignature {});
}

fn authorized(signer: u64, nonce: u8, window: (u64, u64)) -> IOPG::transferWithAuthorization_0Call {
    authorized_to(address(1), signer, nonce, window)
}

fn authorized_to(to: Address, signer: u64, nonce: u8, window: (u64, u64)) -> IOPG::transferWithAuthorization_0Call {
    let (from, value, nonce) = (address(0), OPG, B256::repeat_byte(nonce));
    let (after, before) = (U256::from(window.0), U256::from(window.1));
    let content = TransferWithAuthorization { from, to, value, validAfter: after, validBefore: before, nonce };
    let (v, r, s) = parts(signer, &content);
    IOPG::transferWithAuthorization_0Call { from, to, value, validAfter: after, validBefore: before, nonce, v, r, s }
}

#[test]
fn an_authorization_moves_coins_once_and_inside_of_its_window() {
    let mut net = net();
    let good = authorized(0, 7, (0, 5_000));
    let receipt = send(&mut net, 6, &good);
    assert!(receipt.succeeded());
    assert_eq!(balance(&net, address(1)), OPG * U256::from(1_001));
    let (authorizer, nonce) = (address(0), good.nonce);
    assert_eq!(receipt.logs()[0].data, IOPG::AuthorizationUsed { authorizer, nonce }.encode_log_data());
    let state = send(&mut net, 6, &IOPG::authorizationStateCall { authorizer, nonce });
    assert!(told::<IOPG::authorizationStateCall>(&state));
    refused(&send(&mut net, 6, &good), &IOPG::AuthorizationUsedOrCanceled { authorizer, nonce });
    let early = send(&mut net, 6, &authorized(0, 8, (4_000, 5_000)));
    refused(&early, &IOPG::AuthorizationNotYetValid { validAfter: U256::from(4_000) });
    let late = send(&mut net, 6, &authorized(0, 8, (0, 1_000)));
    refused(&late, &IOPG::AuthorizationExpired { validBefore: U256::from(1_000) });
    let foreign = send(&mut net, 6, &authorized(2, 8, (0, 5_000)));
    refused(&foreign, &IOPG::InvalidSigner { signer: address(2), authorizer });
}

#[test]
fn a_signature_may_come_in_one_piece() {
    let mut net = net();
    let good = authorized(0, 9, (0, 5_000));
    let signature = Bytes::from([good.r.as_slice(), good.s.as_slice(), &[good.v]].concat());
    let (from, to, value, nonce) = (good.from, good.to, good.value, good.nonce);
    let (validAfter, validBefore) = (good.validAfter, good.validBefore);
    let joined = IOPG::transferWithAuthorization_1Call { from, to, value, validAfter, validBefore, nonce, signature };
    let short = IOPG::transferWithAuthorization_1Call { signature: vec![1; 64].into(), ..joined.clone() };
    refused(&send(&mut net, 6, &short), &IOPG::InvalidSignature {});
    assert!(send(&mut net, 6, &joined).succeeded());
}

#[test]
fn only_the_payee_receives_with_an_authorization() {
    let mut net = net();
    let (from, to, value, nonce) = (address(0), address(1), OPG, B256::repeat_byte(3));
    let (validAfter, validBefore) = (U256::ZERO, U256::from(5_000));
    let (v, r, s) = parts(0, &ReceiveWithAuthorization { from, to, value, validAfter, validBefore, nonce });
    let call = IOPG::receiveWithAuthorization_0Call { from, to, value, validAfter, validBefore, nonce, v, r, s };
    let other = send(&mut net, 6, &call);
    refused(&other, &IOPG::CallerMustBePayee { caller: address(6), payee: to });
    let signature = Bytes::from([r.as_slice(), s.as_slice(), &[v]].concat());
    let joined = IOPG::receiveWithAuthorization_1Call { from, to, value, validAfter, validBefore, nonce, signature };
    assert!(send(&mut net, 1, &joined).succeeded());
    refused(&send(&mut net, 1, &call), &IOPG::AuthorizationUsedOrCanceled { authorizer: from, nonce });
}

#[test]
fn a_canceled_authorization_is_worth_nothing() {
    let mut net = net();
    let (authorizer, nonce) = (address(0), B256::repeat_byte(4));
    let (v, r, s) = parts(0, &CancelAuthorization { authorizer, nonce });
    let foreign = IOPG::cancelAuthorization_0Call { authorizer: address(2), nonce, v, r, s };
    assert_eq!(send(&mut net, 6, &foreign).output[..4], IOPG::InvalidSigner::SELECTOR);
    let signature = Bytes::from([r.as_slice(), s.as_slice(), &[v]].concat());
    let receipt = send(&mut net, 6, &IOPG::cancelAuthorization_1Call { authorizer, nonce, signature });
    assert_eq!(receipt.logs()[0].data, IOPG::AuthorizationCanceled { authorizer, nonce }.encode_log_data());
    let again = send(&mut net, 6, &IOPG::cancelAuthorization_0Call { authorizer, nonce, v, r, s });
    refused(&again, &IOPG::AuthorizationUsedOrCanceled { authorizer, nonce });
    refused(
        &send(&mut net, 6, &authorized(0, 4, (0, 5_000))),
        &IOPG::AuthorizationUsedOrCanceled { authorizer, nonce },
    );
}

#[test]
fn what_comes_free_is_given_out_with_a_transfer_and_to_nobody_who_could_not_get_one() {
    let code = Bytes::from_static(evm::modules::CODE);
    let locked = GenesisAccount { balance: U256::from(7), nonce: 1, code, ..GenesisAccount::default() };
    let accounts = [(LOCKED, locked)].into();
    let mut net = Net::of(&Genesis { timestamp: 1_000, accounts, ..Genesis::default() });
    let to = address(2);
    let short = IOPG::ERC20InsufficientBalance { sender: LOCKED, balance: U256::from(7), needed: U256::from(8) };
    common::system_refused(net.system(&opg::Release { to, coins: 8 }), &short);
    for nobodys in ALL.iter().map(|module| module.address).chain([LOCKED, Address::ZERO]) {
        let lost = IOPG::ERC20InvalidReceiver { receiver: nobodys };
        common::system_refused(net.system(&opg::Release { to: nobodys, coins: 1 }), &lost);
    }
    let (_, logs) = net.system(&opg::Release { to, coins: 5 }).unwrap();
    assert_eq!((net.balance(LOCKED), net.balance(to)), (U256::from(2), U256::from(5)));
    let told = common::event::<IOPG::Transfer>(&logs);
    assert_eq!((logs[0].address, told.from, told.to, told.value), (opg::ADDRESS, LOCKED, to, U256::from(5)));
}

#[test]
fn the_table_has_a_row_for_every_function_of_the_interface() {
    common::table_is_whole(&opg::MODULE, include_str!("../../../contracts/IOPG.sol"));
}

#[test]
fn the_known_type_hashes_are_used() {
    let transfer = TransferWithAuthorization::eip712_encode_type();
    let known = b256!("7c7c6cdb67a18743f49ec6fa9b35f50d52ed05cbed4cc592e13b44501c1a2267");
    assert_eq!(keccak256(transfer.as_bytes()), known);
}
