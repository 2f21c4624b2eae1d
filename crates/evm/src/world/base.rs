//! A state on the disk, as of one moment, behind a cache that is bounded in bytes.
//!
//! The disk comes in as a function that reads a table. What it gives is believed only if it is what the page above it names, up to
//! the root. The first failure is remembered: a state that cannot be read ends execution, whoever met it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use alloy_primitives::B256;
use crypto::Digest;

use super::leaf::take;
use super::page::{Link, Page};
use super::path::Path;
use crate::state::{Code, StateError};

/// The root: one row.
pub(super) const ROOTS: &str = "state-roots";
pub(super) const ROOT: &[u8] = &[1];
/// Pages by their paths.
pub const PAGES: &str = "state-pages";
/// Code by its hash, and how many accounts name it.
pub const CODES: &str = "state-codes";
pub const USES: &str = "state-code-uses";

/// Reads a key of a table, as of one moment. Cheap to clone, and the same for ever.
pub type Reader = Arc<dyn Fn(&'static str, &[u8]) -> Result<Option<Vec<u8>>, String> + Send + Sync>;

/// What was read lately, by digest: it is the same at every moment. Clones share it.
#[derive(Clone)]
pub struct Cache(Arc<Shared>);

struct Shared {
    pages: Mutex<Recent<Arc<Page>>>,
    codes: Mutex<Recent<Code>>,
    failure: OnceLock<StateError>,
}

/// A state on the disk.
#[derive(Clone)]
pub struct Base {
    reader: Reader,
    cache: Cache,
    /// Everything that was made before the mark of this number is in it.
    pub(super) age: u64,
    /// What had been made by then.
    pub(super) made_bytes: usize,
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Base").field("age", &self.age).finish_non_exhaustive()
    }
}

impl Cache {
    /// Of at most about so many bytes.
    pub fn new(bytes: usize) -> Self {
        let half = bytes >> 1;
        let (pages, codes) = (Mutex::new(Recent::new(half)), Mutex::new(Recent::new(half >> 1)));
        Self(Arc::new(Shared { pages, codes, failure: OnceLock::new() }))
    }

    /// The first thing that could not be read: what was executed since means nothing.
    pub fn failure(&self) -> Option<&StateError> {
        self.0.failure.get()
    }

    /// About how many bytes it holds.
    pub fn bytes(&self) -> usize {
        let pages = self.0.pages.lock().unwrap_or_else(PoisonError::into_inner).bytes();
        pages.saturating_add(self.0.codes.lock().unwrap_or_else(PoisonError::into_inner).bytes())
    }
}

impl Base {
    pub fn new(reader: Reader, cache: Cache) -> Self {
        Self { reader, cache, age: 0, made_bytes: 0 }
    }

    pub(super) fn after(self, age: u64, made_bytes: usize) -> Self {
        Self { age, made_bytes, ..self }
    }

    /// What its reads are kept in.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    fn failed<T>(&self, what: String) -> Result<T, StateError> {
        let error = StateError(what);
        Err(self.cache.0.failure.get_or_init(|| error).clone())
    }

    /// What a table holds at a key.
    pub(super) fn read(&self, table: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        (self.reader)(table, key).or_else(|reason| self.failed(format!("the state on disk, table {table}: {reason}")))
    }

    /// The link to its root; `None` for an empty state.
    pub(super) fn root(&self) -> Result<Option<Link>, StateError> {
        let Some(bytes) = self.read(ROOTS, ROOT)? else { return Ok(None) };
        match read_root(&bytes) {
            Some(link) => Ok(Some(link)),
            None => self.failed("the state on disk: its root is not one".to_owned()),
        }
    }

    /// The page that a link names.
    pub(super) fn page(&self, path: &Path, link: &Link) -> Result<Arc<Page>, StateError> {
        let pages = &self.cache.0.pages;
        if let Some(page) = pages.lock().unwrap_or_else(PoisonError::into_inner).get(&link.digest) {
            return Ok(page);
        }
        let Some(bytes) = self.read(PAGES, &path.name())? else {
            return self.failed(format!("the state on disk: page {path} is missing"));
        };
        let page = Page::read(&bytes, path).filter(|page| link.names(page, path)).map(Arc::new);
        let Some(page) = page else {
            return self.failed(format!("the state on disk: page {path} is not the one with digest {}", link.digest));
        };
        pages.lock().unwrap_or_else(PoisonError::into_inner).put(link.digest, Arc::clone(&page), page.bytes());
        Ok(page)
    }

    pub(super) fn code(&self, hash: &B256) -> Result<Option<Code>, StateError> {
        let (codes, key) = (&self.cache.0.codes, Digest(hash.0));
        if let Some(code) = codes.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Some(code));
        }
        let Some(bytes) = self.read(CODES, hash.as_slice())? else { return Ok(None) };
        let length = bytes.len();
        let code = Code::new_raw_checked(bytes.into()).ok().filter(|code| code.hash_slow() == *hash);
        let Some(code) = code else {
            return self.failed(format!("the state on disk: code {hash} is another"));
        };
        codes.lock().unwrap_or_else(PoisonError::into_inner).put(key, code.clone(), length.saturating_mul(2));
        Ok(Some(code))
    }

    /// How many accounts name a code.
    pub(super) fn uses(&self, hash: &B256) -> Result<u64, StateError> {
        let Some(bytes) = self.read(USES, hash.as_slice())? else { return Ok(0) };
        match <[u8; 8]>::try_from(bytes.as_slice()) {
            Ok(count) => Ok(u64::from_be_bytes(count)),
            Err(_) => self.failed(format!("the state on disk: the uses of code {hash} are no count")),
        }
    }
}

pub(super) fn write_root(link: &Link) -> Vec<u8> {
    [link.digest.0.as_slice(), &link.leaves.to_be_bytes()].concat()
}

fn read_root(mut bytes: &[u8]) -> Option<Link> {
    let digest = Digest(take(&mut bytes)?);
    let leaves = Some(u64::from_be_bytes(take(&mut bytes)?)).filter(|leaves| *leaves > 0)?;
    bytes.is_empty().then_some(Link { digest, leaves, held: None })
}

/// What was used lately: when the newer half is full, the older half goes and the newer becomes the older.
struct Recent<T> {
    newer: BTreeMap<Digest, (T, usize)>,
    older: BTreeMap<Digest, (T, usize)>,
    newer_bytes: usize,
    older_bytes: usize,
    half: usize,
}

impl<T: Clone> Recent<T> {
    fn new(half: usize) -> Self {
        Self { newer: BTreeMap::new(), older: BTreeMap::new(), newer_bytes: 0, older_bytes: 0, half }
    }

    fn bytes(&self) -> usize {
        self.newer_bytes.saturating_add(self.older_bytes)
    }

    fn get(&mut self, key: &Digest) -> Option<T> {
        if let Some((item, _)) = self.newer.get(key) {
            return Some(item.clone());
        }
        let (item, bytes) = self.older.remove(key)?;
        self.older_bytes = self.older_bytes.saturating_sub(bytes);
        self.put(*key, item.clone(), bytes);
        Some(item)
    }

    fn put(&mut self, key: Digest, item: T, bytes: usize) {
        if self.newer_bytes.saturating_add(bytes) > self.half {
            self.older = std::mem::take(&mut self.newer);
            self.older_bytes = std::mem::take(&mut self.newer_bytes);
        }
        if self.newer.insert(key, (item, bytes)).is_none() {
            self.newer_bytes = self.newer_bytes.saturating_add(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_lately_stays_and_the_rest_goes_when_the_bytes_are_used_up() {
        let mut recent = Recent::new(100);
        let key = |index: u8| Digest([index; 32]);
        for index in 0..200 {
            recent.put(key(index), index, 10);
            assert_eq!(recent.get(&key(0)), Some(0), "asked for all the time");
            assert!(recent.bytes() <= 200);
        }
        assert_eq!(recent.get(&key(1)), None);
        assert_eq!(recent.get(&key(199)), Some(199));
    }
}
