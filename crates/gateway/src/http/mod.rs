//! The gateway's interface: routes to handlers, each of which answers or refuses in the words of OpenAI's clients.

mod answered;
mod bill;
mod body;
pub mod discovery;
mod echo;
mod endpoint;
mod models;
mod receipts;
pub mod refusal;
mod revenue;
mod room;
mod status;
mod stream;
mod telling;

pub use revenue::{RevenueQuestion, SignedRevenueQuestion};

use std::{sync::Arc, time::Instant};

use network::axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Method, Uri},
    response::Response,
    routing::{get, post},
};

use api::{ApiError, Code, Dialect, ENDPOINTS, Endpoint};
use payments::wire::header as wire;

use crate::{facilitator, shared::Shared};

/// Headers of answers that clients in a browser read.
pub const EXPOSED: [&str; 8] = [
    wire::REQUIRED,
    wire::RESPONSE,
    wire::LEGACY_RESPONSE,
    wire::SESSION,
    "x-og-receipt",
    "server-timing",
    "retry-after",
    "x-should-retry",
];

pub fn routes(shared: Arc<Shared>) -> Router {
    let router = Router::new()
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*name}", get(models::show))
        .route("/v1/receipts/{id}", get(receipts::show))
        .route("/v1/receipts/{id}/bundle", get(receipts::bundle))
        .route("/v1/revenue", post(revenue::revenue))
        .route("/discovery/resources", get(discovery::resources))
        .route("/status", get(status::status))
        .route("/metrics", get(status::metrics));
    let row = |router: Router<Arc<Shared>>, endpoint: &'static Endpoint| {
        let serve = move |State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Body| {
            endpoint::handle(shared, endpoint, headers, body)
        };
        let probe = move |State(shared): State<Arc<Shared>>, headers: HeaderMap| bill::probe(shared, endpoint, headers);
        router.route(endpoint.path, post(serve).get(probe))
    };
    let router = ENDPOINTS.iter().fold(router, row);
    let facilitator = shared.booth.clone().map(facilitator::routes).unwrap_or_default();
    let router = router.fallback(unknown_path).method_not_allowed_fallback(wrong_method).with_state(shared);
    router.merge(facilitator)
}

async fn unknown_path(method: Method, uri: Uri) -> Response {
    let message = format!("Unknown request URL: {method} {}.", uri.path());
    let answering: Vec<String> = ENDPOINTS.iter().map(|endpoint| format!("POST {}", endpoint.path)).collect();
    let hint = format!("{}, GET /v1/models, GET /v1/receipts/{{id}}", answering.join(", "));
    let error = ApiError::new(Code::UnknownPath, message).with_hint(hint);
    refusal::respond(&error, Endpoint::dialect_of(uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let message = format!("Not allowed to {method} on {}.", uri.path());
    refusal::respond(&ApiError::new(Code::MethodNotAllowed, message), Endpoint::dialect_of(uri.path()))
}

/// Counts a request and answers it, or says in its client's words why not. `serve` is told when it came.
async fn counted<Served>(shared: &Shared, dialect: Dialect, serve: impl FnOnce(Instant) -> Served) -> Response
where
    Served: Future<Output = Result<Response, ApiError>>,
{
    let started_at = Instant::now();
    shared.metrics.requests.add(1);
    serve(started_at).await.unwrap_or_else(|error| refused(shared, &error, dialect))
}

/// Counts a refusal and says it in its client's words.
fn refused(shared: &Shared, error: &ApiError, dialect: Dialect) -> Response {
    shared.metrics.refusals.add(1);
    refusal::respond(error, dialect)
}
