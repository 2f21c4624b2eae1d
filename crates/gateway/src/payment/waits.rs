//! Who waits for what is under way already.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use protocol::Digest;

/// Of one deposit.
const WAITS_MAX: usize = 4;

/// Who waits for deposits that somebody sent before: so many for each and no more, whoever asks again and again.
#[derive(Default)]
pub struct Waits(Mutex<BTreeMap<Digest, usize>>);

/// One who waits, until it is dropped.
pub struct Wait<'a> {
    waits: &'a Waits,
    id: Digest,
}

impl Waits {
    /// `None` where enough wait for it.
    pub fn begin(&self, id: Digest) -> Option<Wait<'_>> {
        let mut waits = self.lock();
        let count = waits.entry(id).or_default();
        if *count >= WAITS_MAX {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Wait { waits: self, id })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, usize>> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut waits = self.waits.lock();
        if let Some(count) = waits.get_mut(&self.id) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                waits.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_wait_for_one_thing_and_others_for_another() {
        let (waits, one, other) = (Waits::default(), Digest([1; 32]), Digest([2; 32]));
        let mut waiting: Vec<_> = (0..WAITS_MAX).filter_map(|_| waits.begin(one)).collect();
        assert_eq!(waiting.len(), WAITS_MAX);
        assert!(waits.begin(one).is_none() && waits.begin(other).is_some());
        waiting.pop();
        assert!(waits.begin(one).is_some());
        drop(waiting);
        assert!(waits.lock().is_empty(), "nobody is remembered");
    }
}
