//! What waits here and on the disk, and where the disk has no room.

use std::sync::atomic::Ordering;

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use k256::ecdsa::SigningKey;
use ledger::{GenesisWallet, Ledger, OPG};
use protocol::List;

use super::*;
use crate::story;

fn key() -> SigningKey {
    SigningKey::from_slice(&[7; 32]).unwrap()
}

/// A network's beginning in which one wallet has coins.
pub(crate) fn with_wallet(genesis: ledger::Genesis) -> ledger::Genesis {
    let address = EvmAddress(Address::from_public_key(key().verifying_key()).into_array());
    let wallets = List::new(vec![GenesisWallet { address, balance: 1_000 * OPG }]).unwrap();
    ledger::Genesis { wallets, ..genesis }
}

fn begun(folder: &tempfile::TempDir) -> Ethereum {
    let ledger = Ledger::new(&with_wallet(story::genesis())).unwrap();
    let block = block_of(ledger.evm(), None).unwrap().unwrap();
    let store = storage::Store::open(&folder.path().join("blocks.redb"), Index::TABLES).unwrap();
    let index = Index::new(store, ledger.chain());
    index.store().commit_blocking(Index::put(&block)).unwrap();
    let (waiting, _) = Waiting::open(folder.path()).unwrap();
    Ethereum::new(ledger.chain(), ledger.evm(), block, Some(index), None, Arc::new(waiting)).unwrap()
}

/// By that wallet.
pub(crate) fn payment(ethereum: &Ethereum, nonce: u64, tip: u128) -> Arc<Transaction> {
    let chain = ethereum.view.chain();
    let unsigned = TxEip1559 {
        chain_id: chain.id,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000_000_000 + tip,
        max_priority_fee_per_gas: tip,
        to: TxKind::Call(Address::repeat_byte(0x77)),
        value: U256::from(1),
        access_list: Default::default(),
        input: Bytes::new(),
    };
    let signature = key().sign_prehash_recoverable(unsigned.signature_hash().as_slice()).unwrap();
    let envelope = TxEnvelope::from(unsigned.into_signed(Signature::from(signature)));
    Arc::new(Transaction::from_envelope(envelope, chain).unwrap())
}

/// What a restart would find waiting.
fn on_disk(ethereum: &Ethereum) -> Vec<Hash> {
    ethereum.waiting.on_disk().into_iter().map(Hash::from).collect()
}

fn waits(ethereum: &Ethereum, transaction: &Transaction) -> bool {
    ethereum.view.live().pool.get(&transaction.hash()).is_some()
}

#[test]
fn everything_is_done_once_on_any_number_of_threads() {
    for count in [0, 1, ALONE - 1, ALONE, 1_000] {
        let mut items: Vec<usize> = (0..count).collect();
        on_all_cores(&mut items, |item| *item += 1);
        assert!(items.into_iter().eq(1..=count));
    }
}

#[test]
fn what_was_acknowledged_stays_where_what_would_replace_it_finds_no_room_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let ethereum = begun(&folder);
    let (acknowledged, dearer) = (payment(&ethereum, 0, 1_000_000_000), payment(&ethereum, 0, 20_000_000_000));
    let _durable = ethereum.admit_durably(&acknowledged).unwrap().unwrap();
    assert_eq!(ethereum.admit_to(&dearer, |_| None::<()>), Err(SubmitError::Full("the disk is behind".to_owned())));
    assert!(waits(&ethereum, &acknowledged) && !waits(&ethereum, &dearer));
    assert_eq!(on_disk(&ethereum), [acknowledged.hash()]);
    // Its mark is kept as well: once it does go, the disk is told.
    let _durable = ethereum.admit_durably(&dearer).unwrap().unwrap();
    assert!(!waits(&ethereum, &acknowledged) && waits(&ethereum, &dearer));
    assert_eq!(on_disk(&ethereum), [dearer.hash()]);
}

#[test]
fn what_another_node_shows_in_its_place_takes_it_from_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let ethereum = begun(&folder);
    let (acknowledged, dearer) = (payment(&ethereum, 0, 1_000_000_000), payment(&ethereum, 0, 20_000_000_000));
    let _durable = ethereum.admit_durably(&acknowledged).unwrap().unwrap();
    ethereum.admit(&dearer).unwrap();
    assert!(on_disk(&ethereum).is_empty());
}

#[test]
fn what_waited_before_a_restart_is_admitted_once_and_what_was_executed_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let ethereum = begun(&folder);
    let found = payment(&ethereum, 1, 1_000_000_000);
    ethereum.admit_again(&found).unwrap();
    assert!(waits(&ethereum, &found));
    assert_eq!(ethereum.admit_again(&found), Err(SubmitError::AlreadyKnown));
}

#[test]
fn what_another_node_showed_is_kept_once_somebody_asks_and_what_waits_no_more_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let ethereum = begun(&folder);
    let shown = payment(&ethereum, 0, 1_000_000_000);
    assert!(ethereum.keep(&shown).unwrap().is_none(), "nobody showed it");
    ethereum.admit(&shown).unwrap();
    assert!(matches!(ethereum.admit_durably(&shown), Err(SubmitError::AlreadyKnown)));
    assert!(on_disk(&ethereum).is_empty());
    ethereum.waiting.is_full.store(true, Ordering::Relaxed);
    assert!(matches!(ethereum.keep(&shown), Err(SubmitError::Full(_))));
    ethereum.waiting.is_full.store(false, Ordering::Relaxed);
    assert!(ethereum.keep(&shown).unwrap().is_some());
    assert_eq!(on_disk(&ethereum), [shown.hash()]);
}

#[test]
fn what_another_node_shows_is_read_only_where_it_is_not_known() {
    let folder = tempfile::tempdir().unwrap();
    let ethereum = begun(&folder);
    let (known, unknown) = (payment(&ethereum, 0, 1_000_000_000), payment(&ethereum, 1, 1_000_000_000));
    ethereum.admit(&known).unwrap();
    let read = ethereum.read_unknown(&[known.raw(), unknown.raw(), b"nothing"]);
    assert!(matches!(&read[..], [Ordered::Ethereum(read), Ordered::Unreadable(_)] if read.hash() == unknown.hash()));
}
