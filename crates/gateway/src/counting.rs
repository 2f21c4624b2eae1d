//! Where prompts are made and tokens are put into words: by templates and tokenizers, which are their publishers' own programs, and mostly
//! before anybody has paid.
//!
//! They run on few threads of their own, which the machine ranks below those that answer. Whoever asks is waited for so long, and refused at
//! once where too many wait already. One model has half of the places at most. A thread cannot be ended from outside: one that is
//! overdue goes on by itself, its place is another's, and its model is refused until it has ended.

use std::{
    collections::BTreeMap,
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
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::{Instant, timeout_at},
};

/// How far below the others the machine ranks these threads: a tenth of their share where cores are short.
const RANK: i32 = 10;
/// For each place so many may wait, and of those that will never pay a quarter.
const WAITING_A_PLACE: usize = 32;
const FREE_SHARE: usize = 4;
/// Threads that are overdue and whose places were given away. Beyond them a place stays taken until its thread has ended.
const LEFT_MAX: usize = 4;
/// Models whose places are remembered although none is taken.
const MODELS_KEPT: usize = 256;

/// For what a prompt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// For a call that costs something, or its price.
    Call,
    /// To be counted and no more.
    Count,
}

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

/// The places; shared by all requests.
pub struct Counting {
    places: Arc<Semaphore>,
    a_model: usize,
    waiting: Semaphore,
    waiting_free: Semaphore,
    models: Mutex<BTreeMap<Digest, Arc<OfModel>>>,
    /// Threads that were left to themselves.
    left: Arc<AtomicUsize>,
    wait: Duration,
}

struct OfModel {
    places: Arc<Semaphore>,
    overdue: AtomicUsize,
}

/// One thread at work.
struct Run {
    model: Arc<OfModel>,
    left: Arc<AtomicUsize>,
    stage: Mutex<Stage>,
}

/// The model's own, and one of all.
type Places = (OwnedSemaphorePermit, OwnedSemaphorePermit);

enum Stage {
    InTime(Places),
    /// With its places where too many were given away.
    Overdue(Option<Places>),
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
                self.model.overdue.fetch_sub(1, Ordering::Relaxed);
                if kept.is_none() {
                    self.left.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Gives its places away, unless too many were.
    fn overdue(&self) {
        let mut stage = lock(&self.stage);
        match std::mem::replace(&mut *stage, Stage::Ended) {
            Stage::InTime(places) => {
                self.model.overdue.fetch_add(1, Ordering::Relaxed);
                let may = |left: usize| (left < LEFT_MAX).then(|| left.saturating_add(1));
                let is_left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, may).is_ok();
                *stage = Stage::Overdue((!is_left).then_some(places));
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
    pub fn new(places: usize, wait: Duration) -> Self {
        let waiting = places.saturating_mul(WAITING_A_PLACE);
        Self {
            places: Arc::new(Semaphore::new(places)),
            a_model: places.div_ceil(2),
            waiting: Semaphore::new(waiting),
            waiting_free: Semaphore::new(waiting / FREE_SHARE),
            models: Mutex::default(),
            left: Arc::default(),
            wait,
        }
    }

    /// Has `work` done, which is a model's own.
    pub async fn run<T: Send + 'static>(
        &self,
        model: &Digest,
        purpose: Purpose,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Uncounted> {
        let busy = |_| Uncounted::Busy;
        let _free = match purpose {
            Purpose::Call => None,
            Purpose::Count => Some(self.waiting_free.try_acquire().map_err(busy)?),
        };
        let _waiting = self.waiting.try_acquire().map_err(busy)?;
        let model = self.of_model(model);
        if model.overdue.load(Ordering::Relaxed) > 0 {
            return Err(Uncounted::Overdue);
        }
        let until = Instant::now().checked_add(self.wait).unwrap_or_else(Instant::now);
        let places = async {
            // The model's own first: whoever waits for it keeps no other model from a place.
            let own = Arc::clone(&model.places).acquire_owned().await?;
            Ok((own, Arc::clone(&self.places).acquire_owned().await?))
        };
        let places: Result<_, tokio::sync::AcquireError> =
            timeout_at(until, places).await.map_err(|_| Uncounted::Busy)?;
        let places = places.map_err(|_| Uncounted::Busy)?;
        if model.overdue.load(Ordering::Relaxed) > 0 {
            // The place is one that was given away meanwhile.
            return Err(Uncounted::Overdue);
        }
        let run = Arc::new(Run { model, left: Arc::clone(&self.left), stage: Mutex::new(Stage::InTime(places)) });
        let done = begin(&run, work).map_err(|error| Uncounted::OwnTrouble { cause: error.to_string() })?;
        // By itself: a caller that leaves changes nothing for those who wait for its place.
        let watched = tokio::spawn(watch(run, done, until, self.wait));
        watched.await.unwrap_or_else(|_| Err(failed()))
    }

    fn of_model(&self, model: &Digest) -> Arc<OfModel> {
        let mut models = lock(&self.models);
        if models.len() >= MODELS_KEPT && !models.contains_key(model) {
            models.retain(|_, known| Arc::strong_count(known) > 1);
        }
        let fresh = || OfModel { places: Arc::new(Semaphore::new(self.a_model)), overdue: AtomicUsize::new(0) };
        Arc::clone(models.entry(*model).or_insert_with(|| Arc::new(fresh())))
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

async fn watch<T>(run: Arc<Run>, done: oneshot::Receiver<T>, until: Instant, wait: Duration) -> Result<T, Uncounted> {
    match timeout_at(until, done).await {
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
        until(|| counting.places.available_permits() == 2).await;
        let broken: Result<(), _> = counting.run(&model(1), Purpose::Call, || panic!("told to")).await;
        assert_eq!(broken, Err(failed()));
        until(|| counting.places.available_permits() == 2).await;
    }

    #[tokio::test]
    async fn one_model_has_half_of_the_places_and_keeps_no_other_waiting() {
        let counting = Arc::new(Counting::new(2, Duration::from_secs(10)));
        let (end, work) = held();
        let of_one = Arc::clone(&counting);
        let one = tokio::spawn(async move { of_one.run(&model(1), Purpose::Count, work).await });
        until(|| counting.places.available_permits() == 1).await;
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
            assert_eq!(counting.places.available_permits(), 2);
        }
        // Beyond so many each keeps its place.
        for index in LEFT_MAX..LEFT_MAX + 2 {
            let (end, work) = held();
            ends.push(end);
            assert_eq!(counting.run(&model(index), Purpose::Call, work).await, Err(Uncounted::Late { wait_s: 1 }));
        }
        assert_eq!(counting.places.available_permits(), 0);
        assert_eq!(counting.run(&model(99), Purpose::Call, || ()).await, Err(Uncounted::Busy));
        drop(ends);
        until(|| counting.left.load(Ordering::Relaxed) == 0 && counting.places.available_permits() == 2).await;
        assert_eq!(counting.run(&model(0), Purpose::Call, || 5).await, Ok(5), "what has ended is forgiven");
    }

    #[tokio::test]
    async fn a_caller_that_leaves_does_not_keep_its_thread_from_being_overdue() {
        let counting = Counting::new(2, SHORT);
        let (_end, work) = held();
        let left = tokio::time::timeout(SHORT / 4, counting.run(&model(1), Purpose::Call, work)).await;
        assert!(left.is_err());
        until(|| counting.left.load(Ordering::Relaxed) == 1 && counting.places.available_permits() == 2).await;
        assert_eq!(counting.run(&model(1), Purpose::Call, || ()).await, Err(Uncounted::Overdue));
    }

    #[tokio::test]
    async fn beyond_those_that_may_wait_whoever_comes_is_refused_at_once() {
        let counting = Arc::new(Counting::new(1, Duration::from_secs(10)));
        let (end, work) = held();
        let of_one = Arc::clone(&counting);
        let mut waiting = vec![tokio::spawn(async move { of_one.run(&model(1), Purpose::Count, work).await })];
        for _ in 1..WAITING_A_PLACE / FREE_SHARE {
            let counting = Arc::clone(&counting);
            waiting.push(tokio::spawn(async move { counting.run(&model(1), Purpose::Count, || ()).await }));
        }
        until(|| counting.waiting_free.available_permits() == 0).await;
        assert_eq!(counting.run(&model(1), Purpose::Count, || ()).await, Err(Uncounted::Busy));
        // Who may pay has room that no free question takes.
        let paying = Arc::clone(&counting);
        waiting.push(tokio::spawn(async move { paying.run(&model(1), Purpose::Call, || ()).await }));
        drop(end);
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap(), Ok(()));
        }
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
