//! The hub as a node: serves its shelf, takes what loads.

use std::{net::SocketAddr, path::PathBuf};

use crypto::Digest;
use network::{
    Bytes, Limits, NetworkError, Refusal, Server,
    axum::{
        Json, Router,
        extract::{Path, State},
        http::StatusCode,
        routing::get,
    },
};
use serde_json::{Value, json};
use thiserror::Error;

use crate::shelf::{ARTEFACT_BYTES_MAX, Shelf, ShelfError};

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

/// A running hub.
pub struct Hub {
    server: Server,
}

impl Hub {
    pub async fn start(config: Config) -> Result<Self, HubError> {
        let shelf = Shelf::open(&config.directory)?;
        let limits = Limits { body_bytes: ARTEFACT_BYTES_MAX, ..Limits::default() };
        Ok(Self { server: Server::start(config.listen, router(shelf), limits).await? })
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    pub async fn stop(self) {
        self.server.stop().await;
    }
}

fn router(shelf: Shelf) -> Router {
    Router::new()
        .route("/artefacts", get(list).post(put))
        .route("/artefacts/{root}", get(artefact))
        .route("/status", get(status))
        .with_state(shelf)
}

async fn list(State(shelf): State<Shelf>) -> Json<Value> {
    let entries: Vec<Value> = shelf
        .list()
        .iter()
        .map(|entry| {
            json!({ "root": entry.root.to_string(), "name": entry.name, "kind": entry.kind, "bytes": entry.bytes })
        })
        .collect();
    Json(Value::Array(entries))
}

async fn put(State(shelf): State<Shelf>, body: Bytes) -> Result<(StatusCode, Json<Value>), Refusal> {
    let taken = tokio::task::spawn_blocking(move || shelf.put(&body)).await;
    let entry = taken.map_err(|_| Refusal::unavailable("interrupted", "the check of the artefact was interrupted"))?;
    match entry {
        Ok(entry) => Ok((StatusCode::CREATED, Json(json!({ "root": entry.root.to_string() })))),
        Err(error @ (ShelfError::Load(_) | ShelfError::TooLarge { .. })) => {
            Err(Refusal::bad_request("bad_artefact", error.to_string())
                .with_hint("make artefacts with: og model compile"))
        }
        Err(error @ (ShelfError::File(_) | ShelfError::Folder { .. })) => {
            Err(Refusal::unavailable("storage", error.to_string()))
        }
    }
}

async fn artefact(State(shelf): State<Shelf>, Path(root): Path<String>) -> Result<Vec<u8>, Refusal> {
    let Some(root) = Digest::from_hex(&root) else {
        return Err(Refusal::bad_request("bad_root", "a root is 64 hexadecimal digits"));
    };
    let found = tokio::task::spawn_blocking(move || shelf.get(&root)).await.ok().flatten();
    found.ok_or_else(|| Refusal::not_found("unknown_artefact", format!("no artefact has the root {root}")))
}

async fn status(State(shelf): State<Shelf>) -> Json<Value> {
    Json(json!({ "role": "hub", "artefacts": shelf.list().len() }))
}
