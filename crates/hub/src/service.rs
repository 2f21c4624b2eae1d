//! The hub as a node: serves its shelf, takes what loads.
//!
//! Anyone who reaches it may put artefacts on it: few at a time, each within its time, all within the shelf's room.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use crypto::Digest;
use futures::StreamExt as _;
use graph::Head;
use network::{
    Bytes, Limits, NetworkError, Refusal, Server,
    axum::{
        Json, Router,
        extract::{Path, Request, State},
        http::{StatusCode, header::CONTENT_LENGTH},
        routing::get,
    },
};
use serde_json::{Value, json};
use storage::Incoming;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::shelf::{ARTEFACT_BYTES_MAX, Shelf, ShelfError};

/// Connections at a time.
const CONNECTIONS: usize = 64;
/// Artefacts taken in at the same time: each is checked wholly.
const UPLOADS: usize = 2;
/// How long the first bytes of an artefact may take to arrive, and how much longer each further MiB may take: who
/// sends a byte now and then holds a place for no longer.
const UPLOAD_WAIT: Duration = Duration::from_secs(60);
const MIB_WAIT: Duration = Duration::from_secs(1);

/// What a hub needs to start.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    /// Where artefacts lie.
    pub directory: PathBuf,
}

/// Why a hub did not start.
#[derive(Debug, Error)]
pub enum HubError {
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// A running hub; dropping it stops it.
pub struct Hub {
    server: Server,
}

impl Hub {
    pub async fn start(config: Config) -> Result<Self, HubError> {
        Self::serve(config.listen, Shelf::open(&config.directory)?).await
    }

    /// Serves a shelf that is open already.
    pub async fn serve(listen: SocketAddr, shelf: Shelf) -> Result<Self, HubError> {
        let body_bytes = usize::try_from(ARTEFACT_BYTES_MAX).unwrap_or(usize::MAX);
        let limits = Limits { body_bytes, connections: CONNECTIONS, ..Limits::default() };
        Ok(Self { server: Server::start(listen, router(shelf), limits).await? })
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    pub async fn stop(self) {
        self.server.stop().await;
    }
}

#[derive(Clone)]
struct Desk {
    shelf: Shelf,
    uploads: Arc<Semaphore>,
}

fn router(shelf: Shelf) -> Router {
    Router::new()
        .route("/artefacts", get(list).post(put))
        .route("/artefacts/{root}", get(artefact))
        .route("/artefacts/{root}/head", get(head))
        .route("/status", get(status))
        .with_state(Desk { shelf, uploads: Arc::new(Semaphore::new(UPLOADS)) })
}

async fn list(State(desk): State<Desk>) -> Json<Value> {
    let entries = desk.shelf.list();
    let entries = entries.iter().map(
        |entry| json!({ "root": entry.root.to_string(), "name": entry.name, "kind": entry.kind, "bytes": entry.bytes }),
    );
    Json(Value::Array(entries.collect()))
}

async fn put(State(desk): State<Desk>, request: Request) -> Result<(StatusCode, Json<Value>), Refusal> {
    // Before the body is read: what waits for a place takes no memory.
    let Ok(_place) = desk.uploads.try_acquire() else {
        let message = format!("{UPLOADS} artefacts are being taken in already");
        return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "busy", message).with_hint("try again in a moment"));
    };
    let begun = desk.shelf.incoming().map_err(|error| refusal(&error))?;
    let incoming = receive(request, begun, UPLOAD_WAIT).await?;
    let shelf = desk.shelf.clone();
    let taken = tokio::task::spawn_blocking(move || shelf.keep(incoming, None)).await;
    let taken = taken.map_err(|_| Refusal::unavailable("interrupted", "the check of the artefact was interrupted"))?;
    let entry = taken.map_err(|error| refusal(&error))?;
    Ok((StatusCode::CREATED, Json(json!({ "root": entry.root.to_string() }))))
}

/// Writes a body to disk as it arrives.
async fn receive(request: Request, mut incoming: Incoming, wait: Duration) -> Result<Incoming, Refusal> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > ARTEFACT_BYTES_MAX) {
        return Err(unread(StatusCode::PAYLOAD_TOO_LARGE, "the artefact is too large"));
    }
    let begun = Instant::now();
    let mut pieces = request.into_body().into_data_stream();
    loop {
        let mebibytes = u32::try_from(incoming.length() >> 20).unwrap_or(u32::MAX);
        let allowed = wait.saturating_add(MIB_WAIT.saturating_mul(mebibytes)).saturating_sub(begun.elapsed());
        let slow = |_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the artefact did not arrive in time");
        let Some(piece) = tokio::time::timeout(allowed, pieces.next()).await.map_err(slow)? else {
            return Ok(incoming);
        };
        let piece = piece.map_err(|error| unread(StatusCode::BAD_REQUEST, error.to_string()))?;
        incoming.write(&piece).map_err(|error| refusal(&error.into()))?;
    }
}

fn unread(status: StatusCode, message: impl Into<String>) -> Refusal {
    let code = if status == StatusCode::PAYLOAD_TOO_LARGE { "body_too_large" } else { "bad_body" };
    Refusal::new(status, code, message).with_hint(format!("an artefact has at most {ARTEFACT_BYTES_MAX} bytes"))
}

fn refusal(error: &ShelfError) -> Refusal {
    let message = error.to_string();
    match error {
        ShelfError::Load(_) | ShelfError::TooLarge { .. } | ShelfError::OtherRoot { .. } => {
            Refusal::bad_request("bad_artefact", message).with_hint("make artefacts with: og model compile")
        }
        ShelfError::Full { .. } => Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "shelf_full", message),
        ShelfError::File(_) | ShelfError::Folder { .. } => Refusal::unavailable("storage", message),
    }
}

async fn artefact(State(desk): State<Desk>, Path(root): Path<String>) -> Result<Bytes, Refusal> {
    find(&desk, &root)
}

/// What lists a model and reads its texts: an artefact without its weights.
async fn head(State(desk): State<Desk>, Path(root): Path<String>) -> Result<Vec<u8>, Refusal> {
    let artefact = find(&desk, &root)?;
    Head::cut(&artefact).map_err(|error| Refusal::unavailable("storage", error.to_string()))
}

fn find(desk: &Desk, root: &str) -> Result<Bytes, Refusal> {
    let Some(root) = Digest::from_hex(root) else {
        return Err(Refusal::bad_request("bad_root", "a root is 64 hexadecimal digits"));
    };
    let found = desk.shelf.get(&root);
    found.ok_or_else(|| Refusal::not_found("unknown_artefact", format!("no artefact has the root {root}")))
}

async fn status(State(desk): State<Desk>) -> Json<Value> {
    Json(json!({ "role": "hub", "artefacts": desk.shelf.list().len() }))
}

#[cfg(test)]
mod tests {
    use network::axum::body::Body;

    use super::*;

    #[tokio::test]
    async fn an_artefact_that_never_arrives_frees_its_place() {
        let never = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        let folder = tempfile::tempdir().unwrap();
        let incoming = || Incoming::new(folder.path(), 10).unwrap();
        let refused = receive(Request::new(never), incoming(), Duration::from_millis(20)).await.err().unwrap();
        assert_eq!((refused.status, refused.code), (StatusCode::REQUEST_TIMEOUT, "too_slow"));
        let cut = Body::from_stream(futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("cut"))]));
        let refused = receive(Request::new(cut), incoming(), UPLOAD_WAIT).await.err().unwrap();
        assert_eq!((refused.status, refused.code), (StatusCode::BAD_REQUEST, "bad_body"));
        let long = Body::from("more than ten bytes");
        let refused = receive(Request::new(long), incoming(), UPLOAD_WAIT).await.err().unwrap();
        assert_eq!((refused.status, refused.code), (StatusCode::BAD_REQUEST, "bad_artefact"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left of any");
    }
}
