//! A server's places for connections, and who gives up one when all are taken.
//!
//! Whoever opens connections and says nothing would else keep everybody out for as long as headers and bodies may take. So a full
//! server ends the connection that has owed it something for the longest: a request, or the rest of one. Whoever is being answered
//! stays.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Error, body::Body};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

/// How long one that was asked to leave may take before the next one is asked.
const ASK_AGAIN: Duration = Duration::from_millis(20);

pub(crate) struct Places {
    free: Arc<Semaphore>,
    debtors: Mutex<Debtors>,
    /// Rung when somebody begins to owe something.
    owing: Notify,
}

/// Connections that owe something, by the order in which they began to.
#[derive(Default)]
struct Debtors {
    next: u64,
    by_order: BTreeMap<u64, Arc<Notify>>,
}

/// The place of one connection.
pub(crate) struct Place {
    places: Arc<Places>,
    order: Mutex<Option<u64>>,
    leave: Arc<Notify>,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub fn new(count: usize) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(count));
        Arc::new(Self { free, debtors: Mutex::default(), owing: Notify::new() })
    }

    /// A place for a connection that has just come; nothing, if there will never be one again.
    pub async fn take(self: &Arc<Self>) -> Option<Arc<Place>> {
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                break permit;
            }
            let asked = self.ask_one_to_leave();
            tokio::select! {
                permit = Arc::clone(&self.free).acquire_owned() => break permit.ok()?,
                () = sleep(ASK_AGAIN), if asked => {}
                () = self.owing.notified(), if !asked => {}
            }
        };
        let place = Place { places: Arc::clone(self), order: Mutex::default(), leave: Arc::default(), _permit: permit };
        place.owes();
        Some(Arc::new(place))
    }

    fn ask_one_to_leave(&self) -> bool {
        let first = locked(&self.debtors).by_order.pop_first();
        first.is_some_and(|(_, leave)| {
            leave.notify_one();
            true
        })
    }
}

impl Place {
    /// Ends when this place is wanted by another.
    pub async fn is_wanted(&self) {
        self.leave.notified().await;
    }

    /// Whether it is the server's turn.
    pub fn is_answered(&self) -> bool {
        locked(&self.order).is_none()
    }

    /// The client's turn.
    fn owes(&self) {
        let mut debtors = locked(&self.places.debtors);
        let order = debtors.next;
        debtors.next = order.wrapping_add(1);
        debtors.by_order.insert(order, Arc::clone(&self.leave));
        *locked(&self.order) = Some(order);
        drop(debtors);
        self.places.owing.notify_one();
    }

    /// The server's turn.
    fn is_owed(&self) {
        let mut debtors = locked(&self.places.debtors);
        if let Some(order) = locked(&self.order).take() {
            debtors.by_order.remove(&order);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.is_owed();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request and its answer: whose turn it is.
pub(crate) struct Exchange {
    place: Arc<Place>,
    phase: AtomicU8,
}

const ASKING: u8 = 0;
const ANSWERING: u8 = 1;
const OVER: u8 = 2;

impl Exchange {
    pub fn begin(place: &Arc<Place>) -> Arc<Self> {
        Arc::new(Self { place: Arc::clone(place), phase: AtomicU8::new(ASKING) })
    }

    /// The request's body, after which it is the server's turn.
    pub fn asking(
        self: &Arc<Self>,
        body: impl HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    ) -> Body {
        Body::new(Watched { body: Body::new(body), exchange: Arc::clone(self), end: Self::was_asked })
    }

    /// The answer's body, after which it is the client's turn.
    pub fn answering(self: &Arc<Self>, body: Body) -> Body {
        Body::new(Watched { body, exchange: Arc::clone(self), end: Self::was_answered })
    }

    fn was_asked(&self) {
        // A body that is dropped after the answer changes nothing any more.
        if self.phase.compare_exchange(ASKING, ANSWERING, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.place.is_owed();
        }
    }

    fn was_answered(&self) {
        if self.phase.swap(OVER, Ordering::AcqRel) == ANSWERING {
            self.place.owes();
        }
    }
}

/// A body that tells its exchange when nobody needs more of it.
struct Watched {
    body: Body,
    exchange: Arc<Exchange>,
    end: fn(&Exchange),
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        (self.end)(&self.exchange);
    }
}
