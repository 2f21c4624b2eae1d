//! A folder of artefacts, each under its root: `<root>.ogm`. Takes only what is whole, and no more than it has room for.
//!
//! Artefacts arrive piece by piece and are mapped, never held in memory: they may be larger than it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use crypto::Digest;
use engine::{Model, Options};
use graph::Head;
use network::Bytes;
use storage::{FileError, Incoming, map_file};
use thiserror::Error;

/// Largest artefact that a shelf takes.
pub const ARTEFACT_BYTES_MAX: u64 = 1 << 36;
/// Bytes of all artefacts of a shelf together, unless it is told otherwise: whoever reaches a hub may put on it.
const ROOM_BYTES: u64 = 32 << 30;
const ENDING: &str = "ogm";

/// What a shelf knows about an artefact without opening it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub root: Digest,
    pub name: String,
    pub kind: String,
    pub bytes: u64,
}

/// Why an artefact was not taken or found.
#[derive(Debug, Error)]
pub enum ShelfError {
    #[error("failed to load the artefact: {0}")]
    Load(#[from] engine::LoadError),
    #[error("the artefact has more than {limit} bytes, the most that is taken")]
    TooLarge { limit: u64 },
    #[error("the artefact has the root {found}, {expected} expected")]
    OtherRoot { expected: Digest, found: Digest },
    #[error("the shelf is full: it holds at most {room} bytes")]
    Full { room: u64 },
    #[error(transparent)]
    File(FileError),
    #[error("failed to read the folder {path}: {source}")]
    Folder { path: PathBuf, source: std::io::Error },
}

impl From<FileError> for ShelfError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::TooLarge { limit, .. } => Self::TooLarge { limit },
            other => Self::File(other),
        }
    }
}

/// The folder; clones share it.
#[derive(Clone)]
pub struct Shelf {
    folder: PathBuf,
    room: u64,
    /// How models are loaded from it.
    options: Options,
    work_max: u64,
    entries: Arc<Mutex<BTreeMap<Digest, Entry>>>,
}

impl Shelf {
    /// Opens the folder and lists the artefacts in it by their heads; one that is not what its name says is reported
    /// and left alone. Weights are checked when a model is loaded.
    pub fn open(folder: &Path) -> Result<Self, ShelfError> {
        let failed = |source| ShelfError::Folder { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let shelf = Self {
            folder: folder.to_owned(),
            room: ROOM_BYTES,
            options: Options::default(),
            work_max: u64::MAX,
            entries: Arc::default(),
        };
        for file in fs::read_dir(folder).map_err(failed)? {
            let path = file.map_err(failed)?.path();
            if path.extension().is_none_or(|ending| ending != ENDING) {
                continue;
            }
            match map_file(&path).map_err(ShelfError::from).and_then(|file| entry(&file)) {
                // Under another name it would not be found.
                Ok(entry) if shelf.path(&entry.root) == path => shelf.enter(entry),
                Ok(entry) => tracing::warn!(path = %path.display(), root = %entry.root, "artefact misnamed"),
                Err(error) => tracing::warn!(path = %path.display(), %error, "artefact left out"),
            }
        }
        Ok(shelf)
    }

    /// The same with room for so many bytes in all.
    #[must_use]
    pub fn with_room(self, room: u64) -> Self {
        Self { room, ..self }
    }

    /// The same, whose models run on so many threads each.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Self { options: Options { threads, ..self.options }, ..self }
    }

    /// The same, whose models are those of a network that judges answers of so much work.
    #[must_use]
    pub fn with_work_max(self, work_max: u64) -> Self {
        Self { work_max, ..self }
    }

    /// Where an artefact can be written to, piece by piece, before the shelf takes it.
    pub fn incoming(&self) -> Result<Incoming, ShelfError> {
        Ok(Incoming::new(&self.folder, ARTEFACT_BYTES_MAX)?)
    }

    /// Loads what has come in, which checks it wholly, and keeps it if it has the expected root, or any where none is
    /// expected.
    pub fn take(&self, mut incoming: Incoming, expected: Option<Digest>) -> Result<(Entry, Model), ShelfError> {
        let model = Model::load_with(incoming.bytes()?, self.options)?.within(self.work_max);
        let (root, card) = (model.root(), model.card());
        if let Some(expected) = expected.filter(|expected| *expected != root) {
            return Err(ShelfError::OtherRoot { expected, found: root });
        }
        let entry = Entry { root, name: card.name.clone(), kind: card.kind.to_owned(), bytes: incoming.length() };
        self.shelve(incoming, entry.clone())?;
        Ok((entry, model))
    }

    /// Keeps what has come in if every part is what its root commits to, and the root is the expected one, or any where none is
    /// expected. What it means is not looked at, because it may be a stranger's: who has it read does so in another process.
    pub fn keep(&self, mut incoming: Incoming, expected: Option<Digest>) -> Result<Entry, ShelfError> {
        let bytes = incoming.bytes()?;
        let found = graph::Model::content_root(&bytes).map_err(engine::LoadError::from)?;
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(ShelfError::OtherRoot { expected, found });
        }
        let entry = entry(&bytes)?;
        self.shelve(incoming, entry.clone())?;
        Ok(entry)
    }

    fn shelve(&self, incoming: Incoming, entry: Entry) -> Result<(), ShelfError> {
        let others: u64 = self.lock().values().filter(|other| other.root != entry.root).map(|other| other.bytes).sum();
        if others.saturating_add(entry.bytes) > self.room {
            return Err(ShelfError::Full { room: self.room });
        }
        // Also where one lies there: it may be damaged.
        incoming.keep(&self.path(&entry.root))?;
        self.enter(entry);
        Ok(())
    }

    /// Lets go of an artefact that is not what its name says any more. True if it was so.
    pub fn drop_damaged(&self, root: &Digest) -> bool {
        let is_whole = |file: &Bytes| graph::Model::content_root(file).is_ok_and(|found| found == *root);
        if self.get(root).is_none_or(|file| is_whole(&file)) {
            return false;
        }
        self.lock().remove(root);
        fs::remove_file(self.path(root)).is_ok()
    }

    /// Takes an artefact that is in memory.
    pub fn put(&self, artefact: &[u8]) -> Result<Entry, ShelfError> {
        let mut incoming = self.incoming()?;
        incoming.write(artefact)?;
        self.take(incoming, None).map(|(entry, _)| entry)
    }

    /// The artefact's bytes, as they lie there: check the root.
    pub fn get(&self, root: &Digest) -> Option<Bytes> {
        map_file(&self.path(root)).ok()
    }

    /// Where an artefact lies, if one of this name does.
    pub fn file(&self, root: &Digest) -> Option<PathBuf> {
        Some(self.path(root)).filter(|path| path.is_file())
    }

    /// The model, if its artefact lies there and is what its name says.
    pub fn load(&self, root: &Digest) -> Option<Model> {
        let model = Model::load_with(self.get(root)?, self.options);
        let model = model.inspect_err(|error| tracing::warn!(%root, %error, "artefact damaged"));
        model.ok().filter(|model| model.root() == *root).map(|model| model.within(self.work_max))
    }

    /// All entries, in the order of their roots.
    pub fn list(&self) -> Vec<Entry> {
        self.lock().values().cloned().collect()
    }

    fn enter(&self, entry: Entry) {
        self.lock().insert(entry.root, entry);
    }

    fn path(&self, root: &Digest) -> PathBuf {
        self.folder.join(format!("{root}.{ENDING}"))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Digest, Entry>> {
        // The map is whole after every step, so a panic elsewhere does not spoil it.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the head of an artefact says.
fn entry(file: &Bytes) -> Result<Entry, ShelfError> {
    let head = Head::cut(file).and_then(|head| Head::read(&head)).map_err(engine::LoadError::from)?;
    Ok(Entry { root: head.root, name: head.name, kind: head.kind, bytes: file.len() as u64 })
}
