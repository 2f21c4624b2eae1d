//! A bounded number of threads that share the pieces of one piece of work.
//!
//! Threads wait parked. Whoever has time takes the next piece, the caller first of all, and the caller waits only for
//! pieces that were begun: on a busy machine a thread that does not get to run costs nothing. How work is cut and who
//! does what never changes a bit.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

/// Pieces for each thread where the work can be cut freely: late threads then cost little.
const PIECES_EACH: usize = 4;
/// How often a thread looks for the next work before it parks, about ten microseconds: steps follow each other closely.
const LOOKS: usize = 300;

pub struct Threads(Option<Pool>);

struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held by the caller whose work the threads do; others do theirs alone meanwhile.
    caller: Mutex<()>,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    done: Condvar,
    /// Counts the works that were posted; a copy of it under the lock decides.
    posted: AtomicU64,
    /// Threads that are at the work that is posted; changed under the lock.
    working: AtomicUsize,
    /// The next piece that nobody has taken.
    next: AtomicUsize,
}

#[derive(Default)]
struct State {
    work: Option<Work>,
    posted: u64,
    closed: bool,
    failure: Option<Box<dyn Any + Send>>,
}

#[derive(Clone, Copy)]
struct Work {
    each: *const (dyn Fn(usize) + Sync),
    count: usize,
}

// SAFETY: the function behind the pointer is `Sync`, and `Posted` keeps it alive until no thread can call it.
unsafe impl Send for Work {}

impl Threads {
    /// One means the caller's own. Threads that cannot be started are done without.
    pub fn new(count: usize) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            done: Condvar::new(),
            posted: AtomicU64::new(0),
            working: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
        });
        let start = |_| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name("engine".to_owned()).spawn(move || shared.serve()).ok()
        };
        let workers: Vec<JoinHandle<()>> = (1..count).filter_map(start).collect();
        if workers.is_empty() {
            return Self(None);
        }
        Self(Some(Pool { shared, workers, caller: Mutex::new(()) }))
    }

    /// The caller's own thread alone.
    pub fn one() -> Self {
        Self(None)
    }

    /// Threads that may work at once, the caller's own among them.
    pub fn count(&self) -> usize {
        self.0.as_ref().map_or(1, |pool| pool.workers.len() + 1)
    }

    /// Calls `each` once for every number below `count`.
    pub fn pieces(&self, count: usize, each: impl Fn(usize) + Sync) {
        let Some(pool) = self.0.as_ref().filter(|_| count > 1) else { return (0..count).for_each(each) };
        // Where another caller has the threads, waiting for them would be slower than working.
        let caller = match pool.caller.try_lock() {
            Ok(caller) => caller,
            // An earlier caller's piece panicked. What it left behind is cleared as the next work is posted.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return (0..count).for_each(each),
        };
        let posted = pool.shared.post(&each, count);
        pool.shared.take(&each, count);
        drop(posted);
        let failure = pool.shared.lock().failure.take();
        drop(caller);
        if let Some(failure) = failure {
            resume_unwind(failure);
        }
    }

    /// Calls `each(first row, rows of out)` for pieces of `out` that together are all of it. Rows are `width` wide;
    /// a piece has at least `least` rows where there are so many.
    pub fn each<T: Send>(&self, out: &mut [T], width: usize, least: usize, each: impl Fn(usize, &mut [T]) + Sync) {
        let rows = out.len() / width.max(1);
        if self.0.is_none() || rows < 2 * least.max(1) {
            return each(0, out);
        }
        let piece = rows.div_ceil(self.count() * PIECES_EACH).max(least);
        let cut = Cut::new(out, piece * width);
        self.pieces(cut.count(), |index| {
            // SAFETY: `pieces` calls with each number once.
            each(index * piece, unsafe { cut.piece(index) });
        });
    }
}

/// A slice in pieces that several threads write, each its own.
pub struct Cut<'a, T> {
    start: *mut T,
    length: usize,
    piece: usize,
    owner: std::marker::PhantomData<&'a mut [T]>,
}

// SAFETY: it only hands out pieces that do not overlap, as `&mut` would.
unsafe impl<T: Send> Sync for Cut<'_, T> {}

impl<'a, T> Cut<'a, T> {
    /// Pieces of that length; the last may be shorter.
    pub fn new(all: &'a mut [T], piece: usize) -> Self {
        Self { start: all.as_mut_ptr(), length: all.len(), piece: piece.max(1), owner: std::marker::PhantomData }
    }

    pub fn count(&self) -> usize {
        self.length.div_ceil(self.piece)
    }

    /// # Safety
    /// No piece is in two hands at once.
    #[allow(clippy::mut_from_ref, reason = "pieces do not overlap, and the caller takes each once")]
    pub unsafe fn piece(&self, index: usize) -> &mut [T] {
        // SAFETY: the caller promises that pieces are taken once; this asserts that they lie within the slice.
        unsafe { self.part(index * self.piece, self.piece.min(self.length - index * self.piece)) }
    }

    /// # Safety
    /// No element is in two hands at once.
    #[allow(clippy::mut_from_ref, reason = "as for `piece`")]
    pub unsafe fn part(&self, from: usize, count: usize) -> &mut [T] {
        assert!(from <= self.length && count <= self.length - from, "a part beyond the slice");
        // SAFETY: within the slice, and in one hand as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(from), count) }
    }
}

/// A work that threads may join. Dropping it waits until none of them is at it, also while a panic unwinds.
struct Posted<'a>(&'a Shared);

impl Drop for Posted<'_> {
    fn drop(&mut self) {
        self.0.lock().work = None;
        for _ in 0..LOOKS {
            if self.0.working.load(Ordering::Acquire) == 0 {
                return;
            }
            std::hint::spin_loop();
        }
        let mut state = self.0.lock();
        while self.0.working.load(Ordering::Acquire) > 0 {
            state = self.0.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that panics runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn post<'a>(&'a self, each: &'a (dyn Fn(usize) + Sync + 'a), count: usize) -> Posted<'a> {
        let mut state = self.lock();
        self.next.store(0, Ordering::Relaxed);
        // SAFETY: only the lifetime changes; `Posted` ends before it.
        let each =
            unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + 'a), *const (dyn Fn(usize) + Sync)>(each) };
        state.work = Some(Work { each, count });
        // A caller that panicked itself has not taken it.
        state.failure = None;
        state.posted += 1;
        self.posted.store(state.posted, Ordering::Release);
        drop(state);
        self.wake.notify_all();
        Posted(self)
    }

    fn take(&self, each: &(dyn Fn(usize) + Sync), count: usize) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return;
            }
            each(index);
        }
    }

    /// What a thread does until the pool is closed.
    fn serve(&self) {
        let mut seen = 0;
        loop {
            for _ in 0..LOOKS {
                if self.posted.load(Ordering::Acquire) != seen {
                    break;
                }
                std::hint::spin_loop();
            }
            let mut state = self.lock();
            while state.posted == seen && !state.closed {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.closed {
                return;
            }
            seen = state.posted;
            let Some(work) = state.work else { continue };
            self.working.fetch_add(1, Ordering::AcqRel);
            drop(state);
            // SAFETY: the work was posted when this thread was counted in, so its caller waits for it.
            let each = unsafe { &*work.each };
            let outcome = catch_unwind(AssertUnwindSafe(|| self.take(each, work.count)));
            let mut state = self.lock();
            if let Err(failure) = outcome {
                state.failure = Some(failure);
            }
            self.working.fetch_sub(1, Ordering::AcqRel);
            drop(state);
            self.done.notify_all();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        // A thread that looks for work sees that there is another number, then that it is closed.
        self.shared.posted.fetch_add(1, Ordering::Release);
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A panic of a piece was handed to its caller.
            let _ended = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn every_piece_is_done_once_by_whoever_has_time() {
        let threads = Threads::new(3);
        assert_eq!(threads.count(), 3);
        for count in [0, 1, 2, 7, 1000] {
            let done: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            threads.pieces(count, |index| {
                done[index].fetch_add(1, Ordering::Relaxed);
            });
            assert!(done.iter().all(|done| done.load(Ordering::Relaxed) == 1), "{count}");
        }
    }

    #[test]
    fn pieces_of_rows_together_are_all_rows() {
        for threads in [Threads::one(), Threads::new(2), Threads::new(5)] {
            for (rows, width, least) in [(0, 3, 1), (1, 3, 1), (17, 3, 2), (100, 1, 7), (64, 5, 1)] {
                let mut out = vec![0; rows * width];
                threads.each(&mut out, width, least, |first, out| {
                    for (row, out) in out.chunks_exact_mut(width).enumerate() {
                        out.fill(first + row + 1);
                    }
                });
                assert!(out.iter().enumerate().all(|(index, &row)| row == index / width + 1), "{rows} {width} {least}");
            }
        }
    }

    #[test]
    fn two_callers_at_once_both_get_their_work_done() {
        let threads = Threads::new(2);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let sum = AtomicUsize::new(0);
                        threads.pieces(10, |index| {
                            sum.fetch_add(index, Ordering::Relaxed);
                        });
                        assert_eq!(sum.load(Ordering::Relaxed), 45);
                    }
                });
            }
        });
    }

    /// Has two threads at two pieces at the same time; whether they met.
    fn meet(threads: &Threads, then: impl Fn() + Sync) -> bool {
        let here = AtomicUsize::new(0);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            threads.pieces(2, |_| {
                here.fetch_add(1, Ordering::AcqRel);
                let since = std::time::Instant::now();
                while here.load(Ordering::Acquire) < 2 && since.elapsed().as_secs() < 20 {
                    std::thread::yield_now();
                }
                then();
            });
        }));
        drop(outcome);
        here.load(Ordering::Acquire) == 2
    }

    #[test]
    fn a_piece_that_panics_in_its_callers_own_hands_costs_no_thread() {
        let threads = Threads::new(2);
        let caller = std::thread::current().id();
        for _ in 0..3 {
            // The thread leaves the caller a piece, however late the caller comes.
            let failed = AtomicBool::new(false);
            let piece = || {
                if std::thread::current().id() == caller {
                    failed.store(true, Ordering::Release);
                    panic!("on purpose");
                }
                while !failed.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
            };
            let outcome = catch_unwind(AssertUnwindSafe(|| threads.pieces(1_000, |_| piece())));
            assert!(outcome.is_err());
        }
        let since = std::time::Instant::now();
        assert!(meet(&threads, || {}));
        assert!(since.elapsed().as_secs() < 20, "the caller did both pieces");
        // Both panic: what the thread left behind is not the next caller's.
        assert!(meet(&threads, || panic!("on purpose")));
        threads.pieces(2, |_| {});
    }

    #[test]
    fn a_piece_that_panics_panics_at_its_caller_and_the_threads_live_on() {
        let threads = Threads::new(2);
        for _ in 0..20 {
            let outcome =
                catch_unwind(AssertUnwindSafe(|| threads.pieces(8, |index| assert_ne!(index, 5, "on purpose"))));
            assert!(outcome.is_err());
        }
        let sum = AtomicUsize::new(0);
        threads.pieces(4, |index| {
            sum.fetch_add(index, Ordering::Relaxed);
        });
        assert_eq!(sum.load(Ordering::Relaxed), 6);
    }
}
