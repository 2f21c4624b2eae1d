//! A folder of artefacts, each under its root: `<root>.ogm`. Takes only what loads, and no more than it has room for.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use crypto::Digest;
use engine::Model;
use thiserror::Error;

/// Largest artefact that a shelf takes.
pub const ARTEFACT_BYTES_MAX: usize = 64 << 20;
/// Bytes of all artefacts of a shelf together, unless it is told otherwise: whoever reaches a hub may put on it.
const ROOM_BYTES: u64 = 8 << 30;
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
    #[error("the artefact has {found} bytes, at most {ARTEFACT_BYTES_MAX} are taken")]
    TooLarge { found: usize },
    #[error("the artefact has the root {found}, {expected} expected")]
    OtherRoot { expected: Digest, found: Digest },
    #[error("the shelf is full: it holds at most {room} bytes")]
    Full { room: u64 },
    #[error(transparent)]
    File(#[from] storage::FileError),
    #[error("failed to read the folder {path}: {source}")]
    Folder { path: PathBuf, source: std::io::Error },
}

/// The folder; clones share it.
#[derive(Clone)]
pub struct Shelf {
    folder: PathBuf,
    room: u64,
    entries: Arc<Mutex<BTreeMap<Digest, Entry>>>,
}

impl Shelf {
    /// Opens the folder and checks every artefact in it; one that does not load is reported and left alone.
    pub fn open(folder: &Path) -> Result<Self, ShelfError> {
        let failed = |source| ShelfError::Folder { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let shelf = Self { folder: folder.to_owned(), room: ROOM_BYTES, entries: Arc::default() };
        for file in fs::read_dir(folder).map_err(failed)? {
            let path = file.map_err(failed)?.path();
            if path.extension().is_none_or(|ending| ending != ENDING) {
                continue;
            }
            let read = storage::read_file(&path, ARTEFACT_BYTES_MAX as u64).map_err(ShelfError::from);
            match read.and_then(|artefact| examine(&artefact)) {
                // Under another name it would not be found.
                Ok((entry, _)) if shelf.path(&entry.root) == path => shelf.enter(entry),
                Ok((entry, _)) => tracing::warn!(path = %path.display(), root = %entry.root, "artefact misnamed"),
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

    /// Loads the artefact, which checks it wholly, and keeps it.
    pub fn put(&self, artefact: &[u8]) -> Result<Entry, ShelfError> {
        let (entry, _) = examine(artefact)?;
        self.keep(&entry, artefact)?;
        Ok(entry)
    }

    /// Keeps the artefact only if it has this root, and gives the model.
    pub fn put_expected(&self, expected: Digest, artefact: &[u8]) -> Result<Model, ShelfError> {
        let (entry, model) = examine(artefact)?;
        if entry.root != expected {
            return Err(ShelfError::OtherRoot { expected, found: entry.root });
        }
        self.keep(&entry, artefact)?;
        Ok(model)
    }

    /// The artefact's bytes, as they lie there: check the root.
    pub fn get(&self, root: &Digest) -> Option<Vec<u8>> {
        storage::read_file(&self.path(root), ARTEFACT_BYTES_MAX as u64).ok()
    }

    /// The model, if its artefact lies there and is what its name says.
    pub fn load(&self, root: &Digest) -> Option<Model> {
        let model = Model::load(self.get(root)?).inspect_err(|error| tracing::warn!(%root, %error, "artefact damaged"));
        model.ok().filter(|model| model.root() == *root)
    }

    /// All entries, in the order of their roots.
    pub fn list(&self) -> Vec<Entry> {
        self.lock().values().cloned().collect()
    }

    /// Listed only once it lies there.
    fn keep(&self, entry: &Entry, artefact: &[u8]) -> Result<(), ShelfError> {
        // What lies there may be damaged.
        if self.get(&entry.root).is_none_or(|there| there != artefact) {
            let others: u64 =
                self.lock().values().filter(|other| other.root != entry.root).map(|other| other.bytes).sum();
            if others.saturating_add(entry.bytes) > self.room {
                return Err(ShelfError::Full { room: self.room });
            }
            storage::write_file(&self.path(&entry.root), artefact)?;
        }
        self.enter(entry.clone());
        Ok(())
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

/// Loads an artefact and says what it is.
fn examine(artefact: &[u8]) -> Result<(Entry, Model), ShelfError> {
    if artefact.len() > ARTEFACT_BYTES_MAX {
        return Err(ShelfError::TooLarge { found: artefact.len() });
    }
    let model = Model::load(artefact.to_vec())?;
    let card = model.card();
    let entry = Entry {
        root: model.root(),
        name: card.name.clone(),
        kind: card.kind.to_string(),
        bytes: artefact.len() as u64,
    };
    Ok((entry, model))
}
