//! What waits here and on the disk, and where the disk has no room.

use std::sync::atomic::Ordering;

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use evm::{StateRead, modules};
use k256::ecdsa::SigningKey;
use ledger::{GenesisWallet, Heading, Ledger, OPG, Outcome};
use protocol::{
    Action, Canonical as _, Digest, List, Role, Version,
    transaction::{NameHome, Transfer},
};

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

/// A block a fifth of a second, with one payment each.
fn executed(ethereum: &Ethereum, ledger: &mut Ledger, height: u64) -> Ran {
    let proposer = story::key(Role::Validator, 0).public_key();
    let heading = Heading { height, time_ms: story::START_MS + 200 * height, proposer };
    let read = ethereum.read(&[&payment(ethereum, height - 1, 1_000_000_000).raw()[..]]);
    let ran = ledger.begin(heading, read).unwrap().unwrap().run();
    ethereum.publish(&ran);
    ledger.finish(ran.clone());
    ran
}

/// By a worker's key.
fn native(nonce: u64, action: Action) -> protocol::SignedTransaction {
    let payer = story::key(Role::Worker, 0);
    let sender = payer.public_key();
    protocol::Transaction { version: Version, chain_id: story::CHAIN, sender, nonce, action }.sign(&payer)
}

#[test]
fn what_became_of_native_transactions_is_told_at_once_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let ethereum = begun(&folder);
    let mut ledger = Ledger::new(&with_wallet(story::genesis())).unwrap();
    let unpayable = || Action::Transfer(Transfer { to: EvmAddress([9; 20]), amount: 1 });
    let named = || Action::NameHome(NameHome { base: None });
    let mut forged = native(2, named());
    forged.signature.0[7] ^= 1;
    // The last four leave their nonces as they are.
    let all = [native(0, named()), native(1, unpayable()), forged, native(0, unpayable()), native(9, named())];
    let read = all.iter().map(|signed| Ordered::read(&signed.encode(), &ledger.chain())).collect();
    let proposer = story::key(Role::Validator, 0).public_key();
    let ran = ledger.begin(Heading { height: 1, time_ms: story::START_MS, proposer }, read).unwrap().unwrap().run();
    ethereum.publish(&ran);
    ledger.finish(ran);

    let refusal = Some("balance of 0 is less than 1".to_owned());
    let ends = [Some(None), Some(refusal), None, None, None];
    let expected = ends.map(|end| end.map(|refusal| NativeOutcome { block: 1, refusal }));
    let told =
        |ethereum: &Ethereum| all.each_ref().map(|signed| ethereum.native(&signed.transaction.id().0.into()).unwrap());
    assert_eq!(told(&ethereum), expected);
    let index = ethereum.view.index().unwrap().clone();
    index.store().commit_blocking(Vec::new()).unwrap();
    let block = block_of(ledger.evm(), Some(&index)).unwrap().unwrap();
    let waiting = Arc::new(Waiting::default());
    let again = Ethereum::new(ledger.chain(), ledger.evm(), block, Some(index), None, waiting).unwrap();
    assert_eq!(told(&again), expected);
}

#[test]
fn of_a_refusal_only_so_much_is_kept() {
    let refused = |is_counted: bool| Outcome {
        id: Some(Digest([u8::from(is_counted); 32])),
        is_counted,
        result: Err(Refusal::Module("é".repeat(2 * REFUSAL_MAX))),
    };
    let outcomes = vec![refused(true), refused(false)];
    let executed = Executed { height: 1, closed: None, outcomes, events: Vec::new() };
    let ended: Vec<(Hash, Option<String>)> = ended(&executed).into_iter().collect();
    let [(id, Some(words))] = ended.as_slice() else { panic!("{ended:?}") };
    assert_eq!((*id, words.chars().count()), (Hash::repeat_byte(1), REFUSAL_MAX));
    assert!(words.starts_with("the module refuses: éé"), "{words}");
}

/// What blocks change: by wallets, by fees, by the ledger's own deeds.
fn sample(state: &dyn StateRead) -> Vec<U256> {
    let wallet = Address::from_public_key(key().verifying_key());
    let proposer = Address::from(ledger::address_of(&story::key(Role::Validator, 0).public_key()).0);
    let staking = modules::staking::ADDRESS;
    let mut told = Vec::new();
    for address in [wallet, Address::repeat_byte(0x77), proposer, staking] {
        let account = state.account(&address).unwrap().unwrap_or_default();
        told.extend([U256::from(account.nonce), account.balance]);
    }
    let slots = (0..32).map(|slot| (staking, U256::from(slot))).chain([(modules::opg::ADDRESS, modules::opg::BURNED)]);
    told.extend(slots.map(|(address, slot)| state.slot(&address, &slot).unwrap()));
    told
}

/// All states up to a block are as they were, also those before the blocks' transactions.
fn check(ethereum: &Ethereum, all: &[Ran], numbers: Range<u64>) {
    for number in numbers {
        let was = &all[usize::try_from(number).unwrap() - 1];
        let (before, after) = (ethereum.view.state_before(number).unwrap(), ethereum.view.state(number).unwrap());
        assert_eq!(sample(&*before), sample(&was.before().world), "before {number}");
        assert_eq!(sample(&*after), sample(&was.after().world), "after {number}");
    }
}

#[test]
fn states_of_old_blocks_are_told_as_they_were_after_a_restart_and_until_the_blocks_are_removed() {
    const BLOCKS: u64 = 300;
    let folder = tempfile::tempdir().unwrap();
    let ethereum = begun(&folder);
    let mut ledger = Ledger::new(&with_wallet(story::genesis())).unwrap();
    let all: Vec<Ran> = (1..=BLOCKS).map(|height| executed(&ethereum, &mut ledger, height)).collect();
    let is_paid = |ran: &Ran| ran.block().is_some_and(|block| block.receipts.iter().any(|one| one.gas_used > 0));
    assert!(all.iter().all(is_paid));
    let index = ethereum.view.index().unwrap().clone();
    index.store().commit_blocking(Vec::new()).unwrap();
    check(&ethereum, &all, 1..BLOCKS + 1);

    // The snapshot is one of an epoch's end, in which the ledger has acted since the newest block.
    let snapshot = ledger.snapshot().unwrap();
    let header = index.header(snapshot.height()).unwrap().unwrap();
    let head = Head { world: snapshot.world().clone(), header };
    let block = block_of(&head, Some(&index)).unwrap().unwrap();
    let (chain, waiting) = (*ethereum.view.chain(), Arc::new(Waiting::default()));
    let again = Ethereum::new(chain, &head, block, Some(index.clone()), Some(64), waiting).unwrap();
    let newest = snapshot.height();
    check(&again, &all, 1..newest + 1);
    for ran in &all[usize::try_from(newest).unwrap()..] {
        again.publish(ran);
    }
    check(&again, &all, 1..BLOCKS + 1);

    for _ in 0..BLOCKS.div_ceil(REMOVED_AT_ONCE) {
        again.remove_old(BLOCKS, newest);
        index.store().commit_blocking(Vec::new()).unwrap();
    }
    let oldest = BLOCKS - 63;
    let refused = again.view.state(oldest - 1).map(|_| ()).unwrap_err();
    assert_eq!(refused, NodeError::StateGone { asked: oldest - 1, oldest });
    assert_eq!(again.view.header(oldest - 1).unwrap_err(), NodeError::BlockGone { asked: oldest - 1, oldest });
    check(&again, &all, oldest..BLOCKS + 1);
}
