//! Requests in, answers out: single or in a batch, each with the caller's own id, whatever transport they came by.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{FutureExt as _, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::answer::{Answer, too_long};
use crate::error::RpcError;
use crate::methods::{self, Run};
use crate::params::Params;
use crate::party::Party;
use crate::state::{Deadline, Desk};

/// Requests of one batch that are worked on at the same time; they begin in order.
const AT_ONCE: usize = 16;

/// One request, as it was sent.
#[derive(Deserialize)]
pub(crate) struct Request<'a> {
    #[serde(borrow, default)]
    jsonrpc: Option<&'a RawValue>,
    /// Kept as it was sent: an id is the caller's. None at all is a notification, which is not answered.
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

/// `null` is an id as well.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[derive(Serialize)]
struct Response<'a> {
    jsonrpc: &'static str,
    id: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RpcError>,
}

/// What stands before and after the methods of all: a WebSocket knows some more.
pub(crate) trait Connection: Sync {
    /// Whose it is.
    fn party(&self) -> Party;
    /// Answers what only this kind of connection has; `None` leaves it to the table.
    fn own(&self, method: &str, params: Option<&RawValue>) -> Option<Answer>;
}

/// A connection of single answers.
pub(crate) struct Plain(pub Party);

impl Connection for Plain {
    fn party(&self) -> Party {
        self.0
    }

    fn own(&self, method: &str, _: Option<&RawValue>) -> Option<Answer> {
        let is_pushed = matches!(method, "eth_subscribe" | "eth_unsubscribe");
        is_pushed.then(|| Err(RpcError::server("notifications not supported: subscribe over a WebSocket")))
    }
}

/// What answers a body; `None` if it asked for no answer.
pub(crate) async fn respond(desk: &Arc<Desk>, connection: &dyn Connection, body: &[u8]) -> Option<String> {
    let Ok(text) = std::str::from_utf8(body) else {
        return Some(refusal(&RpcError::parse("parse error: the request is not UTF-8")));
    };
    if text.trim_start().starts_with('[') {
        batch(desk, connection, text).await
    } else {
        single(desk, connection, text).await
    }
}

/// An error that no request can be named for.
pub(crate) fn refusal(error: &RpcError) -> String {
    written(None, &Err(error.clone()))
}

async fn single(desk: &Arc<Desk>, connection: &dyn Connection, text: &str) -> Option<String> {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) => one(desk, connection, raw, &AtomicUsize::new(0)).await,
        Err(error) => Some(refusal(&RpcError::parse(format!("parse error: {error}")))),
    }
}

async fn batch(desk: &Arc<Desk>, connection: &dyn Connection, text: &str) -> Option<String> {
    let requests: Vec<&RawValue> = match serde_json::from_str(text) {
        Ok(requests) => requests,
        Err(error) => return Some(refusal(&RpcError::parse(format!("parse error: {error}")))),
    };
    let (count, limits) = (requests.len(), &desk.limits);
    if count == 0 {
        return Some(refusal(&RpcError::invalid_request("empty batch")));
    }
    if count > limits.batch {
        let words = format!("batch too large: {count} requests, at most {}", limits.batch);
        return Some(refusal(&RpcError::limit(words)));
    }
    let (held, mut begun) = (AtomicUsize::new(0), Vec::with_capacity(count));
    for raw in requests {
        begun.push(one(desk, connection, raw, &held).boxed());
    }
    let mut answers = futures::stream::iter(begun).buffered(AT_ONCE);
    let mut written = String::from("[");
    while let Some(answered) = answers.next().await {
        let Some(answered) = answered else { continue };
        if written.len() > 1 {
            written.push(',');
        }
        written.push_str(&answered);
        if written.len() > limits.answer_bytes {
            return Some(refusal(&too_long(limits.answer_bytes)));
        }
    }
    written.push(']');
    (written.len() > 2).then_some(written)
}

/// One request's answer; `None` for a notification. `held` is how many bytes answer the same body so far: what is beyond the bound for
/// all is let go at once, and not when its turn comes to be written.
async fn one(desk: &Arc<Desk>, connection: &dyn Connection, raw: &RawValue, held: &AtomicUsize) -> Option<String> {
    let request: Request<'_> = match serde_json::from_str(raw.get()) {
        Ok(request) => request,
        Err(error) => return Some(refusal(&RpcError::invalid_request(format!("invalid request: {error}")))),
    };
    let answered = match checked(&request) {
        Ok(method) => called(desk, connection, method, request.params).await,
        Err(error) => return Some(written(request.id.filter(|id| is_id(id)), &Err(error))),
    };
    let id = request.id?;
    let answered = answered.and_then(|result| {
        let most = desk.limits.answer_bytes;
        let bytes = result.get().len();
        if held.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > most {
            Err(too_long(most))
        } else {
            Ok(result)
        }
    });
    Some(written(Some(id), &answered))
}

fn checked<'a>(request: &'a Request<'_>) -> Result<&'a str, RpcError> {
    if request.jsonrpc.is_none_or(|version| version.get() != "\"2.0\"") {
        return Err(RpcError::invalid_request("invalid request: expected \"jsonrpc\": \"2.0\""));
    }
    if request.id.is_some_and(|id| !is_id(id)) {
        return Err(RpcError::invalid_request("invalid request: `id` is neither a string, a number nor null"));
    }
    request.method.as_deref().ok_or_else(|| RpcError::invalid_request("invalid request: `method` is missing"))
}

fn is_id(id: &RawValue) -> bool {
    !matches!(id.get().as_bytes().first(), Some(b'{' | b'[' | b't' | b'f'))
}

async fn called(desk: &Arc<Desk>, connection: &dyn Connection, name: &str, params: Option<&RawValue>) -> Answer {
    if let Some(reason) = desk.node.closed() {
        return Err(RpcError::internal(reason));
    }
    if let Some(answered) = connection.own(name, params) {
        return answered;
    }
    let method = methods::find(name).ok_or_else(|| RpcError::no_method(name))?;
    let mut params = Params::read(params)?;
    let (desk, party) = (Arc::clone(desk), connection.party());
    match method.run {
        // A read may wait for a disk, which no other request should wait for.
        Run::Read(run) => away(move || run(&desk, &mut params)).await,
        Run::Keep(run) => away(move || run(&desk, &mut params, party)).await,
        Run::Compute(work, run) => {
            let place = tokio::time::timeout(desk.limits.call_time, desk.lines.of(work).take(party)).await;
            let Ok(Some(place)) = place else {
                let words = format!("too many {} at the same time: ask again later", work.words());
                return Err(RpcError::limit(words));
            };
            let (deadline, _waiting) = Deadline::within(&desk.limits);
            away(move || {
                let _place = place;
                run(&desk, &mut params, &deadline)
            })
            .await
        }
        Run::Wait(run) => run(desk, params).await,
    }
}

async fn away(run: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    let ended = tokio::task::spawn_blocking(run).await;
    ended.unwrap_or_else(|_| Err(RpcError::internal("the method failed: this is a defect of the node")))
}

fn written(id: Option<&RawValue>, answered: &Answer) -> String {
    let (result, error) = (answered.as_deref().ok(), answered.as_ref().err());
    let response = Response { jsonrpc: "2.0", id, result, error };
    serde_json::to_string(&response).unwrap_or_else(|_| r#"{"jsonrpc":"2.0","id":null,"error":null}"#.to_owned())
}
