//! A ledger whose tables lie on a disk of maps, beside one that has all in memory.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use crypto::Digest;
use ledger::{Arrival, ArrivingEpoch, Base, BundleError, Cache, Kept, Ledger, Snapshot, TABLES, told_epochs};
use pages::{Reader, Row};
use protocol::{EpochRecord, Noun as _, SignedReceipt, Standing, Version};

use crate::{
    bundles::{certificate, proofs_hold},
    world::{
        AUDITOR, Answer, GATEWAY, OTHER_AUDITOR, OTHER_WORKER, VALIDATORS, WORKER, World, challenge, charging, node,
        post, report, vote,
    },
};

pub type Tables = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

/// What is written at once is there at once; a reader sees it as it was.
#[derive(Clone, Default)]
pub struct Disk(Arc<RwLock<Arc<Tables>>>);

impl Disk {
    pub fn of(tables: Tables) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(tables))))
    }

    pub fn tables(&self) -> Arc<Tables> {
        Arc::clone(&self.0.read().unwrap())
    }

    pub fn write(&self, rows: Vec<Row>) {
        let mut tables = Tables::clone(&self.tables());
        for Row { table, key, value } in rows {
            assert!(!key.is_empty() && (TABLES.contains(&table) || evm::STATE_TABLES.contains(&table)));
            match value {
                Some(value) => drop(tables.insert((table, key), value)),
                None => drop(tables.remove(&(table, key))),
            }
        }
        *self.0.write().unwrap() = Arc::new(tables);
    }

    fn reader(&self) -> Reader {
        let tables = self.tables();
        Arc::new(move |table, key| Ok(tables.get(&(table, key.to_vec())).cloned()))
    }

    pub fn base(&self, cache: &Cache) -> Base {
        Base::new(self.reader(), cache.clone())
    }

    fn world_base(&self) -> evm::Base {
        evm::Base::new(self.reader(), evm::Cache::new(0))
    }
}

/// Writes all of a snapshot; bytes of the ledger's own rows.
fn written(disk: &Disk, cache: &Cache, snapshot: &Snapshot) -> usize {
    let rows = snapshot.kept().rows_since(&disk.base(cache)).unwrap();
    let bytes = rows.iter().map(|row| row.key.len() + row.value.as_ref().map_or(0, Vec::len)).sum();
    disk.write(rows);
    let older = evm::World::open(disk.world_base()).unwrap();
    disk.write(snapshot.world().rows_since(&older).unwrap());
    bytes
}

fn rest(ledger: &mut Ledger, disk: &Disk, cache: &Cache, snapshot: &Snapshot) {
    let world = snapshot.world().written_to(disk.world_base());
    ledger.rest_on(&world, &snapshot.kept().written_to(disk.base(cache)));
}

/// What a restart makes of the disk and the small tables.
fn reopened(disk: &Disk, cache: &Cache, bytes: &[u8]) -> Ledger {
    let world = evm::World::open(disk.world_base()).unwrap();
    Ledger::restore(bytes, world, Kept::open(disk.base(cache)).unwrap()).unwrap()
}

/// All that may be asked of receipts is answered alike.
fn same(one: &Ledger, other: &Ledger, answers: &[Answer]) {
    assert_eq!(one.closed_epoch(), other.closed_epoch());
    for epoch in 0..one.open_epoch() {
        assert_eq!(one.epoch(epoch), other.epoch(epoch));
        assert_eq!(one.epoch_receipts(epoch), other.epoch_receipts(epoch), "epoch {epoch}");
        assert_eq!(one.epoch_verdicts(epoch), other.epoch_verdicts(epoch));
    }
    let as_of = one.closed_epoch().unwrap().epoch;
    for id in answers.iter().map(Answer::id).chain([Digest::ZERO]) {
        assert_eq!(one.receipt_view(&id), other.receipt_view(&id));
        let (here, there) = (one, other).map(|ledger| ledger.bundle(&id, as_of, certificate(as_of), None));
        assert!(here.as_ref().map_or(true, |bundle| proofs_hold(other, bundle)));
        assert_eq!(here, there);
    }
    assert_eq!(one.snapshot_bytes(), other.snapshot_bytes());
}

trait Both<T> {
    fn map<R>(self, of: impl Fn(T) -> R) -> (R, R);
}
impl<T> Both<T> for (T, T) {
    fn map<R>(self, of: impl Fn(T) -> R) -> (R, R) {
        (of(self.0), of(self.1))
    }
}

/// One step of a history in which every table of receipts is touched, early and late.
fn step(world: &mut World, answers: &mut Vec<Answer>, turn: usize) {
    match turn {
        // A number that is used again when the first receipt may be on the disk only: its worker is jailed.
        5 => {
            let signed = answers[0].changed(OTHER_WORKER, |receipt| receipt.output_tokens += 1);
            world.posting(&signed).unwrap_err();
        }
        22 => {
            let last = answers.last().unwrap().clone();
            world.send(AUDITOR, challenge(&last, true)).unwrap();
            VALIDATORS[..3].iter().for_each(|validator| world.send(*validator, vote(&last, true)).unwrap());
        }
        0..22 => {
            let worker = if turn < 5 { OTHER_WORKER } else { WORKER };
            (0..turn % 4).for_each(|_| answers.push(world.anchored(worker)));
        }
        _ => {}
    }
    // Some of these are refused, which is right as well.
    match (turn % 5, answers.get(turn), turn.checked_sub(2).and_then(|before| answers.get(before))) {
        (0, Some(answer), _) => drop(world.send(OTHER_AUDITOR, report(answer))),
        (1, Some(answer), _) => drop(world.send(AUDITOR, challenge(answer, true))),
        (3, _, Some(before)) => {
            VALIDATORS[..3].iter().for_each(|validator| drop(world.send(*validator, vote(before, false))));
        }
        _ => {}
    }
    world.next_epoch();
}

#[test]
fn a_ledger_that_rests_on_a_disk_is_the_one_that_has_all_in_memory() {
    for every in [1, 3, 7] {
        let (disk, cache) = (Disk::default(), Cache::new(every * 4_000));
        let (mut world, mut answers) = (World::new(), Vec::new());
        let (mut own, mut executed) = (world.ledger.clone(), 0);
        for turn in 0..24 {
            step(&mut world, &mut answers, turn);
            // Some blocks are executed while what was before them is being written.
            let snapshot = own.snapshot().filter(|_| turn % every == every - 1);
            if let Some(snapshot) = &snapshot {
                written(&disk, &cache, snapshot);
            }
            for block in &world.blocks[executed..] {
                own.execute(block).unwrap();
            }
            executed = world.blocks.len();
            if turn % 4 == 1 {
                // Written ahead: counts for who goes on, and for nobody who begins from the snapshot before.
                let ahead = own.ahead();
                disk.write(ahead.rows());
                own.rest_ahead_on(&ahead.written_to(disk.base(&cache)));
                assert!(own.ahead_bytes() < 4_096 && own.ahead().rows().is_empty());
            }
            if let Some(snapshot) = &snapshot {
                rest(&mut own, &disk, &cache, snapshot);
                let mut again = reopened(&disk, &Cache::new(0), snapshot.bytes());
                world.blocks.iter().for_each(|block| drop(again.execute(block).unwrap()));
                same(&world.ledger, &again, &answers);
            }
            same(&world.ledger, &own, &answers);
        }
        assert!(answers.len() == 30 && cache.failure().is_none());
        let stands = |standing| answers.iter().any(|answer| own.status(&answer.id()).unwrap().standing == standing);
        assert!(stands(Standing::Refuted) && stands(Standing::Anchored) && own.equivocations().count() == 1);
    }
}

/// A history on a disk, with its small tables.
fn on_disk() -> (World, Vec<Answer>, Disk, Vec<u8>) {
    let (mut world, mut answers, disk) = (World::new(), Vec::new(), Disk::default());
    (0..24).for_each(|turn| step(&mut world, &mut answers, turn));
    let snapshot = world.ledger.snapshot().unwrap();
    written(&disk, &Cache::new(0), &snapshot);
    (world, answers, disk, snapshot.bytes().to_vec())
}

/// Asks for everything.
fn told(ledger: &Ledger, answers: &[Answer]) -> Vec<String> {
    let mut told = Vec::new();
    for epoch in 0..ledger.open_epoch() {
        told.push(format!("{:?} {:?}", ledger.epoch(epoch), ledger.epoch_receipts(epoch)));
        told.push(format!("{:?}", ledger.epoch_verdicts(epoch)));
    }
    let as_of = ledger.closed_epoch().unwrap().epoch;
    told.extend(
        answers.iter().map(|answer| format!("{:?}", ledger.bundle(&answer.id(), as_of, certificate(as_of), None))),
    );
    told
}

#[test]
fn what_is_changed_on_the_disk_is_named_and_remembered_or_changes_nothing() {
    let (_, answers, disk, bytes) = on_disk();
    let tables = disk.tables();
    let right = told(&reopened(&disk, &Cache::new(1 << 20), &bytes), &answers);
    let mut refused = BTreeMap::<&str, usize>::new();
    let own = tables.iter().filter(|((table, _), _)| TABLES.contains(table));
    for (number, (place, value)) in own.enumerate() {
        for index in (number % 197..value.len()).step_by(197) {
            let mut changed = Tables::clone(&tables);
            changed.get_mut(place).unwrap()[index] ^= 0x21;
            let (disk, cache) = (Disk::of(changed), Cache::new(1 << 20));
            let world = evm::World::open(disk.world_base()).unwrap();
            let kept = Kept::open(disk.base(&cache)).map_err(|error| error.to_string());
            let ledger = kept.and_then(|kept| Ledger::restore(&bytes, world, kept).map_err(|error| error.to_string()));
            let is_same = ledger.as_ref().is_ok_and(|ledger| told(ledger, &answers) == right);
            // Numbers are asked for as receipts are anchored only; that they are checked is seen elsewhere.
            assert!(is_same != cache.failure().is_some() || ledger.is_err(), "{place:?} at {index}");
            assert!(place.0 == "ledger-sequences" || !is_same, "{place:?} at {index} is nowhere read");
            *refused.entry(place.0).or_default() += usize::from(!is_same);
        }
    }
    assert!(refused.values().filter(|count| **count > 3).count() >= 4, "{refused:?}");
}

#[test]
fn a_number_on_the_disk_that_is_not_as_it_was_written_is_a_failure() {
    let (world, answers, disk, bytes) = on_disk();
    for index in 0..48 {
        let mut changed = Tables::clone(&disk.tables());
        let sequences = changed.iter_mut().filter(|((table, _), _)| *table == "ledger-sequences");
        sequences.for_each(|(_, value)| value[index] ^= 1);
        let cache = Cache::new(0);
        let ledger = reopened(&Disk::of(changed), &cache, &bytes);
        assert!(cache.failure().is_none());
        let mut other = World { ledger, ..World::new() };
        (other.time_ms, other.chains) = (world.time_ms, world.chains.clone());
        let again = answers[0].changed(OTHER_WORKER, |receipt| receipt.output_tokens += 2);
        let _ = other.send(GATEWAY, post([&again]));
        let error = cache.failure().unwrap().to_string();
        assert!(error.contains("the ledger on disk: what lies at number 0 of worker"), "{error}");
    }
}

#[test]
fn a_number_that_is_gone_from_the_disk_is_a_failure_and_not_a_free_number() {
    let (world, answers, disk, bytes) = on_disk();
    let mut changed = Tables::clone(&disk.tables());
    changed.retain(|(table, _), _| *table != "ledger-sequences");
    let cache = Cache::new(0);
    let ledger = reopened(&Disk::of(changed), &cache, &bytes);
    let mut other = World { ledger, ..World::new() };
    (other.time_ms, other.chains) = (world.time_ms, world.chains.clone());
    let again = answers[0].changed(OTHER_WORKER, |receipt| receipt.output_tokens += 2);
    let _ = other.send(GATEWAY, post([&again]));
    let error = cache.failure().unwrap().to_string();
    assert!(error.contains("number 0 of worker") && error.ends_with("is missing"), "{error}");
}

#[test]
fn a_number_that_is_gone_beside_a_gap_is_noticed_by_its_own_receipt_or_the_one_behind_it() {
    let (mut world, disk) = (World::new(), Disk::default());
    let answers: Vec<_> = (0..6).map(|_| world.answer(WORKER)).collect();
    // One is left out, so that a number which is found nowhere may be free.
    let posted = answers.iter().enumerate().filter(|(number, _)| *number != 1).map(|(_, answer)| &answer.signed);
    world.send(GATEWAY, post(posted)).unwrap();
    world.next_epoch();
    let snapshot = world.ledger.snapshot().unwrap();
    written(&disk, &Cache::new(0), &snapshot);
    // They came with one epoch and are of one run: all lie under the first.
    let key = [node(WORKER).0.as_slice(), &0_u64.to_be_bytes()].concat();
    let failure = |is_gone: bool, signed: &SignedReceipt| {
        let mut tables = Tables::clone(&disk.tables());
        if is_gone {
            tables.remove(&(ledger::SEQUENCES, key.clone())).unwrap();
        }
        let cache = Cache::new(0);
        let ledger = reopened(&Disk::of(tables), &cache, snapshot.bytes());
        let mut other = World { ledger, ..World::new() };
        other.time_ms = world.time_ms;
        let _ = other.send(GATEWAY, post([signed]));
        cache.failure().map(ToString::to_string)
    };
    let again = answers[4].changed(WORKER, |receipt| receipt.output_tokens += 1);
    for signed in [&answers[4].signed, &again] {
        let error = failure(true, signed).unwrap();
        assert!(error.contains("number 4 of worker") && error.ends_with("is missing"), "{error}");
        assert_eq!(failure(false, signed), None);
    }
    assert_eq!(failure(true, &answers[1].signed), None, "a number that is free");
}

#[test]
fn a_number_is_found_in_whichever_row_of_its_run_it_lies() {
    let (mut world, disk) = (World::new(), Disk::default());
    let answers: Vec<_> = (0..12).map(|_| world.answer(WORKER)).collect();
    // Parts of two runs, each epoch's behind those of the epoch before and between them; two numbers stay free.
    for part in [[0, 5, 9].as_slice(), &[2, 3, 8, 11], &[1, 4, 10]] {
        world.send(GATEWAY, post(part.iter().map(|number: &usize| &answers[*number].signed))).unwrap();
        world.next_epoch();
    }
    let snapshot = world.ledger.snapshot().unwrap();
    written(&disk, &Cache::new(0), &snapshot);
    let tables = disk.tables();
    let rows: Vec<u64> = tables
        .keys()
        .filter(|(table, _)| *table == ledger::SEQUENCES)
        .map(|(_, key)| u64::from_be_bytes(key[32..].try_into().unwrap()))
        .collect();
    assert_eq!(rows, [0, 1, 2, 8, 9, 10]);
    for (number, answer) in answers.iter().enumerate() {
        let cache = Cache::new(0);
        let mut other = World { ledger: reopened(&disk, &cache, snapshot.bytes()), ..World::new() };
        other.time_ms = world.time_ms;
        let is_free = [6, 7].contains(&number);
        assert_eq!(other.posting(&answer.signed).is_ok(), is_free, "{number}");
        assert_eq!(world.ledger.status(&answer.id()).is_none(), is_free, "{number}");
        assert!(cache.failure().is_none(), "{number}");
    }
}

#[test]
fn what_a_stranger_asks_for_and_cannot_be_read_is_no_failure_of_the_ledger() {
    let (_, answers, disk, bytes) = on_disk();
    let (reads, cache) = (Arc::new(RwLock::new(true)), Cache::new(0));
    let (tables, is_there) = (disk.tables(), Arc::clone(&reads));
    let reader: Reader = Arc::new(move |table, key| match *is_there.read().unwrap() {
        true => Ok(tables.get(&(table, key.to_vec())).cloned()),
        false => Err("the disk is gone".to_owned()),
    });
    let world = evm::World::open(evm::Base::new(reader.clone(), evm::Cache::new(0))).unwrap();
    let ledger = Ledger::restore(&bytes, world, Kept::open(Base::new(reader, cache.clone())).unwrap()).unwrap();
    let as_of = ledger.closed_epoch().unwrap().epoch;
    let (id, account) = (answers[0].id(), ledger.accounts());
    let status = ledger.sight().status(&id).unwrap().unwrap();
    let bundled = ledger.bundled(status.clone(), as_of, certificate(as_of)).unwrap();
    let right = ledger.bundle(&id, as_of, certificate(as_of), None).unwrap();
    assert_eq!(bundled.clone().aside().bundle(None).unwrap(), right);
    let epoch = ledger.epoch_sight(status.epoch).unwrap();
    assert_eq!(epoch.receipts().unwrap(), ledger.epoch_receipts(status.epoch).unwrap());
    assert_eq!(ledger.sight().anchored(&[Digest::ZERO, id]).unwrap(), [id]);
    // Nothing of the first one is in the caches any more.
    told(&ledger, &answers);
    *reads.write().unwrap() = false;
    assert!(ledger.sight().status(&id).is_err() && ledger.sight().anchored(&[id]).is_err());
    assert!(epoch.record().is_err() && epoch.receipts().is_err());
    assert!(ledger.receipt_sight(&status).unwrap().read().is_err());
    assert!(matches!(bundled.aside().bundle(None), Err(BundleError::Unreadable(_))));
    assert!(account.balance(&ledger::LOCKED).is_err() && account.burned().is_err());
    assert!(cache.failure().is_none());
    // The ledger's own reading is.
    assert!(ledger.epoch_receipts(status.epoch).is_none() && cache.failure().is_some());
}

/// Sends everything of a disk to another one; the rows of each epoch's pieces pass through `change`.
fn sent(from: &Disk, bytes: &[u8], change: impl Fn(&mut Vec<u8>)) -> Result<(Disk, Arrival), String> {
    let (tables, to) = (from.tables(), Disk::default());
    to.write(
        tables
            .iter()
            .filter(|((table, _), _)| {
                evm::STATE_TABLES.contains(table) || ["ledger-roots", "ledger-pages"].contains(table)
            })
            .map(|((table, key), value)| Row { table, key: key.clone(), value: Some(value.clone()) })
            .collect(),
    );
    let mut arrival = Arrival::default();
    for record in told_epochs(bytes).unwrap() {
        let mut arriving = ArrivingEpoch::new(record);
        while let Some(key) = arriving.wanted() {
            let mut row = tables.get(&(ledger::PIECES, key.clone())).unwrap().clone();
            change(&mut row);
            assert!(arriving.take(&[key.as_slice(), &[0]].concat(), &row).is_err(), "another piece than was wanted");
            arriving.take(&key, &row).map_err(|error| error.to_string())?;
        }
        to.write(arriving.finish(&mut arrival).map_err(|error| error.to_string())?);
    }
    Ok((to, arrival))
}

#[test]
fn who_begins_from_others_has_the_same_tables() {
    let (world, answers, disk, bytes) = on_disk();
    let (arrived, arrival) = sent(&disk, &bytes, |_| {}).unwrap();
    assert_eq!(arrived.tables(), disk.tables());
    let ledger = reopened(&arrived, &Cache::new(1 << 20), &bytes);
    same(&world.ledger, &ledger, &answers);
    assert!(arrival.is_of(&ledger));
    // What lies there is found again, and counted.
    let base = arrived.base(&Cache::new(0));
    let mut again = Arrival::default();
    assert!(!again.is_of(&ledger), "nothing has come yet");
    for record in told_epochs(&bytes).unwrap() {
        let rows = again.find(&base, &record).unwrap();
        assert!(rows.iter().all(|row| arrived.tables().get(&(row.table, row.key.clone())) == row.value.as_ref()));
    }
    assert!(again.is_of(&ledger));
    let nothing = Disk::default().base(&Cache::new(0));
    assert!(again.find(&nothing, &told_epochs(&bytes).unwrap()[5]).is_none());
}

#[test]
fn an_epoch_of_which_a_byte_is_changed_never_arrives() {
    let (_, _, disk, bytes) = on_disk();
    let longest = disk
        .tables()
        .iter()
        .filter(|((table, _), _)| *table == ledger::PIECES)
        .map(|(_, row)| row.len())
        .max()
        .unwrap();
    for place in (0..longest).step_by(13) {
        let change = |row: &mut Vec<u8>| row.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 0x40);
        let refused = sent(&disk, &bytes, change).err().unwrap();
        assert!(refused.starts_with("failed to read a page: epoch "), "{refused}");
    }
    sent(&disk, &bytes, |row| row.truncate(row.len() - 1)).err().unwrap();
    sent(&disk, &bytes, |row| row.push(0)).err().unwrap();
}

#[test]
fn a_group_of_records_is_what_its_digest_says_or_none() {
    let record = |epoch: u64| EpochRecord {
        version: Version,
        chain_id: 7,
        epoch,
        first_height: epoch,
        last_height: epoch,
        time_ms: 0,
        history_root: Digest::ZERO,
        receipts_root: Digest::ZERO,
        receipts_count: 0,
        receipts_sum: 0,
        verdicts_root: Digest::ZERO,
        state_root: Digest::ZERO,
        challenge_window: 15,
    };
    let records: Vec<_> = (0..4_096).map(record).collect();
    let mut history = crypto::history::History::default();
    records.iter().for_each(|record| history.append(&record.digest()));
    let rows = ledger::group_rows(0, &records, &history.root()).unwrap();
    assert_eq!(rows.len(), ledger::EPOCHS_A_GROUP);
    assert_eq!(rows[9].key, 9_u64.to_be_bytes());
    let mut other = records.clone();
    other[4_000].time_ms = 1;
    for (first, records) in [(1, &records[..]), (0, &records[1..]), (0, &other), (0, &[])] {
        assert!(ledger::group_rows(first, records, &history.root()).is_err());
    }
}

#[test]
fn what_is_held_and_written_of_an_epoch_does_not_grow_with_the_receipts_before_it() {
    let (disk, cache, mut world) = (Disk::default(), Cache::new(1 << 20), World::new());
    let (mut costs, each) = (Vec::new(), 128_u128);
    for epoch in 0..40_u64 {
        let answers: Vec<_> = (0..each).map(|number| charged(&mut world, number % 2)).collect();
        world.send(GATEWAY, post(answers.iter().map(|answer| &answer.signed))).unwrap();
        world.next_epoch();
        let snapshot = world.ledger.snapshot().unwrap();
        let bytes = written(&disk, &cache, &snapshot);
        rest(&mut world.ledger, &disk, &cache, &snapshot);
        costs.push((
            snapshot.bytes().len() - usize::try_from(epoch).unwrap() * 240,
            bytes,
            world.ledger.held_bytes() + world.ledger.ahead_bytes(),
        ));
    }
    let least =
        |of: fn(&(usize, usize, usize)) -> usize, costs: &[(usize, usize, usize)]| costs.iter().map(of).max().unwrap();
    for (what, of) in [
        ("small tables", (|cost| cost.0) as fn(&(usize, usize, usize)) -> usize),
        ("rows", |cost| cost.1),
        ("held", |cost| cost.2),
    ] {
        let (early, late) = (least(of, &costs[2..12]), least(of, &costs[30..]));
        // Pages have more leaves until they are split, and there is a level more of them.
        assert!(late < early * 3, "{what}: {early} bytes, then {late}: {costs:?}");
    }
    let all = world.ledger.epoch_receipts(3).unwrap();
    assert_eq!(all.len(), usize::try_from(each).unwrap());
    assert!(world.ledger.dues(&node(GATEWAY)).due > 0, "charges came to be due");
}

#[test]
fn a_worker_with_nothing_left_to_lose_costs_one_look_through_its_window_and_no_more() {
    let (mut world, disk) = (World::new(), Disk::default());
    let own: Vec<_> = (0..4).map(|_| world.anchored(WORKER)).collect();
    for _ in 0..10 {
        let others: Vec<_> = (0..100).map(|_| world.answer(OTHER_WORKER)).collect();
        world.send(GATEWAY, post(others.iter().map(|answer| &answer.signed))).unwrap();
    }
    world.next_epoch();
    let snapshot = world.ledger.snapshot().unwrap();
    written(&disk, &Cache::new(0), &snapshot);
    let (tables, pages) = (disk.tables(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&pages);
    let reader: Reader = Arc::new(move |table, key| {
        counted.fetch_add(usize::from(table == ledger::ROW_PAGES), Ordering::Relaxed);
        Ok(tables.get(&(table, key.to_vec())).cloned())
    });
    let state = evm::World::open(evm::Base::new(reader.clone(), evm::Cache::new(0))).unwrap();
    let kept = Kept::open(Base::new(reader, Cache::new(0))).unwrap();
    world.ledger = Ledger::restore(snapshot.bytes(), state, kept).unwrap();
    let mut looks = Vec::new();
    for answer in &own {
        let other = answer.changed(WORKER, |receipt| receipt.output_tokens += 1);
        world.posting(&other).unwrap_err();
        pages.store(0, Ordering::Relaxed);
        world.next_epoch();
        looks.push(pages.load(Ordering::Relaxed));
        let is_questioned = |answer: &Answer| {
            world.ledger.status(&answer.id()).is_some_and(|status| status.standing == Standing::Challenged)
        };
        assert!(own.iter().all(is_questioned));
    }
    assert!(looks[0] > 200 && looks[1..].iter().all(|look| look * 2 < looks[0]), "pages that were read: {looks:?}");
}

/// A worker's next answer, which charges so much.
fn charged(world: &mut World, opg: u128) -> Answer {
    let mut answer = world.answer(WORKER);
    if opg > 0 {
        answer.signed = answer.changed(WORKER, |receipt| charging(receipt, opg));
        world.chains.insert(WORKER, (answer.signed.receipt.sequence + 1, answer.id()));
    }
    answer
}

#[test]
fn a_ledger_from_a_disk_proves_as_of_its_close_and_from_then_on() {
    let (mut world, answers, disk, bytes) = on_disk();
    let close = world.ledger.closed_epoch().unwrap().epoch;
    let mut again = reopened(&disk, &Cache::new(1 << 20), &bytes);
    world.epochs(5);
    world.blocks.iter().for_each(|block| drop(again.execute(block).unwrap()));
    for as_of in 0..=close + 5 {
        let of = |ledger: &Ledger| ledger.bundle(&answers[3].id(), as_of, certificate(as_of), None);
        let (here, there) = (of(&world.ledger), of(&again));
        assert_eq!(there.is_ok(), as_of >= close, "{as_of}");
        let expected = if as_of < close { Err(BundleError::TooOld { as_of }) } else { here };
        assert_eq!(there, expected);
    }
}

#[test]
fn what_is_written_is_frozen() {
    let (_, _, disk, _) = on_disk();
    let tables = disk.tables();
    let mut text = String::new();
    for table in TABLES {
        let rows = tables.iter().filter(|((found, _), _)| found == table);
        let lines: Vec<Vec<u8>> = rows.map(|((_, key), value)| [key.as_slice(), value].concat()).collect();
        let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        text.push_str(&format!("{table} {} rows {}\n", lines.len(), crypto::hash("og/test/vector", &lines)));
    }
    assert_eq!(text, include_str!("../../vectors/tables.txt"), "the format of the ledger on disk changed");
}
