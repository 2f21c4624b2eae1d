//! One address, one path: POST for requests and batches, GET with an upgrade for a WebSocket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use network::axum::body::{Body, to_bytes};
use network::axum::extract::State;
use network::axum::extract::ws::WebSocketUpgrade;
use network::axum::http::{StatusCode, header::CONTENT_TYPE};
use network::axum::response::{IntoResponse, Response};
use network::axum::routing::post;
use network::axum::{Extension, Router};
use network::{NetworkError, Origins, Peer, Server as HttpServer};
use tokio::sync::watch;

use crate::dispatch::{Plain, refusal, respond};
use crate::error::RpcError;
use crate::filters::Filters;
use crate::limits::Limits;
use crate::node::ChainNode;
use crate::party::Party;
use crate::shares::Stock;
use crate::socket;
use crate::state::Desk;
use crate::turns::Lines;

/// How long a body may take to arrive.
const BODY_WAIT: Duration = Duration::from_secs(30);

/// A running server; dropping it stops it, its WebSockets too.
pub struct Server {
    http: HttpServer,
    stop: watch::Sender<bool>,
}

/// What the routes share.
#[derive(Clone)]
struct Shared {
    desk: Arc<Desk>,
    stopped: watch::Receiver<bool>,
    sockets: Arc<Stock>,
}

impl Server {
    /// Serves `node` on `listen` (port 0 takes a free one), to pages of any origin too. `client` is what the node says of itself.
    pub async fn start(
        listen: SocketAddr,
        node: Arc<dyn ChainNode>,
        client: impl Into<String>,
        limits: Limits,
    ) -> Result<Self, NetworkError> {
        Self::start_for(Origins::Any, listen, node, client, limits).await
    }

    /// The same for pages of these origins, and for whatever is no page.
    pub async fn start_for(
        origins: Origins,
        listen: SocketAddr,
        node: Arc<dyn ChainNode>,
        client: impl Into<String>,
        limits: Limits,
    ) -> Result<Self, NetworkError> {
        let (filters, lines) = (Filters::new(&limits), Lines::new(&limits));
        let desk = Arc::new(Desk { node, limits, client: client.into(), filters, lines });
        let (stop, stopped) = watch::channel(false);
        let sockets = Stock::new(limits.connections, limits.sockets_each);
        let router = Router::new().route("/", post(posted).get(upgraded)).with_state(Shared { desk, stopped, sockets });
        let router = origins.serve(router, &[]);
        let body_bytes = limits.body_bytes;
        let bounds = network::Limits { body_bytes, connections: limits.connections, ..network::Limits::default() };
        Ok(Self { http: HttpServer::start(listen, router, bounds).await?, stop })
    }

    pub fn address(&self) -> SocketAddr {
        self.http.address()
    }

    pub fn url(&self) -> String {
        self.http.url()
    }

    /// Stops listening and cuts open connections.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        self.http.stop().await;
    }
}

async fn posted(State(shared): State<Shared>, Extension(peer): Extension<Peer>, body: Body) -> Response {
    match read(body, shared.desk.limits.body_bytes).await {
        Ok(body) => match respond(&shared.desk, &Plain(Party::of(peer)), &body).await {
            Some(answered) => json(StatusCode::OK, answered),
            None => StatusCode::NO_CONTENT.into_response(),
        },
        Err((status, error)) => json(status, refusal(&error)),
    }
}

fn json(status: StatusCode, text: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], text).into_response()
}

async fn read(body: Body, most: usize) -> Result<Bytes, (StatusCode, RpcError)> {
    let slow = |_| (StatusCode::REQUEST_TIMEOUT, RpcError::limit("the request did not arrive in time"));
    let read = tokio::time::timeout(BODY_WAIT, to_bytes(body, most)).await.map_err(slow)?;
    // A body that is cut off cannot be answered anyway, so that one answer does for both.
    read.map_err(|_| {
        let words = format!("request too large: more than {most} bytes");
        (StatusCode::PAYLOAD_TOO_LARGE, RpcError::limit(words))
    })
}

async fn upgraded(
    State(shared): State<Shared>,
    Extension(peer): Extension<Peer>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let party = Party::of(peer);
    let place = match shared.sockets.take(party, 1) {
        Ok(place) => place,
        Err(over) => {
            let error = RpcError::limit(format!("too many WebSockets: at most {over}"));
            return json(StatusCode::SERVICE_UNAVAILABLE, refusal(&error));
        }
    };
    let most = shared.desk.limits.body_bytes;
    let upgrade = upgrade.max_message_size(most).max_frame_size(most);
    upgrade.on_upgrade(move |connection| async move {
        let _place = place;
        socket::serve(connection, party, shared.desk, shared.stopped).await;
    })
}
