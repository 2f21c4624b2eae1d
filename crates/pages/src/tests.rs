//! The tree of pages beside the plain tree, in memory and on a disk of maps, with leaves of many lengths.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use crypto::sparse::{self, Proof, leaf_digest, value_digest};
use crypto::{Digest, hash};
use proptest::prelude::*;

use crate::page::{Bucket, Link, Page};
use crate::path::Path;
use crate::*;

/// A number, and as many bytes as it says.
#[derive(Clone, PartialEq, Debug)]
struct Sample {
    key: Digest,
    digest: Digest,
    number: u16,
    bytes: Vec<u8>,
}

fn key(number: u16) -> Digest {
    hash("og/test", &[&number.to_be_bytes()])
}

impl Sample {
    fn new(number: u16, bytes: Vec<u8>) -> Self {
        let key = key(number);
        let digest = leaf_digest(&sparse::Leaf { key, value: value_digest(&bytes) });
        Self { key, digest, number, bytes }
    }
}

impl Leaf for Sample {
    const WHAT: &'static str = "the sample";
    const ROOTS: &'static str = "roots";
    const PAGES: &'static str = "pages";

    fn key(&self) -> &Digest {
        &self.key
    }

    fn digest(&self) -> Digest {
        self.digest
    }

    fn proven(&self) -> sparse::Leaf {
        sparse::Leaf { key: self.key, value: value_digest(&self.bytes) }
    }

    fn bytes(&self) -> usize {
        100 + self.bytes.len()
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_be_bytes());
        out.push(self.bytes.len() as u8);
        out.extend_from_slice(&self.bytes);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let number = u16::from_be_bytes(take(bytes)?);
        let [length] = take(bytes)?;
        let (own, rest) = bytes.split_at_checked(length.into())?;
        *bytes = rest;
        Some(Self::new(number, own.to_vec()))
    }
}

type Tables = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

/// A disk: what is written at once is there at once.
#[derive(Clone, Default)]
struct Disk(Arc<RwLock<Tables>>);

impl Disk {
    fn write(&self, rows: Vec<Row>) {
        let mut tables = self.0.write().unwrap();
        for Row { table, key, value } in rows {
            assert!(["roots", "pages"].contains(&table) && !key.is_empty());
            match value {
                Some(value) => drop(tables.insert((table, key), value)),
                None => drop(tables.remove(&(table, key))),
            }
        }
    }

    /// As it is now, whatever is written later.
    fn base(&self, cache: &Cache<Sample>) -> Base<Sample> {
        let tables = self.0.read().unwrap().clone();
        let read = move |table: &'static str, key: &[u8]| Ok(tables.get(&(table, key.to_vec())).cloned());
        Base::new(Arc::new(read), cache.clone())
    }
}

/// Bytes by number; none where they are gone.
type Batch = BTreeMap<u16, Option<Vec<u8>>>;

fn changes(batch: &Batch) -> Vec<Change<Sample>> {
    let leaf = |(number, bytes): (&u16, &Option<Vec<u8>>)| {
        (key(*number), bytes.clone().map(|bytes| Arc::new(Sample::new(*number, bytes))))
    };
    let mut changes: Vec<_> = batch.iter().map(leaf).collect();
    changes.sort_unstable_by_key(|(key, _)| *key);
    changes
}

/// Few numbers, so that they meet; sometimes nearly all of them gone.
fn batch() -> impl Strategy<Value = Batch> {
    let bytes = prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..30));
    let some = prop::collection::btree_map(0_u16..400, bytes, 0..300);
    prop_oneof![6 => some, 1 => Just((0..400).map(|number| (number, None)).collect())]
}

/// What a tree must be like, told slowly.
#[derive(Default)]
struct Plain {
    held: BTreeMap<u16, Vec<u8>>,
    tree: sparse::Tree,
}

impl Plain {
    fn apply(&mut self, batch: &Batch) {
        for (number, bytes) in batch {
            match bytes {
                Some(bytes) => drop(self.held.insert(*number, bytes.clone())),
                None => drop(self.held.remove(number)),
            }
            self.tree = self.tree.with(key(*number), bytes.as_deref().map(value_digest));
        }
    }

    fn check(&self, tree: &Tree<Sample>) {
        assert_eq!((tree.root(), tree.leaves()), (self.tree.root(), self.held.len() as u64));
        let all = tree.all().unwrap();
        assert!(all.windows(2).all(|pair| pair[0].key < pair[1].key));
        let held: BTreeMap<u16, Vec<u8>> = all.iter().map(|leaf| (leaf.number, leaf.bytes.clone())).collect();
        assert_eq!(held, self.held);
        let mut keys: Vec<Digest> = (0..440).step_by(3).map(key).collect();
        keys.sort_unstable();
        let found = tree.find_all(&keys).unwrap();
        assert!(keys.iter().map(|key| tree.find(key).unwrap()).eq(found));
        for number in (0..440).step_by(7) {
            let found = tree.find(&key(number)).unwrap();
            assert_eq!(found.map(|leaf| leaf.bytes.clone()), self.held.get(&number).cloned());
            assert_eq!(tree.prove(&key(number)).unwrap(), self.tree.prove(&key(number)));
        }
    }
}

/// What differs between two trees, told slowly.
fn check_replaced(earlier: &Tree<Sample>, later: &Tree<Sample>) {
    let held = |tree: &Tree<Sample>| -> BTreeMap<Digest, Arc<Sample>> {
        tree.all().unwrap().into_iter().map(|leaf| (leaf.key, leaf)).collect()
    };
    let (before, after) = (held(earlier), held(later));
    let mut keys: Vec<&Digest> = before.keys().chain(after.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let pairs = keys.into_iter().map(|key| (before.get(key).cloned(), after.get(key).cloned()));
    let differ: Vec<Replaced<Sample>> = pairs.filter(|(old, new)| old != new).collect();
    assert_eq!(later.replaced_since(earlier).unwrap(), differ);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pages_come_to_the_root_and_the_proofs_of_the_plain_tree(batches in prop::collection::vec(batch(), 1..6)) {
        let (mut tree, mut plain) = (Tree::default(), Plain::default());
        for batch in batches {
            let before = (tree.clone(), tree.root());
            tree.apply(&changes(&batch)).unwrap();
            plain.apply(&batch);
            plain.check(&tree);
            prop_assert_eq!(before.0.root(), before.1, "a clone never changes");
            check_replaced(&before.0, &tree);
            check_replaced(&tree, &before.0);
        }
    }

    #[test]
    fn a_bucket_that_changes_is_the_one_that_is_made_anew(
        steps in prop::collection::vec(prop::collection::btree_map(0_u16..32, any::<Option<u8>>(), 0..8), 1..20),
    ) {
        let (mut held, mut bucket) = (BTreeMap::new(), Bucket::<Sample>::of(Vec::new(), &Path::ROOT));
        for step in steps {
            let mut changed = 0_u16;
            for (number, byte) in step {
                changed |= 1 << Path::ROOT.way(&key(number)).unwrap();
                match byte {
                    Some(byte) => drop(held.insert(key(number), Arc::new(Sample::new(number, vec![byte])))),
                    None => drop(held.remove(&key(number))),
                }
            }
            let leaves: Vec<Arc<Sample>> = held.values().cloned().collect();
            bucket = bucket.with(leaves.clone(), changed, &Path::ROOT);
            prop_assert_eq!(format!("{bucket:?}"), format!("{:?}", Bucket::of(leaves, &Path::ROOT)));
        }
    }

    #[test]
    fn a_tree_written_at_marks_is_the_same_from_the_disk_and_to_whom_it_is_sent(
        steps in prop::collection::vec((batch(), any::<bool>(), any::<bool>()), 1..8), cache_bytes in 0_usize..100_000,
    ) {
        let (disk, cache) = (Disk::default(), Cache::new(cache_bytes));
        let (mut tree, mut plain) = (Tree::default(), Plain::default());
        let mut waiting: Option<Tree<Sample>> = None;
        for (batch, mark, written) in steps {
            tree.apply(&changes(&batch)).unwrap();
            plain.apply(&batch);
            if mark && waiting.is_none() {
                waiting = Some(tree.mark());
            }
            // Written now, or while there are later changes.
            if let Some(marked) = waiting.take_if(|_| written) {
                let older = Tree::open(disk.base(&cache)).unwrap();
                let mut leaves = older.leaves() as i64;
                let rows = marked.rows_and_leaves_since(&older, |_, by| leaves += by).unwrap();
                prop_assert_eq!(&marked.rows_since(&older).unwrap(), &rows);
                disk.write(rows);
                prop_assert_eq!(leaves as u64, marked.leaves());
                prop_assert!(tree.rest_on(&marked.written_to(disk.base(&cache))));
                let opened = Tree::open(disk.base(&Cache::new(cache_bytes))).unwrap();
                prop_assert_eq!(opened.root(), marked.root());
                // What lies there does not tell in how many steps it was written, nor whether it came from elsewhere.
                let (again, sent) = (Disk::default(), Disk::default());
                again.write(marked.rows_since(&Tree::default()).unwrap());
                prop_assert_eq!(&*again.0.read().unwrap(), &*disk.0.read().unwrap());
                let mut arriving = Arriving::<Sample>::new(marked.root(), marked.leaves());
                while let Some(name) = arriving.wanted() {
                    let page = disk.0.read().unwrap().get(&("pages", name)).cloned().unwrap();
                    sent.write(vec![arriving.take(&page, None).unwrap().0]);
                }
                prop_assert!(arriving.take(&[], None).is_err(), "nothing comes after the last");
                sent.write(vec![arriving.finish().unwrap()]);
                prop_assert_eq!(&*sent.0.read().unwrap(), &*disk.0.read().unwrap());
            }
            plain.check(&tree);
            let opened = Tree::open(disk.base(&cache)).unwrap();
            check_replaced(&opened, &tree);
            check_replaced(&tree, &opened);
            prop_assert!(cache.bytes() <= cache_bytes + 40_000);
        }
        prop_assert!(cache.failure().is_none());
    }
}

/// A tree of so many leaves on a disk.
fn written(count: u16) -> (Disk, Tree<Sample>) {
    let mut tree = Tree::default();
    tree.apply(&changes(&(0..count).map(|number| (number, Some(vec![7; usize::from(number % 5)]))).collect())).unwrap();
    let (disk, marked) = (Disk::default(), tree.mark());
    disk.write(marked.rows_since(&Tree::default()).unwrap());
    (disk, marked)
}

fn held(link: &Link<Sample>) -> usize {
    let Some(page) = link.held.as_ref().map(|held| &held.page) else { return 0 };
    match &**page {
        Page::Bucket(_) => 1,
        Page::Branch(branch) => 1 + branch.links.iter().flatten().map(held).sum::<usize>(),
    }
}

#[test]
fn a_tree_whose_base_was_written_holds_nothing_but_what_came_later() {
    let (disk, mut tree) = written(3_000);
    let base = tree.written_to(disk.base(&Cache::new(0)));
    assert!(tree.rest_on(&base));
    assert!(tree.root.as_ref().unwrap().held.is_none());
    tree.apply(&changes(&[(7, Some(vec![1]))].into())).unwrap();
    assert_eq!(held(tree.root.as_ref().unwrap()), 3, "the pages on the way to one leaf");
    assert!(!tree.rest_on(&disk.base(&Cache::new(0))), "a base of another time than the tree's own");
    assert_eq!(tree.base().unwrap().age(), base.age());
}

#[test]
fn a_page_that_many_keys_lead_to_is_read_once() {
    let (disk, _) = written(3_000);
    let (tables, count) = (disk.0.read().unwrap().clone(), Arc::new(RwLock::new(0)));
    let counted = Arc::clone(&count);
    let read = move |table: &'static str, key: &[u8]| {
        *counted.write().unwrap() += 1;
        Ok(tables.get(&(table, key.to_vec())).cloned())
    };
    let tree = Tree::open(Base::<Sample>::new(Arc::new(read), Cache::new(0))).unwrap();
    let mut keys: Vec<Digest> = (0..3_000).map(key).collect();
    keys.sort_unstable();
    assert!(tree.find_all(&keys).unwrap().iter().all(Option::is_some));
    assert_eq!(*count.read().unwrap(), pages_of(&disk).len() + 1, "each page, and the root's row");
}

#[test]
fn rows_are_found_without_the_buckets_that_they_replace() {
    let some: Batch = (0..3_000).step_by(7).map(|number| (number, (number % 2 == 0).then(|| vec![9]))).collect();
    // Some leaves are others, or branches become buckets, or nothing is left.
    let gone = |first: u16| -> Batch { (first..3_000).map(|number| (number, None)).collect() };
    for batch in [some, gone(20), gone(0)] {
        let (disk, mut tree) = written(3_000);
        tree.apply(&changes(&batch)).unwrap();
        let on_disk = || Tree::open(disk.base(&Cache::new(0))).unwrap();
        let rows = tree.rows_and_leaves_since(&on_disk(), |_, _| {}).unwrap();
        disk.0.write().unwrap().retain(|(table, _), value| *table == "roots" || value[0] == 2);
        assert_eq!(tree.rows_since(&on_disk()).unwrap(), rows);
        assert!(tree.rows_and_leaves_since(&on_disk(), |_, _| {}).is_err(), "there are no buckets");
    }
}

#[test]
fn every_changed_byte_on_the_disk_is_an_error_that_names_the_place_and_stays() {
    let (disk, _) = written(150);
    let tables = disk.0.read().unwrap().clone();
    let mut refused = 0;
    let mut check = |changed: Tables, place: &(&'static str, Vec<u8>)| {
        let cache = Cache::new(1 << 20);
        let disk = Disk(Arc::new(RwLock::new(changed)));
        let error = Tree::open(disk.base(&cache)).and_then(|tree| tree.all()).unwrap_err();
        assert!(error.0.starts_with("the sample on disk"), "{place:?}: {error}");
        assert_eq!(cache.failure(), Some(&error));
        refused += 1;
    };
    for (place, value) in &tables {
        for index in 0..value.len() {
            let mut changed = tables.clone();
            changed.get_mut(place).unwrap()[index] ^= 0x11;
            check(changed, place);
        }
        if place.0 == "pages" {
            let mut changed = tables.clone();
            changed.remove(place);
            check(changed, place);
        }
    }
    assert!(refused > 500);
    let base = Base::<Sample>::new(Arc::new(|_, _| Err("the disk is gone".to_owned())), Cache::new(0));
    let error = base.aside().read("roots", &[1]).unwrap_err();
    assert!(error.0.ends_with("the disk is gone") && base.cache().failure().is_none(), "a question's own failure");
    assert!(Tree::open(base).unwrap_err().to_string().ends_with("table roots: the disk is gone"));
}

#[test]
fn pages_of_foreign_bytes_are_refused() {
    let (disk, tree) = written(150);
    let tables = disk.0.read().unwrap().clone();
    for ((_, name), bytes) in tables.iter().filter(|((table, _), _)| *table == "pages") {
        let path = Path::named(name).unwrap();
        assert_eq!(path.name(), *name);
        assert_eq!(Page::<Sample>::read(bytes, &path).unwrap().write(), *bytes, "what is read is written the same");
        for length in 0..bytes.len() {
            assert!(Page::<Sample>::read(&bytes[..length], &path).is_none());
        }
        assert!(Page::<Sample>::read(&[bytes.as_slice(), &[0]].concat(), &path).is_none());
        if bytes[0] == 1 {
            let elsewhere = Page::<Sample>::read(bytes, &path.child(3).child(3));
            assert!(elsewhere.is_none() || bytes[1] == 1, "leaves of another place");
        }
        let mut arriving = Arriving::<Sample>::new(tree.root(), tree.leaves());
        assert_eq!(arriving.take(bytes, None).is_ok(), name.len() == 1, "the root comes first");
    }
    for name in [&[][..], &[0], &[1, 16], &[1; 66]] {
        assert_eq!(Path::named(name), None);
    }
}

/// The pages of a tree by their names.
fn pages_of(disk: &Disk) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let tables = disk.0.read().unwrap();
    tables
        .iter()
        .filter(|((table, _), _)| *table == "pages")
        .map(|((_, name), page)| (name.clone(), page.clone()))
        .collect()
}

/// A branch that says one leaf more of its first way and one less of its second: its digest and its sum are the same.
fn miscounted(page: &[u8]) -> Vec<u8> {
    let mut page = page.to_vec();
    assert!(page[0] == 2 && page[1].count_ones() + page[2].count_ones() >= 2, "a branch with two ways");
    (page[3 + 39], page[3 + 79]) = (page[3 + 39] + 1, page[3 + 79] - 1);
    page
}

#[test]
fn numbers_that_a_branch_does_not_bind_are_never_held_against_another_giver() {
    let (disk, tree) = written(3_000);
    let honest = pages_of(&disk);
    let branches: Vec<_> = honest.iter().filter(|(_, page)| page[0] == 2).map(|(name, _)| name.clone()).collect();
    assert!(branches.len() > 10);
    for (place, lie) in branches.iter().enumerate() {
        let mut arriving = Arriving::<Sample>::new(tree.root(), tree.leaves());
        let mut came = BTreeMap::new();
        // The first gives all up to the false branch, the second the rest.
        let mut giver = 0;
        let mut doubts = 0;
        while let Some(name) = arriving.wanted() {
            let page = if giver == 0 && name == *lie { miscounted(&honest[&name]) } else { honest[&name].clone() };
            match arriving.take(&page, Some(giver)) {
                Ok((row, _)) => drop(came.insert(row.key, row.value.unwrap())),
                Err(_) => {
                    let rows = arriving.doubt(giver).expect("the other one gave what is above");
                    assert!(giver == 1 && rows.iter().any(|row| row.key == *lie));
                    rows.iter().for_each(|row| drop(came.remove(&row.key).expect("it came")));
                    doubts += 1;
                }
            }
            giver = usize::from(giver == 1 || name == *lie);
        }
        assert_eq!((came, doubts), (honest.clone(), 1), "branch {place}");
        assert!(arriving.finish().is_some());
        // Who gives the rest itself is at fault.
        let mut arriving = Arriving::<Sample>::new(tree.root(), tree.leaves());
        while let Some(name) = arriving.wanted() {
            let page = if name == *lie { miscounted(&honest[&name]) } else { honest[&name].clone() };
            if arriving.take(&page, Some(0)).is_err() {
                break;
            }
        }
        assert!(arriving.wanted().is_some() && arriving.doubt(0).is_none());
    }
}

#[test]
fn what_came_whole_is_not_wanted_again_for_another_tree() {
    let (disk, mut tree) = written(3_000);
    let mut arriving = Arriving::<Sample>::new(tree.root(), tree.leaves());
    let arrive = |arriving: &mut Arriving<Sample>, disk: &Disk, most: usize| {
        let (pages, mut count) = (pages_of(disk), 0);
        while let Some(name) = arriving.wanted().filter(|_| count < most) {
            arriving.take(&pages[&name], Some(0)).unwrap();
            count += 1;
        }
        count
    };
    let all = pages_of(&disk).len();
    assert_eq!(arrive(&mut arriving, &disk, all / 2), all / 2);
    arriving.turn_to(tree.root(), tree.leaves());
    let rest = arrive(&mut arriving, &disk, all);
    assert!(rest < all / 2 + 40, "{rest} of {all}");
    arriving.turn_to(tree.root(), tree.leaves());
    assert_eq!(arriving.wanted(), None);
    // One leaf is another: the pages on its way are wanted, and buckets beside it are looked at.
    tree.apply(&changes(&[(7, Some(vec![1]))].into())).unwrap();
    disk.write(tree.rows_since(&Tree::open(disk.base(&Cache::new(0))).unwrap()).unwrap());
    arriving.turn_to(tree.root(), tree.leaves());
    assert!((2..40).contains(&arrive(&mut arriving, &disk, all)));
    assert!(arriving.finish().is_some());
}

#[test]
fn an_empty_tree_proves_that_nothing_is_there() {
    let tree = Tree::<Sample>::default();
    assert_eq!((tree.root(), tree.leaves(), tree.find(&key(1)).unwrap()), (Digest::ZERO, 0, None));
    assert_eq!(tree.prove(&key(1)).unwrap(), Proof { siblings: Vec::new(), found: None });
    assert!(Arriving::<Sample>::new(Digest::ZERO, 0).finish().is_some_and(|row| row.value.is_none()));
}
