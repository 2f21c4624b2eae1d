//! Calls that wait for what a chain says of their payers, and requests of a facilitator. They keep their places meanwhile, so that all of
//! them together have half of all: a chain that hangs leaves the others to calls that ask it nothing.

use payments::scheme::Refused;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Fewer places than this are whoever's that comes.
const FEW: usize = 16;

/// Places that may wait for one chain's word.
pub struct Looks {
    places: Semaphore,
    count: usize,
}

impl Looks {
    /// Half of so many places.
    pub fn half(places: usize) -> Self {
        Self::all(if places < FEW { places } else { places / 2 })
    }

    /// All of them: where nothing asks another chain.
    pub fn all(count: usize) -> Self {
        Self { places: Semaphore::new(count), count }
    }

    /// As many as a call has, until what is returned is dropped; of a call that has more, all that there are.
    pub fn take(&self, wanted: usize) -> Result<SemaphorePermit<'_>, Refused> {
        let wanted = u32::try_from(wanted.min(self.count)).unwrap_or(u32::MAX);
        self.places.try_acquire_many(wanted).map_err(|_| Refused::Full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_places_wait_for_a_chain_and_all_where_there_are_few() {
        for (places, most) in [(256, 128), (16, 8), (15, 15), (1, 1)] {
            let looks = Looks::half(places);
            let taken: Vec<_> = (0..places).filter_map(|_| looks.take(1).ok()).collect();
            assert_eq!(taken.len(), most, "{places}");
            assert_eq!(looks.take(1).err(), Some(Refused::Full), "{places}");
            drop(taken);
            let all = looks.take(usize::MAX);
            assert!(all.is_ok() && looks.take(1).is_err(), "{places}: a call of more answers waits alone");
        }
    }
}
