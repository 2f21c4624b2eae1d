//! What calls wait for at their chain, as a deposit or a refund: so many things at once, and so many calls for each of them. Who asks for the
//! same again waits on the place that it has: asking again and again takes none from others.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use payments::scheme::Refused;
use protocol::Digest;

/// Who wait for one thing: whoever asked for it, and four that ask again.
const CALLS_MAX: usize = 5;

/// Calls that wait, by what they wait for.
pub struct Waits {
    things_max: usize,
    calls: Mutex<BTreeMap<Digest, usize>>,
}

/// One who waits, until it is dropped.
pub struct Wait<'a> {
    waits: &'a Waits,
    id: Digest,
}

impl Waits {
    pub fn new(things_max: usize) -> Self {
        Self { things_max, calls: Mutex::default() }
    }

    /// Waits for a thing of this id, where there is room for it.
    pub fn begin(&self, id: Digest) -> Result<Wait<'_>, Refused> {
        let mut calls = self.lock();
        let count = calls.get(&id).copied().unwrap_or_default();
        if count == 0 && calls.len() >= self.things_max {
            return Err(Refused::Full);
        }
        if count >= CALLS_MAX {
            return Err(Refused::InFlight);
        }
        calls.insert(id, count.saturating_add(1));
        Ok(Wait { waits: self, id })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, usize>> {
        // Nothing panics while it holds the lock.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut calls = self.waits.lock();
        if let Some(count) = calls.get_mut(&self.id) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                calls.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_wait_for_one_thing_and_others_for_another() {
        let (waits, [one, other, third]) = (Waits::new(2), [1, 2, 3].map(|id| Digest([id; 32])));
        let begin = |id| waits.begin(id).map(drop);
        let mut waiting: Vec<_> = (0..CALLS_MAX).filter_map(|_| waits.begin(one).ok()).collect();
        assert_eq!(waiting.len(), CALLS_MAX);
        assert_eq!((begin(one), begin(other)), (Err(Refused::InFlight), Ok(())), "they have one place together");
        waiting.extend(waits.begin(other).ok());
        assert_eq!((begin(third), begin(other)), (Err(Refused::Full), Ok(())));
        drop(waiting.remove(0));
        assert_eq!((begin(one), begin(third)), (Ok(()), Err(Refused::Full)));
        waiting.pop();
        assert_eq!(begin(third), Ok(()));
        drop(waiting);
        assert!(waits.lock().is_empty(), "nobody is remembered");
    }
}
