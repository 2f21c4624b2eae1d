//! Which keys may ask this worker for something: asked from the ledger, remembered for a while.
//!
//! Only keys that the ledger holds are remembered for long; keys that it does not hold cost whoever makes them up more
//! than they cost us: each is remembered as unknown for a while, and only so many are asked about a second.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use network::{LedgerClient, NetworkError};
use protocol::{KeyRecord, PublicKey, Role, registry::OPEN_END};
use thiserror::Error;

use crate::rate::Rate;

/// How long an answer of the ledger is believed.
const FRESH: Duration = Duration::from_secs(5);
/// Most keys remembered; beyond it the memory starts anew.
const KEYS_MAX: usize = 4_096;
/// Keys never seen before that are asked about in a second.
const STRANGERS_MAX: u32 = 64;

/// Why nothing can be said about a key.
#[derive(Debug, Error)]
pub(crate) enum LookupError {
    #[error(transparent)]
    Ledger(#[from] NetworkError),
    #[error("too many unknown keys ask at once")]
    Crowded,
}

struct Memory {
    known: BTreeMap<PublicKey, (KeyRecord, Instant)>,
    unknown: BTreeMap<PublicKey, Instant>,
    strangers: Rate<()>,
}

/// The ledger's keys; clones share the memory.
#[derive(Clone)]
pub(crate) struct Registry {
    ledger: LedgerClient,
    memory: Arc<Mutex<Memory>>,
}

impl Registry {
    pub fn new(ledger: LedgerClient) -> Self {
        let (known, unknown) = (BTreeMap::new(), BTreeMap::new());
        let memory = Memory { known, unknown, strangers: Rate::new(STRANGERS_MAX) };
        Self { ledger, memory: Arc::new(Mutex::new(memory)) }
    }

    /// True only if the ledger holds `key`, not retired, for one of `roles`. While no validator answers, an older
    /// answer counts.
    pub async fn allows(&self, key: &PublicKey, roles: &[Role]) -> Result<bool, LookupError> {
        let known = self.lock().known.get(key).cloned();
        let record = match known {
            Some((record, at)) if at.elapsed() < FRESH => Some(record),
            Some((record, _)) => match self.ask(key).await {
                Err(error) if error.is_transient() => Some(record),
                answer => answer?,
            },
            None => self.stranger(key).await?,
        };
        Ok(record.is_some_and(|record| record.valid_until == OPEN_END && roles.contains(&record.role)))
    }

    /// A key that was not seen before, or not found a moment ago.
    async fn stranger(&self, key: &PublicKey) -> Result<Option<KeyRecord>, LookupError> {
        {
            let mut memory = self.lock();
            memory.unknown.retain(|_, at| at.elapsed() < FRESH);
            if memory.unknown.contains_key(key) {
                return Ok(None);
            }
            if !memory.strangers.admits((), Instant::now()) {
                return Err(LookupError::Crowded);
            }
        }
        Ok(self.ask(key).await?)
    }

    /// Asks the ledger and remembers what it says; `None` if it does not hold the key.
    async fn ask(&self, key: &PublicKey) -> Result<Option<KeyRecord>, NetworkError> {
        let answer = match self.ledger.key(key).await {
            Err(error) if error.code() != Some("unknown_key") => return Err(error),
            answer => answer.ok().filter(|record| record.key == *key),
        };
        let (mut memory, now) = (self.lock(), Instant::now());
        match &answer {
            Some(record) => {
                if memory.known.len() >= KEYS_MAX {
                    memory.known.clear();
                }
                memory.known.insert(*key, (record.clone(), now));
            }
            None => {
                memory.known.remove(key);
                memory.unknown.insert(*key, now);
            }
        }
        Ok(answer)
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        // Whole after every step, so a panic elsewhere does not spoil it.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
