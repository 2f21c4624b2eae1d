//! Which keys may ask this worker for something: asked from the ledger, remembered for a while.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use network::{LedgerClient, NetworkError};
use protocol::{KeyRecord, PublicKey, Role, registry::OPEN_END};

/// How long an answer of the ledger is believed.
const FRESH: Duration = Duration::from_secs(5);
/// Most keys remembered; beyond it the memory starts anew.
const KEYS_MAX: usize = 4_096;

/// The ledger's keys; clones share the memory.
#[derive(Clone)]
pub(crate) struct Registry {
    ledger: LedgerClient,
    known: Arc<Mutex<BTreeMap<PublicKey, (KeyRecord, Instant)>>>,
}

impl Registry {
    pub fn new(ledger: LedgerClient) -> Self {
        Self { ledger, known: Arc::default() }
    }

    /// True only if the ledger holds `key`, not retired, for one of `roles`. While no validator answers, an older
    /// answer counts.
    pub async fn allows(&self, key: &PublicKey, roles: &[Role]) -> Result<bool, NetworkError> {
        let known = self.lock().get(key).cloned();
        let record = match known {
            Some((record, at)) if at.elapsed() < FRESH => Some(record),
            stale => match self.ledger.key(key).await {
                Ok(record) => Some(self.remember(record)),
                Err(error) if error.is_transient() => match stale {
                    Some((record, _)) => Some(record),
                    None => return Err(error),
                },
                Err(_) => None,
            },
        };
        Ok(record.is_some_and(|record| record.valid_until == OPEN_END && roles.contains(&record.role)))
    }

    fn remember(&self, record: KeyRecord) -> KeyRecord {
        let mut known = self.lock();
        if known.len() >= KEYS_MAX {
            known.clear();
        }
        known.insert(record.key, (record.clone(), Instant::now()));
        record
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PublicKey, (KeyRecord, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
