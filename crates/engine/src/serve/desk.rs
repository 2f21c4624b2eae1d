//! Where jobs wait for the batch, and where the batch waits for something to do.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use super::{Counts, ServeError, batch::Batch, stream::Outbox};
use crate::course::Rules;

/// A job that was checked.
pub(super) struct Ticket {
    pub prompt: Vec<u32>,
    pub rules: Rules,
    /// Memory that the text needs when it is as long as it may become.
    pub needed: usize,
    pub outbox: Outbox,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Ticket>,
    /// Something happened that the batch has not looked at.
    is_rung: bool,
    is_stopped: bool,
    counts: Counts,
}

#[derive(Default)]
pub struct Desk {
    state: Mutex<State>,
    bell: Condvar,
}

impl Desk {
    /// Never held while a stream's lock is wanted by who holds that: streams ring after they let go.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn submit(&self, ticket: Ticket, limit: usize) -> Result<(), ServeError> {
        let mut state = self.lock();
        if state.is_stopped {
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
        state.is_rung = true;
        drop(state);
        self.bell.notify_one();
        Ok(())
    }

    /// Wakes the batch: there may be room where there was none, or a place.
    pub(super) fn ring(&self) {
        self.lock().is_rung = true;
        self.bell.notify_one();
    }

    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.is_stopped = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.bell.notify_one();
        drop(waiting);
    }

    /// Returns when there may be something to do: at once where the batch is not idle. False when all is over.
    pub(super) fn wait(&self, is_idle: bool) -> bool {
        let mut state = self.lock();
        while is_idle && !state.is_rung && !state.is_stopped {
            state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_rung = false;
        !state.is_stopped
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

/// Whether a waiting text can be begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    Now,
    AfterOther,
    Later,
}

fn drop_left(waiting: &mut VecDeque<Ticket>) {
    waiting.retain(|ticket| !ticket.outbox.is_left());
}
