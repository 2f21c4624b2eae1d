//! A server on one address: bounded bodies, headers, connections and waits; stops when asked.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequest, Request},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use protocol::Canonical;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinHandle,
};

use crate::{
    error::{NetworkError, Refusal},
    patient::Patient,
};

/// How long the body of one noun may take to arrive.
const BODY_WAIT: Duration = Duration::from_secs(30);

/// What a server accepts.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub body_bytes: usize,
    pub connections: usize,
    /// A client that takes longer to send its headers, or idles longer between requests, is dropped.
    pub header_wait: Duration,
    /// A client that takes nothing of its answer for so long is dropped.
    pub write_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            connections: 1_024,
            header_wait: Duration::from_secs(30),
            write_wait: Duration::from_secs(60),
        }
    }
}

/// A running server; dropping it stops it.
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Listens on `listen` (port 0 takes a free one) and serves `router`.
    pub async fn start(listen: SocketAddr, router: Router, limits: Limits) -> Result<Self, NetworkError> {
        let failed =
            |error: std::io::Error| NetworkError::Listen { address: listen.to_string(), cause: error.to_string() };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (stop, stopped) = watch::channel(false);
        let router = router.layer(DefaultBodyLimit::max(limits.body_bytes));
        let accepting = tokio::spawn(accept(listener, router, limits, stopped));
        Ok(Self { address, stop, accepting })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops listening and cuts open connections.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}

async fn accept(listener: TcpListener, router: Router, limits: Limits, stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut stopping = stopped.clone();
    loop {
        // Waiting for a place before accepting leaves what is too much in the kernel's queue.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stopped| *stopped) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let serving = serve(stream, router.clone(), limits, stopped.clone());
                tokio::spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
            // Out of file descriptors, most likely: others will close some.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn serve(stream: TcpStream, router: Router, limits: Limits, mut stopped: watch::Receiver<bool>) {
    // Small pieces of a streamed answer must leave at once.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_wait)
        .serve_connection(TokioIo::new(Patient::new(stream, limits.write_wait)), service)
        .with_upgrades();
    tokio::select! {
        // A broken connection concerns nobody but its client.
        _ = connection => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

/// One noun in canonical bytes, as a request's body or an answer.
pub struct Noun<T>(pub T);

impl<T: Canonical, S: Send + Sync> FromRequest<S> for Noun<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let bytes = body(request, state, BODY_WAIT).await?;
        T::decode(&bytes).map(Self).map_err(|error| {
            Refusal::bad_request("bad_encoding", format!("failed to decode the body: {error}"))
                .with_hint("bodies are canonical bytes, see specs/interfaces.md")
        })
    }
}

async fn body<S: Send + Sync>(request: Request, state: &S, wait: Duration) -> Result<bytes::Bytes, Refusal> {
    let read = tokio::time::timeout(wait, bytes::Bytes::from_request(request, state)).await;
    let slow = |_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body did not arrive in time");
    read.map_err(slow)?.map_err(|error| {
        let code = if error.status() == StatusCode::PAYLOAD_TOO_LARGE { "body_too_large" } else { "bad_body" };
        Refusal::new(error.status(), code, error.body_text())
    })
}

impl<T: Canonical> IntoResponse for Noun<T> {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "application/octet-stream")], self.0.encode()).into_response()
    }
}

/// Several nouns as a list without a limit of its own: a 32-bit count, then each.
pub fn nouns<T: Canonical>(items: &[T]) -> Response {
    let mut bytes = u32::try_from(items.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    items.iter().for_each(|item| item.write(&mut bytes));
    ([(CONTENT_TYPE, "application/octet-stream")], bytes).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[tokio::test]
    async fn a_body_that_never_arrives_is_refused_after_a_while() {
        let never = Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
        let refused = body(Request::new(never), &(), Duration::from_millis(20)).await.unwrap_err();
        assert_eq!((refused.status, refused.code), (StatusCode::REQUEST_TIMEOUT, "too_slow"));
    }
}
