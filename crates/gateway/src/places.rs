//! The places where prompts are made, and who gets the next one.
//!
//! Of those that wait, models that a worker serves go first; of these the model that has the fewest places, then the one that was given none
//! for longest; of a model whoever pays, then whoever came first. One model has half of the places at most, and those that bring no payment half of all and half of a model's. Rooms to wait in are bounded for each model: its
//! callers take none from another's. Models that never counted in time, or that have cost a process, have half of all places together, and half of what
//! brings no payment: however many they are, those that have proven themselves keep theirs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use protocol::Digest;
use tokio::{sync::oneshot, time::timeout};

/// Callers of one model that may wait, and of all models: of those that pay, and as many again of those that do not. Whoever is the
/// first of its model may wait always, so that a few models do not fill the room of all.
const WAITING_OF_A_MODEL: usize = 32;
const WAITING: usize = 96;
/// Models of which it is remembered when they were given a place, although none waits.
const SERVED_KEPT: usize = 256;

/// For what a prompt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// For a call that brings its payment, or needs none.
    Call,
    /// To be counted or priced, and no more.
    Count,
}

/// What a place is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub purpose: Purpose,
    /// Whether the model has yet to show, or has lately failed, to count in time.
    pub is_doubtful: bool,
    /// Whether any worker serves the model.
    pub is_served: bool,
}

/// Why no place was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// All were taken for as long as anybody waits, or too many wait for one.
    Busy,
    /// The model has cost a process meanwhile.
    TurnedAway,
}

/// Shared by all requests.
pub struct Places {
    count: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: Taken,
    of_model: BTreeMap<Digest, Taken>,
    /// In the order in which they came.
    waiting: BTreeMap<u64, Waiter>,
    tickets: u64,
    /// Which model was given a place before which: so that callers of one cannot come back again and again before those of another.
    served: BTreeMap<Digest, u64>,
    given: u64,
}

#[derive(Clone, Copy, Default)]
struct Taken {
    all: usize,
    unpaid: usize,
    doubtful: usize,
    /// Of the unpaid ones.
    unpaid_doubtful: usize,
}

struct Waiter {
    model: Digest,
    claim: Claim,
    sender: Sender,
}

type Sender = oneshot::Sender<Result<Place, NoPlace>>;
/// What is told once the lock is free: a place that nobody takes gives itself back.
type Told = Vec<(Sender, Result<Place, NoPlace>)>;

/// A place that is taken; dropping it gives it to the next.
pub struct Place {
    places: Arc<Places>,
    model: Digest,
    claim: Claim,
}

impl Drop for Place {
    fn drop(&mut self) {
        let (model, claim) = (self.model, self.claim);
        self.places.change(|state| {
            state.taken.give_back(claim);
            state.change(model, |taken| taken.give_back(claim));
            Vec::new()
        });
    }
}

/// Somebody who waits; dropping it leaves the room.
struct Waiting<'a>(&'a Places, u64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // Who leaves takes no place: there is nothing to pass on.
        let left = self.0.lock().waiting.remove(&self.1);
        drop(left);
    }
}

impl Taken {
    /// The counts that a place of this claim is one of.
    fn counts(&mut self, Claim { purpose, is_doubtful, .. }: Claim) -> impl Iterator<Item = &mut usize> {
        let is_unpaid = purpose == Purpose::Count;
        let counts = [
            (true, &mut self.all),
            (is_unpaid, &mut self.unpaid),
            (is_doubtful, &mut self.doubtful),
            (is_unpaid && is_doubtful, &mut self.unpaid_doubtful),
        ];
        counts.into_iter().filter_map(|(is_one, count)| is_one.then_some(count))
    }

    fn take(&mut self, claim: Claim) {
        self.counts(claim).for_each(|count| *count = count.saturating_add(1));
    }

    fn give_back(&mut self, claim: Claim) {
        self.counts(claim).for_each(|count| *count = count.saturating_sub(1));
    }

    /// True where one more is within `most`, of which those that bring no payment have half.
    fn has_one_more(self, most: usize, purpose: Purpose) -> bool {
        self.all < most && (purpose == Purpose::Call || self.unpaid < most.div_ceil(2))
    }

    /// The same for models that are doubtful, which have half of all, and half of what brings no payment.
    fn has_one_more_doubtful(self, most: usize, purpose: Purpose) -> bool {
        let half = most.div_ceil(2);
        self.doubtful < half && (purpose == Purpose::Call || self.unpaid_doubtful < half.div_ceil(2))
    }
}

impl State {
    fn of(&self, model: &Digest) -> Taken {
        self.of_model.get(model).copied().unwrap_or_default()
    }

    fn change(&mut self, model: Digest, change: impl FnOnce(&mut Taken)) {
        let taken = self.of_model.entry(model).or_default();
        change(taken);
        if taken.all == 0 {
            self.of_model.remove(&model);
        }
    }

    fn serve(&mut self, model: Digest) {
        if self.served.len() >= SERVED_KEPT {
            self.served.retain(|model, _| self.waiting.values().any(|waiter| waiter.model == *model));
        }
        self.given = self.given.saturating_add(1);
        self.served.insert(model, self.given);
    }

    /// The lowest of all is next.
    fn rank(&self, ticket: u64, waiter: &Waiter) -> impl Ord + use<> {
        let served = self.served.get(&waiter.model).copied().unwrap_or_default();
        (!waiter.claim.is_served, self.of(&waiter.model).all, served, waiter.claim.purpose, ticket)
    }

    fn has_room(&self, model: &Digest, purpose: Purpose) -> bool {
        let (mut all, mut own) = (0_usize, 0_usize);
        for waiter in self.waiting.values().filter(|waiter| waiter.claim.purpose == purpose) {
            all = all.saturating_add(1);
            own = own.saturating_add(usize::from(waiter.model == *model));
        }
        own == 0 || own < WAITING_OF_A_MODEL && all < WAITING
    }
}

impl Places {
    pub fn new(count: usize) -> Self {
        Self { count, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing here panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a model's work, waited for so long at most.
    pub async fn take(self: &Arc<Self>, model: Digest, claim: Claim, wait: Duration) -> Result<Place, NoPlace> {
        let (ticket, given) = {
            let mut state = self.lock();
            // Nobody is overtaken: of those that wait none has a place that is free for it.
            if self.is_free_for(&state, &model, claim) {
                return Ok(self.give(&mut state, model, claim));
            }
            if !state.has_room(&model, claim.purpose) {
                return Err(NoPlace::Busy);
            }
            let (sender, given) = oneshot::channel();
            let ticket = state.tickets;
            state.tickets = ticket.saturating_add(1);
            state.waiting.insert(ticket, Waiter { model, claim, sender });
            (ticket, given)
        };
        let _waiting = Waiting(self, ticket);
        match timeout(wait, given).await {
            Ok(Ok(given)) => given,
            Ok(Err(_)) | Err(_) => Err(NoPlace::Busy),
        }
    }

    /// Whoever waits for this model hears that it has cost a process.
    pub fn turn_away(self: &Arc<Self>, model: Digest) {
        self.change(|state| {
            let of_model = state.waiting.extract_if(.., |_, waiter| waiter.model == model);
            of_model.map(|(_, waiter)| (waiter.sender, Err(NoPlace::TurnedAway))).collect()
        });
    }

    /// Changes what is taken, and gives what is free to those that wait.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut State) -> Told) {
        let told = {
            let mut state = self.lock();
            let mut told = change(&mut state);
            while let Some(waiter) = self.next(&mut state) {
                let place = self.give(&mut state, waiter.model, waiter.claim);
                told.push((waiter.sender, Ok(place)));
            }
            told
        };
        for (sender, given) in told {
            let _left = sender.send(given);
        }
    }

    fn is_free_for(&self, state: &State, model: &Digest, claim: Claim) -> bool {
        let of_model = state.of(model).has_one_more(self.count.div_ceil(2), claim.purpose);
        let beside = !claim.is_doubtful || state.taken.has_one_more_doubtful(self.count, claim.purpose);
        of_model && beside && state.taken.has_one_more(self.count, claim.purpose)
    }

    fn give(self: &Arc<Self>, state: &mut State, model: Digest, claim: Claim) -> Place {
        state.serve(model);
        state.taken.take(claim);
        state.change(model, |taken| taken.take(claim));
        Place { places: Arc::clone(self), model, claim }
    }

    fn next(&self, state: &mut State) -> Option<Waiter> {
        let free = state.waiting.iter().filter(|(_, waiter)| self.is_free_for(state, &waiter.model, waiter.claim));
        let ticket = *free.min_by_key(|(ticket, waiter)| state.rank(**ticket, waiter))?.0;
        state.waiting.remove(&ticket)
    }

    #[cfg(test)]
    pub fn free(&self) -> usize {
        self.count.saturating_sub(self.lock().taken.all)
    }

    #[cfg(test)]
    pub fn waiting(&self, purpose: Purpose) -> usize {
        self.lock().waiting.values().filter(|waiter| waiter.claim.purpose == purpose).count()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::task::JoinHandle;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn model(index: usize) -> Digest {
        crypto::hash("og/test", &[&index.to_be_bytes()])
    }

    fn places(count: usize) -> Arc<Places> {
        Arc::new(Places::new(count))
    }

    fn proven(purpose: Purpose) -> Claim {
        Claim { purpose, is_doubtful: false, is_served: true }
    }

    type Asked = JoinHandle<Result<Place, NoPlace>>;

    /// So many ask, and have asked when this returns.
    async fn ask(places: &Arc<Places>, of: usize, purpose: Purpose, count: usize) -> Vec<Asked> {
        let mut asked = Vec::new();
        for _ in 0..count {
            let places = Arc::clone(places);
            asked.push(tokio::spawn(async move { places.take(model(of), proven(purpose), LONG).await }));
        }
        tokio::task::yield_now().await;
        asked
    }

    async fn given(asked: &mut Vec<Asked>) -> Place {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let place = asked.iter().position(JoinHandle::is_finished).expect("one has its place");
        asked.remove(place).await.unwrap().unwrap_or_else(|refused| panic!("{refused:?}"))
    }

    fn at_once(places: &Arc<Places>, of: usize, purpose: Purpose) -> Option<Result<Place, NoPlace>> {
        places.take(model(of), proven(purpose), LONG).now_or_never()
    }

    #[tokio::test]
    async fn a_flood_of_one_model_fills_its_own_room_and_no_others() {
        let places = places(4);
        let flood = ask(&places, 1, Purpose::Call, 2 + WAITING_OF_A_MODEL).await;
        assert_eq!((places.free(), places.waiting(Purpose::Call)), (2, WAITING_OF_A_MODEL));
        assert!(matches!(at_once(&places, 1, Purpose::Call), Some(Err(NoPlace::Busy))));
        assert!(matches!(at_once(&places, 2, Purpose::Call), Some(Ok(_))));
        flood.iter().for_each(JoinHandle::abort);
    }

    #[tokio::test]
    async fn where_a_few_models_fill_the_room_of_all_the_first_of_another_still_waits_and_has_its_turn() {
        let places = places(2);
        let mut floods = Vec::new();
        for of in 0..4 {
            floods.push(ask(&places, of, Purpose::Call, 1 + WAITING_OF_A_MODEL).await);
        }
        assert_eq!(places.free(), 0);
        assert!(places.waiting(Purpose::Call) >= WAITING && places.waiting(Purpose::Call) <= WAITING + 4);
        assert!(matches!(at_once(&places, 3, Purpose::Call), Some(Err(NoPlace::Busy))));
        let mut honest = ask(&places, 9, Purpose::Call, 1).await;
        // One has its place all the time. The other's goes round, and nobody's comes back before the honest one had it.
        for of in [0, 2, 3] {
            assert!(!honest[0].is_finished());
            drop(given(&mut floods[of]).await);
        }
        given(&mut honest).await;
        floods.iter().flatten().for_each(JoinHandle::abort);
    }

    #[tokio::test]
    async fn who_brings_no_payment_takes_neither_place_nor_room_of_those_that_pay() {
        let places = places(4);
        let mut floods = Vec::new();
        for of in 0..4 {
            floods.push(ask(&places, of, Purpose::Count, 1 + WAITING_OF_A_MODEL).await);
        }
        assert_eq!(places.free(), 2, "half of all, and half of a model's");
        let paying = at_once(&places, 0, Purpose::Call).expect("no wait").ok();
        assert!(paying.is_some() && places.free() == 1);
        // Of one model whoever pays goes before those that wait since long.
        let mut next = ask(&places, 0, Purpose::Call, 1).await;
        drop(given(&mut floods[0]).await);
        let _next = given(&mut next).await;
        floods.iter().flatten().for_each(JoinHandle::abort);
    }

    #[tokio::test]
    async fn who_leaves_leaves_neither_a_place_nor_a_wait_behind() {
        let places = places(2);
        let held = at_once(&places, 1, Purpose::Call).expect("no wait").ok();
        assert!(at_once(&places, 1, Purpose::Call).is_none());
        assert_eq!(places.waiting(Purpose::Call), 0);
        let short = places.take(model(1), proven(Purpose::Call), Duration::from_millis(20)).await;
        assert_eq!((short.err(), places.waiting(Purpose::Call)), (Some(NoPlace::Busy), 0));
        // Given to one that has gone before it heard of it.
        let asked = ask(&places, 1, Purpose::Call, 1).await;
        drop(held);
        asked.iter().for_each(JoinHandle::abort);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        drop(asked);
        assert_eq!(places.free(), 2);
        assert!(places.lock().of_model.is_empty());
    }

    #[tokio::test]
    async fn those_that_wait_for_a_model_that_has_cost_a_process_hear_it_at_once() {
        let places = places(2);
        let _held = at_once(&places, 1, Purpose::Call).expect("no wait").ok();
        let asked = ask(&places, 1, Purpose::Call, 3).await;
        places.turn_away(model(1));
        for asked in asked {
            assert_eq!(asked.await.unwrap().err(), Some(NoPlace::TurnedAway));
        }
        assert!(matches!(at_once(&places, 2, Purpose::Call), Some(Ok(_))));
    }

    #[tokio::test]
    async fn however_many_models_are_doubtful_those_that_are_proven_keep_half_of_the_places() {
        for (purpose, most) in [(Purpose::Call, 2), (Purpose::Count, 1)] {
            let places = places(4);
            let claim = Claim { purpose, is_doubtful: true, is_served: true };
            let doubtful = |of| places.take(model(of), claim, LONG).now_or_never();
            let held: Vec<_> = (0..9).map(doubtful).collect();
            assert_eq!((held.iter().flatten().count(), places.free()), (most, 4 - most), "{purpose:?}");
            let honest = at_once(&places, 99, purpose);
            assert!(matches!(honest, Some(Ok(_))), "{purpose:?}");
            drop(held);
            assert!(matches!(doubtful(3), Some(Ok(_))), "and have theirs again");
        }
    }

    #[tokio::test]
    async fn whoever_comes_first_a_model_that_a_worker_serves_is_next() {
        let places = places(2);
        let _held = at_once(&places, 1, Purpose::Call).expect("no wait").ok();
        let held = at_once(&places, 2, Purpose::Call).expect("no wait").ok();
        let unserved = Claim { is_served: false, ..proven(Purpose::Call) };
        let waiting = Arc::clone(&places);
        let mut before = vec![tokio::spawn(async move { waiting.take(model(3), unserved, LONG).await })];
        tokio::task::yield_now().await;
        let mut served = ask(&places, 4, Purpose::Count, 1).await;
        drop(held);
        drop(given(&mut served).await);
        given(&mut before).await;
    }
}
