//! A tree on the disk, as of one moment, behind a cache that is bounded in bytes.
//!
//! The disk comes in as a function that reads a table. What it gives is believed only if it is what the page above it names, up to
//! the root. The first failure is remembered where whoever executes looks for it, because it ends execution; one that reads for a question
//! only (`Base::aside`) has its own failures.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crypto::Digest;

use crate::failure::PageError;
use crate::leaf::{Leaf, take};
use crate::page::{Link, Page};
use crate::path::Path;
use crate::recent::Recent;

/// The root's row.
pub(crate) const ROOT: &[u8] = &[1];

/// Reads a key of a table, as of one moment. Cheap to clone, and the same for ever.
pub type Reader = Arc<dyn Fn(&'static str, &[u8]) -> Result<Option<Vec<u8>>, String> + Send + Sync>;

/// What was read lately, by digest: it is the same at every moment. Clones share it.
pub struct Cache<L: Leaf>(Arc<Shared<L>>);

impl<L: Leaf> Clone for Cache<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Shared<L: Leaf> {
    pages: Mutex<Recent<Digest, Arc<Page<L>>>>,
    failure: Failure,
}

/// The first failure of all that share it.
type Failure = Arc<OnceLock<PageError>>;

/// A tree on the disk, and whatever else lies beside it there.
#[derive(Clone)]
pub struct Base<L: Leaf> {
    reader: Reader,
    cache: Cache<L>,
    failure: Failure,
    /// Everything that was made before the mark of this number is in it.
    pub(crate) age: u64,
    /// What had been made by then, and replaced.
    pub(crate) made_bytes: usize,
    pub(crate) replaced_bytes: usize,
}

impl<L: Leaf> fmt::Debug for Base<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Base").field("age", &self.age).finish_non_exhaustive()
    }
}

impl<L: Leaf> Cache<L> {
    /// Of at most about so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Shared { pages: Mutex::new(Recent::new(bytes >> 1)), failure: Failure::default() }))
    }

    /// The first thing that could not be read, but for questions: what was executed since means nothing.
    pub fn failure(&self) -> Option<&PageError> {
        self.0.failure.get()
    }

    /// About how many bytes it holds.
    pub fn bytes(&self) -> usize {
        self.0.pages.lock().unwrap_or_else(PoisonError::into_inner).bytes()
    }
}

impl<L: Leaf> Base<L> {
    pub fn new(reader: Reader, cache: Cache<L>) -> Self {
        let failure = Arc::clone(&cache.0.failure);
        Self { reader, cache, failure, age: 0, made_bytes: 0, replaced_bytes: 0 }
    }

    /// The same for whoever only asks: what fails to be read is an error there, and nobody else's.
    pub fn aside(&self) -> Self {
        Self { failure: Failure::default(), ..self.clone() }
    }

    pub(crate) fn after(self, age: u64, (made_bytes, replaced_bytes): (usize, usize)) -> Self {
        Self { age, made_bytes, replaced_bytes, ..self }
    }

    /// What its reads are kept in.
    pub fn cache(&self) -> &Cache<L> {
        &self.cache
    }

    /// Everything that was made before the mark of this number is in it.
    pub fn age(&self) -> u64 {
        self.age
    }

    /// An error that names what of it could not be read, and stays.
    pub fn failed<T>(&self, what: &str) -> Result<T, PageError> {
        Err(self.failure.get_or_init(|| PageError(format!("{} on disk{what}", L::WHAT))).clone())
    }

    /// What a table holds at a key.
    pub fn read(&self, table: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, PageError> {
        (self.reader)(table, key).or_else(|reason| self.failed(&format!(", table {table}: {reason}")))
    }

    /// The link to its root; `None` for an empty tree.
    pub(crate) fn root(&self) -> Result<Option<Link<L>>, PageError> {
        let Some(bytes) = self.read(L::ROOTS, ROOT)? else { return Ok(None) };
        match read_root(&bytes) {
            Some(link) => Ok(Some(link)),
            None => self.failed(": its root is not one"),
        }
    }

    /// The page that a link names.
    pub(crate) fn page(&self, path: &Path, link: &Link<L>) -> Result<Arc<Page<L>>, PageError> {
        let pages = &self.cache.0.pages;
        if let Some(page) = pages.lock().unwrap_or_else(PoisonError::into_inner).get(&link.digest) {
            return Ok(page);
        }
        let Some(bytes) = self.read(L::PAGES, &path.name())? else {
            return self.failed(&format!(": page {path} is missing"));
        };
        let page = Page::read(&bytes, path).filter(|page| link.names(page)).map(Arc::new);
        let Some(page) = page else {
            return self.failed(&format!(": page {path} is not the one with digest {}", link.digest));
        };
        pages.lock().unwrap_or_else(PoisonError::into_inner).put(link.digest, Arc::clone(&page), page.bytes());
        Ok(page)
    }
}

pub(crate) fn write_root<L: Leaf>(link: &Link<L>) -> Vec<u8> {
    [link.digest.0.as_slice(), &link.leaves.to_be_bytes()].concat()
}

fn read_root<L: Leaf>(mut bytes: &[u8]) -> Option<Link<L>> {
    let digest = Digest(take(&mut bytes)?);
    let leaves = Some(u64::from_be_bytes(take(&mut bytes)?)).filter(|leaves| *leaves > 0)?;
    bytes.is_empty().then_some(Link { digest, leaves, held: None })
}
