//! What of both pools a restart finds: whoever sent it was told that no crash loses it.
//!
//! It lies in a file of its own, because nothing else can make it anew. What waits no more the disk is told without being waited for: what a
//! crash keeps from it is found waiting, executed by then, and forgotten. Simulations have another disk under the same marks.

#[cfg(test)]
use std::sync::atomic::{AtomicBool, Ordering};
use std::{
    collections::BTreeSet,
    ops::Bound,
    path::Path,
    sync::{Mutex, MutexGuard},
};

use blocks::waiting::{self, Id};
use storage::{Change, Durable, Entry, SimulatedStore, Store};

use crate::{failure::NodeError, lock::locked};

/// The file in a node's folder.
const FILE: &str = "waiting.redb";

/// Most that is shown again at once: of what waits behind a gap there may be much, and it may wait for long.
const SHOWN_AGAIN: usize = 64;

/// What was found when the file was opened.
pub(crate) type Found = Vec<(Id, Vec<u8>)>;

/// Where it is kept.
enum Disk {
    File(Store),
    Simulated(SimulatedStore),
}

impl Disk {
    fn submit(&self, changes: Vec<Change>) -> Option<Durable> {
        match self {
            Self::File(store) => store.try_submit(changes),
            Self::Simulated(store) => Some(store.submit(changes)),
        }
    }

    /// One that the disk has by now, and can give.
    fn get(&self, id: &Id) -> Option<Vec<u8>> {
        match self {
            Self::File(store) => store.get(waiting::TABLE, id).ok().flatten(),
            Self::Simulated(store) => store.get(waiting::TABLE, id),
        }
    }
}

/// What waits, as the disk has it; nothing where there is no folder.
#[derive(Default)]
pub(crate) struct Waiting {
    disk: Option<Disk>,
    marks: Mutex<Marks>,
    /// As if the disk were behind.
    #[cfg(test)]
    pub is_full: AtomicBool,
    /// As if the disk failed.
    #[cfg(test)]
    pub is_broken: AtomicBool,
}

/// What the disk was told.
#[derive(Default)]
pub(crate) struct Marks {
    /// What a restart would find.
    kept: BTreeSet<Id>,
    /// The last of these that was shown again.
    shown: Id,
    /// What waits no more, until the disk has room to be told.
    gone: BTreeSet<Id>,
}

impl Waiting {
    /// In this folder, with what was found there.
    pub fn open(directory: &Path) -> Result<(Self, Found), NodeError> {
        let store = Store::open(&directory.join(FILE), &[waiting::TABLE])?;
        let entries = waiting::all(&store)?;
        Ok(Self::on(Disk::File(store), entries))
    }

    /// The same on the disk of a simulated machine.
    pub fn simulated(store: SimulatedStore) -> (Self, Found) {
        let entries = store.entries(waiting::TABLE);
        Self::on(Disk::Simulated(store), entries)
    }

    fn on(disk: Disk, entries: Vec<Entry>) -> (Self, Found) {
        let entries = entries.into_iter();
        let found: Found = entries.filter_map(|(id, bytes)| Some((Id::try_from(id).ok()?, bytes))).collect();
        let marks = Marks { kept: found.iter().map(|(id, _)| *id).collect(), ..Marks::default() };
        let waiting = Self {
            disk: Some(disk),
            marks: Mutex::new(marks),
            #[cfg(test)]
            is_full: AtomicBool::default(),
            #[cfg(test)]
            is_broken: AtomicBool::default(),
        };
        (waiting, found)
    }

    pub fn is_on_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// Whoever holds them sees to it that nothing is kept that was executed meanwhile: it would stay on the disk for ever.
    pub fn marks(&self) -> MutexGuard<'_, Marks> {
        locked(&self.marks)
    }

    /// Hands changes to the disk, without any wait; `None` where it has no room for them.
    pub fn write(&self, changes: Vec<Change>) -> Option<Durable> {
        #[cfg(test)]
        if self.is_full.load(Ordering::Relaxed) {
            return None;
        }
        #[cfg(test)]
        if self.is_broken.load(Ordering::Relaxed) {
            // Longer than any row may be, and never touched: the commit fails.
            let too_long = waiting::put(&[0; 32], vec![0_u8; (3 << 30) + 1]);
            let Disk::File(store) = self.disk.as_ref()? else { return None };
            return store.submit_sleeping(changes.into_iter().chain([too_long]).collect()).ok();
        }
        self.disk.as_ref()?.submit(changes)
    }

    /// Whether a restart would find this one.
    pub fn keeps(&self, id: &Id) -> bool {
        self.marks().kept.contains(id)
    }

    /// Tells the disk what waits no more, and what it had no room for the last time.
    pub fn forget(&self, ids: impl IntoIterator<Item = Id>) {
        if self.is_on_disk() {
            self.marks().forget(ids, |changes| self.write(changes));
        }
    }

    /// Some of what a restart would find, others each time.
    pub fn next_to_show(&self) -> Vec<Vec<u8>> {
        let Some(disk) = &self.disk else { return Vec::new() };
        let ids = self.marks().next_to_show();
        ids.iter().filter_map(|id| disk.get(id)).collect()
    }

    /// What a restart would find.
    #[cfg(test)]
    pub fn on_disk(&self) -> Vec<Id> {
        let Some(Disk::File(store)) = &self.disk else { return Vec::new() };
        store.commit_blocking(Vec::new()).unwrap();
        waiting::all(store).unwrap().into_iter().map(|(id, _)| Id::try_from(id).unwrap()).collect()
    }
}

impl Marks {
    /// Has the disk keep one, and forget what had to go for it. `None`, and nothing has changed, where it does not take that.
    ///
    /// One that it was told of is not written again, however often it is shown: that is only waited for. A disk that failed it takes
    /// nothing more, so neither does this succeed.
    pub fn keep<T>(
        &mut self,
        (id, bytes): (Id, &[u8]),
        instead_of: impl IntoIterator<Item = Id>,
        write: impl FnOnce(Vec<Change>) -> Option<T>,
    ) -> Option<T> {
        let marked: Vec<Id> = instead_of.into_iter().filter(|id| self.kept.contains(id)).collect();
        let new = (!self.kept.contains(&id)).then(|| waiting::put(&id, bytes));
        let changes = new.into_iter().chain(marked.iter().map(waiting::remove)).collect();
        let written = write(changes)?;
        for id in &marked {
            self.kept.remove(id);
        }
        self.kept.insert(id);
        // It may have waited before, and what was not told of that is true no more.
        self.gone.remove(&id);
        Some(written)
    }

    fn next_to_show(&mut self) -> Vec<Id> {
        let after = (Bound::Excluded(self.shown), Bound::Unbounded);
        let ids: Vec<Id> = self.kept.range(after).take(SHOWN_AGAIN).copied().collect();
        // After the last of all it begins anew.
        self.shown = ids.get(SHOWN_AGAIN - 1).copied().unwrap_or_default();
        ids
    }

    fn forget<T>(&mut self, ids: impl IntoIterator<Item = Id>, write: impl FnOnce(Vec<Change>) -> Option<T>) {
        for id in ids {
            if self.kept.remove(&id) {
                self.gone.insert(id);
            }
        }
        if !self.gone.is_empty() && write(self.gone.iter().map(waiting::remove).collect()).is_some() {
            self.gone.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Id = [1; 32];
    const TWO: Id = [2; 32];
    const THREE: Id = [3; 32];

    fn keep(waiting: &Waiting, id: Id, instead_of: &[Id]) {
        let kept = waiting.marks().keep((id, &id), instead_of.iter().copied(), |changes| waiting.write(changes));
        assert!(kept.is_some());
    }

    #[test]
    fn what_the_disk_could_not_be_told_it_is_told_with_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let (waiting, found) = Waiting::open(folder.path()).unwrap();
        assert!(found.is_empty());
        [ONE, TWO, THREE].iter().for_each(|id| keep(&waiting, *id, &[]));
        waiting.marks().forget([TWO, THREE], |_| None::<()>);
        assert_eq!(waiting.on_disk(), [ONE, TWO, THREE]);
        // One of them waits again before the disk has room: it stays there.
        keep(&waiting, THREE, &[]);
        waiting.forget([ONE]);
        assert_eq!(waiting.on_disk(), [THREE]);
        assert!(waiting.marks().gone.is_empty());
    }

    #[test]
    fn what_goes_for_another_goes_with_it_or_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (waiting, _) = Waiting::open(folder.path()).unwrap();
        keep(&waiting, ONE, &[]);
        assert_eq!(waiting.marks().keep((TWO, &[2]), [ONE], |_| None::<()>), None);
        assert_eq!(waiting.on_disk(), [ONE]);
        keep(&waiting, TWO, &[ONE, THREE]);
        assert_eq!(waiting.on_disk(), [TWO]);
    }

    #[test]
    fn what_still_waits_is_shown_again_in_turns() {
        let folder = tempfile::tempdir().unwrap();
        let (waiting, _) = Waiting::open(folder.path()).unwrap();
        let ids: Vec<Id> = (1..=100).map(|first| [first; 32]).collect();
        ids.iter().for_each(|id| keep(&waiting, *id, &[]));
        assert_eq!(waiting.on_disk().len(), 100);
        let shown = || waiting.next_to_show().into_iter().map(|bytes| bytes[0]).collect::<Vec<u8>>();
        assert_eq!(shown(), (1..=64).collect::<Vec<u8>>());
        assert_eq!(shown(), (65..=100).collect::<Vec<u8>>());
        waiting.forget([ONE]);
        assert_eq!(shown(), (2..=65).collect::<Vec<u8>>());
    }

    #[test]
    fn a_simulated_disk_keeps_what_it_wrote() {
        let store = SimulatedStore::default();
        let (waiting, found) = Waiting::simulated(store.clone());
        assert!(waiting.is_on_disk() && found.is_empty());
        keep(&waiting, ONE, &[]);
        assert!(waiting.next_to_show().is_empty(), "not written yet");
        store.write();
        keep(&waiting, TWO, &[]);
        store.crash(0);
        let (again, found) = Waiting::simulated(store);
        assert_eq!(found, [(ONE, ONE.to_vec())]);
        assert_eq!(again.next_to_show(), [ONE.to_vec()]);
    }

    #[test]
    fn what_is_known_is_waited_for_and_not_written_again() {
        let mut marks = Marks::default();
        let mut written = |id: Id, instead_of: &[Id]| {
            marks.keep((id, &[7; 9]), instead_of.iter().copied(), |changes| Some(changes.len())).unwrap()
        };
        assert_eq!((written(ONE, &[]), written(ONE, &[]), written(TWO, &[])), (1, 0, 1));
        assert_eq!(written(TWO, &[ONE]), 1, "only that the other one goes");
        assert_eq!(written(ONE, &[]), 1, "it waits anew");
    }

    #[test]
    fn without_a_folder_nothing_is_kept_and_nothing_fails() {
        let waiting = Waiting::default();
        assert!(!waiting.is_on_disk() && waiting.write(Vec::new()).is_none() && waiting.next_to_show().is_empty());
        waiting.forget([ONE]);
    }
}
