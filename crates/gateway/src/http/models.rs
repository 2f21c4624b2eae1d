//! `GET /v1/models` and `GET /v1/models/{name}`.

use std::sync::Arc;

use api::{Dialect, ModelCard, ModelList};
use network::axum::{
    extract::{Path, State},
    response::Response,
};

use crate::{
    http::{answered, refusal},
    shared::Shared,
};

pub async fn list(State(shared): State<Arc<Shared>>) -> Response {
    answered::json(&ModelList::new(&shared.directory.view().models))
}

pub async fn show(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    match shared.directory.resolve(&name) {
        Ok(model) => answered::json(&ModelCard::from(&model)),
        Err(error) => refusal::respond(&error, Dialect::OpenAi),
    }
}
