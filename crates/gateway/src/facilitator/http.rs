//! The facilitator's interface: bodies in, refusals out, each with the word that official clients branch on.

use std::{sync::Arc, time::Duration};

use network::axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use payments::{
    facilitator::{Asked, MerchantToken},
    scheme::{Fault, Refused},
    wire::{WireError, json::parse},
};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    facilitator::booth::{Booth, Busy},
    http::discovery::{Page, page},
};

/// A claim of a hundred channels, and some room.
const BODY_BYTES_MAX: usize = 256 << 10;
const BODY_WAIT: Duration = Duration::from_secs(10);

/// What every facilitator answers; discovery is whoever mounts this's own.
pub fn routes(booth: Arc<Booth>) -> Router {
    Router::new()
        .route("/verify", post(verify))
        .route("/settle", post(settle))
        .route("/supported", get(supported))
        .with_state(booth)
}

/// Discovery where there is nothing else to be found.
pub fn discovery(booth: Arc<Booth>) -> Router {
    let resources = |State(booth): State<Arc<Booth>>, query: network::axum::extract::Query<Page>| async move {
        page(|first, count| booth.listed(first, count), &query)
    };
    Router::new().route("/discovery/resources", get(resources)).with_state(booth)
}

async fn supported(State(booth): State<Arc<Booth>>) -> Json<Value> {
    Json(booth.supported())
}

async fn verify(State(booth): State<Arc<Booth>>, headers: HeaderMap, body: Body) -> Response {
    let (asked, _place) = match admitted(&booth, body).await {
        Ok(admitted) => admitted,
        Err(problem) => return told(Phase::Verify, Err(problem), None),
    };
    if let Err(busy) = booth.may_verify(asked.terms.pay_to, token_of(&headers).as_ref()) {
        return told(Phase::Verify, Err(Problem::Busy(busy)), Some(&asked));
    }
    let verified = booth.verify(&asked).await.map(|verified| verified.to_json());
    told(Phase::Verify, verified.map_err(Problem::Refused), Some(&asked))
}

async fn settle(State(booth): State<Arc<Booth>>, headers: HeaderMap, body: Body) -> Response {
    let (asked, place) = match admitted(&booth, body).await {
        Ok(admitted) => admitted,
        Err(problem) => return told(Phase::Settle, Err(problem), None),
    };
    let token = token_of(&headers);
    if let Err(busy) = booth.may_settle(asked.terms.pay_to, token.as_ref()) {
        return told(Phase::Settle, Err(Problem::Busy(busy)), Some(&asked));
    }
    // A server that goes away in the middle changes nothing: what was begun is brought to its end.
    let work = {
        let asked = asked.clone();
        tokio::spawn(async move {
            let _place = place;
            booth.settle(&asked, token.as_ref()).await
        })
    };
    let settled = match work.await {
        Ok(settled) => settled.map(|settled| settled.to_json()),
        Err(_) => Err(Refused::NotDurable("the errand broke off".to_owned())),
    };
    told(Phase::Settle, settled.map_err(Problem::Refused), Some(&asked))
}

fn token_of(headers: &HeaderMap) -> Option<MerchantToken> {
    headers.get(header::AUTHORIZATION).and_then(|value| MerchantToken::from_header(value.to_str().ok()?))
}

/// A request and its place. Whoever is slow to send the one has not the other yet.
async fn admitted(booth: &Booth, body: Body) -> Result<(Asked, OwnedSemaphorePermit), Problem> {
    let asked = read(body).await.map_err(|error| Problem::Refused(error.into()))?;
    let place = booth.admit().map_err(Problem::Busy)?;
    Ok((asked, place))
}

async fn read(body: Body) -> Result<Asked, WireError> {
    let too_large = |_| WireError::TooLarge { found: BODY_BYTES_MAX.saturating_add(1), limit: BODY_BYTES_MAX };
    let late = |_| WireError::Json("a body that did not arrive".to_owned());
    let bytes = tokio::time::timeout(BODY_WAIT, to_bytes(body, BODY_BYTES_MAX)).await.map_err(late)?;
    Asked::read(&parse(&bytes.map_err(too_large)?)?)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Verify,
    Settle,
}

enum Problem {
    Busy(Busy),
    Refused(Refused),
}

/// A refusal of a payment is an answer; what is wrong with the request, or with us, is a status too.
fn told(phase: Phase, outcome: Result<Value, Problem>, asked: Option<&Asked>) -> Response {
    let (status, reason, message, retry_after_s) = match outcome {
        Ok(body) => return Json(body).into_response(),
        Err(Problem::Busy(busy)) => (
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "too much is asked for this receiver at once; hint: wait as Retry-After says".to_owned(),
            Some(busy.retry_after_s),
        ),
        Err(Problem::Refused(refused)) => {
            let status = match refused.fault() {
                Fault::Payment | Fault::Allowance | Fault::Conflict => StatusCode::OK,
                Fault::Form => StatusCode::BAD_REQUEST,
                Fault::Unknown => StatusCode::UNAUTHORIZED,
                Fault::Ours => StatusCode::SERVICE_UNAVAILABLE,
            };
            let message = format!("{refused}; hint: {}", refused.hint());
            (status, refused.reason(), message, (refused.fault() == Fault::Ours).then_some(1))
        }
    };
    let network = asked.map(|asked| asked.terms.network.to_string()).unwrap_or_default();
    let body = match phase {
        Phase::Verify => json!({ "isValid": false, "invalidReason": reason, "invalidMessage": message }),
        Phase::Settle => json!({
            "success": false,
            "errorReason": reason,
            "errorMessage": message,
            "transaction": "",
            "network": network,
        }),
    };
    let mut response = (status, Json(body)).into_response();
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
