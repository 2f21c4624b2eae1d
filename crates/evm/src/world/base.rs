//! A state on the disk, as of one moment: pages of its tree, and code beside them, behind caches that are bounded in bytes.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use alloy_primitives::B256;
use pages::{Reader, Recent};

use super::leaf::Leaf;
use crate::state::{Code, StateError};

/// Code by its hash, and how many accounts name it.
pub const CODES: &str = "state-codes";
pub const USES: &str = "state-code-uses";

/// What was read lately, by digest: it is the same at every moment. Clones share it.
#[derive(Clone)]
pub struct Cache {
    pages: pages::Cache<Leaf>,
    codes: Arc<Mutex<Recent<B256, Code>>>,
    failure: Arc<OnceLock<StateError>>,
}

/// A state on the disk.
#[derive(Clone)]
pub struct Base {
    pub(super) pages: pages::Base<Leaf>,
    cache: Cache,
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Base").field("age", &self.pages.age()).finish_non_exhaustive()
    }
}

impl Cache {
    /// Of at most about so many bytes.
    pub fn new(bytes: usize) -> Self {
        let codes = Arc::new(Mutex::new(Recent::new(bytes >> 2)));
        Self { pages: pages::Cache::new(bytes), codes, failure: Arc::default() }
    }

    /// The first thing that could not be read: what was executed since means nothing.
    pub fn failure(&self) -> Option<&StateError> {
        self.pages.failure().map(|error| self.failure.get_or_init(|| error.clone().into()))
    }

    /// About how many bytes it holds.
    pub fn bytes(&self) -> usize {
        self.pages.bytes().saturating_add(self.codes.lock().unwrap_or_else(PoisonError::into_inner).bytes())
    }
}

impl Base {
    pub fn new(reader: Reader, cache: Cache) -> Self {
        Self { pages: pages::Base::new(reader, cache.pages.clone()), cache }
    }

    /// The same for whoever only asks, see `pages::Base::aside`.
    pub(super) fn aside(&self) -> Self {
        Self { pages: self.pages.aside(), ..self.clone() }
    }

    pub(super) fn after(self, pages: pages::Base<Leaf>) -> Self {
        Self { pages, ..self }
    }

    /// What its reads are kept in.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    pub(super) fn code(&self, hash: &B256) -> Result<Option<Code>, StateError> {
        let codes = &self.cache.codes;
        if let Some(code) = codes.lock().unwrap_or_else(PoisonError::into_inner).get(hash) {
            return Ok(Some(code));
        }
        let Some(bytes) = self.pages.read(CODES, hash.as_slice())? else { return Ok(None) };
        let length = bytes.len();
        let code = Code::new_raw_checked(bytes.into()).ok().filter(|code| code.hash_slow() == *hash);
        let Some(code) = code else {
            return Ok(self.pages.failed(&format!(": code {hash} is another"))?);
        };
        codes.lock().unwrap_or_else(PoisonError::into_inner).put(*hash, code.clone(), length.saturating_mul(2));
        Ok(Some(code))
    }

    /// How many accounts name a code.
    pub(super) fn uses(&self, hash: &B256) -> Result<u64, StateError> {
        let Some(bytes) = self.pages.read(USES, hash.as_slice())? else { return Ok(0) };
        match <[u8; 8]>::try_from(bytes.as_slice()) {
            Ok(count) => Ok(u64::from_be_bytes(count)),
            Err(_) => Ok(self.pages.failed(&format!(": the uses of code {hash} are no count"))?),
        }
    }
}
