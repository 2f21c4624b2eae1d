//! A streamed answer: server-sent events, each leaving at once; `[DONE]` only after the receipt is durable.
//!
//! A task of its own drives the answer: it ends, and the worker's connection with it, when the client leaves or stops
//! reading.

use std::{convert::Infallible, sync::Arc};

use api::{ApiError, ChatChunk, StopText};
use network::{
    Bytes,
    axum::{
        body::Body,
        http::{HeaderName, header},
        response::{IntoResponse as _, Response},
    },
};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::{
    delivery::{Delivered, Delivery, Piece},
    http::answered,
    shared::Shared,
};

/// Events that may wait for a slow reader.
const EVENTS_WAITING: usize = 64;
/// Tells a proxy in front to pass events on as they come.
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What all chunks of one answer say.
pub struct Head {
    pub id: String,
    pub created: u64,
    pub model: String,
    pub include_usage: bool,
    pub include_opening: bool,
}

/// The client has left, or no longer reads.
struct Gone;

/// Waits for the first piece, so that what fails before it has a status of its own; then streams.
pub async fn respond(
    shared: &Arc<Shared>,
    mut delivery: Delivery,
    head: Head,
    stop: StopText,
    place: OwnedSemaphorePermit,
) -> Result<Response, ApiError> {
    let first = delivery.next().await?;
    let (events, receiver) = mpsc::channel(EVENTS_WAITING);
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let writer = Writer { events, head, shared };
        tokio::select! {
            // Checked first: an answer that has ended is no disconnect.
            biased;
            ended = writer.drive(delivery, first, stop) => if ended.is_err() { writer.shared.metrics.disconnects.add(1); },
            () = writer.events.closed() => writer.shared.metrics.disconnects.add(1),
        }
        drop(place);
    });
    let stream = futures::stream::unfold(receiver, |mut receiver: mpsc::Receiver<Bytes>| async move {
        receiver.recv().await.map(|event| (Ok::<_, Infallible>(event), receiver))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (NO_BUFFERING, "no"),
    ];
    Ok((headers, Body::from_stream(stream)).into_response())
}

struct Writer {
    events: mpsc::Sender<Bytes>,
    head: Head,
    shared: Arc<Shared>,
}

impl Writer {
    async fn drive(&self, mut delivery: Delivery, first: Piece, mut stop: StopText) -> Result<(), Gone> {
        let Head { id, created, model, .. } = &self.head;
        self.send(&ChatChunk::opening(id, *created, model)).await?;
        let mut piece: Result<Piece, ApiError> = Ok(first);
        loop {
            match piece {
                Ok(Piece::Text(text)) => self.show(&stop.push(&text)).await?,
                Ok(Piece::Done(delivered)) => {
                    self.show(&stop.finish()).await?;
                    return self.finish(*delivered).await;
                }
                Err(error) => {
                    self.shared.metrics.refusals.add(1);
                    return self.write(format!("data: {}\n\n", error.to_json())).await;
                }
            }
            piece = delivery.next().await;
        }
    }

    async fn show(&self, text: &str) -> Result<(), Gone> {
        let Head { id, created, model, .. } = &self.head;
        if text.is_empty() { Ok(()) } else { self.send(&ChatChunk::text(id, *created, model, text)).await }
    }

    async fn finish(&self, delivered: Delivered) -> Result<(), Gone> {
        let Head { id, created, model, include_usage, include_opening } = &self.head;
        let finish = ChatChunk::finish(id, *created, model, delivered.finish);
        let answered = answered::answered(delivered, *include_opening);
        if *include_usage {
            self.send(&finish).await?;
            self.send(&ChatChunk::usage(id, *created, model).with_receipt(&answered)).await?;
        } else {
            self.send(&finish.with_receipt(&answered)).await?;
        }
        self.write("data: [DONE]\n\n".to_owned()).await
    }

    async fn send(&self, event: &impl Serialize) -> Result<(), Gone> {
        let json = serde_json::to_string(event).map_err(|_| Gone)?;
        self.write(format!("data: {json}\n\n")).await
    }

    async fn write(&self, event: String) -> Result<(), Gone> {
        let sent = self.events.send_timeout(Bytes::from(event), self.shared.pace.reader_wait).await;
        sent.map_err(|_| Gone)
    }
}
