//! What a long chain takes in memory: as much as its newest blocks, and no more with every block.
//!
//! Every allocation of this program is counted, so nothing else may run beside the one test.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use alloy_consensus::{Header, Sealable as _, SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use blocks::{Index, Keep, Live, Pool, PoolLimits, Recent};
use evm::{Account, Block, Chain, Changes, Receipt, Transaction, World};
use storage::Store;

const CHAIN: Chain = Chain::network(77);
const BLOCKS: u64 = 400;
const TRANSFERS: u64 = 200;
const ACCOUNTS: u64 = 20_000;
const KEEP: Keep = Keep { states: 256, state_bytes: 8 << 20, body_bytes: 4 << 20 };

struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is handed to the system's allocator as it is; counting touches nothing of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise about the layout is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the pointer came from `alloc` above, hence from the system's allocator, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn account(index: u64) -> Address {
    Address::from_word(B256::from(U256::from(index % ACCOUNTS).saturating_mul(U256::from(0x9e37_79b9_7f4a_7c15_u64))))
}

/// A transfer as an index would recall it: nobody recovers its sender.
fn transfer(nonce: u64) -> Transaction {
    let unsigned = TxEip1559 {
        chain_id: CHAIN.id,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 1_000_000_000,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(account(nonce)),
        value: U256::from(1),
        access_list: Default::default(),
        input: Bytes::new(),
    };
    let signature = Signature::new(U256::from(nonce + 1), U256::from(7), false);
    let raw = TxEnvelope::from(unsigned.into_signed(signature)).encoded_2718();
    Transaction::recall(&raw, account(nonce), &CHAIN).unwrap()
}

fn receipt() -> Receipt {
    let body = alloy_consensus::Receipt { status: true.into(), cumulative_gas_used: 21_000, logs: Vec::new() };
    let envelope = alloy_consensus::ReceiptEnvelope::Eip1559(body.with_bloom());
    let (output, contract, halt) = (Bytes::new(), None, None);
    Receipt { envelope, gas_used: 21_000, effective_gas_price: 1, contract, logs_before: 0, output, halt }
}

fn block(number: u64, parent: &World) -> Recent {
    let mut changes = Changes::default();
    let mut transactions = Vec::new();
    for nonce in (number * TRANSFERS)..(number + 1) * TRANSFERS {
        changes.accounts.insert(account(nonce * 31), Some(Account { nonce, ..Account::default() }));
        transactions.push(transfer(nonce));
    }
    let mut world = parent.clone();
    world.apply(&changes).unwrap();
    let receipts = transactions.iter().map(|_| receipt()).collect();
    let header = Header { number, ..Header::default() }.seal_slow();
    Recent { block: Arc::new(Block { header, transactions, receipts }), before: parent.clone(), world }
}

fn mebibytes() -> usize {
    IN_USE.load(Ordering::Relaxed) >> 20
}

#[test]
fn a_long_chain_takes_no_more_memory_than_its_bounds_say() {
    let mut world = World::default();
    let accounts = (1..=ACCOUNTS).map(|index| (account(index), Some(Account { nonce: 1, ..Account::default() })));
    world.apply(&Changes { accounts: accounts.collect(), ..Changes::default() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let index = Index::new(Store::open(&folder.path().join("blocks.redb"), Index::TABLES).unwrap(), CHAIN);
    let mut live = Live::new([block(0, &world)], Pool::new(PoolLimits::default()));
    let before = mebibytes();
    let (mut most, mut unbounded) = (0, 0);
    for number in 1..BLOCKS {
        let next = block(number, &live.newest().unwrap().world);
        index.store().commit_blocking(Index::put(&next.block)).unwrap();
        live.push(next);
        unbounded += live.held().body_bytes + live.held().state_bytes;
        live.trim(&KEEP, Some(number));
        unbounded -= live.held().body_bytes + live.held().state_bytes;
        most = most.max(mebibytes() - before);
    }
    let held = live.held();
    assert!(held.body_bytes <= KEEP.body_bytes && held.state_bytes <= KEEP.state_bytes, "{held:?}");
    assert!(unbounded >> 20 > 100, "{unbounded} bytes would have been held, too few to show anything");
    // Both bounds and the index's cache of 32 MiB; what is counted for bodies and states is about what they take.
    let bound = 4 + 8 + 32 + 12;
    assert!(most <= bound, "{most} MiB in use, {bound} expected at most: {held:?}");
    assert!(index.block(1).unwrap().is_some_and(|block| block.transactions.len() as u64 == TRANSFERS));
}
