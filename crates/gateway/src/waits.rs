//! What calls wait for at their chain, as a deposit or a refund: so many things at once, and so many calls for each of them. Who asks for the
//! same again waits on the place that it has: asking again and again takes none from others. Who paid here before has as many places as all
//! who did not: those cost nothing to make up. Of them no one has more than a few, because to have paid once costs little. Each chain has
//! places of its own: one that makes no blocks, or whose coins are worth nothing, keeps nobody from another.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use payments::{Address, scheme::Refused, wire::Network};
use protocol::Digest;

/// Who wait for one thing: whoever asked for it, and four that ask again.
const CALLS_MAX: usize = 5;
/// Things that one customer waits for.
const OF_ONE_MAX: usize = 4;

/// The chain that is waited for, what for, and the customer whose it is; none where nobody paid here before.
pub type Thing = (Network, Digest, Option<Address>);

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
        let (chain, _, customer) = thing;
        let count = calls.get(&thing).copied().unwrap_or_default();
        let others: Vec<Option<Address>> =
            calls.keys().filter(|(on, ..)| *on == chain).map(|(.., other)| *other).collect();
        let of_its_kind = others.iter().filter(|other| other.is_some() == customer.is_some());
        let of_its_own = others.iter().filter(|other| other.is_some() && **other == customer);
        if count == 0 && (of_its_kind.count() >= self.things_max || of_its_own.count() >= OF_ONE_MAX) {
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
        let (waits, [one, other, third]) = (Waits::new(2), [1, 2, 3].map(|id| (Network::BASE, Digest([id; 32]), None)));
        let begin = |id| waits.begin(id).map(drop);
        let mut waiting: Vec<_> = (0..CALLS_MAX).filter_map(|_| waits.begin(one).ok()).collect();
        assert_eq!(waiting.len(), CALLS_MAX);
        assert_eq!((begin(one), begin(other)), (Err(Refused::InFlight), Ok(())), "they have one place together");
        waiting.extend(waits.begin(other).ok());
        assert_eq!((begin(third), begin(other)), (Err(Refused::Full), Ok(())));
        assert_eq!(begin((third.0, third.1, Some(Address::ZERO))), Ok(()), "customers have places of their own");
        assert_eq!(begin((Network::LEDGER, third.1, None)), Ok(()), "and so has each chain");
        drop(waiting.remove(0));
        assert_eq!((begin(one), begin(third)), (Ok(()), Err(Refused::Full)));
        waiting.pop();
        assert_eq!(begin(third), Ok(()));
        drop(waiting);
        assert!(waits.lock().is_empty(), "nobody is remembered");
    }

    #[test]
    fn one_customer_has_a_few_places_and_leaves_the_others() {
        let (waits, thing) =
            (Waits::new(64), |id, of| (Network::BASE, Digest([id; 32]), Some(Address::repeat_byte(of))));
        let held: Vec<_> = (0..64).filter_map(|id| waits.begin(thing(id, 1)).ok()).collect();
        assert_eq!(held.len(), OF_ONE_MAX);
        let begin = |thing| waits.begin(thing).map(drop);
        assert_eq!(begin(thing(64, 1)), Err(Refused::Full));
        assert_eq!((begin(thing(0, 1)), begin(thing(64, 2))), (Ok(()), Ok(())), "the same again, and another's");
        let elsewhere = (Network::LEDGER, Digest([64; 32]), Some(Address::repeat_byte(1)));
        assert_eq!(begin(elsewhere), Ok(()), "on another chain it has as many again");
        let others: Vec<_> =
            (0..70).filter_map(|id| waits.begin((Network::BASE, Digest([id; 32]), None)).ok()).collect();
        assert_eq!(others.len(), 64, "who never paid is as many as it likes");
    }
}
