//! Models that have counted in time, in the order in which they last did, and the file that remembers them over restarts.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use protocol::Digest;

/// Where more have counted, the one that did so longest ago is forgotten.
const PROVEN_MAX: usize = 4_096;
/// A root in hexadecimal and the end of its line.
const LINE_BYTES: u64 = 65;

#[derive(Default)]
pub struct Proven {
    last: BTreeMap<Digest, u64>,
    /// Counts in time.
    counts: u64,
}

impl Proven {
    /// What the file says, or nothing: all that is lost with it is an order in which to wait.
    pub fn read(path: &Path) -> Self {
        let mut proven = Self::default();
        if !path.exists() {
            return proven;
        }
        match storage::read_file(path, LINE_BYTES.saturating_mul(PROVEN_MAX as u64)) {
            Ok(bytes) => {
                String::from_utf8_lossy(&bytes).lines().filter_map(Digest::from_hex).for_each(|root| {
                    proven.note(root);
                });
            }
            Err(error) => tracing::warn!(%error, "which models have counted in time is forgotten"),
        }
        proven
    }

    pub fn contains(&self, model: &Digest) -> bool {
        self.last.contains_key(model)
    }

    /// The model has counted in time; true if it never had, as far as is known.
    pub fn note(&mut self, model: Digest) -> bool {
        self.counts = self.counts.saturating_add(1);
        let is_new = self.last.insert(model, self.counts).is_none();
        if self.last.len() > PROVEN_MAX {
            let oldest = self.last.iter().min_by_key(|(_, last)| **last).map(|(model, _)| *model);
            oldest.and_then(|model| self.last.remove(&model));
        }
        is_new
    }

    /// What the file is to say: a root a line, the one that counted longest ago first.
    pub fn lines(&self) -> String {
        let mut in_order: Vec<(u64, &Digest)> = self.last.iter().map(|(model, last)| (*last, model)).collect();
        in_order.sort_unstable();
        in_order.iter().map(|(_, model)| format!("{model}\n")).collect()
    }
}

/// Where proven models are written down, by one writer after the other.
pub struct ProvenFile {
    path: PathBuf,
    writing: Mutex<()>,
}

impl ProvenFile {
    pub fn new(path: PathBuf) -> Self {
        Self { path, writing: Mutex::new(()) }
    }

    /// Writes what is proven once nobody else writes. Blocks.
    pub fn write(&self, lines: impl FnOnce() -> String) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = storage::write_file(&self.path, lines().as_bytes()) {
            tracing::warn!(%error, "which models have counted in time will not be known after a restart");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(index: usize) -> Digest {
        crypto::hash("og/test", &[&index.to_be_bytes()])
    }

    #[test]
    fn of_too_many_the_one_that_counted_longest_ago_is_forgotten() {
        let mut proven = Proven::default();
        assert!((0..PROVEN_MAX).all(|index| proven.note(model(index))));
        assert!(!proven.note(model(0)), "it is known");
        assert!(proven.note(model(PROVEN_MAX)));
        assert_eq!(proven.last.len(), PROVEN_MAX);
        assert!(proven.contains(&model(0)) && !proven.contains(&model(1)) && proven.contains(&model(2)));
    }

    #[test]
    fn the_file_gives_back_what_was_written_and_of_a_damaged_one_what_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proven-models");
        assert!(Proven::read(&path).last.is_empty());
        let mut proven = Proven::default();
        for index in [3, 1, 2, 3] {
            proven.note(model(index));
        }
        ProvenFile::new(path.clone()).write(|| proven.lines());
        assert_eq!(Proven::read(&path).lines(), proven.lines());
        assert_eq!(proven.lines(), [1, 2, 3].map(|index| format!("{}\n", model(index))).concat());
        std::fs::write(&path, format!("{}\n\u{fffd}\n{}", model(7), "x".repeat(64))).unwrap();
        assert_eq!(Proven::read(&path).lines(), format!("{}\n", model(7)));
        std::fs::write(&path, vec![b'0'; 1 << 20]).unwrap();
        assert!(Proven::read(&path).last.is_empty());
    }
}
