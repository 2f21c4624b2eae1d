//! Bytes become a transaction of this chain, or a refusal by name.
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod common;

use alloy_consensus::{TxEip1559, TxEip2930, TxEip4844, TxEip4844Variant, TxEip7702, TxEnvelope, TxLegacy};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{Address, Bytes, TxKind, U256};
use common::{CHAIN, OPG, address, plain, sign, sign_digest};
use evm::{Account, Code, Refusal, TRANSACTION_BYTES_MAX, Transaction};
use proptest::prelude::*;

fn decode(raw: &[u8]) -> Result<Transaction, Refusal> {
    Transaction::decode(raw, &CHAIN)
}

fn raw(envelope: &TxEnvelope) -> Vec<u8> {
    envelope.encoded_2718()
}

fn changed(change: impl FnOnce(&mut TxEip1559)) -> Result<Transaction, Refusal> {
    let mut unsigned = plain(address(2), 0);
    change(&mut unsigned);
    decode(&raw(&sign(1, unsigned)))
}

fn legacy(chain_id: Option<u64>) -> TxLegacy {
    TxLegacy { chain_id, gas_price: 10, gas_limit: 21_000, to: TxKind::Call(address(2)), ..TxLegacy::default() }
}

fn set_code() -> TxEip7702 {
    let authorization = Authorization { chain_id: U256::from(CHAIN.id), address: address(3), nonce: 0 };
    let signature = sign_digest(4, authorization.signature_hash());
    TxEip7702 {
        chain_id: CHAIN.id,
        gas_limit: 100_000,
        max_fee_per_gas: 10,
        to: address(2),
        authorization_list: vec![authorization.into_signed(signature)],
        ..TxEip7702::default()
    }
}

#[test]
fn every_kind_but_blobs_is_read_with_its_sender() {
    let listed = TxEip2930 { chain_id: CHAIN.id, gas_limit: 21_000, gas_price: 10, ..TxEip2930::default() };
    let listed = TxEip2930 { to: TxKind::Call(address(2)), ..listed };
    let kinds = [sign(1, legacy(Some(CHAIN.id))), sign(1, listed), sign(1, plain(address(2), 0)), sign(1, set_code())];
    for envelope in kinds {
        let bytes = raw(&envelope);
        let transaction = decode(&bytes).unwrap();
        assert_eq!(transaction.sender(), address(1));
        assert_eq!(transaction.raw(), &Bytes::from(bytes));
        assert_eq!(transaction.hash(), *envelope.tx_hash());
    }
}

#[test]
fn blobs_are_refused_by_name_and_so_are_unknown_kinds() {
    let blob =
        TxEip4844 { chain_id: CHAIN.id, blob_versioned_hashes: vec![Default::default()], ..TxEip4844::default() };
    let blob = sign::<TxEip4844Variant>(1, blob.into());
    assert_eq!(decode(&raw(&blob)), Err(Refusal::Blob));
    assert_eq!(Transaction::from_envelope(blob, &CHAIN), Err(Refusal::Blob));
    assert_eq!(decode(&[0x05, 0xc0]), Err(Refusal::UnknownType(5)));
    assert_eq!(decode(&[0x7f]), Err(Refusal::UnknownType(0x7f)));
}

#[test]
fn only_this_chain_is_accepted() {
    let found = changed(|unsigned| unsigned.chain_id = 1);
    assert_eq!(found, Err(Refusal::WrongChain { found: 1, expected: CHAIN.id }));
    assert_eq!(decode(&raw(&sign(1, legacy(None)))), Err(Refusal::NoChainId { expected: CHAIN.id }));
}

#[test]
fn bytes_must_be_one_transaction_and_no_more() {
    let bytes = raw(&sign(1, plain(address(2), 0)));
    assert!(matches!(decode(&[]), Err(Refusal::Malformed(_))));
    assert!(matches!(decode(&[bytes.as_slice(), &[0]].concat()), Err(Refusal::Malformed(_))));
    assert!(matches!(decode(&bytes[..bytes.len() - 1]), Err(Refusal::Malformed(_))));
    let size = TRANSACTION_BYTES_MAX + 1;
    assert_eq!(decode(&vec![2; size]), Err(Refusal::TooLarge { size, max: TRANSACTION_BYTES_MAX }));
    let large = plain(address(2), 0);
    let large = TxEip1559 { input: vec![0; TRANSACTION_BYTES_MAX].into(), gas_limit: 30_000_000, ..large };
    assert!(matches!(Transaction::from_envelope(sign(1, large), &CHAIN), Err(Refusal::TooLarge { .. })));
}

#[test]
fn what_no_state_could_make_valid_is_refused_at_once() {
    assert_eq!(changed(|u| u.gas_limit = 20_999), Err(Refusal::IntrinsicGas { gas: 20_999, needed: 21_000 }));
    let floor = changed(|u| (u.input, u.gas_limit) = (vec![1; 1000].into(), 40_000));
    assert_eq!(floor, Err(Refusal::FloorGas { gas: 40_000, needed: 61_000 }));
    let limit = CHAIN.gas_limit;
    assert_eq!(changed(|u| u.gas_limit = limit + 1), Err(Refusal::GasLimit { gas: limit + 1, limit }));
    assert_eq!(changed(|u| u.max_priority_fee_per_gas = u.max_fee_per_gas + 1), Err(Refusal::TipAboveFee));
    assert_eq!(changed(|u| u.nonce = u64::MAX), Err(Refusal::NonceMax));
    let initcode = changed(|u| (u.to, u.input, u.gas_limit) = (TxKind::Create, vec![0; 49_153].into(), 10_000_000));
    assert_eq!(initcode, Err(Refusal::InitcodeSize { size: 49_153 }));
    let nobody = TxEip7702 { authorization_list: Vec::new(), ..set_code() };
    assert_eq!(decode(&raw(&sign(1, nobody))), Err(Refusal::NoAuthorizations));
}

#[test]
fn a_whole_block_of_gas_may_be_asked_for() {
    assert!(changed(|u| u.gas_limit = 30_000_000).is_ok());
}

#[test]
fn the_other_form_of_a_signature_is_no_signature() {
    let TxEnvelope::Eip1559(signed) = sign(1, plain(address(2), 0)) else { unreachable!("that is its kind") };
    let order: U256 = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141".parse().unwrap();
    let other = alloy_primitives::Signature::new(
        signed.signature().r(),
        order - signed.signature().s(),
        !signed.signature().v(),
    );
    let other: TxEnvelope = alloy_consensus::Signed::new_unhashed(signed.tx().clone(), other).into();
    assert_eq!(decode(&raw(&other)), Err(Refusal::BadSignature));
}

#[test]
fn a_pool_asks_about_the_sender() {
    let transaction = Transaction::from_envelope(sign(1, plain(address(2), 5)), &CHAIN).unwrap();
    let cost = U256::from(1_000_000_u64) * U256::from(10_000_000_000_u64);
    assert_eq!(transaction.cost_max(), Some(cost));
    let rich = Account { nonce: 5, balance: OPG, ..Account::default() };
    assert_eq!(transaction.check_sender(Some(&rich), None), Ok(()));
    assert_eq!(transaction.check_sender(Some(&Account { nonce: 1, ..rich }), None), Ok(()));
    let past = transaction.check_sender(Some(&Account { nonce: 6, ..rich }), None);
    assert_eq!(past, Err(Refusal::NonceTooLow { found: 5, expected: 6 }));
    assert_eq!(transaction.check_sender(None, None), Err(Refusal::InsufficientFunds { balance: U256::ZERO, cost }));
    let code = Code::new_raw(vec![0].into());
    let contract = Account { code_hash: code.hash_slow(), ..rich };
    assert_eq!(transaction.check_sender(Some(&contract), Some(&code)), Err(Refusal::SenderHasCode));
    let delegated = Code::new_eip7702(Address::ZERO);
    let delegate = Account { code_hash: delegated.hash_slow(), ..rich };
    assert_eq!(transaction.check_sender(Some(&delegate), Some(&delegated)), Ok(()));
    let dear = sign(1, TxEip1559 { value: U256::MAX, ..plain(address(2), 5) });
    let dear = Transaction::from_envelope(dear, &CHAIN).unwrap();
    assert_eq!(dear.check_sender(Some(&rich), None), Err(Refusal::CostOverflow));
}

#[test]
fn refusals_speak_as_clients_expect() {
    let words = |refusal: Refusal| refusal.to_string();
    assert!(words(Refusal::NonceTooLow { found: 1, expected: 2 }).starts_with("nonce too low"));
    assert!(words(Refusal::NonceTooHigh { found: 3, expected: 2 }).starts_with("nonce too high"));
    let funds = words(Refusal::InsufficientFunds { balance: U256::ZERO, cost: U256::ONE });
    assert!(funds.starts_with("insufficient funds for gas * price + value"));
    assert!(words(Refusal::IntrinsicGas { gas: 1, needed: 2 }).starts_with("intrinsic gas too low"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let _read = decode(&noise);
    }

    #[test]
    fn a_changed_byte_is_refused_or_another_transaction(at in any::<prop::sample::Index>(), flip in 1_u8..=255) {
        for envelope in [sign(1, plain(address(2), 0)), sign(1, legacy(Some(CHAIN.id))), sign(1, set_code())] {
            let mut bytes = raw(&envelope);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(read) = decode(&bytes) {
                prop_assert_eq!(&read.envelope().encoded_2718(), &bytes);
                prop_assert_ne!(read.hash(), *envelope.tx_hash());
            }
        }
    }
}
