//! A folder of artefacts, each under its root: `<root>.ogm`.

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
    #[error(transparent)]
    File(#[from] storage::FileError),
    #[error("failed to read the folder {path}: {source}")]
    Folder { path: PathBuf, source: std::io::Error },
}

/// The folder; clones share it.
#[derive(Clone)]
pub struct Shelf {
    folder: PathBuf,
    entries: Arc<Mutex<BTreeMap<Digest, Entry>>>,
}

impl Shelf {
    /// Opens the folder and checks every artefact in it; one that does not load is reported and left alone.
    pub fn open(folder: &Path) -> Result<Self, ShelfError> {
        let failed = |source| ShelfError::Folder { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let shelf = Self { folder: folder.to_owned(), entries: Arc::default() };
        for file in fs::read_dir(folder).map_err(failed)? {
            let path = file.map_err(failed)?.path();
            if path.extension().is_some_and(|ending| ending == ENDING) {
                match storage::read_file(&path, ARTEFACT_BYTES_MAX as u64)
                    .map_err(ShelfError::from)
                    .and_then(|artefact| shelf.enter(&artefact))
                {
                    Ok(_) => {}
                    Err(error) => tracing::warn!(path = %path.display(), %error, "artefact left out"),
                }
            }
        }
        Ok(shelf)
    }

    /// Loads the artefact, which checks it wholly, and keeps it.
    pub fn put(&self, artefact: &[u8]) -> Result<Entry, ShelfError> {
        let entry = self.enter(artefact)?;
        let path = self.path(&entry.root);
        if !path.exists() {
            storage::write_file(&path, artefact)?;
        }
        Ok(entry)
    }

    /// The artefact's bytes, as they lie there: check the root.
    pub fn get(&self, root: &Digest) -> Option<Vec<u8>> {
        storage::read_file(&self.path(root), ARTEFACT_BYTES_MAX as u64).ok()
    }

    /// All entries, in the order of their roots.
    pub fn list(&self) -> Vec<Entry> {
        self.lock().values().cloned().collect()
    }

    fn enter(&self, artefact: &[u8]) -> Result<Entry, ShelfError> {
        if artefact.len() > ARTEFACT_BYTES_MAX {
            return Err(ShelfError::TooLarge { found: artefact.len() });
        }
        let model = Model::load(artefact)?;
        let card = model.card();
        let entry = Entry {
            root: model.root(),
            name: card.name.clone(),
            kind: card.kind.to_string(),
            bytes: artefact.len() as u64,
        };
        self.lock().insert(entry.root, entry.clone());
        Ok(entry)
    }

    fn path(&self, root: &Digest) -> PathBuf {
        self.folder.join(format!("{root}.{ENDING}"))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Digest, Entry>> {
        // The map is whole after every step, so a panic elsewhere does not spoil it.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
