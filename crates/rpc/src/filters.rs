//! What clients have asked to be told: filters of logs, of those who poll and those who subscribe; and whatever is polled, per server, forgotten
//! when nobody asks for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use alloy_primitives::U128;
use alloy_rpc_types_eth::{Filter, Topic};
use tokio::sync::broadcast;

use crate::error::RpcError;
use crate::limits::Limits;
use crate::node::Event;
use crate::party::Party;
use crate::shares::{Share, Stock};

/// Addresses and topics of one filter, in all. Each costs a look-up wherever the filter is asked for, and a bloom as long as it is kept.
const KEYS_MAX: usize = 1_024;
/// What each takes in memory: a bloom of 256 bytes, itself, its part of a table.
const KEY_BYTES: usize = 320;
/// What a filter takes without any.
const BASE_BYTES: usize = 1_024;

/// The filter, if it names no more than it may; by whatever method it comes.
pub(crate) fn checked(filter: Filter) -> Result<Filter, RpcError> {
    let keys = keys(&filter);
    if keys > KEYS_MAX {
        let words = format!("the filter names {keys} addresses and topics, expected at most {KEYS_MAX} in all");
        return Err(RpcError::limit(format!("{words}; hint: ask by several filters")));
    }
    Ok(filter)
}

fn keys(filter: &Filter) -> usize {
    filter.topics.iter().map(Topic::len).fold(filter.address.len(), usize::saturating_add)
}

/// A filter of logs that is kept, with its blooms once they were needed, and its share of the bytes that all such filters may take.
pub(crate) struct Kept {
    pub filter: Filter,
    _bytes: Share,
}

/// What a filter waits for; blocks from `next` on.
pub(crate) enum Kind {
    Blocks { next: u64 },
    Logs { kept: Arc<Kept>, next: u64 },
    Waiting(broadcast::Receiver<Event>),
}

struct Entry {
    kind: Arc<Mutex<Kind>>,
    used: Instant,
    _place: Share,
}

/// The filters of one server, by ids that cannot be guessed: whoever asks for a filter's changes takes them from its owner.
pub(crate) struct Filters {
    entries: Mutex<HashMap<U128, Entry>>,
    places: Arc<Stock>,
    bytes: Arc<Stock>,
    wait: Duration,
}

impl Filters {
    pub fn new(limits: &Limits) -> Self {
        Self {
            entries: Mutex::default(),
            places: Stock::new(limits.filters, limits.filters_each),
            bytes: Stock::new(limits.filter_bytes, limits.filter_bytes_each),
            wait: limits.filter_wait,
        }
    }

    /// Keeps a filter of logs in memory, if there is room for it.
    pub fn keep(&self, party: Party, filter: Filter) -> Result<Arc<Kept>, RpcError> {
        drop(self.unexpired());
        let bytes = keys(&filter).saturating_mul(KEY_BYTES).saturating_add(BASE_BYTES);
        let bytes = self.bytes.take(party, bytes).map_err(|over| {
            RpcError::limit(format!("filters take too many bytes: at most {over}; hint: uninstall or unsubscribe some"))
        })?;
        Ok(Arc::new(Kept { filter, _bytes: bytes }))
    }

    pub fn add(&self, party: Party, kind: Kind) -> Result<U128, RpcError> {
        let id = storage::random_bytes().map_err(|error| RpcError::internal(error.to_string()))?;
        let id = U128::from_be_bytes::<16>(id);
        let mut entries = self.unexpired();
        let place = self.places.take(party, 1).map_err(|over| {
            let hint = "hint: uninstall some, or subscribe over a WebSocket";
            RpcError::limit(format!("too many filters: at most {over}; {hint}"))
        })?;
        entries.insert(id, Entry { kind: Arc::new(Mutex::new(kind)), used: Instant::now(), _place: place });
        Ok(id)
    }

    pub fn get(&self, id: U128) -> Result<Arc<Mutex<Kind>>, RpcError> {
        let mut entries = self.unexpired();
        let entry = entries.get_mut(&id).ok_or_else(|| {
            let wait = self.wait.as_secs_f64();
            RpcError::server(format!("filter not found: it may have expired, after {wait} s without a question"))
        })?;
        entry.used = Instant::now();
        Ok(Arc::clone(&entry.kind))
    }

    /// Whether it was there.
    pub fn remove(&self, id: U128) -> bool {
        self.unexpired().remove(&id).is_some()
    }

    /// Those that somebody has asked for lately; the others are forgotten.
    fn unexpired(&self) -> MutexGuard<'_, HashMap<U128, Entry>> {
        let now = Instant::now();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| now.duration_since(entry.used) < self.wait);
        entries
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256};

    use super::*;

    fn of(addresses: u64, topics: u64) -> Filter {
        let address = |index: u64| Address::left_padding_from(&index.to_be_bytes());
        let topic = |index: u64| B256::left_padding_from(&index.to_be_bytes());
        let topics: Vec<B256> = (0..topics).map(topic).collect();
        let mut filter = Filter::new().address((0..addresses).map(address).collect::<Vec<_>>());
        filter.topics[3] = topics.into();
        filter
    }

    #[test]
    fn addresses_and_topics_are_counted_together() {
        for fits in [of(0, 0), of(1_024, 0), of(1_000, 24), of(0, 1_024)] {
            assert!(checked(fits).is_ok());
        }
        for many in [of(1_025, 0), of(1_000, 25), of(0, 1_025)] {
            let words = checked(many).unwrap_err().message;
            assert!(words.starts_with("the filter names 1025 addresses and topics, expected at most 1024"), "{words}");
        }
    }

    #[test]
    fn what_expired_makes_room() {
        let limits = Limits { filter_bytes: 5_000, filters: 1, filter_wait: Duration::ZERO, ..Limits::default() };
        let (filters, party) = (Filters::new(&limits), Party::Connection(1));
        for _ in 0..3 {
            let kept = filters.keep(party, of(10, 0)).unwrap();
            filters.add(party, Kind::Logs { kept, next: 0 }).unwrap();
        }
        let held = filters.keep(party, of(10, 0)).unwrap();
        assert!(filters.keep(party, of(10, 0)).err().unwrap().message.contains("at most 5000 for all clients"));
        drop(held);
    }
}
