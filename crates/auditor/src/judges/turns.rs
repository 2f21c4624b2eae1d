//! Waiting for one's turn: the queue behind a lock, and whoever is called wakes up. A place is given back by being dropped.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use crypto::Digest;
use tokio::{runtime::Handle, sync::oneshot};

use super::queue::{Haste, Queue};

pub(super) struct Turns(Arc<Mutex<Board>>);

struct Board {
    queue: Queue,
    waiting: BTreeMap<u64, oneshot::Sender<()>>,
    /// When somebody looks again, because a pause ends.
    looks_at: Option<Instant>,
}

/// A place to judge in, or one's stand in the line for it.
pub(super) struct Place {
    board: Arc<Mutex<Board>>,
    root: Digest,
    ticket: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut board = locked(&self.board);
        board.waiting.remove(&self.ticket);
        board.queue.leave(self.root, self.ticket);
        drop(board);
        call(&self.board);
    }
}

impl Turns {
    pub fn new(places: usize, pause: Duration) -> Self {
        let queue = Queue::new(places, pause);
        Self(Arc::new(Mutex::new(Board { queue, waiting: BTreeMap::new(), looks_at: None })))
    }

    /// Waits for a place for a receipt of this model.
    pub async fn place(&self, root: Digest, haste: Haste) -> Place {
        let (place, called) = self.stand(root, haste);
        // The sender is kept until it is called, by the board that the place holds.
        let _ = called.await;
        place
    }

    fn stand(&self, root: Digest, haste: Haste) -> (Place, oneshot::Receiver<()>) {
        let (sender, called) = oneshot::channel();
        let mut board = locked(&self.0);
        let ticket = board.queue.join(root, haste);
        board.waiting.insert(ticket, sender);
        drop(board);
        call(&self.0);
        (Place { board: Arc::clone(&self.0), root, ticket }, called)
    }

    pub fn strike(&self, root: Digest) {
        locked(&self.0).queue.strike(root, Instant::now());
    }

    pub fn prove(&self, root: Digest, haste: Haste) {
        locked(&self.0).queue.prove(root, haste);
    }

    pub fn forgive(&self, root: Digest) {
        locked(&self.0).queue.forgive(root);
        call(&self.0);
    }

    /// Places that are taken.
    pub fn held(&self) -> usize {
        locked(&self.0).queue.held()
    }
}

/// Wakes whoever can have a place.
fn call(board: &Arc<Mutex<Board>>) {
    let now = Instant::now();
    let mut guard = locked(board);
    while let Some(ticket) = guard.queue.next(now) {
        // Who has gone meanwhile gives the ticket back.
        guard.waiting.remove(&ticket).map(|sender| sender.send(()));
    }
    let due = guard.queue.due(now);
    let Some(due) = due.filter(|due| guard.looks_at.is_none_or(|at| at <= now || *due < at)) else { return };
    // Without a runtime nobody waits any more.
    let Ok(runtime) = Handle::try_current() else { return };
    guard.looks_at = Some(due);
    drop(guard);
    let board = Arc::downgrade(board);
    runtime.spawn(look_at(board, due));
}

async fn look_at(board: Weak<Mutex<Board>>, due: Instant) {
    tokio::time::sleep_until(due.into()).await;
    if let Some(board) = board.upgrade() {
        call(&board);
    }
}

/// Every holder leaves what it guards whole.
fn locked(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_that_is_dropped_is_the_next_ones_and_a_pause_ends_by_itself() {
        let (turns, root) = (Turns::new(2, Duration::from_millis(30)), Digest::ZERO);
        let first = turns.place(root, Haste::Long).await;
        let waiting = turns.place(root, Haste::Long);
        let impatient = tokio::time::timeout(Duration::from_millis(20), waiting).await;
        assert!(impatient.is_err());
        assert_eq!(turns.held(), 1);
        turns.strike(root);
        drop(first);
        let paused_at = Instant::now();
        let second = turns.place(root, Haste::Long).await;
        assert!(paused_at.elapsed() >= Duration::from_millis(20), "{:?}", paused_at.elapsed());
        turns.forgive(root);
        drop(second);
        assert_eq!(turns.held(), 0);
    }
}
