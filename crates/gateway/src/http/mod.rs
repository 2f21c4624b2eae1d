//! The gateway's interface: routes to handlers, each of which answers or refuses in the words of OpenAI's clients.

mod answered;
mod body;
mod chat;
mod infer;
mod models;
mod receipts;
mod refusal;
mod status;
mod stream;

use std::{sync::Arc, time::Instant};

use network::axum::{
    Router,
    http::{Method, Uri},
    response::Response,
    routing::{get, post},
};

use api::{ApiError, Code};

use crate::shared::Shared;

pub fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat::complete))
        .route("/v1/completions", post(refuse_completions))
        .route("/v1/infer", post(infer::infer))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*name}", get(models::show))
        .route("/v1/receipts/{id}", get(receipts::show))
        .route("/v1/receipts/{id}/bundle", get(receipts::bundle))
        .route("/status", get(status::status))
        .route("/metrics", get(status::metrics))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(shared)
}

async fn refuse_completions() -> Response {
    let message = "POST /v1/completions is not offered: models here answer conversations.";
    refusal::respond(&ApiError::new(Code::UnknownPath, message).with_hint("use POST /v1/chat/completions"))
}

async fn unknown_path(method: Method, uri: Uri) -> Response {
    let message = format!("Unknown request URL: {method} {}.", uri.path());
    let hint = "POST /v1/chat/completions, POST /v1/infer, GET /v1/models, GET /v1/receipts/{id}";
    refusal::respond(&ApiError::new(Code::UnknownPath, message).with_hint(hint))
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let message = format!("Not allowed to {method} on {}.", uri.path());
    refusal::respond(&ApiError::new(Code::MethodNotAllowed, message))
}

/// Counts a request and answers it, or says in its client's words why not. `serve` is told when it came.
async fn counted<Served>(shared: &Shared, serve: impl FnOnce(Instant) -> Served) -> Response
where
    Served: Future<Output = Result<Response, ApiError>>,
{
    let started_at = Instant::now();
    shared.metrics.requests.add(1);
    serve(started_at).await.unwrap_or_else(|error| {
        shared.metrics.refusals.add(1);
        refusal::respond(&error)
    })
}
