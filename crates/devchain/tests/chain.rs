//! Blocks at once, what is acknowledged stays, and what the pool refuses.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod started;

use std::time::Duration;

use alloy_primitives::{Address, B256, U256};
use devchain::OpenError;
use evm::{Bounds, Genesis, Refusal, StateRead};
use rpc::{ChainNode as _, Event, NodeError, SubmitError};
use started::{BURNER, GWEI, Started, Wanted, config, key, transfer};
use storage::{Change, Store};

fn balance(started: &Started, block: u64, address: Address) -> U256 {
    let account = started.chain.state(block).unwrap().account(&address).unwrap();
    account.unwrap_or_default().balance
}

/// What a transaction found and did.
fn trace(started: &Started, hash: B256) -> String {
    let (chain, place) = (&started.chain, started.chain.place_of(&hash).unwrap().unwrap());
    let (block, parent) = (chain.block(place.block).unwrap().unwrap(), chain.header(place.block - 1).unwrap().unwrap());
    let (before, wanted) = (chain.state_before(place.block).unwrap(), || true);
    let (tracer, bounds) = (r#"{"tracer": "prestateTracer"}"#, Bounds { gas: 30_000_000, wanted: &wanted });
    let options = serde_json::from_str(tracer).unwrap();
    let on = (parent.inner(), &*before as &dyn StateRead);
    let traced = evm::trace_transaction(chain.chain(), on, &block, place.index, options, &bounds).unwrap();
    format!("{traced:?}")
}

#[tokio::test]
async fn an_acknowledged_transaction_is_in_a_block() {
    let folder = tempfile::tempdir().unwrap();
    let started = Started::at(folder.path()).await;
    let mut events = started.chain.events();
    let transaction = transfer(0, 0).signed();
    let hash = transaction.hash();
    started.send(transaction).await.unwrap();
    let place = started.chain.place_of(&hash).unwrap().unwrap();
    assert_eq!((place.block, place.index, started.chain.head()), (1, 0, 1));
    let block = started.chain.block(1).unwrap().unwrap();
    assert!(block.receipts.first().unwrap().succeeded());
    assert_eq!(balance(&started, 1, Address::repeat_byte(0x77)), U256::from(5));
    assert_eq!(balance(&started, 0, Address::repeat_byte(0x77)), U256::ZERO);
    assert!(matches!(events.try_recv(), Ok(Event::Waiting(waiting)) if waiting.hash() == hash));
    assert!(matches!(events.try_recv(), Ok(Event::Block(told)) if told.header == block.header));
}

#[tokio::test]
async fn what_waits_for_a_nonce_goes_in_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let started = Started::at(folder.path()).await;
    let sender = key(0).address;
    started.send(transfer(0, 2).signed()).await.unwrap();
    started.send(transfer(0, 1).signed()).await.unwrap();
    assert_eq!((started.chain.head(), started.chain.nonce_after_waiting(&sender)), (0, None));
    assert_eq!(started.chain.all_waiting().len(), 2);
    started.send(transfer(0, 0).signed()).await.unwrap();
    assert_eq!(started.chain.block(1).unwrap().unwrap().transactions.len(), 3);
    assert!(started.chain.all_waiting().is_empty());
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let started = Started::at(folder.path()).await;
    let burnt = Wanted { to: BURNER, gas: 50_000, ..transfer(1, 0) }.signed();
    let burnt_hash = burnt.hash();
    let mut traced = Vec::new();
    for transaction in (0..6).map(|nonce| transfer(0, nonce).signed()).chain([burnt]) {
        let hash = transaction.hash();
        started.send(transaction).await.unwrap();
        traced.push((hash, trace(&started, hash)));
    }
    let is_as_when_fresh = |started: &Started| traced.iter().all(|(hash, fresh)| trace(started, *hash) == *fresh);
    assert!(is_as_when_fresh(&started));
    let gapped = transfer(2, 3).signed();
    let gapped_hash = gapped.hash();
    started.send(gapped).await.unwrap();
    let before: Vec<_> = (0..=7).map(|number| started.chain.block(number).unwrap().unwrap()).collect();
    let root = before.last().unwrap().header.state_root;
    started.stop().await;

    let started = Started::at(folder.path()).await;
    assert_eq!(started.chain.head(), 7);
    for block in &before {
        let kept = started.chain.block(block.header.number).unwrap().unwrap();
        assert_eq!(kept.header, block.header);
        assert_eq!(kept.transactions, block.transactions);
        let envelopes = |block: &evm::Block| {
            block
                .receipts
                .iter()
                .map(|one| (one.envelope.clone(), one.gas_used, one.effective_gas_price))
                .collect::<Vec<_>>()
        };
        assert_eq!(envelopes(&kept), envelopes(block));
    }
    let place = started.chain.place_of(&burnt_hash).unwrap().unwrap();
    assert!(!started.chain.block(place.block).unwrap().unwrap().receipts[place.index].succeeded());
    // States of the past come from what blocks overwrote.
    assert_eq!(balance(&started, 7, Address::repeat_byte(0x77)), U256::from(30));
    for block in 0..7 {
        assert_eq!(balance(&started, block, Address::repeat_byte(0x77)), U256::from(5 * block.min(6)));
    }
    assert!(is_as_when_fresh(&started));
    assert!(started.chain.waiting(&gapped_hash).is_some());
    started.send(transfer(0, 6).signed()).await.unwrap();
    assert_ne!(started.chain.header(8).unwrap().unwrap().state_root, root);
}

#[tokio::test]
async fn a_replacement_must_offer_a_tenth_more() {
    let folder = tempfile::tempdir().unwrap();
    let started = Started::at(folder.path()).await;
    let first = Wanted { fee: 10 * GWEI, tip: 10, ..transfer(0, 1) };
    started.send(first.signed()).await.unwrap();
    assert_eq!(started.send(first.signed()).await, Err(SubmitError::AlreadyKnown));
    let little = Wanted { fee: 11 * GWEI, tip: 10, ..first };
    assert!(matches!(started.send(little.signed()).await, Err(SubmitError::Underpriced { .. })));
    let enough = Wanted { fee: 11 * GWEI, tip: 11, ..first };
    started.send(enough.signed()).await.unwrap();
    assert_eq!(started.chain.all_waiting().len(), 1);
    started.send(transfer(0, 0).signed()).await.unwrap();
    assert!(started.chain.place_of(&enough.signed().hash()).unwrap().is_some());
    assert_eq!(started.send(enough.signed()).await, Err(SubmitError::AlreadyKnown));
}

#[tokio::test]
async fn what_cannot_be_executed_is_refused_in_words_that_clients_know() {
    let folder = tempfile::tempdir().unwrap();
    let started = Started::at(folder.path()).await;
    started.send(transfer(0, 0).signed()).await.unwrap();
    let cases = [
        (Wanted { value: 6, ..transfer(0, 0) }, "nonce too low"),
        (transfer(0, 9), "nonce too high"),
        (Wanted { fee: 1, tip: 1, ..transfer(0, 1) }, "max fee per gas less than block base fee"),
        (Wanted { value: u64::MAX, ..transfer(1, 0) }, ""),
        (Wanted { fee: u128::MAX >> 30, ..transfer(3, 0) }, "insufficient funds for gas * price + value"),
    ];
    for (wanted, words) in cases {
        let sent = started.send(wanted.signed()).await;
        match words {
            "" => sent.unwrap(),
            words => assert!(sent.as_ref().unwrap_err().to_string().starts_with(words), "{words}: {sent:?}"),
        }
    }
    // Together, a sender's transactions must be payable.
    let half = |nonce| Wanted { fee: 3_000_000 * GWEI, ..transfer(3, nonce) };
    started.send(half(1).signed()).await.unwrap();
    let second = started.send(half(2).signed()).await;
    assert!(matches!(second, Err(SubmitError::Refused(Refusal::InsufficientFunds { .. }))), "{second:?}");
}

#[tokio::test]
async fn the_pool_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let started = Started::at(folder.path()).await;
    for sender in [0, 1] {
        for nonce in 1..8 {
            started.send(transfer(sender, nonce).signed()).await.unwrap();
        }
    }
    started.send(transfer(2, 1).signed()).await.unwrap();
    started.send(transfer(2, 2).signed()).await.unwrap();
    let refused = started.send(transfer(2, 3).signed()).await;
    assert_eq!(
        refused,
        Err(SubmitError::Full("16 transactions wait; hint: send what comes before it first".to_owned()))
    );
}

#[tokio::test]
async fn what_is_offered_too_little_waits_until_empty_blocks_lowered_the_base_fee() {
    let folder = tempfile::tempdir().unwrap();
    let started = Started::at(folder.path()).await;
    let base_fee = u128::from(started.chain.header(0).unwrap().unwrap().base_fee_per_gas.unwrap());
    let held = Wanted { fee: base_fee, tip: 0, ..transfer(0, 1) };
    started.send(held.signed()).await.unwrap();
    for nonce in [0, 1] {
        let burnt = Wanted { to: BURNER, gas: 29_000_000, fee: 9 * GWEI, ..transfer(1, nonce) };
        started.send(burnt.signed()).await.unwrap();
    }
    started.send(Wanted { fee: 9 * GWEI, ..transfer(0, 0) }.signed()).await.unwrap();
    let hash = held.signed().hash();
    for _ in 0..100 {
        if started.chain.place_of(&hash).unwrap().is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it never got in");
}

#[tokio::test]
async fn another_genesis_and_a_changed_state_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let started = Started::at(folder.path()).await;
    started.send(transfer(0, 0).signed()).await.unwrap();
    started.stop().await;
    let genesis = Genesis { timestamp: 1_001, ..config(folder.path()).genesis };
    let other = Started::with(devchain::Config { genesis, ..config(folder.path()) }).await;
    assert!(matches!(other.err().unwrap(), OpenError::OtherGenesis { .. }));
    tokio::time::sleep(Duration::from_millis(200)).await;
    {
        let store = Store::open(&folder.path().join("chain.redb"), &["accounts"]).unwrap();
        let mut account = vec![0; 72];
        account[39] = 1;
        store.commit(vec![Change::put("accounts", Address::repeat_byte(0x99).to_vec(), account)]).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let changed = Started::with(config(folder.path())).await;
    assert!(matches!(changed.err().unwrap(), OpenError::Root { number: 1, .. }));
}

#[tokio::test]
async fn a_broken_file_is_told_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let started = Started::at(folder.path()).await;
    started.send(transfer(0, 0).signed()).await.unwrap();
    started.stop().await;
    let path = folder.path().join("chain.redb");
    for table in ["headers", "bodies", "old-span", "accounts", "waiting"] {
        let (key, value) = {
            let store = Store::open(&path, &[table]).unwrap();
            let entry = store.last(table).unwrap().unwrap_or_else(|| (vec![0; 32], vec![0; 40]));
            let cut = entry.1.len() / 2;
            store.commit(vec![Change::put(table, entry.0.clone(), &entry.1[..cut])]).await.unwrap();
            entry
        };
        tokio::time::sleep(Duration::from_millis(200)).await;
        let broken = Started::with(config(folder.path())).await;
        assert!(matches!(broken.err(), Some(OpenError::Node(NodeError::Read(_)))), "{table}");
        tokio::time::sleep(Duration::from_millis(200)).await;
        let store = Store::open(&path, &[table]).unwrap();
        let mended = if table == "waiting" { Change::remove(table, key) } else { Change::put(table, key, value) };
        store.commit(vec![mended]).await.unwrap();
        drop(store);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(Started::at(folder.path()).await.chain.head(), 1);
}
