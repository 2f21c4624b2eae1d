//! States of old blocks, as what later blocks overwrote tells them, beside those states themselves.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::sync::Arc;

use alloy_consensus::{Header, Sealable as _};
use alloy_primitives::{Address, Bytes, U256};
use blocks::{Index, Keep, Live, Pool, PoolLimits, Recent, StateFile, Step, Undos, View};
use evm::{Account, Block, Chain, Changes, Code, StateRead, World};
use rpc::NodeError;
use storage::{Change, Store};

const CHAIN: Chain = Chain::network(77);
const BLOCKS: u64 = 300;
/// Blocks of an epoch.
const EPOCH: u64 = 32;
const ACCOUNTS: u64 = 12;
const SLOTS: u64 = 3;
const FEW: Keep = Keep::states(8);

/// The same numbers for ever.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn address(&mut self) -> Address {
        address(self.below(ACCOUNTS))
    }

    /// Some accounts made, changed, destroyed and made again, with code and without; and slots.
    fn changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        for _ in 0..self.below(4) {
            let code = Code::new_raw(Bytes::from(vec![0x5f, self.below(40) as u8, 0x00]));
            let mut account = Account { nonce: 1 + self.below(9), balance: self.number(), ..Account::default() };
            let kind = self.below(4);
            if kind == 1 {
                account.code_hash = code.hash_slow();
                changes.codes.insert(account.code_hash, code);
            }
            changes.accounts.insert(self.address(), Some(account).filter(|_| kind > 0));
        }
        for _ in 0..self.below(4) {
            let place = (self.address(), U256::from(self.below(SLOTS)));
            changes.slots.insert(place, self.number());
        }
        changes
    }

    /// Zero, small or large.
    fn number(&mut self) -> U256 {
        U256::from(self.below(3)) << (8 * self.below(30) as usize)
    }

    fn after(&mut self, state: &World) -> World {
        let mut world = state.clone();
        world.apply(&self.changes()).unwrap();
        world
    }
}

fn address(number: u64) -> Address {
    Address::left_padding_from(&number.to_be_bytes())
}

/// A chain on a disk, as a validator has it: states of epochs' ends in one file, blocks and what they overwrote in another.
struct Disk {
    _folder: tempfile::TempDir,
    index: Index,
    file: StateFile,
    chance: Chance,
    /// All blocks, with their states.
    all: Vec<Recent>,
    /// The state from which the next block goes on, where that is an epoch's end.
    ended: Option<World>,
}

impl Disk {
    fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("blocks.redb"), Index::TABLES).unwrap();
        let file = StateFile::open(&folder.path().join("state.redb"), &[], 1 << 16).unwrap();
        let (index, mut chance) = (Index::new(store, CHAIN), Chance(seed));
        let world = chance.after(&World::default());
        let all = vec![recent(0, World::default(), world)];
        index.store().commit_blocking(Index::put(&all[0].block)).unwrap();
        Self { _folder: folder, index, file, chance, all, ended: None }
    }

    fn view(&self, newest: Recent, began: Step) -> View {
        let undos = Undos::open(self.index.store(), began).unwrap();
        View::new(CHAIN, Some(self.index.clone()), Live::new([newest], Pool::new(PoolLimits::default())))
            .with_undos(undos)
    }

    /// As after a start: with the state of the newest epoch's end, the block before it, and no other state.
    fn restarted(&self, block: u64) -> View {
        let world = self.file.world(self.file.moment().unwrap()).unwrap();
        let newest = Recent { block: self.index.block(block).unwrap().unwrap(), before: world.clone(), world };
        self.view(newest, Step::before(block + 1))
    }

    /// Makes the next block; an epoch may end behind it.
    fn grow(&mut self) -> Recent {
        let (number, parent) = (self.all.len() as u64, self.all[self.all.len() - 1].world.clone());
        let before = self.chance.after(&self.ended.take().unwrap_or(parent));
        let world = self.chance.after(&before);
        let made = recent(number, before, world);
        self.all.push(made.clone());
        if number.is_multiple_of(EPOCH) {
            let mut ended = self.chance.after(&made.world);
            let (base, _) = self.file.write(&ended.mark(), Vec::new()).unwrap();
            ended.rest_on(&base);
            self.ended = Some(ended);
        }
        made
    }

    /// Has the view execute a block of this number; how many rows beside the block were written.
    fn show(&self, view: &View, number: u64) -> usize {
        let (parent, made) = (view.live().newest().unwrap().world.clone(), &self.all[number as usize]);
        let overwritten = view.undos().unwrap().put(&parent, made).unwrap();
        let rows = overwritten.len();
        self.index.store().commit_blocking([Index::put(&made.block), overwritten].concat()).unwrap();
        view.live_mut().push(made.clone());
        view.live_mut().trim(&FEW, Some(number));
        rows
    }

    /// Every state from this block on is told as it was.
    fn check(&self, view: &View, from: u64) {
        for number in from..=view.live().head() {
            let was = &self.all[number as usize];
            check(&*view.state(number).unwrap(), &was.world, number);
            if number > 0 {
                check(&*view.state_before(number).unwrap(), &was.before, number);
            }
        }
    }
}

fn recent(number: u64, before: World, world: World) -> Recent {
    let header = Header { number, ..Header::default() }.seal_slow();
    Recent { block: Arc::new(Block { header, transactions: Vec::new(), receipts: Vec::new() }), before, world }
}

fn check(told: &dyn StateRead, was: &World, number: u64) {
    for address in (0..ACCOUNTS).map(address) {
        let account = was.account(&address).unwrap();
        assert_eq!(told.account(&address).unwrap(), account, "{address} at {number}");
        if let Some(account) = account.filter(Account::has_code) {
            let code = |state: &dyn StateRead| state.code(&account.code_hash).unwrap().unwrap().original_bytes();
            assert_eq!(code(told), code(was), "{address} at {number}");
        }
        for slot in (0..SLOTS).map(U256::from) {
            let held = was.slot(&address, &slot).unwrap();
            assert_eq!(told.slot(&address, &slot).unwrap(), held, "{address} {slot} at {number}");
        }
    }
}

/// A chain of so many blocks, and its view, as it stands after the last.
fn grown(seed: u64, blocks: u64) -> (Disk, View) {
    let mut disk = Disk::new(seed);
    let view = disk.view(disk.all[0].clone(), Step::after(0));
    for number in 1..=blocks {
        disk.grow();
        assert!(disk.show(&view, number) > 0);
    }
    (disk, view)
}

fn gone(view: &View, asked: u64, oldest: u64) {
    let refused = view.state(asked).map(|_| ()).unwrap_err();
    assert_eq!(refused, NodeError::StateGone { asked, oldest });
}

#[test]
fn every_state_of_a_random_history_is_told_as_it_was_also_after_a_restart_within_an_epoch() {
    for seed in 1..=2 {
        let (mut disk, view) = grown(seed, BLOCKS);
        assert!(view.live().held().states <= 8);
        disk.check(&view, 0);
        drop(view);

        let ended = BLOCKS - BLOCKS % EPOCH;
        let view = disk.restarted(ended);
        disk.check(&view, 0);
        // What is executed again is there already, told from the state that it was: what comes then is new.
        for number in ended + 1..=BLOCKS {
            assert_eq!(disk.show(&view, number), 0);
            disk.check(&view, number - 20);
        }
        for number in BLOCKS + 1..BLOCKS + 2 * EPOCH {
            disk.grow();
            assert!(disk.show(&view, number) > 0);
        }
        disk.check(&view, 0);
    }
}

#[test]
fn where_the_state_was_lost_and_not_what_blocks_overwrote_all_is_executed_again_and_told_as_it_was() {
    let (disk, view) = grown(4, 100);
    drop(view);
    let view = disk.view(disk.all[0].clone(), Step::after(0));
    for number in 1..=100 {
        assert_eq!(disk.show(&view, number), 0);
        if number.is_multiple_of(25) {
            disk.check(&view, 0);
        }
    }
}

#[test]
fn what_is_removed_is_refused_by_the_oldest_that_is_kept_and_a_state_in_use_stays() {
    let (disk, view) = grown(5, 120);
    let in_use = view.state(50).unwrap();
    for numbers in [1..40, 40..80] {
        let blocks = disk.index.remove(numbers.clone()).unwrap();
        let overwritten = view.undos().unwrap().remove(numbers).unwrap();
        disk.index.store().commit_blocking([blocks, overwritten].concat()).unwrap();
    }
    check(&*in_use, &disk.all[50].world, 50);
    [0, 50, 79].iter().for_each(|asked| gone(&view, *asked, 80));
    disk.check(&view, 80);
    for table in ["old-accounts", "old-slots", "old-codes", "old-keys"] {
        let steps = disk.index.all(table).unwrap().into_iter().map(|(key, _)| key[key.len() - 8..].to_vec());
        let oldest = steps.min().map(|step| u64::from_be_bytes(step.try_into().unwrap()));
        assert!(oldest.is_none_or(|oldest| oldest >= 160), "{table}: {oldest:?}");
    }
    drop(view);
    let view = disk.restarted(96);
    gone(&view, 79, 80);
    disk.check(&view, 80);
}

#[test]
fn a_file_that_does_not_know_what_came_before_begins_with_this_start() {
    let mut disk = Disk::new(6);
    for number in 1..=EPOCH {
        let made = disk.grow();
        assert_eq!(made.block.header.number, number);
        disk.index.store().commit_blocking(Index::put(&made.block)).unwrap();
    }
    let view = disk.restarted(EPOCH);
    // The state of the end of the epoch stands for its block's, as long as it is here; nobody can trace in that block.
    assert!(view.state(EPOCH).is_ok());
    let refused = view.state_before(EPOCH).map(|_| ()).unwrap_err();
    assert_eq!(refused, NodeError::StateGone { asked: EPOCH - 1, oldest: EPOCH + 1 });
    gone(&view, 7, EPOCH);
    for number in EPOCH + 1..EPOCH + 30 {
        disk.grow();
        assert!(disk.show(&view, number) > 0);
    }
    disk.check(&view, EPOCH + 1);
    gone(&view, EPOCH, EPOCH + 1);
}

#[test]
fn a_block_of_which_nobody_knows_what_it_overwrote_is_the_oldest_from_then_on() {
    let (mut disk, view) = grown(7, 20);
    let made = disk.grow();
    let unknown = view.undos().unwrap().begin_after(21);
    disk.index.store().commit_blocking([Index::put(&made.block), unknown].concat()).unwrap();
    view.live_mut().push(made);
    for number in 22..50 {
        disk.grow();
        disk.show(&view, number);
    }
    disk.check(&view, 22);
    check(&*view.state(21).unwrap(), &disk.all[21].world, 21);
    gone(&view, 20, 21);
    // Nor does the removal of older blocks bring them back.
    let removed = view.undos().unwrap().remove(1..5).unwrap();
    disk.index.store().commit_blocking(removed).unwrap();
    gone(&view, 20, 21);
}

#[test]
fn damaged_rows_are_an_error_that_names_them() {
    let (disk, view) = grown(8, 60);
    // None of which the states are in memory.
    let step_of = |key: &[u8]| u64::from_be_bytes(key[20..].try_into().unwrap());
    let rows = disk.index.all("old-accounts").unwrap();
    let (key, _) = rows.into_iter().find(|(key, old)| !old.is_empty() && step_of(key) < 90).unwrap();
    let (owner, step) = (&key[..20], step_of(&key));
    disk.index.store().commit_blocking(vec![Change::put("old-accounts", key.clone(), [0x80])]).unwrap();
    // The last state that the row tells of is the one before its step.
    let (block, before) = (step / 2, step.is_multiple_of(2));
    let state = if before { view.state(block - 1) } else { view.state_before(block) };
    let error = state.unwrap().account(&Address::from_slice(owner)).unwrap_err();
    assert!(error.0.starts_with("what blocks overwrote: "), "{error}");
}
