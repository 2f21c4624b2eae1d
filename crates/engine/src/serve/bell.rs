//! Wakes the batch: something happened that it has not looked at, or all is over.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct State {
    is_rung: bool,
    is_stopped: bool,
}

#[derive(Default)]
pub(super) struct Bell {
    state: Mutex<State>,
    woken: Condvar,
}

impl Bell {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There may be room where there was none, a place, or a job.
    pub fn ring(&self) {
        self.lock().is_rung = true;
        self.woken.notify_one();
    }

    pub fn stop(&self) {
        self.lock().is_stopped = true;
        self.woken.notify_one();
    }

    pub fn is_stopped(&self) -> bool {
        self.lock().is_stopped
    }

    /// Returns when there may be something to do: at once where the batch is not idle. False when all is over.
    pub fn wait(&self, is_idle: bool) -> bool {
        let mut state = self.lock();
        while is_idle && !state.is_rung && !state.is_stopped {
            state = self.woken.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_rung = false;
        !state.is_stopped
    }
}
