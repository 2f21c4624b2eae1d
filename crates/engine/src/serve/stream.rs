//! The way from the batch to a reader: bounded, and both ends learn at once when the other is gone.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use protocol::Finish;

use super::bell::Bell;
use crate::language::{Part, RunError};

/// What a reader gets: the parts of an answer, then one end; or an embedding and nothing else.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Part(Part),
    End(Finish),
    /// Nothing follows.
    Embedding(Vec<f32>),
    /// Nothing follows.
    Failed(RunError),
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    /// The last event was sent.
    is_over: bool,
    /// The reader left.
    is_left: bool,
    waker: Option<Waker>,
}

struct Shared {
    state: Mutex<State>,
    sent: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is one step, so a panic between them left nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The batch's end.
pub(super) struct Outbox {
    shared: Arc<Shared>,
    capacity: usize,
}

/// The reader's end; dropping it ends the text.
pub struct Stream {
    shared: Arc<Shared>,
    capacity: usize,
    bell: Arc<Bell>,
}

pub(super) fn channel(capacity: usize, bell: Arc<Bell>) -> (Outbox, Stream) {
    let shared = Arc::new(Shared { state: Mutex::default(), sent: Condvar::new() });
    let capacity = capacity.max(1);
    (Outbox { shared: Arc::clone(&shared), capacity }, Stream { shared, capacity, bell })
}

impl Outbox {
    /// Sends a part; the batch asks for room before it makes one.
    pub fn send(&self, part: Part) {
        self.put(Event::Part(part), false);
    }

    /// Sends the last event, for which there is always room.
    pub fn end(&self, event: Event) {
        self.put(event, true);
    }

    fn put(&self, event: Event, is_last: bool) {
        let mut state = self.shared.lock();
        if state.is_over || state.is_left {
            return;
        }
        state.events.push_back(event);
        state.is_over = is_last;
        let waker = state.waker.take();
        drop(state);
        self.shared.sent.notify_one();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub fn has_room(&self) -> bool {
        self.shared.lock().events.len() < self.capacity
    }

    pub fn is_left(&self) -> bool {
        self.shared.lock().is_left
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        // Said already where the text came to its own end.
        self.end(Event::Failed(RunError::Interrupted));
    }
}

impl Stream {
    /// Waits for the next event on the caller's thread; `None` after the last.
    pub fn wait_next(&mut self) -> Option<Event> {
        let mut state = self.shared.lock();
        loop {
            if let Some(event) = self.take(&mut state) {
                drop(state);
                return Some(event);
            }
            if state.is_over {
                return None;
            }
            state = self.shared.sent.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next event for a task; `None` after the last.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut state = self.shared.lock();
        if let Some(event) = self.take(&mut state) {
            return Poll::Ready(Some(event));
        }
        if state.is_over {
            return Poll::Ready(None);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn take(&self, state: &mut State) -> Option<Event> {
        let was_full = state.events.len() >= self.capacity;
        let event = state.events.pop_front()?;
        if was_full && !state.is_over {
            self.bell.ring();
        }
        Some(event)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_left = true;
        state.events.clear();
        drop(state);
        self.bell.ring();
    }
}
