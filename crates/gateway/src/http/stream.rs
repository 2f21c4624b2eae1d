//! A streamed answer: server-sent events, each leaving at once; `[DONE]` only after the receipt is durable.
//!
//! A task of its own drives the answer: it ends, and the worker's connection with it, when the client leaves or stops
//! reading. Where nobody gives one of a call's answers, the others that have begun go on to their ends: what leaves of them is paid for by
//! receipts, so that who asks for one answer that nobody can give has none of the others for nothing.

use std::{convert::Infallible, iter::Enumerate, pin::Pin, sync::Arc, vec};

use api::{ApiError, Code, Events, Head, Said, Teller};
use futures::{StreamExt as _, stream::FuturesUnordered};
use network::{
    Bytes,
    axum::{
        body::Body,
        http::{HeaderName, header},
        response::{IntoResponse as _, Response},
    },
};
use tokio::sync::mpsc;

use crate::{
    http::telling::{Course, Told},
    payment::Paid,
    seats::Seats,
    shared::Shared,
};

/// Answers of one call that are waited for at the same time: the others begin when one of these has ended.
pub const AT_ONCE: usize = 16;
/// Events that may wait for a slow reader.
const EVENTS_WAITING: usize = 64;
/// Tells a proxy in front to pass events on as they come.
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The client has left, or no longer reads.
struct Gone;

/// Waits for the first part, so that what fails before it has a status of its own; then streams.
pub async fn respond(
    shared: &Arc<Shared>,
    courses: Vec<Course>,
    head: Head,
    teller: Box<dyn Teller>,
    seats: Seats,
    paid: Option<Arc<Paid>>,
) -> Result<Response, ApiError> {
    let jobs = courses.len();
    let mut coming = Coming::new(courses);
    let Some((choice, course, told)) = in_time(coming.next(), paid.as_deref()).await? else {
        return Err(ApiError::new(Code::Internal, "The call asks for nothing."));
    };
    let told = match (told, &paid) {
        (Err(error), Some(paid)) => {
            paid.fail().await;
            return Err(error);
        }
        (told, _) => told?,
    };
    if let Some(paid) = &paid {
        paid.durable().await?;
    }
    let first = (choice, course, Ok(told));
    let (sender, receiver) = mpsc::channel(EVENTS_WAITING);
    let (shared, paying) = (Arc::clone(shared), paid.clone());
    tokio::spawn(async move {
        let said = (0..jobs).map(|_| None).collect();
        let timed = paying.clone();
        let mut writer = Writer { sender, head, teller, said, failed: None, shared, paid: paying };
        let gone = writer.sender.clone();
        tokio::select! {
            // Checked first: an answer that has ended is no disconnect.
            biased;
            ended = writer.drive(first, coming) => if ended.is_err() { writer.shared.metrics.disconnects.add(1); },
            () = gone.closed() => writer.shared.metrics.disconnects.add(1),
            () = is_over_time(timed.as_deref()) => writer.cut_off().await,
        }
        drop(seats);
    });
    let stream = futures::stream::unfold(receiver, |mut receiver: mpsc::Receiver<Bytes>| async move {
        receiver.recv().await.map(|event| (Ok::<_, Infallible>(event), receiver))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (NO_BUFFERING, "no"),
    ];
    let mut response = (headers, Body::from_stream(stream)).into_response();
    if let Some(paid) = paid {
        paid.head_early(response.headers_mut());
    }
    Ok(response)
}

/// What comes before a payment's time is over; after it, the call is cut off.
pub async fn in_time<T>(coming: impl Future<Output = T>, paid: Option<&Paid>) -> Result<T, ApiError> {
    tokio::select! {
        biased;
        come = coming => Ok(come),
        () = is_over_time(paid) => match paid {
            Some(paid) => Err(paid.cut_off(AT_ONCE).await),
            None => std::future::pending().await,
        },
    }
}

/// Returns when a payment's time is over; without one, never.
async fn is_over_time(paid: Option<&Paid>) {
    match paid {
        Some(paid) => paid.is_over_time().await,
        None => std::future::pending().await,
    }
}

type Next = (usize, Course, Result<Told, ApiError>);

/// The answers of a call that have not ended.
struct Coming {
    /// The next part of each that has begun.
    parts: FuturesUnordered<Pin<Box<dyn Future<Output = Next> + Send>>>,
    waiting: Enumerate<vec::IntoIter<Course>>,
}

impl Coming {
    fn new(courses: Vec<Course>) -> Self {
        Self { parts: FuturesUnordered::new(), waiting: courses.into_iter().enumerate() }
    }

    fn go_on(&mut self, choice: usize, mut course: Course) {
        self.parts.push(Box::pin(async move {
            let told = course.next().await;
            (choice, course, told)
        }));
    }

    /// Those that have begun go on, and no other begins.
    fn begin_no_more(&mut self) {
        self.waiting = Vec::new().into_iter().enumerate();
    }

    /// The next part of any of them.
    async fn next(&mut self) -> Option<Next> {
        while self.parts.len() < AT_ONCE
            && let Some((choice, course)) = self.waiting.next()
        {
            self.go_on(choice, course);
        }
        self.parts.next().await
    }
}

struct Writer {
    sender: mpsc::Sender<Bytes>,
    head: Head,
    teller: Box<dyn Teller>,
    /// Answers that have ended.
    said: Vec<Option<Said>>,
    /// Why nobody gave one of them: told when the others have ended.
    failed: Option<ApiError>,
    shared: Arc<Shared>,
    paid: Option<Arc<Paid>>,
}

impl Writer {
    async fn drive(&mut self, first: Next, mut coming: Coming) -> Result<(), Gone> {
        let mut events = Events::default();
        self.teller.begin(&self.head, self.said.len(), &mut events);
        let mut next_told = Some(first);
        while let Some((choice, course, told)) = next_told {
            match told {
                Ok(Told::Part(part)) => {
                    self.teller.part(&self.head, choice, &part, &mut events);
                    coming.go_on(choice, course);
                }
                Ok(Told::End(said)) => {
                    let said = match self.charge(said).await {
                        Ok(said) => said,
                        Err(error) => return self.fail(&error, &mut events).await,
                    };
                    if !said.last.is_empty() {
                        self.teller.part(&self.head, choice, &said.last, &mut events);
                    }
                    self.teller.ended(&self.head, choice, &said, &mut events);
                    if let Some(place) = self.said.get_mut(choice) {
                        *place = Some(*said);
                    }
                }
                Err(error) => {
                    let _first = self.failed.get_or_insert(error);
                    coming.begin_no_more();
                    next_told = coming.next().await;
                    continue;
                }
            }
            if let Some(paid) = &self.paid
                && let Err(error) = paid.prompted().await
            {
                events.take();
                return self.fail(&error, &mut events).await;
            }
            self.write(&mut events).await?;
            if let Some(paid) = &self.paid
                && let Err(error) = paid.delivered().await
            {
                return self.fail(&error, &mut events).await;
            }
            next_told = coming.next().await;
        }
        if let Some(error) = self.failed.take() {
            return self.fail(&error, &mut events).await;
        }
        let said: Vec<Said> = self.said.drain(..).flatten().collect();
        self.teller.end(&self.head, &said, &mut events);
        self.write(&mut events).await
    }

    /// With the last answer of a call that has all of them, they are charged; what that comes to is told with it.
    async fn charge(&self, said: Box<Said>) -> Result<Box<Said>, ApiError> {
        let Some(paid) = &self.paid else { return Ok(said) };
        if self.said.iter().filter(|said| said.is_none()).count() > 1 {
            return Ok(said);
        }
        let mut last = [*said];
        paid.finish(self.said.iter().flatten(), &mut last).await?;
        let [said] = last;
        Ok(Box::new(said))
    }

    /// Ends a stream whose payment's time is over. What its reader does not take at once is not waited for.
    async fn cut_off(&mut self) {
        let Some(paid) = &self.paid else { return };
        let (error, mut events) = (paid.cut_off(AT_ONCE).await, Events::default());
        self.shared.metrics.refusals.add(1);
        self.teller.failed(&error, &mut events);
        let _nobody_waits = self.sender.try_send(Bytes::from(events.take()));
    }

    async fn fail(&mut self, error: &ApiError, events: &mut Events) -> Result<(), Gone> {
        if let Some(paid) = &self.paid {
            paid.fail().await;
        }
        self.shared.metrics.refusals.add(1);
        self.teller.failed(error, events);
        self.write(events).await
    }

    async fn write(&self, events: &mut Events) -> Result<(), Gone> {
        if events.is_empty() {
            return Ok(());
        }
        let sent = self.sender.send_timeout(Bytes::from(events.take()), self.shared.pace.reader_wait).await;
        sent.map_err(|_| Gone)
    }
}
