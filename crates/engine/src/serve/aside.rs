//! Where guides find what may come next: beside the steps, so that a grammar whose masks are costly holds up nobody but
//! its own text.
//!
//! Errands are done in the order of their arrival by whoever has time; one thread leaves out those of guides that were costly of late, so
//! that however many of these there are, a quick one waits for quick ones alone. How long one takes never changes what comes of it.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::bell::Bell;
use crate::{course::Errand, guide::Guide, language::RunError};

/// Far longer than an ordinary mask takes, and far shorter than a call of any model.
const COSTLY: Duration = Duration::from_millis(5);

/// Which errands somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    All,
    Quick,
}

/// What came of an errand: the guide, gone on.
type Outcome = Result<Box<Guide>, RunError>;

/// Where an outcome is laid.
type Place = Arc<Mutex<Option<Outcome>>>;

/// The text's end of an errand.
pub(super) struct Errant(Place);

#[derive(Default)]
struct State {
    waiting: VecDeque<(Errand, Place)>,
    is_stopped: bool,
}

pub(super) struct Aside {
    state: Mutex<State>,
    woken: Condvar,
    /// Rung when an errand is done: its text may go on.
    bell: Arc<Bell>,
}

impl State {
    /// The place of the errand that waits for longest.
    fn next(&self, share: Share) -> Option<usize> {
        self.waiting.iter().position(|(errand, _)| share == Share::All || errand.cost() < COSTLY)
    }
}

impl Errant {
    pub fn is_back(&self) -> bool {
        locked(&self.0).is_some()
    }

    /// Once: what came of the errand, if it is done.
    pub fn take(&self) -> Option<Outcome> {
        locked(&self.0).take()
    }
}

impl Aside {
    pub fn new(bell: Arc<Bell>) -> Self {
        Self { state: Mutex::default(), woken: Condvar::new(), bell }
    }

    pub fn send(&self, errand: Errand) -> Errant {
        let place = Place::default();
        locked(&self.state).waiting.push_back((errand, Arc::clone(&place)));
        // Whoever is woken alone might be the one who leaves it out.
        self.woken.notify_all();
        Errant(place)
    }

    /// Does errands until all is over: the life of a thread.
    pub fn serve(&self, share: Share) {
        loop {
            let mut state = locked(&self.state);
            while state.next(share).is_none() && !state.is_stopped {
                state = self.woken.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.is_stopped {
                return;
            }
            drop(state);
            self.run_one(share);
        }
    }

    /// Does the errand that waits for longest; false where none does.
    pub fn run_one(&self, share: Share) -> bool {
        let next = {
            let mut state = locked(&self.state);
            state.next(share).and_then(|place| state.waiting.remove(place))
        };
        let Some((errand, place)) = next else { return false };
        // Its text may be gone.
        if Arc::strong_count(&place) > 1 {
            let outcome = catch_unwind(AssertUnwindSafe(|| errand.run()));
            let outcome = outcome.map_err(|_| RunError::Interrupted).and_then(|gone| gone.map_err(RunError::from));
            *locked(&place) = Some(outcome);
            self.bell.ring();
        }
        true
    }

    pub fn stop(&self) {
        let mut state = locked(&self.state);
        state.is_stopped = true;
        state.waiting.clear();
        drop(state);
        self.woken.notify_all();
    }
}

/// Nothing that panics runs under these locks.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use protocol::Constraint;

    use super::*;
    use crate::guide::Grammars;

    fn errand(grammars: &Grammars, took: Duration) -> Errand {
        let letters = Constraint::Regex(protocol::Text::new("[ab]+").unwrap());
        let mut guide = grammars.guide(&letters).unwrap();
        // However slow this machine was, it takes no longer than is said here.
        (0..64).for_each(|_| guide.spent(Duration::ZERO));
        guide.spent(took);
        Errand::of(guide, u32::from(b'a'))
    }

    #[test]
    fn however_many_errands_are_costly_a_quick_one_waits_for_none_of_them_and_they_keep_their_order() {
        let pieces: Vec<Option<Vec<u8>>> = (0..=255_u8).map(|byte| Some(vec![byte])).collect();
        let grammars = Grammars::new(&pieces, &[]).unwrap();
        let aside = Aside::new(Arc::default());
        let costly = [(); 3].map(|()| aside.send(errand(&grammars, Duration::from_secs(1))));
        let quick = aside.send(errand(&grammars, Duration::ZERO));
        assert!(aside.run_one(Share::Quick) && quick.is_back());
        assert!(!aside.run_one(Share::Quick) && !costly.iter().any(Errant::is_back), "the rest is not its share");
        for done in 1..=costly.len() {
            assert!(aside.run_one(Share::All));
            assert!(costly.iter().map(Errant::is_back).eq((0..3).map(|place| place < done)));
        }
        // What was costly is so next time as well.
        let guide = costly[0].take().unwrap().unwrap();
        let again = aside.send(Errand::of(*guide, u32::from(b'b')));
        assert!(!aside.run_one(Share::Quick) && aside.run_one(Share::All) && again.is_back());
    }

    #[test]
    fn threads_of_both_shares_do_all_there_is_between_them() {
        let pieces: Vec<Option<Vec<u8>>> = (0..=255_u8).map(|byte| Some(vec![byte])).collect();
        let grammars = Grammars::new(&pieces, &[]).unwrap();
        let aside = Aside::new(Arc::default());
        std::thread::scope(|scope| {
            for share in [Share::Quick, Share::All] {
                let aside = &aside;
                scope.spawn(move || aside.serve(share));
            }
            let took = |place: u64| Duration::from_secs(place % 2);
            let sent: Vec<Errant> = (0..20).map(|place| aside.send(errand(&grammars, took(place)))).collect();
            while !sent.iter().all(Errant::is_back) {
                std::thread::yield_now();
            }
            aside.stop();
        });
    }
}
