//! Every endpoint that answers from a model: one way for all, and a row of `api`'s table says what differs.

use std::{sync::Arc, time::Instant};

use api::{ApiError, Call, Code, Defaults, Endpoint, Gives, Head, Reading};
use futures::{StreamExt as _, TryStreamExt as _};
use network::{
    axum::{body::Body, http::HeaderMap, response::Response},
    now_ms,
};
use protocol::{Input, ModelRecord, Prompt, Request};
use serde_json::json;

use crate::{
    delivery::Delivery,
    http::{answered, bill::bill, body, counted, stream, telling::Course},
    payment::{Paid, Unpaid},
    prepare::Wish,
    shared::{Shared, fresh},
    stages::Stages,
    vocabulary::Words,
};

/// Answers of one call that are waited for at the same time.
const AT_ONCE: usize = 16;

pub async fn handle(shared: Arc<Shared>, endpoint: &'static Endpoint, headers: HeaderMap, body: Body) -> Response {
    counted(&shared, endpoint.dialect, |started_at| serve(&shared, endpoint, &headers, body, started_at)).await
}

async fn serve(
    shared: &Arc<Shared>,
    endpoint: &'static Endpoint,
    headers: &HeaderMap,
    body: Body,
    started_at: Instant,
) -> Result<Response, ApiError> {
    let body = body::read(headers, body, endpoint.body_bytes, shared.pace.body_wait, &shared.large_bodies).await?;
    let first = shared.admit(1)?;
    let mut call = (endpoint.read)(&body.bytes)?;
    call.terms = call.terms.with_assurance_header(answered::assurance_wish(headers))?;
    let more = call.jobs.len().saturating_sub(1);
    let places = (first, (more > 0).then(|| shared.admit(more)).transpose()?);
    let model = shared.directory.resolve(&call.model)?;
    let words = words(shared, &call, endpoint, &model.root).await?;
    if let Gives::Count { object } = endpoint.gives {
        return count(&call, words.as_deref(), object);
    }
    let family = words.as_ref().map_or(api::Family::GENERIC, |words| words.family);
    call.bind(family)?;
    // What the caller left to the model is in the request, and so in what is quoted, signed and audited.
    call.settle(words.as_ref().map_or_else(Defaults::default, |words| words.defaults));
    let mut requests = requests(shared, &call, &model)?;
    let paid = match paid_for(shared, headers, endpoint, &body.bytes, &requests, &model, words.as_deref()).await {
        Ok(paid) => paid,
        Err(unpaid) => return Ok(unpaid.respond(endpoint.dialect)),
    };
    drop(body);
    cover(&mut requests, paid.as_deref())?;
    let Some(nonce) = requests.first().map(|request| request.nonce.to_string()) else {
        return Err(ApiError::new(Code::Internal, "The call asks for nothing."));
    };
    let id = nonce.get(..32).unwrap_or_default().to_owned();
    let head = Head { id, created: now_ms() / 1_000, model: model.name[..].to_owned() };
    let stages = Arc::new(Stages::new(started_at));
    let courses = call.jobs.iter().zip(requests).enumerate().map(|(choice, (job, request))| {
        let family = call.calling.is_some().then_some(family);
        let stops = request.parameters.stop.clone();
        let reading = Reading::new(stops.iter().map(|stop| &stop[..]), family, &format!("{}{choice}", head.id));
        let delivery = Delivery::new(Arc::clone(shared), request, call.stream, Arc::clone(&stages));
        Course::new(
            delivery,
            reading,
            words.clone(),
            echo(job, words.as_deref()),
            answered::wants_opening(headers),
            paid.clone(),
        )
    });
    let courses: Vec<Course> = courses.collect();
    if call.stream {
        return stream::respond(shared, courses, head, call.teller, places, paid).await;
    }
    let said = futures::stream::iter(courses).map(Course::whole).buffered(AT_ONCE).try_collect();
    let said = stream::in_time(said, paid.as_deref()).await?;
    let mut said: Vec<_> = match (said, &paid) {
        (Ok(said), _) => said,
        (Err(error), None) => return Err(error),
        (Err(error), Some(paid)) => {
            paid.fail().await;
            return Err(error);
        }
    };
    let Some(paid) = paid else { return Ok(answered::respond(call.teller.whole(&head, &said), &said, &stages)) };
    let ended = paid.finish(std::iter::empty(), &mut said).await?;
    let mut response = answered::respond(call.teller.whole(&head, &said), &said, &stages);
    paid.head_late(response.headers_mut(), &ended).await;
    Ok(paid.keep(response).await)
}

/// The payment that covers a call; `None` where it costs nothing.
async fn paid_for(
    shared: &Shared,
    headers: &HeaderMap,
    endpoint: &'static Endpoint,
    body: &[u8],
    requests: &[Request],
    model: &ModelRecord,
    words: Option<&Words>,
) -> Result<Option<Arc<Paid>>, Unpaid> {
    let Some(desk) = shared.desk.as_ref().filter(|desk| !desk.price(&model.root, &model.name).is_free()) else {
        return Ok(None);
    };
    let billed = bill(headers, endpoint, body, requests, model, words);
    desk.admit(headers, &billed.as_bill()).await.map(|paid| Some(Arc::new(paid)))
}

/// Binds each request to its part of the payment.
fn cover(requests: &mut [Request], paid: Option<&Paid>) -> Result<(), ApiError> {
    let Some(paid) = paid else { return Ok(()) };
    for (place, request) in requests.iter_mut().enumerate() {
        request.payment = paid.covers(place, protocol::Digest(fresh()?));
    }
    Ok(())
}

/// The model's words: asked for where the answer cannot be told without them, taken where they are at hand.
async fn words(
    shared: &Shared,
    call: &Call,
    endpoint: &Endpoint,
    root: &protocol::Digest,
) -> Result<Option<Arc<Words>>, ApiError> {
    let is_needed = call.needs_words() || endpoint.gives != Gives::Answers;
    if !is_needed && call.calling.is_none() && shared.desk.is_none() && !call.leaves_to_model() {
        return Ok(None);
    }
    let known = tokio::time::timeout(shared.pace.vocabulary_wait, shared.vocabularies.of(root)).await.ok().flatten();
    if is_needed && known.is_none() {
        let message = "The model's vocabulary is not known here yet, without which tokens have no names.";
        return Err(ApiError::new(Code::NoWorker, message).with_retry_after_s(2));
    }
    Ok(known)
}

fn count(call: &Call, words: Option<&Words>, object: Option<&str>) -> Result<Response, ApiError> {
    let chat = call.jobs.iter().find_map(|job| match &job.input {
        Input::Chat(chat) => Some(chat),
        Input::Tensors(_) | Input::Prompt(_) | Input::Embed(_) => None,
    });
    let (Some(chat), Some(words)) = (chat, words) else {
        return Err(ApiError::new(Code::InvalidValue, "Only conversations with language models have tokens to count."));
    };
    let prompt = words.template.prompt(&words.tokenizer, &engine::Conversation::chat(chat), now_ms());
    let refused = |error: engine::PromptError| {
        let message = format!("The model's template refuses the conversation: {error}.");
        ApiError::new(Code::InvalidValue, message).with_param("messages")
    };
    let mut counted = json!({ "input_tokens": prompt.map_err(refused)?.len() });
    if let Some(object) = object {
        counted["object"] = object.into();
    }
    Ok(answered::json(&counted))
}

fn requests(shared: &Shared, call: &Call, model: &ModelRecord) -> Result<Vec<Request>, ApiError> {
    let seed = u64::from_be_bytes(fresh()?);
    let request = |job: &api::Job| {
        let (input, parameters, terms) = (job.input.clone(), job.parameters(seed), call.terms.clone());
        Wish { model: model.root, kind: model.kind, input, parameters, terms }.into_request(shared.circumstances()?)
    };
    call.jobs.iter().map(request).collect()
}

/// The text that an answer begins with where its caller wants the prompt back.
fn echo(job: &api::Job, words: Option<&Words>) -> Option<String> {
    let Input::Prompt(prompt) = &job.input else { return None };
    job.echo.then(|| match prompt {
        Prompt::Text(text) => text[..].to_owned(),
        Prompt::Tokens(tokens) => words.map(|words| words.tokenizer.decode(tokens)).unwrap_or_default(),
    })
}
