//! Where jobs wait for the batch, and where the batch waits for something to do.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    Counts, ServeError,
    aside::Aside,
    batch::Batch,
    bell::Bell,
    ticket::{Admission, Ticket},
};

#[derive(Default)]
struct State {
    waiting: VecDeque<Ticket>,
    counts: Counts,
}

pub struct Desk {
    state: Mutex<State>,
    bell: Arc<Bell>,
    aside: Arc<Aside>,
}

impl Default for Desk {
    fn default() -> Self {
        let bell = Arc::default();
        Self { state: Mutex::default(), aside: Arc::new(Aside::new(Arc::clone(&bell))), bell }
    }
}

impl Desk {
    /// Never held while a stream's lock is wanted by who holds that: streams ring after they let go.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    pub(super) fn aside(&self) -> &Arc<Aside> {
        &self.aside
    }

    pub(super) fn submit(&self, ticket: Ticket, limit: usize) -> Result<(), ServeError> {
        let mut state = self.lock();
        // Who stops the bell empties the queue after that: nothing is left in it.
        if self.bell.is_stopped() {
            return Err(ServeError::Stopped);
        }
        if state.waiting.len() >= limit {
            drop_left(&mut state.waiting);
        }
        let waiting = state.waiting.len();
        if waiting >= limit {
            return Err(ServeError::Busy { waiting });
        }
        state.waiting.push_back(ticket);
        state.counts.waiting = waiting + 1;
        drop(state);
        self.bell.ring();
        Ok(())
    }

    pub(super) fn stop(&self) {
        self.bell.stop();
        self.aside.stop();
        let waiting = std::mem::take(&mut self.lock().waiting);
        drop(waiting);
    }

    /// Hands waiting jobs to the batch, in the order of their arrival, until it takes no more.
    pub(super) fn admit(&self, batch: &mut Batch<'_>) {
        batch.drop_left();
        let mut state = self.lock();
        drop_left(&mut state.waiting);
        let mut place = 0;
        while let Some(ticket) = state.waiting.get(place) {
            match batch.admits(ticket) {
                Admission::Now => {
                    let ticket = state.waiting.remove(place);
                    ticket.into_iter().for_each(|ticket| batch.begin(ticket));
                }
                // Another text is about to compute what this one begins with.
                Admission::AfterOther => place += 1,
                Admission::Later => break,
            }
        }
        state.counts.waiting = state.waiting.len();
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().counts
    }

    pub(super) fn set_counts(&self, counts: Counts) {
        let mut state = self.lock();
        state.counts = Counts { waiting: state.waiting.len(), ..counts };
    }
}

fn drop_left(waiting: &mut VecDeque<Ticket>) {
    waiting.retain(|ticket| !ticket.outbox.is_left());
}
