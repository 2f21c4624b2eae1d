//! What clients that poll have asked to be told: per server, forgotten when nobody asks for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use alloy_primitives::U128;
use alloy_rpc_types_eth::Filter;
use tokio::sync::broadcast;

use crate::error::RpcError;
use crate::node::Event;

/// What a filter waits for; blocks from `next` on.
pub(crate) enum Kind {
    Blocks { next: u64 },
    Logs { filter: Box<Filter>, next: u64 },
    Waiting(broadcast::Receiver<Event>),
}

struct Entry {
    kind: Arc<Mutex<Kind>>,
    used: Instant,
}

/// The filters of one server, by ids that cannot be guessed: whoever asks for a filter's changes takes them from its owner.
pub(crate) struct Filters {
    entries: Mutex<HashMap<U128, Entry>>,
    most: usize,
    wait: Duration,
}

impl Filters {
    pub fn new(most: usize, wait: Duration) -> Self {
        Self { entries: Mutex::new(HashMap::new()), most, wait }
    }

    pub fn add(&self, kind: Kind) -> Result<U128, RpcError> {
        let id = storage::random_bytes().map_err(|error| RpcError::internal(error.to_string()))?;
        let (id, now) = (U128::from_be_bytes::<16>(id), Instant::now());
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| now.duration_since(entry.used) < self.wait);
        if entries.len() >= self.most {
            let words = format!("too many filters: {}, uninstall some or subscribe over a WebSocket", self.most);
            return Err(RpcError::limit(words));
        }
        entries.insert(id, Entry { kind: Arc::new(Mutex::new(kind)), used: now });
        Ok(id)
    }

    pub fn get(&self, id: U128) -> Result<Arc<Mutex<Kind>>, RpcError> {
        let now = Instant::now();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let found = entries.get_mut(&id).filter(|entry| now.duration_since(entry.used) < self.wait);
        let entry = found.ok_or_else(|| {
            let wait = self.wait.as_secs_f64();
            RpcError::server(format!("filter not found: it may have expired, after {wait} s without a question"))
        })?;
        entry.used = now;
        Ok(Arc::clone(&entry.kind))
    }

    /// Whether it was there.
    pub fn remove(&self, id: U128) -> bool {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(&id).is_some()
    }
}
