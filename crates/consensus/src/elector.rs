//! Who leads when: seats take turns, but as long as a term is young its first leader goes on.
//!
//! Validators begin a term within some milliseconds of each other, and who has not been heard in it is passed over once a quorum has been.
//! In turns from the first view on, quick ones would pass over a seat whose node is only about to begin, and where so many do that the
//! others are no quorum any more, all wait for a timeout. The first leader has been heard, since it proposed.

use commonware_consensus::{
    simplex::elector::{Config, Elector, Scheduled, Terms},
    types::{Participant, Round},
};
use commonware_cryptography::certificate::Scheme;
use commonware_utils::ordered::Set;

/// Views of a term that its first leader leads: validators begin within less. Few, because one that says nothing to propose, but votes,
/// costs a timeout in each of them.
const FIRST_VIEWS: u64 = 4;

/// The first leader of a term leads its first views; after that each seat leads one, in turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InTurn {
    seats: u64,
}

impl InTurn {
    /// Still without its seats.
    pub const fn new() -> Self {
        Self { seats: 1 }
    }
}

impl<S: Scheme> Config<S> for InTurn {
    type Elector = Self;

    fn build(self, participants: &Set<S::PublicKey>) -> Self {
        Self { seats: u64::try_from(participants.len()).unwrap_or(u64::MAX).max(1) }
    }
}

impl<S: Scheme> Elector<S> for InTurn {
    type Mode = Scheduled;

    fn terms(&self) -> Terms {
        Terms::rotating()
    }

    fn elect(&self, round: Round, (): ()) -> Participant {
        let view = round.view().get().max(self.seats.min(FIRST_VIEWS));
        let seat = round.epoch().get().wrapping_add(view) % self.seats;
        Participant::new(u32::try_from(seat).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use commonware_consensus::types::{Epoch, View};
    use commonware_cryptography::{Signer as _, ed25519::PrivateKey};

    use super::*;
    use crate::Scheme as Votes;

    #[test]
    fn the_first_leader_goes_on_until_all_have_begun_and_then_all_take_turns() {
        let keys = Set::from_iter_dedup((0..7).map(|seed| PrivateKey::from_seed(seed).public_key()));
        let elector = Config::<Votes>::build(InTurn::new(), &keys);
        let leads =
            |term, view| Elector::<Votes>::elect(&elector, Round::new(Epoch::new(term), View::new(view)), ()).get();
        for term in [0, 5, 6, u64::MAX] {
            let first = leads(term, 1);
            assert!((1..=4).all(|view| leads(term, view) == first), "{term}");
            let mut turns: Vec<u32> = (5..12).map(|view| leads(term, view)).collect();
            assert_eq!(turns.last(), Some(&first));
            turns.sort_unstable();
            assert_eq!(turns, [0, 1, 2, 3, 4, 5, 6], "{term}");
        }
        assert_ne!(leads(5, 1), leads(6, 1));
        assert!(leads(3, u64::MAX) < 7);
    }
}
