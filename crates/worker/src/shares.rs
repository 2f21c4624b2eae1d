//! Places that models share fairly: half of them are divided among the models that are served, each has its part whatever the others do, and
//! the rest is for whoever comes first. So one model's long prompts never keep another model's from a place for longer than its own take.
//! Where the models change, so do the parts, at once; what runs meanwhile runs on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crypto::Digest;
use tokio::sync::oneshot;

pub(crate) struct Shares {
    places: usize,
    state: Mutex<State>,
}

struct State {
    models: usize,
    /// Places of models that are served, and of others that still run.
    of_model: BTreeMap<Digest, Taken>,
    /// In the order in which they came.
    waiting: BTreeMap<u64, (Digest, oneshot::Sender<Place>)>,
    tickets: u64,
}

#[derive(Clone, Copy, Default)]
struct Taken {
    places: usize,
    is_served: bool,
}

/// A place that is taken; dropping it gives it to the next.
pub(crate) struct Place {
    shares: Arc<Shares>,
    model: Digest,
}

impl Drop for Place {
    fn drop(&mut self) {
        let model = self.model;
        self.shares.change(|state| {
            let left = state.of_model.entry(model).or_default();
            left.places = left.places.saturating_sub(1);
            state.of_model.retain(|_, taken| taken.is_served || taken.places > 0);
        });
    }
}

/// Somebody who waits; dropping it ends that.
struct Waiting<'a>(&'a Shares, u64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let left = self.0.state().waiting.remove(&self.1);
        drop(left);
    }
}

impl Shares {
    /// So many places in all. Where there are fewer than two a model, nobody has any of its own.
    pub fn new<'m>(places: usize, models: impl IntoIterator<Item = &'m Digest>) -> Arc<Self> {
        let state = State { models: 0, of_model: BTreeMap::new(), waiting: BTreeMap::new(), tickets: 0 };
        let shares = Arc::new(Self { places, state: Mutex::new(state) });
        shares.divide(models);
        shares
    }

    /// These are the models that are served from now on.
    pub fn divide<'m>(self: &Arc<Self>, models: impl IntoIterator<Item = &'m Digest>) {
        self.change(|state| {
            state.of_model.values_mut().for_each(|taken| taken.is_served = false);
            models.into_iter().for_each(|model| state.of_model.entry(*model).or_default().is_served = true);
            state.of_model.retain(|_, taken| taken.is_served || taken.places > 0);
            state.models = state.of_model.values().filter(|taken| taken.is_served).count();
        });
    }

    /// A place for a job of this model, as soon as there is one.
    pub async fn take(self: &Arc<Self>, model: &Digest) -> Option<Place> {
        let (ticket, given) = {
            let mut state = self.state();
            // Nobody is overtaken: of those that wait none has a place that is free for it.
            if self.is_free_for(&state, model) {
                return Some(self.give(&mut state, *model));
            }
            let (sender, given) = oneshot::channel();
            let ticket = state.tickets;
            state.tickets = ticket.saturating_add(1);
            state.waiting.insert(ticket, (*model, sender));
            (ticket, given)
        };
        let _waiting = Waiting(self, ticket);
        given.await.ok()
    }

    /// A place, if there is one now.
    pub fn try_take(self: &Arc<Self>, model: &Digest) -> Option<Place> {
        let mut state = self.state();
        self.is_free_for(&state, model).then(|| self.give(&mut state, *model))
    }

    pub fn all(&self) -> usize {
        self.places
    }

    pub fn free(&self) -> usize {
        self.places.saturating_sub(self.state().taken())
    }

    /// Nothing here panics while it holds the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is taken, and gives what is free to those that wait.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut State)) {
        let mut told = Vec::new();
        {
            let mut state = self.state();
            change(&mut state);
            loop {
                let next = state.waiting.iter().find(|(_, (model, _))| self.is_free_for(&state, model));
                let Some(ticket) = next.map(|(ticket, _)| *ticket) else { break };
                let Some((model, sender)) = state.waiting.remove(&ticket) else { break };
                told.push((sender, self.give(&mut state, model)));
            }
        }
        // Where nobody waits any more, the place gives itself back.
        for (sender, place) in told {
            let _left = sender.send(place);
        }
    }

    fn give(self: &Arc<Self>, state: &mut State, model: Digest) -> Place {
        let taken = state.of_model.entry(model).or_default();
        taken.places = taken.places.saturating_add(1);
        Place { shares: Arc::clone(self), model }
    }

    fn is_free_for(&self, state: &State, model: &Digest) -> bool {
        let own = if state.models > 1 { self.places / 2 / state.models } else { 0 };
        let beyond_own = |taken: &Taken| taken.places.saturating_sub(if taken.is_served { own } else { 0 });
        let shared = self.places.saturating_sub(own.saturating_mul(state.models));
        let has_own_left = state.of_model.get(model).is_some_and(|taken| taken.is_served && taken.places < own);
        state.taken() < self.places && (has_own_left || state.of_model.values().map(beyond_own).sum::<usize>() < shared)
    }
}

impl State {
    fn taken(&self) -> usize {
        self.of_model.values().map(|taken| taken.places).sum()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const HOG: Digest = Digest([1; 32]);
    const MODEST: Digest = Digest([2; 32]);

    fn all_of(shares: &Arc<Shares>, model: Digest) -> Vec<Place> {
        std::iter::from_fn(|| shares.try_take(&model)).collect()
    }

    #[tokio::test]
    async fn a_model_that_takes_all_that_it_can_leaves_the_others_their_part() {
        let shares = Shares::new(8, [&HOG, &MODEST]);
        let taken = all_of(&shares, HOG);
        assert_eq!((taken.len(), shares.free()), (6, 2));
        assert!(shares.take(&HOG).now_or_never().is_none(), "it waits for itself");
        let others = all_of(&shares, MODEST);
        assert_eq!((others.len(), shares.free()), (2, 0));
        let mut waiting = std::pin::pin!(shares.take(&MODEST));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(taken);
        assert!(waiting.await.is_some(), "what is shared is its as well");
        drop(others);
        assert_eq!((shares.free(), shares.state().waiting.len()), (8, 0));
    }

    #[test]
    fn one_model_has_all_places_and_too_few_are_shared() {
        for (places, models) in [(5, &[HOG][..]), (3, &[HOG, MODEST])] {
            assert_eq!(all_of(&Shares::new(places, models), HOG).len(), places);
        }
    }

    #[tokio::test]
    async fn a_model_that_is_taken_up_later_has_its_part_at_once_and_leaves_it_where_it_is_ended() {
        let shares = Shares::new(8, [&HOG]);
        let mut taken = all_of(&shares, HOG);
        assert_eq!(taken.len(), 8);
        shares.divide([&HOG, &MODEST]);
        let mut again = std::pin::pin!(shares.take(&HOG));
        assert!(again.as_mut().now_or_never().is_none());
        // Whoever came first, the next two are the other's.
        let mut others = Vec::new();
        for _ in 0..2 {
            let mut waiting = std::pin::pin!(shares.take(&MODEST));
            assert!(waiting.as_mut().now_or_never().is_none());
            taken.pop();
            others.push(waiting.now_or_never().flatten().expect("its own"));
        }
        assert!(again.as_mut().now_or_never().is_none(), "it has its own and all that is shared");
        // Ended, the other has no part any more, and what it still runs counts among what is shared.
        shares.divide([&HOG]);
        assert!(again.as_mut().now_or_never().is_none());
        drop(others);
        taken.push(again.await.unwrap());
        taken.extend(all_of(&shares, HOG));
        assert_eq!((taken.len(), shares.free()), (8, 0));
    }
}
