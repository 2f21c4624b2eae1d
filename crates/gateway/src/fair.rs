//! How much of the gateway's places one model may have: as many as leave some for the others, so that calls of one model that take long
//! never keep another's out.
//!
//! A model may take places while it has no more than three times as many as are free: one alone has three quarters of all, and
//! whoever comes next three quarters of what is left; as places come free, those who want many come to have as many as each other. Few places are
//! taken by whoever comes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use protocol::Digest;

const OF_FREE: usize = 3;
/// Fewer places than this are not shared out.
const FEW: usize = 16;

/// Places taken, by model, of so many.
pub struct Fair {
    places: usize,
    taken: Mutex<BTreeMap<Digest, usize>>,
}

/// Places of one model, given back by being dropped.
pub struct Share {
    fair: Arc<Fair>,
    model: Digest,
    places: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.fair.taken();
        let left = taken.get(&self.model).copied().unwrap_or(0).saturating_sub(self.places);
        if left == 0 {
            taken.remove(&self.model);
        } else {
            taken.insert(self.model, left);
        }
    }
}

impl Fair {
    pub fn new(places: usize) -> Self {
        Self { places, taken: Mutex::default() }
    }

    /// A share of so many places, which are taken already, where so many are free now.
    pub fn share(self: &Arc<Self>, model: &Digest, places: usize, free: usize) -> Option<Share> {
        let mut taken = self.taken();
        let of_model = taken.entry(*model).or_insert(0);
        let wanted = of_model.saturating_add(places);
        // Whoever has none may always begin with one: it has found its place free.
        let begins = *of_model == 0 && places == 1;
        if self.places >= FEW && !begins && wanted > free.saturating_mul(OF_FREE) {
            if *of_model == 0 {
                taken.remove(model);
            }
            return None;
        }
        *of_model = wanted;
        Some(Share { fair: Arc::clone(self), model: *model, places })
    }

    /// Every holder leaves what it guards whole.
    fn taken(&self) -> MutexGuard<'_, BTreeMap<Digest, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many single places as a model gets of those that are free.
    fn hog(fair: &Arc<Fair>, number: u8, free: &mut usize) -> Vec<Share> {
        let next = || {
            let left = free.checked_sub(1)?;
            let share = fair.share(&Digest([number; 32]), 1, left)?;
            *free = left;
            Some(share)
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_model_that_wants_all_places_leaves_some_and_so_does_the_next() {
        let (fair, mut free) = (Arc::new(Fair::new(256)), 256);
        let alone = hog(&fair, 1, &mut free);
        assert_eq!((alone.len(), free), (192, 64));
        let second = hog(&fair, 2, &mut free);
        assert_eq!((second.len(), free), (48, 16));
        drop((alone, second));
        assert!(fair.taken().is_empty());
        // Nor does one call for many take them all, or the next one what it left.
        let many = fair.share(&Digest::ZERO, 128, 128);
        assert!(many.is_some());
        assert!(fair.share(&Digest([9; 32]), 128, 0).is_none());
        assert!(fair.share(&Digest([9; 32]), 1, 0).is_some(), "one may always begin");
        drop(many);
        assert!(fair.share(&Digest([9; 32]), 200, 56).is_none());
        assert!(fair.taken().is_empty());
    }

    #[test]
    fn few_places_are_taken_by_whoever_comes() {
        let (fair, mut free) = (Arc::new(Fair::new(2)), 2);
        assert_eq!(hog(&fair, 1, &mut free).len(), 2);
    }
}
