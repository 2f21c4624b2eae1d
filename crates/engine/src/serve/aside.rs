//! Where guides find what may come next: beside the steps, so that a grammar whose masks are costly holds up nobody but
//! its own text.
//!
//! Errands are done in the order of their arrival by whoever has time. How long one takes never changes what comes of it.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::bell::Bell;
use crate::{course::Errand, guide::Guide, language::RunError};

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
        self.woken.notify_one();
        Errant(place)
    }

    /// Does errands until all is over: the life of a thread.
    pub fn serve(&self) {
        loop {
            let mut state = locked(&self.state);
            while state.waiting.is_empty() && !state.is_stopped {
                state = self.woken.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.is_stopped {
                return;
            }
            drop(state);
            self.run_one();
        }
    }

    /// Does the errand that waits for longest; false where none does.
    pub fn run_one(&self) -> bool {
        let next = locked(&self.state).waiting.pop_front();
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
