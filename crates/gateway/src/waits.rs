//! What calls wait for at their chain, as a deposit or a refund: so many things at once, and so many calls for each of them. Who asks for the
//! same again waits on the place that it has: asking again and again takes none from others. Who paid here before has as many places as all
//! who did not: those cost nothing to make up.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use payments::scheme::Refused;
use protocol::Digest;

/// Who wait for one thing: whoever asked for it, and four that ask again.
const CALLS_MAX: usize = 5;

/// What is waited for, and whether it is a customer's.
type Thing = (Digest, bool);

/// Calls that wait, by what they wait for.
pub struct Waits {
    things_max: usize,
    calls: Mutex<BTreeMap<Thing, usize>>,
}

/// One who waits, until it is dropped.
pub struct Wait<'a> {
    waits: &'a Waits,
    thing: Thing,
}

impl Waits {
    pub fn new(things_max: usize) -> Self {
        Self { things_max, calls: Mutex::default() }
    }

    /// Waits for a thing, where there is room for it.
    pub fn begin(&self, thing: Thing) -> Result<Wait<'_>, Refused> {
        let mut calls = self.lock();
        let count = calls.get(&thing).copied().unwrap_or_default();
        let of_its_kind = || calls.keys().filter(|(_, is_customers)| *is_customers == thing.1).count();
        if count == 0 && of_its_kind() >= self.things_max {
            return Err(Refused::Full);
        }
        if count >= CALLS_MAX {
            return Err(Refused::InFlight);
        }
        calls.insert(thing, count.saturating_add(1));
        Ok(Wait { waits: self, thing })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Thing, usize>> {
        // Nothing panics while it holds the lock.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut calls = self.waits.lock();
        if let Some(count) = calls.get_mut(&self.thing) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                calls.remove(&self.thing);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_wait_for_one_thing_and_others_for_another() {
        let (waits, [one, other, third]) = (Waits::new(2), [1, 2, 3].map(|id| (Digest([id; 32]), false)));
        let begin = |id| waits.begin(id).map(drop);
        let mut waiting: Vec<_> = (0..CALLS_MAX).filter_map(|_| waits.begin(one).ok()).collect();
        assert_eq!(waiting.len(), CALLS_MAX);
        assert_eq!((begin(one), begin(other)), (Err(Refused::InFlight), Ok(())), "they have one place together");
        waiting.extend(waits.begin(other).ok());
        assert_eq!((begin(third), begin(other)), (Err(Refused::Full), Ok(())));
        assert_eq!(begin((third.0, true)), Ok(()), "customers have places of their own");
        drop(waiting.remove(0));
        assert_eq!((begin(one), begin(third)), (Ok(()), Err(Refused::Full)));
        waiting.pop();
        assert_eq!(begin(third), Ok(()));
        drop(waiting);
        assert!(waits.lock().is_empty(), "nobody is remembered");
    }
}
