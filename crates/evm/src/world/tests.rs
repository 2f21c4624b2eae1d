//! The tree of pages beside the plain tree, in memory and on a disk of maps.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use crypto::sparse::Tree;
use proptest::prelude::*;

use super::*;

type Tables = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

/// A disk: what is written at once is there at once.
#[derive(Clone, Default)]
struct Disk(Arc<RwLock<Tables>>);

impl Disk {
    fn write(&self, rows: Vec<Row>) {
        let mut tables = self.0.write().unwrap();
        for Row { table, key, value } in rows {
            assert!(STATE_TABLES.contains(&table) && !key.is_empty());
            match value {
                Some(value) => drop(tables.insert((table, key), value)),
                None => drop(tables.remove(&(table, key))),
            }
        }
    }

    /// As it is now, whatever is written later.
    fn base(&self, cache: &Cache) -> Base {
        let tables = self.0.read().unwrap().clone();
        let read = move |table: &'static str, key: &[u8]| Ok(tables.get(&(table, key.to_vec())).cloned());
        Base::new(Arc::new(read), cache.clone())
    }
}

fn address(number: u16) -> Address {
    Address::left_padding_from(&number.to_be_bytes())
}

fn code(number: u8) -> Code {
    Code::new_raw(Bytes::from(vec![0x5f, number, 0x00]))
}

/// An account with this nonce, with code where it is odd; gone where it is zero.
fn account(nonce: u8) -> Option<Account> {
    let code_hash = if nonce & 1 == 1 { code(nonce & 7).hash_slow() } else { KECCAK256_EMPTY };
    (nonce > 0).then(|| Account { nonce: nonce.into(), balance: U256::from(nonce) << 100, code_hash })
}

fn changes(accounts: &BTreeMap<u16, u8>, slots: &BTreeMap<(u16, u8), u8>) -> Changes {
    let mut changes = Changes::default();
    for (number, nonce) in accounts {
        changes.accounts.insert(address(*number), account(*nonce));
        if nonce & 1 == 1 {
            changes.codes.insert(code(nonce & 7).hash_slow(), code(nonce & 7));
        }
    }
    for ((number, slot), value) in slots {
        changes.slots.insert((address(*number), U256::from(*slot)), U256::from(*value));
    }
    changes
}

/// What a state must be like, told slowly.
#[derive(Default)]
struct Plain {
    accounts: BTreeMap<Address, Account>,
    slots: BTreeMap<(Address, U256), U256>,
    tree: Tree,
}

impl Plain {
    fn apply(&mut self, changes: &Changes) {
        for (address, account) in &changes.accounts {
            match account {
                Some(account) => drop(self.accounts.insert(*address, *account)),
                None => drop(self.accounts.remove(address)),
            }
            self.tree = self.tree.with(account_key(address), account.as_ref().map(account_digest));
        }
        for ((address, slot), value) in &changes.slots {
            let held = Some(*value).filter(|value| !value.is_zero());
            match held {
                Some(value) => drop(self.slots.insert((*address, *slot), value)),
                None => drop(self.slots.remove(&(*address, *slot))),
            }
            self.tree = self.tree.with(slot_key(address, slot), held.as_ref().map(slot_digest));
        }
    }

    fn check(&self, world: &World) {
        assert_eq!(world.root().0, self.tree.root().0);
        let content = world.content().unwrap();
        assert!(content.accounts.iter().map(|(at, account)| (*at, account.unwrap())).eq(self.accounts.clone()));
        assert_eq!(content.slots, self.slots);
        assert_eq!(world.leaves(), (self.accounts.len() + self.slots.len()) as u64);
        for number in 0..40 {
            let address = address(number * 7);
            assert_eq!(world.account(&address).unwrap(), self.accounts.get(&address).copied());
            assert_eq!(world.prove_account(&address).unwrap(), self.tree.prove(&account_key(&address)));
            let slot = U256::from(number % 4);
            assert_eq!(
                world.slot(&address, &slot).unwrap(),
                self.slots.get(&(address, slot)).copied().unwrap_or_default()
            );
            assert_eq!(world.prove_slot(&address, &slot).unwrap(), self.tree.prove(&slot_key(&address, &slot)));
        }
        for account in self.accounts.values().filter(|account| account.has_code()) {
            assert_eq!(world.code(&account.code_hash).unwrap().unwrap().hash_slow(), account.code_hash);
        }
    }
}

type Batch = (BTreeMap<u16, u8>, BTreeMap<(u16, u8), u8>);

/// Few names, so that they meet; sometimes hundreds at once, sometimes nearly all of them gone.
fn batch() -> impl Strategy<Value = Batch> {
    let nonce = prop_oneof![2 => Just(0_u8), 3 => any::<u8>()];
    let accounts = prop::collection::btree_map(0_u16..300, nonce.clone(), 0..200);
    let slots = prop::collection::btree_map((0_u16..300, 0_u8..4), nonce, 0..200);
    prop_oneof![6 => (accounts, slots), 1 => Just((
        (0_u16..300).map(|number| (number, 0)).collect(),
        (0_u16..300).flat_map(|number| (0_u8..4).map(move |slot| ((number, slot), 0))).collect(),
    ))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pages_come_to_the_root_and_the_proofs_of_the_plain_tree(batches in prop::collection::vec(batch(), 1..6)) {
        let (mut world, mut plain) = (World::default(), Plain::default());
        for (accounts, slots) in batches {
            let changes = changes(&accounts, &slots);
            let before = (world.clone(), world.root());
            prop_assert_eq!(world.apply(&changes).unwrap().0, { plain.apply(&changes); plain.tree.root().0 });
            plain.check(&world);
            prop_assert_eq!(before.0.root(), before.1, "a clone never changes");
            // There and back: only what is different is told, and the code that only the other has comes with it.
            let back = world.changes_back_to(&before.0).unwrap();
            prop_assert!(back.accounts.iter().all(|(at, old)| world.account(at).unwrap() != *old));
            prop_assert!(back.slots.iter().all(|((at, slot), old)| world.slot(at, slot).unwrap() != *old));
            let mut again = world.clone();
            prop_assert_eq!(again.apply(&back).unwrap().0, before.1.0);
            prop_assert_eq!(again.content().unwrap().accounts, before.0.content().unwrap().accounts);
            for hash in back.accounts.values().flatten().filter(|old| old.has_code()).map(|old| old.code_hash) {
                prop_assert!(back.codes.contains_key(&hash) || world.code(&hash).unwrap().is_some());
            }
        }
    }

    #[test]
    fn a_state_written_at_marks_is_the_same_from_the_disk(
        steps in prop::collection::vec((batch(), any::<bool>(), any::<bool>()), 1..8), cache_bytes in 0_usize..200_000,
    ) {
        let (disk, cache) = (Disk::default(), Cache::new(cache_bytes));
        let (mut world, mut plain) = (World::default(), Plain::default());
        let mut waiting: Option<World> = None;
        for ((accounts, slots), mark, written) in steps {
            let changes = changes(&accounts, &slots);
            world.apply(&changes).unwrap();
            plain.apply(&changes);
            if mark && waiting.is_none() {
                waiting = Some(world.mark());
            }
            // Written now, or while later blocks are executed.
            if let Some(marked) = waiting.take_if(|_| written) {
                let older = World::open(disk.base(&cache)).unwrap();
                disk.write(marked.rows_since(&older).unwrap());
                let base = marked.written_to(disk.base(&cache));
                world.rest_on(&base);
                let opened = World::open(disk.base(&Cache::new(cache_bytes))).unwrap();
                prop_assert_eq!(opened.root(), marked.root());
                prop_assert_eq!(opened.content().unwrap(), marked.content().unwrap());
                // What lies there does not tell in how many steps it was written.
                let (again, fresh) = (Disk::default(), World::open(Disk::default().base(&cache)).unwrap());
                again.write(marked.rows_since(&fresh).unwrap());
                prop_assert_eq!(&*again.0.read().unwrap(), &*disk.0.read().unwrap());
            }
            plain.check(&world);
            prop_assert!(cache.bytes() <= cache_bytes + 40_000);
        }
        prop_assert!(cache.failure().is_none());
    }
}

/// A state of so many accounts, every third with code and every second with a slot, on a disk.
fn written(count: u16) -> (Disk, World) {
    let accounts = (0..count).map(|number| (number, (number % 3 + 1) as u8)).collect();
    let slots = (0..count).step_by(2).map(|number| ((number, 1), 7)).collect();
    let mut world = World::default();
    world.apply(&changes(&accounts, &slots)).unwrap();
    let (disk, marked) = (Disk::default(), world.mark());
    disk.write(marked.rows_since(&World::default()).unwrap());
    (disk, marked)
}

#[test]
fn a_state_whose_base_was_written_holds_nothing_but_what_came_later() {
    let (disk, mut world) = written(2_000);
    let base = world.written_to(disk.base(&Cache::new(0)));
    world.rest_on(&base);
    assert!(world.held_bytes() == 0 && world.codes.is_empty());
    world.apply(&changes(&[(7, 9)].into(), &BTreeMap::new())).unwrap();
    assert!((1..8_000).contains(&world.held_bytes()), "the pages on the way to one account");
    // A base of another time than the state's own is left aside.
    world.rest_on(&disk.base(&Cache::new(0)));
    assert_eq!(world.base.as_ref().unwrap().pages.age(), base.pages.age());
}

#[test]
fn code_that_no_account_names_any_more_is_removed_and_shared_code_is_not() {
    let (disk, mut world) = written(40);
    let count = |disk: &Disk| disk.0.read().unwrap().keys().filter(|(table, _)| *table == base::CODES).count();
    assert_eq!(count(&disk), 2);
    let cache = Cache::new(1 << 20);
    for (gone, left) in [(1_u8, 2), (3, 1)] {
        // All but one, then the last of them.
        let with = (0..40).filter(|number| (number % 3 + 1) as u8 == gone).collect::<Vec<u16>>();
        for part in [&with[1..], &with[..1]] {
            assert_eq!(count(&disk), left);
            world.apply(&changes(&part.iter().map(|number| (*number, 0)).collect(), &BTreeMap::new())).unwrap();
            let marked = world.mark();
            disk.write(marked.rows_since(&World::open(disk.base(&cache)).unwrap()).unwrap());
        }
    }
    assert_eq!(count(&disk), 0);
    assert!(!disk.0.read().unwrap().keys().any(|(table, _)| *table == base::USES));
}

#[test]
fn every_changed_byte_on_the_disk_is_an_error_that_names_the_place_or_changes_nothing() {
    let (disk, world) = written(150);
    let tables = disk.0.read().unwrap().clone();
    let whole = world.content().unwrap();
    let mut refused = 0;
    for (place, value) in &tables {
        for index in (0..value.len()).step_by(3) {
            let mut changed = tables.clone();
            changed.get_mut(place).unwrap()[index] ^= 0x11;
            let cache = Cache::new(1 << 20);
            let disk = Disk(Arc::new(RwLock::new(changed)));
            let read = World::open(disk.base(&cache)).and_then(|world| world.content());
            match read {
                Ok(content) => assert!(content == whole && place.0 == base::USES, "{place:?} {index}"),
                Err(error) => {
                    assert!(error.0.starts_with("the state on disk"), "{error}");
                    assert_eq!(cache.failure(), Some(&error));
                    refused += 1;
                }
            }
        }
        let mut changed = tables.clone();
        changed.remove(place);
        let disk = Disk(Arc::new(RwLock::new(changed)));
        let read = World::open(disk.base(&Cache::new(0))).and_then(|world| world.content());
        assert!(read.is_err() || matches!(place.0, base::USES | base::CODES | leaf::ROOTS), "{place:?} is missing");
    }
    assert!(refused > 1_000);
}

/// A reader that fails says so, and execution has it for good.
#[test]
fn a_disk_that_does_not_answer_is_a_failure_that_stays() {
    let (_, world) = written(100);
    let cache = Cache::new(1 << 20);
    let base = Base::new(Arc::new(|_, _| Err("the disk is gone".to_owned())), cache.clone());
    let mut world = world;
    world.rest_on(&world.written_to(base));
    let root = world.root();
    assert!(world.aside().account(&address(1)).is_err() && cache.failure().is_none(), "a question's own failure");
    let error = world.account(&address(1)).unwrap_err();
    assert_eq!(error.to_string(), "failed to read the state: the state on disk, table state-pages: the disk is gone");
    assert_eq!(world.apply(&changes(&[(1, 2)].into(), &BTreeMap::new())), Err(error.clone()));
    assert_eq!((world.root(), cache.failure()), (root, Some(&error)));
}

#[test]
fn what_is_written_is_frozen() {
    let (disk, world) = written(300);
    let mut lines = Vec::new();
    for ((table, key), value) in &*disk.0.read().unwrap() {
        lines.push(format!("{table} {} {}", alloy_primitives::hex::encode(key), keccak256(value)));
    }
    let found = format!("{} rows {} root {}\n", lines.len(), keccak256(lines.join("\n")), world.root());
    assert_eq!(found, include_str!("../../vectors/state.txt"), "the format of the state on disk changed");
    assert!(pages::BUCKET_MAX == 32 && B256::ZERO != world.root());
}
