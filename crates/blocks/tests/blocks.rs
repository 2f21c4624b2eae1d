//! Blocks and waiting transactions from outside: what is found where, what a proposal gets, what is forgotten.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, B256, Bytes, Log, Signature, TxKind, U256};
use blocks::{Index, Keep, Live, NativeOutcome, Pool, PoolLimits, Recent, Room, View, waiting};
use evm::{Block, BlockBuilder, Chain, Genesis, GenesisAccount, NextBlock, Transaction, World};
use k256::ecdsa::SigningKey;
use rpc::{LogKey, NodeError, SubmitError};
use storage::Store;

const CHAIN: Chain = Chain::network(77);
const GWEI: u128 = 1_000_000_000;
const WIDE: Room = Room { base_fee: 1, gas: u64::MAX, transactions: usize::MAX, bytes: usize::MAX };

fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

fn address(seed: u8) -> Address {
    Address::from_public_key(key(seed).verifying_key())
}

/// A payment of one wei, with so many gwei as tip.
fn payment(from: u8, nonce: u64, tip: u128) -> Arc<Transaction> {
    limited(from, nonce, tip, 21_000)
}

fn limited(from: u8, nonce: u64, tip: u128, gas_limit: u64) -> Arc<Transaction> {
    let unsigned = TxEip1559 {
        chain_id: CHAIN.id,
        nonce,
        gas_limit,
        max_fee_per_gas: (tip + 2) * GWEI,
        max_priority_fee_per_gas: tip * GWEI,
        to: TxKind::Call(Address::repeat_byte(0x77)),
        value: U256::from(1),
        access_list: Default::default(),
        input: Bytes::new(),
    };
    let signature = key(from).sign_prehash_recoverable(unsigned.signature_hash().as_slice()).unwrap();
    let envelope = TxEnvelope::from(unsigned.into_signed(Signature::from(signature)));
    Arc::new(Transaction::from_envelope(envelope, &CHAIN).unwrap())
}

fn begin() -> Recent {
    let mut genesis = Genesis::default();
    for seed in 1..=3 {
        let balance = U256::from(1_000_000) * U256::from(GWEI);
        genesis.accounts.insert(address(seed), GenesisAccount { balance, ..GenesisAccount::default() });
    }
    let (world, header) = genesis.build(&CHAIN).unwrap();
    let block = Arc::new(Block { header, transactions: Vec::new(), receipts: Vec::new() });
    Recent { block, before: World::default(), world }
}

/// The block after another, of these transactions.
fn after(parent: &Recent, transactions: &[Arc<Transaction>]) -> Recent {
    let next = NextBlock { beneficiary: Address::repeat_byte(0xbe), ..NextBlock::default() };
    let mut builder = BlockBuilder::begin(&CHAIN, parent.block.header.inner(), &parent.world, &next).unwrap();
    for transaction in transactions {
        builder.push((**transaction).clone()).unwrap();
    }
    let done = builder.finish();
    let mut world = parent.world.clone();
    let root = world.apply(&done.changes).unwrap();
    Recent { block: Arc::new(done.seal(root).0), before: parent.world.clone(), world }
}

/// The block after another, with these logs of the ledger's own.
fn noting(parent: &Recent, logs: Vec<Log>) -> Recent {
    let next = NextBlock { beneficiary: Address::repeat_byte(0xbe), ..NextBlock::default() };
    let mut builder = BlockBuilder::begin(&CHAIN, parent.block.header.inner(), &parent.world, &next).unwrap();
    builder.note(logs);
    let done = builder.finish();
    let mut world = parent.world.clone();
    let root = world.apply(&done.changes).unwrap();
    Recent { block: Arc::new(done.seal(root).0), before: parent.world.clone(), world }
}

fn live(limits: PoolLimits) -> Live {
    Live::new([begin()], Pool::new(limits))
}

fn hashes(transactions: &[Arc<Transaction>]) -> Vec<B256> {
    transactions.iter().map(|transaction| transaction.hash()).collect()
}

fn ready(live: &Live, room: Room, promised: &[Arc<Transaction>]) -> Vec<B256> {
    let promised = live.pool.promised([hashes(promised)], room.gas);
    hashes(&live.pool.ready(|sender| live.nonce(sender), room, &promised))
}

#[test]
fn a_proposal_takes_the_best_paid_first_and_each_senders_in_order() {
    let mut live = live(PoolLimits::default());
    let (cheap, dear, later) = (payment(1, 0, 1), payment(2, 0, 5), payment(1, 1, 9));
    for transaction in [&later, &cheap, &dear] {
        live.admit(transaction).unwrap();
    }
    assert_eq!(ready(&live, WIDE, &[]), hashes(&[dear.clone(), cheap.clone(), later.clone()]));
    assert_eq!(ready(&live, Room { transactions: 2, ..WIDE }, &[]), hashes(&[dear.clone(), cheap.clone()]));
    assert_eq!(ready(&live, Room { gas: 21_000, ..WIDE }, &[]), hashes(std::slice::from_ref(&dear)));
    let bytes = dear.raw().len() + 5;
    assert_eq!(ready(&live, Room { bytes, ..WIDE }, &[]), hashes(std::slice::from_ref(&dear)));
    assert!(ready(&live, Room { bytes: 100, ..WIDE }, &[]).is_empty());
    assert!(ready(&live, Room { base_fee: u64::MAX, ..WIDE }, &[]).is_empty());
}

#[test]
fn what_an_unfinalized_block_holds_is_not_given_again_but_what_follows_it_is() {
    let mut live = live(PoolLimits::default());
    let (first, second) = (payment(1, 0, 1), payment(1, 1, 1));
    live.admit(&first).unwrap();
    live.admit(&second).unwrap();
    assert_eq!(ready(&live, WIDE, std::slice::from_ref(&first)), hashes(std::slice::from_ref(&second)));
    assert!(ready(&live, WIDE, &[first, second]).is_empty());
}

#[test]
fn a_block_takes_what_it_holds_and_what_its_senders_have_passed_out_of_the_pool() {
    let mut live = live(PoolLimits::default());
    let (rival, executed, next) = (payment(1, 0, 1), payment(1, 0, 3), payment(1, 1, 1));
    live.admit(&rival).unwrap();
    live.admit(&next).unwrap();
    let parent = live.newest().unwrap().clone();
    assert_eq!(live.push(after(&parent, std::slice::from_ref(&executed))), hashes(std::slice::from_ref(&rival)));
    assert_eq!(ready(&live, WIDE, &[]), hashes(std::slice::from_ref(&next)));
    assert!(live.knows(&executed.hash()) && live.knows(&next.hash()) && !live.knows(&rival.hash()));
    assert_eq!(live.admit(&executed), Err(SubmitError::AlreadyKnown));
    assert!(matches!(live.admit(&payment(1, 0, 9)), Err(SubmitError::Refused(evm::Refusal::NonceTooLow { .. }))));
}

#[test]
fn a_replacement_offers_a_tenth_more_and_its_means_are_counted_once() {
    let mut live = live(PoolLimits { per_sender: 2, ..PoolLimits::default() });
    live.admit(&payment(1, 0, 10)).unwrap();
    assert!(matches!(live.admit(&payment(1, 0, 10)), Err(SubmitError::AlreadyKnown)));
    assert!(matches!(live.admit(&payment(1, 0, 9)), Err(SubmitError::Underpriced { .. })));
    let better = payment(1, 0, 12);
    assert_eq!(hashes(&live.admit(&better).unwrap()), hashes(&[payment(1, 0, 10)]));
    live.admit(&payment(1, 1, 12)).unwrap();
    assert!(matches!(live.admit(&payment(1, 2, 12)), Err(SubmitError::Refused(evm::Refusal::NonceTooHigh { .. }))));
    // 21,000 gas at 30 gwei and more: the second is more than a million gwei with the first.
    let mut poor = self::live(PoolLimits::default());
    poor.admit(&payment(1, 0, 28)).unwrap();
    assert!(matches!(
        poor.admit(&payment(1, 1, 28)),
        Err(SubmitError::Refused(evm::Refusal::InsufficientFunds { .. }))
    ));
    poor.admit(&payment(1, 0, 40)).unwrap();
}

#[test]
fn a_full_pool_says_so() {
    let mut live = live(PoolLimits { transactions: 1, ..PoolLimits::default() });
    live.admit(&payment(1, 0, 1)).unwrap();
    let refused = live.admit(&payment(2, 0, 1)).unwrap_err();
    assert_eq!(refused.to_string(), "txpool is full: 1 transactions wait; hint: offer a higher tip");
}

#[test]
fn a_full_pool_takes_what_a_block_could_hold_for_what_waits_behind_a_gap_and_then_for_what_offers_less() {
    let mut live = live(PoolLimits { transactions: 2, ..PoolLimits::default() });
    // Neither can be in a block: nobody sends what comes before them.
    let idle = [payment(1, 1, 9), payment(2, 3, 9)];
    idle.iter().for_each(|idle| assert!(live.admit(idle).unwrap().is_empty()));
    let refused = live.admit(&payment(3, 1, 9)).unwrap_err();
    assert_eq!(refused.to_string(), "txpool is full: 2 transactions wait; hint: send what comes before it first");
    let (cheap, dear) = (payment(3, 0, 1), payment(2, 0, 2));
    assert_eq!(live.admit(&cheap).unwrap().len(), 1);
    assert_eq!(live.admit(&dear).unwrap().len(), 1);
    assert_eq!(ready(&live, WIDE, &[]), hashes(&[dear.clone(), cheap.clone()]));
    // Both could be in a block: only a better offer counts now.
    assert!(matches!(live.admit(&payment(1, 0, 1)), Err(SubmitError::Full(_))));
    let dearest = payment(1, 0, 3);
    assert_eq!(hashes(&live.admit(&dearest).unwrap()), hashes(&[cheap]));
    // What a block took is no longer in the way, and a sender's own are never pushed out by it.
    let parent = live.newest().unwrap().clone();
    live.push(after(&parent, std::slice::from_ref(&dearest)));
    live.admit(&payment(2, 1, 9)).unwrap();
    assert!(matches!(live.admit(&payment(2, 2, 9)), Err(SubmitError::Full(_))));
    assert_eq!(live.pool.len(), 2);
}

#[test]
fn an_admission_that_is_taken_back_leaves_the_pool_as_it_was() {
    let mut live = live(PoolLimits { transactions: 2, ..PoolLimits::default() });
    let (first, second) = (payment(1, 0, 1), payment(2, 0, 2));
    live.admit(&first).unwrap();
    live.admit(&second).unwrap();
    let before = ready(&live, WIDE, &[]);
    // The one takes the place of the least, the other that of the one with its nonce.
    for (comes, goes) in [(payment(3, 0, 9), &first), (payment(2, 0, 9), &second)] {
        let gone = live.admit(&comes).unwrap();
        assert_eq!(hashes(&gone), hashes(std::slice::from_ref(goes)));
        live.take_back(&comes, &gone);
        assert_eq!(ready(&live, WIDE, &[]), before);
        assert_eq!((live.pool.len(), live.pool.get(&comes.hash())), (2, None));
    }
    assert!(matches!(live.admit(&payment(3, 0, 1)), Err(SubmitError::Full(_))), "its places are counted again");
}

#[test]
fn gas_that_is_only_reserved_keeps_nobody_out_of_a_block() {
    let mut live = live(PoolLimits::default());
    let greedy = limited(1, 0, 9, 45_000);
    live.admit(&greedy).unwrap();
    live.admit(&limited(1, 1, 9, 45_000)).unwrap();
    let modest = [payment(2, 0, 2), payment(3, 0, 1)];
    modest.iter().for_each(|one| assert!(live.admit(one).unwrap().is_empty()));
    // The second of the greedy sender would find too little left, whatever the first uses.
    let all = hashes(&[greedy, modest[0].clone(), modest[1].clone()]);
    assert_eq!(ready(&live, Room { gas: 64_000, ..WIDE }, &[]), all);
    // What fits by what is used at least may be proposed; never more than that.
    assert_eq!(ready(&live, Room { gas: 42_000, ..WIDE }, &[]), all[1..]);
    assert_eq!(ready(&live, Room { gas: 41_999, ..WIDE }, &[]), all[1..2]);
}

#[test]
fn what_follows_what_may_find_no_gas_keeps_nobody_out() {
    let mut live = live(PoolLimits::default());
    let burner = limited(1, 0, 2, 50_000);
    // It reserves nearly all of the block, and what its sender has behind it is worth nothing without it.
    let greedy = limited(2, 0, 1, 79_000);
    let behind: Vec<_> = (1..9).map(|nonce| payment(2, nonce, 1)).collect();
    let modest = [payment(3, 0, 1), payment(3, 1, 1)];
    let all = [&burner, &greedy].into_iter().chain(&behind).chain(&modest);
    all.for_each(|one| _ = live.admit(one).unwrap());
    let room = Room { gas: 100_000, ..WIDE };
    let last = [burner.clone(), greedy.clone(), modest[0].clone(), behind[0].clone()];
    assert_eq!(ready(&live, room, &[]), hashes(&last), "behind everybody else's first ones");
    // So in the next block, before it is known whether it found its gas.
    let [first, second] = modest;
    let after = [first, second, behind[0].clone(), behind[1].clone()];
    assert_eq!(ready(&live, room, &[burner.clone(), greedy.clone()]), hashes(&after));
    // Alone it surely finds it.
    let first = [burner, behind[0].clone(), behind[1].clone(), behind[2].clone()];
    assert_eq!(ready(&live, room, std::slice::from_ref(&greedy)), hashes(&first));
}

#[test]
fn a_strangers_body_is_read_with_the_transaction_of_the_ledger_in_it() {
    let parent = begin();
    let next = NextBlock { beneficiary: Address::repeat_byte(0xbe), ..NextBlock::default() };
    let mut builder = BlockBuilder::begin(&CHAIN, parent.block.header.inner(), &parent.world, &next).unwrap();
    builder.note(vec![alloy_primitives::Log::new_unchecked(Address::repeat_byte(1), vec![], Bytes::new())]);
    builder.push((*payment(1, 0, 1)).clone()).unwrap();
    let done = builder.finish();
    let root = parent.world.clone().apply(&done.changes).unwrap();
    let block = done.seal(root).0;
    let body =
        |block: &Block| Index::put(block).into_iter().find(|change| change.table == "bodies").unwrap().value.unwrap();
    let read = Index::checked(&CHAIN, &block.header, &body(&block)).unwrap();
    assert_eq!(read.transactions, block.transactions);
    // Anywhere else it is what nobody can send.
    let mut turned = block.clone();
    turned.transactions.swap(0, 1);
    turned.receipts.swap(0, 1);
    assert!(Index::checked(&CHAIN, &block.header, &body(&turned)).is_err());
}

#[test]
fn what_was_written_is_read_back_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let index = Index::new(Store::open(&folder.path().join("blocks.redb"), Index::TABLES).unwrap(), CHAIN);
    assert_eq!(index.head().unwrap(), None);
    let first = begin();
    let second = after(&first, &[payment(1, 0, 1), payment(2, 0, 2)]);
    for recent in [&first, &second] {
        index.store().commit_blocking(Index::put(&recent.block)).unwrap();
    }
    assert_eq!(index.head().unwrap(), Some(1));
    let read = index.block(1).unwrap().unwrap();
    assert_eq!((&read.header, &read.transactions), (&second.block.header, &second.block.transactions));
    let senders = |block: &Block| block.transactions.iter().map(Transaction::sender).collect::<Vec<_>>();
    assert_eq!(senders(&read), senders(&second.block));
    for (read, made) in read.receipts.iter().zip(&second.block.receipts) {
        assert_eq!(
            (&read.envelope, read.gas_used, read.logs_before),
            (&made.envelope, made.gas_used, made.logs_before)
        );
    }
    let place = index.place_of(&second.block.transactions[1].hash()).unwrap().unwrap();
    assert_eq!((place.block, place.index), (1, 1));
    assert_eq!(index.number_of(&second.block.header.hash()).unwrap(), Some(1));
    assert!(index.block(2).unwrap().is_none());
}

#[test]
fn what_waits_is_found_by_whoever_opens_the_file_until_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("waiting.redb"), &[waiting::TABLE]).unwrap();
    let all: Vec<_> = (1..=3).map(|from| payment(from, 0, 1)).collect();
    let put = all.iter().map(|one| waiting::put(&one.hash().0, one.raw().to_vec()));
    store.commit_blocking(put.collect()).unwrap();
    let found = || waiting::wallets(&store, &CHAIN).unwrap();
    assert!(found().len() == 3 && all.iter().all(|one| found().contains(one)));
    store.commit_blocking(vec![waiting::remove(&all[0].hash().0), waiting::remove(&all[1].hash().0)]).unwrap();
    assert_eq!(found(), [(*all[2]).clone()]);
    store.commit_blocking(vec![waiting::put(&[7; 32], b"nothing".to_vec())]).unwrap();
    assert!(matches!(waiting::wallets(&store, &CHAIN), Err(NodeError::Read(_))));
    assert_eq!(waiting::all(&store).unwrap().len(), 2);
}

#[test]
fn damaged_bytes_are_an_error_of_the_index_and_no_block() {
    let folder = tempfile::tempdir().unwrap();
    let index = Index::new(Store::open(&folder.path().join("blocks.redb"), Index::TABLES).unwrap(), CHAIN);
    let block = after(&begin(), &[payment(1, 0, 1)]).block;
    let changes = Index::put(&block);
    let body = changes.iter().position(|change| change.table == "bodies").unwrap();
    for place in 0..changes[body].value.as_ref().unwrap().len() {
        let mut damaged = changes.clone();
        damaged[body].value.as_mut().unwrap()[place] ^= 0x55;
        index.store().commit_blocking(damaged).unwrap();
        // Another block of the same shape, or an error: never a panic.
        if let Err(error) = index.block(1) {
            assert!(matches!(error, NodeError::Read(_)), "{error}");
        }
    }
}

#[test]
fn blocks_that_are_no_longer_recent_come_from_the_index_or_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let index = Index::new(Store::open(&folder.path().join("blocks.redb"), Index::TABLES).unwrap(), CHAIN);
    let first = begin();
    let second = after(&first, &[payment(1, 0, 1)]);
    let third = after(&second, &[]);
    for recent in [&first, &second, &third] {
        index.store().commit_blocking(Index::put(&recent.block)).unwrap();
    }
    let hash = second.block.transactions[0].hash();
    for (index, is_there) in [(Some(index), true), (None, false)] {
        let live = Live::new([first.clone(), second.clone()], Pool::new(PoolLimits::default()));
        let durable = index.as_ref().map(|_| 2);
        let view = View::new(CHAIN, index, live);
        assert_eq!(view.place_of(&hash).unwrap().unwrap().block, 1);
        assert!(view.header(2).unwrap().is_none(), "what is not shown yet is not told, though it is on the disk");
        view.live_mut().push(third.clone());
        view.live_mut().trim(&Keep::states(1), durable);
        assert_eq!(view.live().head(), 2, "the newest stays");
        assert_eq!(view.place_of(&hash).unwrap().is_some(), is_there);
        assert_eq!(view.block(1).unwrap().is_some(), is_there);
        assert_eq!(view.number_of(&second.block.header.hash()).unwrap().is_some(), is_there);
        assert!(matches!(view.state(1), Err(NodeError::StateGone { asked: 1, oldest: 2 })));
        let nonce = |state: rpc::State| state.account(&address(1)).unwrap().unwrap().nonce;
        assert_eq!((nonce(view.state_before(2).unwrap()), nonce(view.state(2).unwrap())), (1, 1));
    }
}

#[test]
fn a_body_that_is_too_much_comes_from_the_index_while_its_state_stays() {
    let folder = tempfile::tempdir().unwrap();
    let index = Index::new(Store::open(&folder.path().join("blocks.redb"), Index::TABLES).unwrap(), CHAIN);
    let first = begin();
    let second = after(&first, &[payment(1, 0, 1)]);
    let third = after(&second, &[payment(1, 1, 1)]);
    for recent in [&first, &second, &third] {
        index.store().commit_blocking(Index::put(&recent.block)).unwrap();
    }
    let hash = second.block.transactions[0].hash();
    let all = [first, second.clone(), third];
    let view = View::new(CHAIN, Some(index), Live::new(all, Pool::new(PoolLimits::default())));
    let whole = view.live().held();
    assert_eq!((whole.states, whole.bodies), (2, 2));
    let bodies = Keep { body_bytes: 0, ..Keep::states(9) };
    view.live_mut().trim(&bodies, Some(0));
    assert_eq!(view.live().held().bodies, 1, "what is not durable stays");
    view.live_mut().trim(&bodies, Some(2));
    let held = view.live().held();
    assert_eq!((held.bodies, held.body_bytes, held.states, held.state_bytes), (0, 0, 2, whole.state_bytes));
    assert_eq!(view.block(1).unwrap().unwrap().transactions, second.block.transactions);
    assert_eq!(view.place_of(&hash).unwrap().unwrap().block, 1);
    assert_eq!(view.header(1).unwrap().unwrap(), second.block.header);
    assert!(view.state(1).is_ok());
    view.live_mut().trim(&Keep { state_bytes: 0, ..Keep::states(9) }, Some(2));
    assert_eq!(view.live().held(), blocks::Held::default());
    assert!(matches!(view.state(1), Err(NodeError::StateGone { asked: 1, oldest: 2 })));
    assert!(view.state(2).is_ok());
}

const MINT: Address = Address::repeat_byte(0x0a);
const MOVED: B256 = B256::repeat_byte(0x01);

/// Four blocks, of which the second and the last have logs of `MINT`, and the third one with `MOVED` before all else.
fn logging() -> Vec<Recent> {
    let log = |address, topics: &[B256]| Log::new_unchecked(address, topics.to_vec(), Bytes::new());
    let other = Address::repeat_byte(0x0b);
    let mut chain = vec![begin()];
    for logs in [
        vec![log(MINT, &[MOVED]), log(MINT, &[MOVED]), log(other, &[])],
        vec![log(other, &[MOVED, B256::ZERO])],
        vec![log(MINT, &[B256::ZERO, MOVED])],
    ] {
        chain.push(noting(&chain[chain.len() - 1], logs));
    }
    chain
}

const OF_MINT: LogKey = LogKey::Address(MINT);
const OF_MOVED: LogKey = LogKey::FirstTopic(MOVED);

#[test]
fn blocks_are_found_by_their_logs_addresses_and_first_topics_until_they_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let index = Index::new(Store::open(&folder.path().join("blocks.redb"), Index::TABLES).unwrap(), CHAIN);
    assert_eq!((index.unlogged_from().unwrap(), index.logged(&OF_MINT, 0..9, 9).unwrap()), (0, vec![]));
    for recent in &logging() {
        index.store().commit_blocking(Index::put(&recent.block)).unwrap();
    }
    assert_eq!(index.unlogged_from().unwrap(), 4);
    let logged = |key: &LogKey, within| index.logged(key, within, 9).unwrap();
    assert_eq!((logged(&OF_MINT, 0..9), logged(&OF_MOVED, 0..9)), (vec![1, 3], vec![1, 2]));
    assert_eq!((logged(&OF_MINT, 2..9), logged(&OF_MINT, 0..3)), (vec![3], vec![1]));
    assert_eq!(index.logged(&OF_MINT, 0..9, 1).unwrap(), [1]);
    // Neither a later topic nor an address that begins alike is found.
    assert_eq!(logged(&LogKey::FirstTopic(B256::repeat_byte(0x02)), 0..9), [0_u64; 0]);
    assert_eq!(logged(&LogKey::Address(Address::repeat_byte(0x01)), 0..9), [0_u64; 0]);
    index.store().commit_blocking(index.remove(1..3).unwrap()).unwrap();
    assert_eq!((logged(&OF_MINT, 0..9), logged(&OF_MOVED, 0..9)), (vec![3], vec![]));
}

#[test]
fn blocks_without_rows_of_their_logs_may_have_any_until_the_rows_are_made_up_for() {
    let folder = tempfile::tempdir().unwrap();
    let index = Index::new(Store::open(&folder.path().join("blocks.redb"), Index::TABLES).unwrap(), CHAIN);
    let chain = logging();
    // As a program wrote them that knew of no such rows.
    for recent in &chain {
        let changes = Index::put(&recent.block).into_iter().filter(|change| change.table != "logs");
        index.store().commit_blocking(changes.collect()).unwrap();
    }
    let view = View::new(CHAIN, Some(index.clone()), Live::new([chain[3].clone()], Pool::new(PoolLimits::default())));
    let logged = |from, most| view.logged(&OF_MINT, from, most).unwrap();
    assert_eq!((logged(0, 9), logged(1, 2), logged(4, 9)), (vec![0, 1, 2, 3], vec![1, 2], vec![]));
    index.make_up().unwrap();
    assert_eq!((logged(0, 9), logged(2, 9), logged(0, 1), logged(4, 9)), (vec![1, 3], vec![3], vec![1], vec![]));
    index.make_up().unwrap();
    // One that is shown before it is on the disk, and one that is not shown.
    let fifth = noting(&chain[3], Vec::new());
    view.live_mut().push(fifth.clone());
    assert_eq!(logged(0, 9), [1, 3, 4]);
    let sixth = noting(&fifth, vec![Log::new_unchecked(MINT, vec![], Bytes::new())]);
    for recent in [&fifth, &sixth] {
        index.store().commit_blocking(Index::put(&recent.block)).unwrap();
    }
    assert_eq!(logged(0, 9), [1, 3]);
    let alone = View::new(CHAIN, None, Live::new([chain[3].clone()], Pool::new(PoolLimits::default())));
    assert_eq!(alone.logged(&OF_MINT, 2, 9).unwrap(), [2, 3]);
}

#[test]
fn what_became_of_native_transactions_is_told_with_their_block_and_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let index = Index::new(Store::open(&folder.path().join("blocks.redb"), Index::TABLES).unwrap(), CHAIN);
    let mut chain = vec![begin()];
    for _ in 0..2 {
        chain.push(after(&chain[chain.len() - 1], &[]));
    }
    let id = B256::repeat_byte;
    let ended = [
        BTreeMap::new(),
        BTreeMap::from([(id(1), None), (id(2), Some("balance of 1 is less than 2".to_owned()))]),
        BTreeMap::from([(id(3), None)]),
    ];
    for (recent, natives) in chain.iter().zip(&ended) {
        let number = recent.block.header.number;
        let written = [Index::put(&recent.block), Index::put_natives(number, natives)].concat();
        index.store().commit_blocking(written).unwrap();
    }
    assert!(Index::put_natives(7, &ended[0]).is_empty(), "blocks without any have no row");
    let view = View::new(CHAIN, Some(index.clone()), Live::new(chain[..2].to_vec(), Pool::new(PoolLimits::default())));
    let refusal = Some("balance of 1 is less than 2".to_owned());
    assert_eq!(view.native(&id(1)).unwrap(), Some(NativeOutcome { block: 1, refusal: None }));
    assert_eq!(view.native(&id(2)).unwrap(), Some(NativeOutcome { block: 1, refusal }));
    assert_eq!(
        (view.native(&id(3)).unwrap(), view.native(&id(4)).unwrap()),
        (None, None),
        "of a block that is not shown"
    );
    view.live_mut().push(chain[2].clone());
    assert_eq!(view.native(&id(3)).unwrap(), Some(NativeOutcome { block: 2, refusal: None }));

    index.store().commit_blocking(index.remove(0..2).unwrap()).unwrap();
    assert_eq!([1, 2, 3].map(|byte| index.native(&id(byte)).unwrap().is_some()), [false, false, true]);
    assert_eq!((index.all("natives").unwrap().len(), index.all("native-ids").unwrap().len()), (1, 1));
    view.keep_from(3);
    assert_eq!(view.native(&id(3)).unwrap(), None, "its block is about to go");
    let cut = vec![storage::Change::put("natives", id(5).as_slice(), vec![0_u8; 7])];
    index.store().commit_blocking(cut).unwrap();
    assert!(matches!(index.native(&id(5)), Err(NodeError::Read(_))));
}

#[test]
fn what_is_removed_from_the_index_is_refused_by_number_and_unknown_by_hash() {
    let folder = tempfile::tempdir().unwrap();
    let index = Index::new(Store::open(&folder.path().join("blocks.redb"), Index::TABLES).unwrap(), CHAIN);
    let mut chain = vec![begin()];
    for nonce in 0..4 {
        chain.push(after(&chain[chain.len() - 1], &[payment(1, nonce, 1)]));
    }
    for recent in &chain {
        index.store().commit_blocking(Index::put(&recent.block)).unwrap();
    }
    assert_eq!(index.oldest().unwrap(), 0);
    index.store().commit_blocking(index.remove(0..3).unwrap()).unwrap();
    assert_eq!((index.oldest().unwrap(), index.head().unwrap()), (3, Some(4)));
    assert!(index.remove(0..3).unwrap().is_empty(), "nothing is left of them");
    let view = View::new(CHAIN, Some(index.clone()), Live::new([chain[4].clone()], Pool::new(PoolLimits::default())));
    view.keep_from(index.oldest().unwrap());
    for asked in [1, 2] {
        let gone = NodeError::BlockGone { asked, oldest: 3 };
        assert_eq!(view.header(asked).unwrap_err(), gone);
        assert_eq!(view.block(asked).unwrap_err(), gone);
        let block = &chain[asked as usize].block;
        assert_eq!(view.number_of(&block.header.hash()).unwrap(), None);
        assert!(view.place_of(&block.transactions[0].hash()).unwrap().is_none());
    }
    assert_eq!(view.block(3).unwrap().unwrap().header, chain[3].block.header);
    assert_eq!(view.header(0).unwrap().unwrap(), chain[0].block.header, "the first block stays");
    assert!(view.header(5).unwrap().is_none());
}
