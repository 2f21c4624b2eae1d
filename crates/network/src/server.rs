//! A server on one address: bounded bodies, headers, connections and waits; stops when asked.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequest, Request},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use protocol::Canonical;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};

use crate::{
    error::{NetworkError, Refusal},
    patient::Patient,
    places::{Exchange, Place, Places},
};

/// How long the body of one noun may take to arrive.
const BODY_WAIT: Duration = Duration::from_secs(30);
/// How long what was answered may take to leave a connection whose place is wanted.
const LEAVE_WAIT: Duration = Duration::from_millis(100);

/// What a server accepts.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub body_bytes: usize,
    /// Open at once. When all are, the one whose client owes a request for the longest gives way.
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

/// The other end of a connection: in the extensions of each request, for servers that tell their clients apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    pub address: IpAddr,
    /// No two connections to a server have the same.
    pub connection: u64,
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
    let places = Places::new(limits.connections);
    let (mut stopping, mut connection) = (stopped.clone(), 0_u64);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stopped| *stopped) => return,
        };
        let Ok((stream, from)) = accepted else {
            // Out of file descriptors, most likely: others will close some.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Only this one waits: what comes meanwhile stays in the kernel's queue.
        let place = tokio::select! {
            place = places.take() => place,
            _ = stopping.wait_for(|stopped| *stopped) => return,
        };
        let Some(place) = place else { return };
        connection = connection.wrapping_add(1);
        let peer = Peer { address: from.ip(), connection };
        tokio::spawn(serve((stream, peer), place, router.clone(), limits, stopped.clone()));
    }
}

async fn serve(
    (stream, peer): (TcpStream, Peer),
    place: Arc<Place>,
    router: Router,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    // Small pieces of a streamed answer must leave at once.
    let _ = stream.set_nodelay(true);
    let (router, held) = (TowerToHyperService::new(router), Arc::clone(&place));
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let exchange = Exchange::begin(&held);
        let answer = router.call(request.map(|body| exchange.asking(body)));
        async move { answer.await.map(|answer| answer.map(|body| exchange.answering(body))) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_wait)
        .serve_connection(TokioIo::new(Patient::new(stream, limits.write_wait)), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // A broken connection concerns nobody but its client.
        _ = connection.as_mut() => return,
        _ = stopped.wait_for(|stopped| *stopped) => return,
        () = place.is_wanted() => {}
    }
    connection.as_mut().graceful_shutdown();
    while timeout(LEAVE_WAIT, connection.as_mut()).await.is_err() && place.is_answered() {}
}

/// One noun in canonical bytes, as a request's body or an answer.
pub struct Noun<T>(pub T);

impl<T: Canonical, S: Send + Sync> FromRequest<S> for Noun<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let bytes = body(request, state, BODY_WAIT).await?;
        T::decode(&bytes).map(Self).map_err(|error| Refusal::bad_encoding(&error))
    }
}

/// The bytes of a request's body, for whoever reads the noun in them itself.
pub struct Encoded(pub bytes::Bytes);

impl<S: Send + Sync> FromRequest<S> for Encoded {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        body(request, state, BODY_WAIT).await.map(Self)
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
    use axum::{Extension, body::Body, routing::get};

    use super::*;
    use crate::Client;

    #[tokio::test]
    async fn each_request_says_by_which_connection_it_came() {
        async fn told(Extension(peer): Extension<Peer>) -> String {
            format!("{} {}", peer.address, peer.connection)
        }
        let router = Router::new().route("/", get(told));
        let server = Server::start("127.0.0.1:0".parse().unwrap(), router, Limits::default()).await.unwrap();
        for expected in ["127.0.0.1 1", "127.0.0.1 2"] {
            assert_eq!(Client::default().get_bytes(&server.url()).await.unwrap(), expected);
        }
    }

    #[test]
    fn a_refusal_says_when_to_ask_again_where_that_is_known() {
        let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "busy", "later");
        assert!(!refusal.clone().into_response().headers().contains_key("retry-after"));
        assert_eq!(refusal.with_retry_after_s(2).into_response().headers()["retry-after"], "2");
    }

    #[tokio::test]
    async fn a_body_that_never_arrives_is_refused_after_a_while() {
        let never = Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
        let refused = body(Request::new(never), &(), Duration::from_millis(20)).await.unwrap_err();
        assert_eq!((refused.status, refused.code), (StatusCode::REQUEST_TIMEOUT, "too_slow"));
    }
}
