//! Where prompts are made and tokens are put into words: by templates and tokenizers, which are their publishers' own programs, and mostly
//! before anybody has paid.
//!
//! They run on few threads of their own, which the machine ranks below those that answer. Whoever asks waits so long for a place, and then so
//! long for the work: a place that came late makes nothing overdue. A thread cannot be ended from outside: one that is overdue goes on by
//! itself, its place is another's, and its model is refused until it has ended.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use api::{ApiError, Code};
use protocol::Digest;
use tokio::{sync::oneshot, time::timeout};

use crate::places::{NoPlace, Place, Places, Purpose};

/// How far below the others the machine ranks these threads: a tenth of their share where cores are short.
const RANK: i32 = 10;
/// Threads that are overdue and whose places were given away. Beyond them a place stays taken until its thread has ended.
const LEFT_MAX: usize = 4;

/// Why nothing was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uncounted {
    /// All places were taken for as long as anybody is waited for, or too many wait for one.
    Busy,
    /// It took too long.
    Late { wait_s: u64 },
    /// The same model took too long a moment ago, and still does.
    Overdue,
    /// This machine's trouble, and no word about what was asked.
    OwnTrouble { cause: String },
}

impl Uncounted {
    /// What the caller hears: none of it is the caller's fault.
    pub fn told(&self) -> ApiError {
        match self {
            Self::Busy => {
                let message = "Too many prompts are being made here to count this one.";
                ApiError::new(Code::RateLimitExceeded, message).with_retry_after_s(1)
            }
            Self::Late { wait_s } => {
                let message = format!("The model's template and tokenizer took more than {wait_s} s for this prompt.");
                let hint = "shorten it, or try another gateway";
                ApiError::new(Code::Overloaded, message).with_retry_after_s(5).with_hint(hint)
            }
            Self::Overdue => {
                let message = "The model's template or tokenizer still works at a prompt that took too long.";
                let hint = "try again later, or another gateway";
                ApiError::new(Code::Overloaded, message).with_retry_after_s(30).with_hint(hint)
            }
            Self::OwnTrouble { cause } => own_trouble(cause),
        }
    }
}

/// The gateway lacks something; the request may be as good as any.
pub fn own_trouble(cause: &str) -> ApiError {
    let message = format!("The gateway could not make the prompt: {cause}.");
    let hint = "the gateway lacks threads or memory, which is no fault of the request: try again in a moment";
    ApiError::new(Code::Overloaded, message).with_retry_after_s(5).with_hint(hint)
}

impl From<NoPlace> for Uncounted {
    fn from(no_place: NoPlace) -> Self {
        match no_place {
            NoPlace::Busy => Self::Busy,
            NoPlace::Overdue => Self::Overdue,
        }
    }
}

/// Shared by all requests.
pub struct Counting {
    places: Arc<Places>,
    /// Threads that were left to themselves.
    left: Arc<AtomicUsize>,
    wait: Duration,
}

/// One thread at work.
struct Run {
    model: Digest,
    places: Arc<Places>,
    left: Arc<AtomicUsize>,
    stage: Mutex<Stage>,
}

enum Stage {
    InTime(Place),
    /// With its place where too many were given away.
    Overdue(Option<Place>),
    Ended,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here panics while it holds a lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Run {
    fn ended(&self) {
        match std::mem::replace(&mut *lock(&self.stage), Stage::Ended) {
            Stage::InTime(_) | Stage::Ended => {}
            Stage::Overdue(kept) => {
                self.places.overdue_ended(self.model);
                if kept.is_none() {
                    self.left.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Gives its place away, unless too many were.
    fn overdue(&self) {
        let mut stage = lock(&self.stage);
        match std::mem::replace(&mut *stage, Stage::Ended) {
            Stage::InTime(place) => {
                self.places.overdue(self.model);
                let may = |left: usize| (left < LEFT_MAX).then(|| left.saturating_add(1));
                let is_left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, may).is_ok();
                *stage = Stage::Overdue((!is_left).then_some(place));
            }
            before => *stage = before,
        }
    }
}

/// Ends a run however its work ends.
struct Ending(Arc<Run>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.ended();
    }
}

impl Counting {
    /// `wait` is for a place, and as long again for the work.
    pub fn new(places: usize, wait: Duration) -> Self {
        Self { places: Arc::new(Places::new(places)), left: Arc::default(), wait }
    }

    /// Has `work` done, which is a model's own.
    pub async fn run<T: Send + 'static>(
        &self,
        model: &Digest,
        purpose: Purpose,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Uncounted> {
        let place = self.places.take(*model, purpose, self.wait).await?;
        let (places, left) = (Arc::clone(&self.places), Arc::clone(&self.left));
        let run = Arc::new(Run { model: *model, places, left, stage: Mutex::new(Stage::InTime(place)) });
        let done = begin(&run, work).map_err(|error| Uncounted::OwnTrouble { cause: error.to_string() })?;
        // By itself: a caller that leaves changes nothing for those who wait for its place.
        let watched = tokio::spawn(watch(run, done, self.wait));
        watched.await.unwrap_or_else(|_| Err(failed()))
    }
}

/// Starts a thread for one piece of work.
fn begin<T: Send + 'static>(
    run: &Arc<Run>,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let (sender, done) = oneshot::channel();
    let ending = Ending(Arc::clone(run));
    let at_work = move || {
        let _ending = ending;
        // On Linux a thread's own, and of those that it starts. Where it is refused, the thread is as the others are.
        let _lower = rustix::process::setpriority_process(None, RANK);
        // Whoever waited may have left.
        let _told = sender.send(work());
    };
    thread::Builder::new().name("counting".to_owned()).spawn(at_work)?;
    Ok(done)
}

async fn watch<T>(run: Arc<Run>, done: oneshot::Receiver<T>, wait: Duration) -> Result<T, Uncounted> {
    match timeout(wait, done).await {
        Ok(done) => done.map_err(|_| failed()),
        Err(_) => {
            run.overdue();
            Err(Uncounted::Late { wait_s: wait.as_secs().max(1) })
        }
    }
}

fn failed() -> Uncounted {
    Uncounted::OwnTrouble { cause: "it failed inside".to_owned() }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SHORT: Duration = Duration::from_millis(200);

    fn model(index: usize) -> Digest {
        crypto::hash("og/test", &[&index.to_be_bytes()])
    }

    /// Work that ends when its other end is dropped.
    fn held() -> (mpsc::Sender<()>, impl FnOnce() + Send + 'static) {
        let (sender, receiver) = mpsc::channel::<()>();
        (sender, move || {
            let _ended = receiver.recv();
        })
    }

    async fn until(is_so: impl Fn() -> bool) {
        for _ in 0..500 {
            if is_so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not within five seconds");
    }

    #[tokio::test]
    async fn what_is_in_time_is_given_and_its_place_is_free_again() {
        let counting = Counting::new(2, Duration::from_secs(10));
        for index in 0..100 {
            assert_eq!(counting.run(&model(1), Purpose::Call, move || index).await, Ok(index));
        }
        until(|| counting.places.free() == 2).await;
        let broken: Result<(), _> = counting.run(&model(1), Purpose::Call, || panic!("told to")).await;
        assert_eq!(broken, Err(failed()));
        until(|| counting.places.free() == 2).await;
    }

    #[tokio::test]
    async fn one_model_has_half_of_the_places_and_keeps_no_other_waiting() {
        let counting = Arc::new(Counting::new(2, Duration::from_secs(10)));
        let (end, work) = held();
        let of_one = Arc::clone(&counting);
        let one = tokio::spawn(async move { of_one.run(&model(1), Purpose::Count, work).await });
        until(|| counting.places.free() == 1).await;
        let of_one = Arc::clone(&counting);
        let more = tokio::spawn(async move { of_one.run(&model(1), Purpose::Count, || 7).await });
        assert_eq!(counting.run(&model(2), Purpose::Call, || 8).await, Ok(8));
        assert!(!more.is_finished());
        drop(end);
        assert_eq!((one.await.unwrap(), more.await.unwrap()), (Ok(()), Ok(7)));
    }

    #[tokio::test]
    async fn what_is_overdue_is_refused_and_neither_holds_a_place_nor_is_begun_again() {
        let counting = Counting::new(2, SHORT);
        let mut ends = Vec::new();
        for index in 0..LEFT_MAX {
            let (end, work) = held();
            ends.push(end);
            assert_eq!(counting.run(&model(index), Purpose::Call, work).await, Err(Uncounted::Late { wait_s: 1 }));
            assert_eq!(counting.run(&model(index), Purpose::Call, || ()).await, Err(Uncounted::Overdue));
            assert_eq!(counting.places.free(), 2);
        }
        // Beyond so many each keeps its place.
        for index in LEFT_MAX..LEFT_MAX + 2 {
            let (end, work) = held();
            ends.push(end);
            assert_eq!(counting.run(&model(index), Purpose::Call, work).await, Err(Uncounted::Late { wait_s: 1 }));
        }
        assert_eq!(counting.places.free(), 0);
        assert_eq!(counting.run(&model(99), Purpose::Call, || ()).await, Err(Uncounted::Busy));
        drop(ends);
        until(|| counting.left.load(Ordering::Relaxed) == 0 && counting.places.free() == 2).await;
        assert_eq!(counting.run(&model(0), Purpose::Call, || 5).await, Ok(5), "what has ended is forgiven");
    }

    #[tokio::test]
    async fn a_caller_that_leaves_does_not_keep_its_thread_from_being_overdue() {
        let counting = Counting::new(2, SHORT);
        let (_end, work) = held();
        let left = tokio::time::timeout(SHORT / 4, counting.run(&model(1), Purpose::Call, work)).await;
        assert!(left.is_err());
        until(|| counting.left.load(Ordering::Relaxed) == 1 && counting.places.free() == 2).await;
        assert_eq!(counting.run(&model(1), Purpose::Call, || ()).await, Err(Uncounted::Overdue));
    }

    #[tokio::test]
    async fn who_waits_long_and_then_works_in_time_is_answered_and_its_model_is_not_refused() {
        let wait = Duration::from_secs(1);
        let counting = Arc::new(Counting::new(1, wait));
        // It ends at nine tenths of its time, and what waited for it takes two tenths more.
        let of_one = Arc::clone(&counting);
        let before = tokio::spawn(async move {
            of_one.run(&model(1), Purpose::Call, move || thread::sleep(wait.mul_f32(0.9))).await
        });
        until(|| counting.places.free() == 0).await;
        let late = counting.run(&model(1), Purpose::Call, move || thread::sleep(wait.mul_f32(0.2))).await;
        assert_eq!((before.await.unwrap(), late), (Ok(()), Ok(())));
        assert_eq!(counting.run(&model(1), Purpose::Call, || 7).await, Ok(7));
        assert_eq!(counting.left.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn who_waits_too_long_is_told_that_all_are_busy_and_no_model_is_refused() {
        let counting = Arc::new(Counting::new(1, SHORT));
        let held = counting.places.take(model(1), Purpose::Call, SHORT).await.ok();
        assert_eq!(counting.run(&model(1), Purpose::Call, || ()).await, Err(Uncounted::Busy));
        drop(held);
        assert_eq!(counting.run(&model(1), Purpose::Call, || 5).await, Ok(5));
    }

    #[test]
    fn whoever_hears_of_it_is_told_that_it_is_no_fault_of_theirs() {
        let cases = [
            (Uncounted::Busy, 429),
            (Uncounted::Late { wait_s: 5 }, 503),
            (Uncounted::Overdue, 503),
            (Uncounted::OwnTrouble { cause: "no threads".to_owned() }, 503),
        ];
        for (uncounted, status) in cases {
            let told = uncounted.told();
            assert_eq!((told.code.status(), told.code.fault()), (status, api::Fault::Network), "{uncounted:?}");
            assert!(told.retry_after_s.is_some() && told.code.may_retry());
            assert_eq!(told.hint.is_some(), status == 503);
        }
    }
}
