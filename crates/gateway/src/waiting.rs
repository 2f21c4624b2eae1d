//! Receipts that wait for the ledger, in memory: found by what is to be done with them next, and never by looking at all of them.
//!
//! The outbox's lock is held while one of these methods runs, and every answer takes it once: each is a few steps in ordered sets, whatever
//! waits. Receipts are shared, so that handing a batch out copies none.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use protocol::{Amount, Digest, SignedReceipt};

#[derive(Clone)]
pub struct Waiting {
    pub receipt: Arc<SignedReceipt>,
    pub id: Digest,
    pub sendings: u32,
    /// When it was sent last; `None` where it is to be sent now.
    pub sent_at: Option<Instant>,
    /// When to ask next whether it was anchored.
    pub ask_at: Instant,
}

/// All of them, by place.
#[derive(Default)]
pub struct AllWaiting {
    by_place: BTreeMap<u64, Waiting>,
    by_id: BTreeMap<Digest, u64>,
    next: Next,
    /// What all of them charged.
    charges: Amount,
}

/// Places, by what is to be done with them next.
#[derive(Default)]
struct Next {
    to_send: BTreeSet<u64>,
    to_ask: BTreeSet<(Instant, u64)>,
}

impl Next {
    fn list(&mut self, place: u64, waiting: &Waiting) {
        if waiting.sent_at.is_none() {
            self.to_send.insert(place);
        } else {
            self.to_ask.insert((waiting.ask_at, place));
        }
    }

    fn unlist(&mut self, place: u64, waiting: &Waiting) {
        self.to_send.remove(&place);
        self.to_ask.remove(&(waiting.ask_at, place));
    }
}

impl AllWaiting {
    pub fn insert(&mut self, place: u64, waiting: Waiting) {
        self.by_id.insert(waiting.id, place);
        self.next.list(place, &waiting);
        self.charges = self.charges.saturating_add(waiting.receipt.receipt.charge);
        self.by_place.insert(place, waiting);
    }

    pub fn remove(&mut self, place: u64) -> Option<Waiting> {
        let waiting = self.by_place.remove(&place)?;
        self.next.unlist(place, &waiting);
        self.charges = self.charges.saturating_sub(waiting.receipt.receipt.charge);
        if self.by_id.get(&waiting.id) == Some(&place) {
            self.by_id.remove(&waiting.id);
        }
        Some(waiting)
    }

    /// Changes when something is to be done with it; `None` where it waits no more.
    pub fn change<T>(&mut self, place: u64, change: impl FnOnce(&mut Waiting) -> T) -> Option<T> {
        let waiting = self.by_place.get_mut(&place)?;
        self.next.unlist(place, waiting);
        let changed = change(waiting);
        self.next.list(place, waiting);
        Some(changed)
    }

    pub fn len(&self) -> usize {
        self.by_place.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_place.is_empty()
    }

    pub fn charges(&self) -> Amount {
        self.charges
    }

    pub fn last_place(&self) -> Option<u64> {
        self.by_place.last_key_value().map(|(place, _)| *place)
    }

    pub fn find(&self, id: &Digest) -> Option<Arc<SignedReceipt>> {
        self.by_place.get(self.by_id.get(id)?).map(|waiting| Arc::clone(&waiting.receipt))
    }

    /// What is to be sent, oldest first.
    pub fn unsent(&self, count: usize) -> Vec<(u64, Arc<SignedReceipt>)> {
        let waiting =
            self.next.to_send.iter().take(count).filter_map(|place| Some((*place, self.by_place.get(place)?)));
        waiting.map(|(place, waiting)| (place, Arc::clone(&waiting.receipt))).collect()
    }

    pub fn unsent_count(&self) -> usize {
        self.next.to_send.len()
    }

    /// What was sent and is to be asked after by now, the longest due first.
    pub fn due(&self, now: Instant, count: usize) -> impl Iterator<Item = (u64, &Waiting)> {
        let due = self.next.to_ask.range(..=(now, u64::MAX)).take(count);
        due.filter_map(|(_, place)| Some((*place, self.by_place.get(place)?)))
    }

    /// All that waits, by place.
    pub fn all(&self) -> Vec<(u64, Arc<SignedReceipt>)> {
        self.by_place.iter().map(|(place, waiting)| (*place, Arc::clone(&waiting.receipt))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kept::tests::receipt;

    fn waiting(id: u8, sent_at: Option<Instant>, ask_at: Instant) -> Waiting {
        Waiting { receipt: Arc::new(receipt()), id: Digest([id; 32]), sendings: 0, sent_at, ask_at }
    }

    fn due(all: &AllWaiting, now: Instant) -> Vec<u64> {
        all.due(now, 9).map(|(place, _)| place).collect()
    }

    fn unsent(all: &AllWaiting) -> Vec<u64> {
        all.unsent(9).into_iter().map(|(place, _)| place).collect()
    }

    #[test]
    fn each_is_found_by_what_is_to_be_done_with_it() {
        let (mut all, now) = (AllWaiting::default(), Instant::now());
        let later = now + Duration::from_secs(1);
        all.insert(7, waiting(7, None, now));
        all.insert(5, waiting(5, None, now));
        all.insert(3, waiting(3, Some(now), later));
        all.insert(4, waiting(4, Some(now), now));
        assert_eq!((unsent(&all), due(&all, now), due(&all, later)), (vec![5, 7], vec![4], vec![4, 3]));
        assert_eq!((all.unsent(1).len(), all.unsent_count(), all.due(later, 1).count()), (1, 2, 1));
        all.change(5, |waiting| (waiting.sent_at, waiting.ask_at) = (Some(now), later)).unwrap();
        assert_eq!((unsent(&all), due(&all, later)), (vec![7], vec![4, 3, 5]));
        all.change(4, |waiting| waiting.sent_at = None).unwrap();
        assert_eq!((unsent(&all), due(&all, later)), (vec![4, 7], vec![3, 5]));
        assert!(all.find(&Digest([4; 32])).is_some() && all.find(&Digest([9; 32])).is_none());
        for place in [3, 4, 5, 7] {
            assert_eq!(all.remove(place).unwrap().id, Digest([u8::try_from(place).unwrap(); 32]));
        }
        assert!(all.is_empty() && all.next.to_send.is_empty() && all.next.to_ask.is_empty() && all.by_id.is_empty());
        assert_eq!(all.charges(), 0);
        assert!(all.change(3, |_| ()).is_none() && all.remove(3).is_none() && all.last_place().is_none());
    }
}
